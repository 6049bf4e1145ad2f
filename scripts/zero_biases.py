"""Set all biases of a network to zero, by brute force.

In:  a network file.
Out: the network file of its `zeroed` variant.

Biases are all parameters that are added to the network's activities, and batch normalisation's means. What scales, such
as batch normalisation's γ and variance, stays; so do position embeddings and tokens, which the log names.
"""

from pathlib import Path

from explanations.command import run_command, step_parser
from explanations.files.hashes import file_hash
from explanations.networks.biases import count_biases, find_biases, zero_biases
from explanations.networks.files import load_network, save_network


def main(network: Path, output: Path, builder: Path | None = None) -> None:
    classifier, description = load_network(network, builder)
    additions = find_biases(classifier, description)
    zero_biases(classifier, additions.biases)
    record = {"zeroed_biases": count_biases(classifier, additions.biases)}
    zeroed = description.with_variant("zeroed", "biases set to zero", file_hash(network), record)
    save_network(output, classifier, zeroed)
    print(f"{record['zeroed_biases']} biases in {len(additions.biases)} tensors set to zero")
    by_position = additions.by_position, "added with values that differ by position"
    for kept, why in (by_position, (additions.joined, "joined")):
        if kept:
            print(f"left as they are, since they are {why}: {', '.join(kept)}")


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--builder", type=Path, help="your own file that builds the network, if it is of source file")
    parser.add_argument("--output", type=Path, required=True, help="network file to write")
    run_command(parser, main)
