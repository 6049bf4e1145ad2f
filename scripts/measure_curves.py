"""Measure saliency methods along whole removals: the class's probability and logit at every step, in both orders.

In:  a network file, the manifest and its folder of images, all attribution shards of that network; of a method with
     passes of its own, all its files of maps. The scans are measure_removal's, and go on behind their flips.
Out: an HDF5 file of (image × method × map × order) arrays: probability and logit, with an axis of the grid's K + 1
     points; flip, the grid index of the flip (−1: never), and e there. Maps are the image's own and the noise maps ξ,
     orders minus and plus. explanations/removal/curves.py says which measures come of them.
"""

import math
from pathlib import Path

import numpy as np

from explanations.command import run_command, step_parser
from explanations.errors import check_choice
from explanations.files.curves import write_curves
from explanations.files.orders import ORDERS
from explanations.networks.decisions import DECIDED_IN
from explanations.progress import ProgressBar
from explanations.removal.blocks import BlockSettings, open_block
from explanations.removal.settings import Computing, RemovalSettings
from explanations.removal.tracing import trace


def main(output: Path, chosen: BlockSettings, removal: RemovalSettings, computing: Computing) -> None:
    check_choice("precision", computing.precision, DECIDED_IN)  # what is fastest would make other digits elsewhere
    with open_block(chosen, removal, computing, ORDERS) as block:
        passes = math.prod(block.shape) * removal.grid
        with ProgressBar(block.title, passes, "pass") as bar:
            traced = trace(
                block.decide,
                block.inputs,
                block.targets,
                block.scans,
                block.shape,
                block.paths,
                removal,
                computing.batch,
                bar.advance,
            )
    arrays = {"image": np.array(block.images), "label": np.array(block.labels), **traced}
    write_curves(output, list(map(str, block.methods)), arrays, {**block.about, "precision": computing.precision})


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="file of curves to write")
    run_command(parser, main)
