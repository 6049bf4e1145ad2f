"""Measure saliency methods by pixel removal (§4), for one block of images and one kind of method.

In:  a network file, the manifest and its folder of images, all attribution shards of that network; of a method with
     passes of its own, all its files of maps.
Out: an HDF5 file of (image × method) arrays: e_minus, e_plus and, with noise maps ξ, e_minus_noise, e_plus_noise;
     flip_minus, flip_plus (image × method) and flip_minus_noise, flip_plus_noise (image × method × noise map), the
     grid index of each flip (−1: never). Of one order of removal, those of that order.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from explanations.command import run_command, step_parser
from explanations.errors import InputError
from explanations.files.measurements import NEVER, write_measurements
from explanations.files.orders import ORDERS
from explanations.networks.decisions import Decisions
from explanations.progress import ProgressBar
from explanations.removal.blocks import BlockSettings, open_block
from explanations.removal.measuring import measure
from explanations.removal.scans import Flip
from explanations.removal.settings import Computing, RemovalSettings


def main(
    output: Path,
    chosen: BlockSettings,
    removal: RemovalSettings,
    computing: Computing,
    orders: Sequence[str] = ORDERS,
) -> None:
    check_orders(orders)
    with open_block(chosen, removal, computing, orders) as block:
        passes, count = 0, math.prod(block.shape)
        lengths = [len(removal.removed_counts(block.inputs[0, 0].numel(), order)) - 1 for order in orders]
        with ProgressBar(block.title, count, "scan") as bar:

            def advance(flip: Flip) -> None:
                nonlocal passes
                passes += lengths[flip.key[-1]] if flip.step == NEVER else flip.step
                scans_per_image = count / len(block.images)
                bar.advance(1, describe_speed(passes / bar.elapsed(), scans_per_image, bar.done + 1, block.decide))

            measured = measure(
                block.decide,
                block.inputs,
                block.targets,
                block.scans,
                block.shape,
                block.paths,
                removal,
                computing.batch,
                advance,
                orders,
            )
        if summary := block.decide.summary():
            print(summary)
    arrays = {"image": np.array(block.images), "label": np.array(block.labels), **measured}
    write_measurements(output, list(map(str, block.methods)), arrays, block.about)


def check_orders(orders: Sequence[str]) -> None:
    """InputError unless the orders are one, or both as results have them."""
    if list(orders) != [order for order in ORDERS if order in orders] or not orders:
        raise InputError(f"--orders is {' '.join(orders)}; allowed are {', '.join(ORDERS)}, or {' '.join(ORDERS)}")


def describe_speed(rate: float, scans_per_image: float, scans: int, decide: Decisions) -> str:
    """What stands beside the progress: forward passes per second, scans in images' worth, the share done twice."""
    parts = (f"{rate:.0f} passes/s", f"{scans / scans_per_image:.1f} images' worth", decide.share())
    return ", ".join(part for part in parts if part)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="result file to write")
    meaning = "minus: the least salient pixels first; plus: the most salient first"
    parser.add_argument("--orders", choices=ORDERS, nargs="+", default=ORDERS, help=meaning)
    run_command(parser, main)
