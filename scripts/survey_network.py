"""Survey what the biases of a network do to its decisions (§3, Supplementary B).

In:  a network file; manifests of images, of those to test first, and the folder of each.
Out: tidy CSV, a row for
     --accuracy    each k: top-k accuracy before and after all biases are zeroed, and the difference;
     --outputs     each image: ranks of its label, and the correlation of the outputs before and after;
     --fits        each of some images: the fit f^{b=0} = α f + β over classes;
     --robustness  each scale and shift of some images' pixel values: top-1 accuracy, biases as trained.
     Every row names the network, its number of bias parameters, and whether it has batch normalisation.
"""

import copy
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from explanations.command import run_command, step_parser
from explanations.errors import InputError
from explanations.files.tables import write_table
from explanations.networks.biases import count_biases, find_biases, zero_biases
from explanations.networks.devices import compute_in, place_network, use_device
from explanations.networks.evaluation import LabelledImages, mark
from explanations.networks.files import load_network
from explanations.networks.inference import optimise_for_inference
from explanations.networks.survey import (
    SurveySettings,
    join,
    predict,
    tabulate_accuracy,
    tabulate_fits,
    tabulate_outputs,
    tabulate_robustness,
)
from explanations.progress import ProgressBar


def main(
    network: Path,
    name: str,
    test_images: list[Path],
    images: list[Path],
    settings: SurveySettings,
    device: str,
    threads: int,
    accuracy: Path,
    outputs: Path,
    fits_table: Path,
    robustness: Path,
    builder: Path | None = None,
) -> None:
    chosen = use_device(device, threads)
    classifier, description = load_network(network, builder)
    additions = find_biases(classifier, description)
    counted = count_biases(classifier, additions.biases)
    zeroed = copy.deepcopy(classifier)
    zero_biases(zeroed, additions.biases)
    if chosen.type == "cpu" and settings.precision != "bfloat16":  # torch's autocast doesn't know oneDNN's operations
        classifier, zeroed = (optimise_for_inference(variant, chosen) for variant in (classifier, zeroed))
    else:
        classifier, zeroed = (place_network(variant, chosen, settings.precision) for variant in (classifier, zeroed))
    if len(test_images) != len(images):
        raise InputError(
            f"--images are {len(images)} folders; allowed is one for each of {len(test_images)} --test-images"
        )
    lists = zip(test_images, images, strict=True)
    test = reduce(add, (LabelledImages.read(*each, description, threads) for each in lists))
    changed, fitted = (mark(len(test), count, settings.seed) for count in (settings.change_images, settings.fits))
    conditions = settings.conditions()
    parts = []
    with compute_in(settings.precision, chosen), ProgressBar(f"survey {name}", len(test), "image") as bar:
        for part, pixels in test.batches():
            labels = test.labels[part]
            parts.append(
                predict(classifier, zeroed, description, pixels, labels, conditions, changed[part], fitted[part])
            )
            bar.advance(len(pixels))
    predictions = join(parts)
    names = np.array(test.names)
    about = {"network": name, "biases": counted}
    about |= {"normalisation": additions.normalisation, "classes": len(description.classes)}
    write_table(accuracy, tabulate_accuracy(predictions), about)
    write_table(outputs, tabulate_outputs(predictions, names), about)
    write_table(fits_table, tabulate_fits(predictions, names[fitted]), about)
    write_table(robustness, tabulate_robustness(predictions, settings.scales, settings.shifts, changed), about)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--builder", type=Path, help="your own file that builds the network, if it is of source file")
    parser.add_argument("--name", required=True, help="the network's name in the tables")
    parser.add_argument("--test-images", type=Path, nargs="+", required=True, help="manifests of images to test on")
    parser.add_argument("--images", type=Path, action="append", required=True, help="folder of one's paths, for each")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--accuracy", type=Path, required=True, help="CSV to write")
    parser.add_argument("--outputs", type=Path, required=True, help="CSV to write")
    parser.add_argument("--fits-table", type=Path, required=True, help="CSV to write")
    parser.add_argument("--robustness", type=Path, required=True, help="CSV to write")
    run_command(parser, main)
