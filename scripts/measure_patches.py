"""Measure what single patches of images are to a network: the class's probability and logit without each of them.

In:  a network file, the manifest and its folder of images, all attribution shards of that network.
Out: an HDF5 file of (image × 1 + patch) arrays, probability and logit: of the whole image, and with each patch of a
     grid removed alone, row by row. No map is needed: correlate_patches.py holds those of all methods against it.
"""

from pathlib import Path

import numpy as np

from explanations.command import run_command, step_parser
from explanations.errors import check_choice
from explanations.files.patches import write_patch_scores
from explanations.networks.decisions import DECIDED_IN
from explanations.progress import ProgressBar
from explanations.removal.blocks import ImageSettings, open_images
from explanations.removal.patch_scores import score_patches
from explanations.removal.settings import Computing, OperatorSettings


def main(output: Path, chosen: ImageSettings, removal: OperatorSettings, computing: Computing, side: int) -> None:
    check_choice("precision", computing.precision, DECIDED_IN)  # what is fastest would make other digits elsewhere
    with open_images(chosen, removal, computing) as block:
        identity = block.reader.identity
        title = f"{identity['network']} {identity['variant']} patches"
        with ProgressBar(title, len(block.images) * side**2, "pass") as bar:
            scores = score_patches(
                block.decide,
                block.inputs,
                block.targets,
                side,
                block.paths,
                removal,
                block.operator,
                computing.batch,
                bar.advance,
            )
    arrays = {"image": np.array(block.images), "label": np.array(block.labels), **scores}
    settings = {**identity, **removal.describe(), "side": side, "precision": computing.precision}
    write_patch_scores(output, arrays, settings)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="file of patches to write")
    parser.add_argument("--side", type=int, required=True, help="patches in a row, and in a column")
    run_command(parser, main)
