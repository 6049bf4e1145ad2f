"""Survey what the biases of a network do to its decisions (§3, Supplementary B).

In:  a network file, the manifest of test images and its folder.
Out: tidy CSV, a row for
     --accuracy    each k: top-k accuracy before and after all biases are zeroed, and the difference;
     --outputs     each image: ranks of its label, and the correlation of the outputs before and after;
     --fits        each of some images: the fit f^{b=0} = α f + β over classes;
     --robustness  each scale and shift of some images' pixel values: top-1 accuracy, biases as trained.
     Every row names the network, its number of bias parameters, and whether it has batch normalisation.
"""

import copy
from pathlib import Path

import numpy as np

from explanations.biases import count_biases, find_biases, zero_biases
from explanations.command import ProgressBar, check_range, run_command, step_parser
from explanations.devices import PRECISIONS, compute_in, place_network, use_device
from explanations.evaluation import LabelledImages, mark
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


def main(
    network: Path,
    name: str,
    test_images: Path,
    images: Path,
    scales: list[float],
    shifts: list[float],
    change_images: int,
    fits: int,
    precision: str,
    seed: int,
    device: str,
    threads: int,
    accuracy: Path,
    outputs: Path,
    fits_table: Path,
    robustness: Path,
) -> None:
    check_changes(scales, shifts)
    check_range("survey.change_images", change_images, low=1)
    check_range("survey.fits", fits, low=1)
    chosen = use_device(device, threads)
    classifier, description = load_network(network)
    found = find_biases(classifier, description)
    place_network(classifier, chosen)
    zeroed = copy.deepcopy(classifier)
    zero_biases(zeroed, found.biases)
    test = LabelledImages.read(test_images, images, description, threads)
    changed, fitted = mark(len(test), change_images, seed), mark(len(test), fits, seed)
    conditions = [*(Condition(scale=value) for value in scales), *(Condition(shift=value) for value in shifts)]
    parts = []
    with compute_in(precision, chosen), ProgressBar(f"survey {name}", len(test), "image") as bar:
        for part, pixels in test.batches():
            labels = test.labels[part]
            parts.append(ask(classifier, zeroed, description, pixels, labels, conditions, changed[part], fitted[part]))
            bar.advance(len(pixels))
    answers = join(parts)
    names = np.array([picture.path.relative_to(images).as_posix() for picture in test.pictures])
    about = {"network": name, "biases": count_biases(classifier, found.biases), "normalisation": found.normalisation}
    about["classes"] = len(description.classes)
    write_table(accuracy, tabulate_accuracy(answers), about)
    write_table(outputs, tabulate_outputs(answers, names), about)
    write_table(fits_table, tabulate_fits(answers, names[fitted]), about)
    write_table(robustness, tabulate_robustness(answers, scales, shifts, changed), about)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--name", required=True, help="the network's name in the tables")
    parser.add_argument("--test-images", type=Path, required=True, help="manifest of test images")
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--scales", type=float, nargs="+", required=True, help="what pixel values are multiplied by")
    parser.add_argument("--shifts", type=float, nargs="+", required=True, help="what is added, in full ranges")
    parser.add_argument("--change-images", type=int, default=5000, help="images whose pixel values are changed")
    parser.add_argument("--fits", type=int, default=200, help="images whose outputs are fitted")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the passes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--accuracy", type=Path, required=True, help="CSV to write")
    parser.add_argument("--outputs", type=Path, required=True, help="CSV to write")
    parser.add_argument("--fits-table", type=Path, required=True, help="CSV to write")
    parser.add_argument("--robustness", type=Path, required=True, help="CSV to write")
    run_command(parser, main)
