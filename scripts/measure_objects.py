"""Measure whether objects decide: a network's accuracy on whole images, without the objects, and with these alone.

In:  a network file; a manifest of labelled images, their folder, and a folder of their masks, as
     explanations.data.masks reads them.
Out: tidy CSV, a row for each way to show an image, `whole`, `object removed`, `object alone`: n images, top-1 accuracy,
     its 95% interval (Clopper and Pearson, 1934), and `chance`, one of all classes. Images whose object lies outside
     what the network sees are left out.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats

from explanations.command import run_command, step_parser
from explanations.data.masks import read_mask
from explanations.errors import InputError
from explanations.files.manifests import UNLABELLED, read_manifest
from explanations.files.tables import write_table
from explanations.localisation.objects import view_objects
from explanations.networks.devices import place_network, use_device
from explanations.networks.evaluation import LabelledImages
from explanations.networks.files import load_network, preprocess
from explanations.progress import ProgressBar
from explanations.statistics.tests import CONFIDENCE


def main(
    network: Path,
    name: str,
    test_images: Path,
    images: Path,
    masks: Path,
    output: Path,
    fill: float,
    device: str,
    threads: int,
    builder: Path | None = None,
) -> None:
    chosen = use_device(device, threads)
    classifier, description = load_network(network, builder)
    place_network(classifier, chosen)
    rows, test = read_manifest(test_images), LabelledImages.read(test_images, images, description, threads)
    if (test.labels == UNLABELLED).any():
        raise InputError(f"{test_images}: holds images without labels; accuracy needs them")
    right, seen = Counter(), 0
    with torch.no_grad(), ProgressBar(f"objects {name}", len(test), "image") as bar:
        for part, pixels in test.batches():
            inside = np.stack([read_mask(row, masks, description.framing) for row in rows[part]])
            marked = inside.any((1, 2))
            for place in np.flatnonzero(~marked):
                print(f"left out: {rows[part][place].path}, whose object lies outside what the network sees")
            inputs = preprocess(pixels.to(chosen), description)
            for view, shown in view_objects(inputs, torch.from_numpy(inside).to(chosen), fill).items():
                decisions = classifier(shown).argmax(1).cpu().numpy()
                right[view] += int((decisions == test.labels[part])[marked].sum())
            seen += int(marked.sum())
            bar.advance(len(pixels))
    if not seen:
        raise InputError(f"{masks}: marks nothing that the network sees of any image of {test_images}")
    table = [
        {"image": view, "n": seen, "accuracy": count / seen, **bound_share(count, seen)}
        for view, count in right.items()
    ]
    about = {"network": name, "variant": description.variant}
    write_table(output, pd.DataFrame(table).assign(chance=1 / len(description.classes)), about)


def bound_share(count: int, of: int) -> dict[str, float]:
    """The exact 95% interval of a share, by binomial tails."""
    interval = stats.binomtest(count, of).proportion_ci(CONFIDENCE, "exact")
    return {"ci_low": float(interval.low), "ci_high": float(interval.high)}


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--builder", type=Path, help="your own file that builds the network, if it is of source file")
    parser.add_argument("--name", required=True, help="the network's name in the table")
    parser.add_argument("--test-images", type=Path, required=True, help="manifest of labelled images that have masks")
    parser.add_argument("--images", type=Path, required=True, help="folder that its paths are below")
    parser.add_argument("--masks", type=Path, required=True, help="folder of their masks")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    parser.add_argument("--fill", type=float, default=0.0, help="a filled pixel's value, in the network's input space")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    run_command(parser, main)
