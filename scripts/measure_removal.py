"""Measure saliency methods by pixel removal (§4), for one block of images and one kind of method.

In:  a network file, the manifest and its folder of images, all attribution shards of that network; of a method with
     passes of its own, all its files of maps.
Out: an HDF5 file of (image × method) arrays: e_minus, e_plus and, with noise maps ξ, e_minus_noise, e_plus_noise;
     flip_minus, flip_plus (image × method) and flip_minus_noise, flip_plus_noise (image × method × noise map), the
     grid index of each flip (−1: never). Of one order of removal, those of that order.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from explanations.command import run_command, step_parser
from explanations.data.images import load_images
from explanations.errors import InputError, check_range
from explanations.files.hashes import file_hash
from explanations.files.made_maps import MadeMaps
from explanations.files.manifests import check_labels, choose_block, read_manifest
from explanations.files.measurements import NEVER, write_measurements
from explanations.files.orders import ORDERS
from explanations.files.shards import ShardReader
from explanations.methods.maps import ShardMaps
from explanations.methods.names import MethodName, parse_kind
from explanations.methods.saliency import LAYERS, list_methods, saliency_maps
from explanations.methods.transform import UPSAMPLINGS
from explanations.networks.decisions import Decisions, decide_in
from explanations.networks.devices import use_device
from explanations.networks.files import load_network, preprocess
from explanations.progress import ProgressBar
from explanations.removal.measuring import check_whole_images, make_scans, measure
from explanations.removal.operators.base import Pictures
from explanations.removal.orders import noise_partners, removed_counts, tie_orders
from explanations.removal.scans import Flip
from explanations.removal.settings import Computing, RemovalSettings


def main(
    network: Path,
    manifest: Path,
    images: Path,
    shards: list[Path],
    output: Path,
    method: str,
    upsampling: str,
    shard: int,
    shard_size: int,
    removal: RemovalSettings,
    computing: Computing,
    layers: str = LAYERS[0],
    orders: Sequence[str] = ORDERS,
    maps: Sequence[Path] = (),
) -> None:
    check_orders(orders)
    check_range("removal.shard_size", shard_size, low=1)
    kind = MethodName(method) if maps else parse_kind(method)
    grid, noise_maps, batch = removal.grid, removal.noise_maps, computing.batch
    device = use_device(computing.device, computing.threads)
    rows = read_manifest(manifest)
    if len(rows) == 1:
        raise InputError(
            f"removal.noise_maps is {noise_maps}; {manifest} holds 1 image, and noise maps are other images'"
        )
    check_range("removal.noise_maps", noise_maps, low=1, high=len(rows) - 1)
    partners = noise_partners(len(rows), noise_maps, removal.seed)
    block = choose_block(rows, shard, shard_size, manifest)
    classifier, description = load_network(network)
    check_labels(rows, len(description.classes), manifest)
    removed_counts(description.size**2, grid)  # refuses a grid of more steps than pixels before any work
    decide = decide_in(computing.precision, classifier, device, description.shape)
    loaded = load_images([row.picture(images, manifest) for row in block], description.framing, computing.threads)
    inputs = preprocess(torch.from_numpy(loaded), description).to(device)
    chosen, paths = [row.index for row in block], [row.path for row in block]
    with ShardReader(shards, file_hash(network)) as reader:
        reader.check_manifest(rows, manifest)
        sources = [chosen, *(partners[chosen, r].tolist() for r in range(noise_maps))]
        methods, make = prepare_maps(kind, reader, maps, layers, upsampling, device)
        check_whole_images(decide, inputs, reader.read("logits", chosen), paths, batch)
        targets = torch.from_numpy(reader.read("target", chosen)).to(device)
        order = tie_orders(chosen, inputs[0, 0].numel(), removal.seed, removal.ties).to(device)
        scans = make_scans(methods, make, sources, order, orders)
        shape = (len(block), len(methods), 1 + noise_maps, len(orders))
        operator = removal.make_operator(Pictures.of(inputs, chosen, description, removal.seed))
        passes, count = 0, math.prod(shape)
        label = f"{reader.identity['network']} {reader.identity['variant']} {kind}"
        with ProgressBar(label, count, "scan") as bar:

            def advance(flip: Flip) -> None:
                nonlocal passes
                passes += grid if flip.step == NEVER else flip.step
                bar.advance(1, describe_speed(passes / bar.elapsed(), count / len(block), bar.done + 1, decide))

            measured = measure(decide, inputs, targets, scans, shape, paths, removal, operator, batch, advance, orders)
        if summary := decide.summary():
            print(summary)
        settings = {**reader.identity, "upsampling": upsampling, "method": method, "layers": layers}
        settings |= removal.describe()
        settings["orders"] = list(orders)
    arrays = {"image": np.array(chosen), "label": np.array([row.label for row in block]), **measured}
    write_measurements(output, list(map(str, methods)), arrays, settings)


def prepare_maps(
    kind: MethodName, reader: ShardReader, files: Sequence[Path], layers: str, upsampling: str, device: torch.device
) -> tuple[list[MethodName], Callable[[MethodName, Sequence[int]], Tensor]]:
    """The methods of a kind, and what makes a method's maps (n, H, W) of images: from shards, or from files of maps.

    There are none of a method that can't explain the network.
    """
    if files:
        made = MadeMaps(files, reader.identity["weights"])
        return ([] if made.not_applicable else [kind]), lambda name, images: torch.from_numpy(made.choose(images)).to(
            device
        )
    methods = list_methods(kind, ShardMaps(reader, [], device), layers)
    return methods, lambda name, images: saliency_maps(name, ShardMaps(reader, images, device), upsampling)


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
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="all attribution shards of the network")
    parser.add_argument("--output", type=Path, required=True, help="result file to write")
    meaning = "all maps of this kind are measured; or, with --maps, the name of the method that these are of"
    parser.add_argument("--method", required=True, help=meaning)
    parser.add_argument(
        "--maps", type=Path, nargs="*", default=[], help="files of maps of a method with passes of its own"
    )
    parser.add_argument(
        "--layers", choices=LAYERS, default=LAYERS[0], help="that have maps: all, or one for each stage"
    )
    meaning = "minus: the least salient pixels first; plus: the most salient first"
    parser.add_argument("--orders", choices=ORDERS, nargs="+", default=ORDERS, help=meaning)
    parser.add_argument("--upsampling", choices=UPSAMPLINGS, default="bilinear")
    parser.add_argument("--shard", type=int, default=0, help="which block of images")
    parser.add_argument("--shard-size", type=int, default=100, help="images in a block")
    run_command(parser, main)
