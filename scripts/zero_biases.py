"""Set all biases of a network to zero, by brute force.

In:  a network file.
Out: the network file of its `zeroed` variant.

Biases are those of convolutions and linear maps, and batch normalisation's mean and β; γ and the variance stay.
"""

from pathlib import Path

from explanations.biases import count_biases, zero_biases
from explanations.command import run_command, step_parser
from explanations.descriptions import file_hash
from explanations.networks import load_network, save_network


def main(network: Path, output: Path) -> None:
    classifier, description = load_network(network)
    zero_biases(classifier)
    record = {"zeroed_biases": count_biases(classifier)}
    zeroed = description.with_variant("zeroed", "biases set to zero", file_hash(network), record)
    save_network(output, classifier, zeroed)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--output", type=Path, required=True, help="network file to write")
    run_command(parser, main)
