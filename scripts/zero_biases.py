"""Set all biases of a network to zero, by brute force.

In:  a network file, and a folder <class>/<file> of images to test the result on.
Out: the network file of its `zeroed` variant, with its accuracy.

Biases are those of convolutions and linear maps, and batch normalisation's mean and β; γ and the variance stay.
"""

from pathlib import Path

import torch

from explanations.biases import count_biases, zero_biases
from explanations.command import check_range, run_command, step_parser
from explanations.descriptions import file_hash
from explanations.evaluation import measure_accuracy
from explanations.networks import load_network, save_network


def main(network: Path, val: Path, output: Path, threads: int) -> None:
    check_range("--threads", threads, low=1)
    torch.set_num_threads(threads)
    classifier, description = load_network(network)
    zero_biases(classifier)
    record = {"zeroed_biases": count_biases(classifier), **measure_accuracy(classifier, description, val)}
    save_network(
        output, classifier, description.with_variant("zeroed", "biases set to zero", file_hash(network), record)
    )


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--val", type=Path, required=True, help="folder of test images")
    parser.add_argument("--output", type=Path, required=True, help="network file to write")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    run_command(parser, main)
