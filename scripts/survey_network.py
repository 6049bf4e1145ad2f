"""Survey what the biases of a network do to its decisions (§3, Supplementary B).

In:  a network file, and a folder <class>/<file> of images to ask it about.
Out: tidy CSV, a row for
     --accuracy    each k: top-k accuracy before and after all biases are zeroed, and the difference;
     --outputs     each image: ranks of its label, and the correlation of the outputs before and after;
     --fits        each of some images: the fit f^{b=0} = α f + β over classes;
     --robustness  each scale and shift of the pixel values: top-1 accuracy, biases as trained.
     Every row names the network, its number of bias parameters, and whether it has batch normalisation.
"""

import copy
from pathlib import Path

import torch

from explanations.biases import count_biases, normalisation, zero_biases
from explanations.command import ProgressBar, check_range, run_command, step_parser
from explanations.devices import place_network, use_device
from explanations.evaluation import list_test_images
from explanations.images import load_images
from explanations.networks import load_network
from explanations.survey import (
    Condition,
    ask,
    check_changes,
    join,
    tabulate_accuracy,
    tabulate_fits,
    tabulate_outputs,
    tabulate_robustness,
)
from explanations.tables import write_table

BLOCK = 512  # images in memory at a time


def main(
    network: Path,
    name: str,
    val: Path,
    scales: list[float],
    shifts: list[float],
    fits: int,
    seed: int,
    device: str,
    threads: int,
    accuracy: Path,
    outputs: Path,
    fits_table: Path,
    robustness: Path,
) -> None:
    check_changes(scales, shifts)
    check_range("survey.fits", fits, low=1)
    chosen = use_device(device, threads)
    classifier, description = load_network(network)
    place_network(classifier, chosen)
    zeroed = copy.deepcopy(classifier)
    zero_biases(zeroed)
    paths, labels = list_test_images(val, description)
    conditions = [*(Condition(scale=value) for value in scales), *(Condition(shift=value) for value in shifts)]
    parts = []
    with ProgressBar(f"survey {name}", len(paths), "image") as bar:
        for start in range(0, len(paths), BLOCK):
            block = slice(start, start + BLOCK)
            images = torch.from_numpy(load_images(paths[block], description.framing))
            parts.append(ask(classifier, zeroed, description, images, labels[block], conditions))
            bar.advance(len(images))
    answers = join(parts)
    names = [path.relative_to(val).as_posix() for path in paths]
    about = {"network": name, "biases": count_biases(classifier), "normalisation": normalisation(classifier)}
    about["classes"] = len(description.classes)
    write_table(accuracy, tabulate_accuracy(answers), about)
    write_table(outputs, tabulate_outputs(answers, names), about)
    write_table(fits_table, tabulate_fits(answers, names, fits, seed), about)
    write_table(robustness, tabulate_robustness(answers, scales, shifts), about)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--name", required=True, help="the network's name in the tables")
    parser.add_argument("--val", type=Path, required=True, help="folder of test images")
    parser.add_argument("--scales", type=float, nargs="+", required=True, help="what pixel values are multiplied by")
    parser.add_argument("--shifts", type=float, nargs="+", required=True, help="what is added, in full ranges")
    parser.add_argument("--fits", type=int, default=200, help="images whose outputs are fitted")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--accuracy", type=Path, required=True, help="CSV to write")
    parser.add_argument("--outputs", type=Path, required=True, help="CSV to write")
    parser.add_argument("--fits-table", type=Path, required=True, help="CSV to write")
    parser.add_argument("--robustness", type=Path, required=True, help="CSV to write")
    run_command(parser, main)
