"""Measure saliency methods by pixel removal (§4), for one block of images and one family of methods.

In:  a network file, the manifest and its folder of images, all attribution shards of that network.
Out: an HDF5 file of (image × method) arrays: e_minus, e_plus and, with noise maps ξ, e_minus_noise, e_plus_noise;
     flip_minus, flip_plus (image × method) and flip_minus_noise, flip_plus_noise (image × method × noise map), the
     grid index of each flip (−1: never).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from explanations.attribution_maps import ShardMaps
from explanations.command import InputError, ProgressBar, check_range, run_command, step_parser
from explanations.descriptions import file_hash
from explanations.devices import PRECISIONS, use_device
from explanations.images import load_images
from explanations.inference import FastDecisions, decide_in, relative_errors
from explanations.manifests import check_labels, choose_block, read_manifest
from explanations.measurements import NEVER, write_measurements
from explanations.networks import load_network, preprocess
from explanations.removal import (
    LogitsError,
    Scan,
    find_flips,
    noise_partners,
    rank_pixels,
    removed_counts,
    tie_orders,
)
from explanations.saliency import FAMILIES, UPSAMPLINGS, family_methods, saliency_maps
from explanations.shards import ShardReader

TIES = ("random", "raster")
NEVER_FLIPS = ("one", "exclude")
ORDERS = ("minus", "plus")
LARGEST = float(np.finfo(np.float32).max)  # that a pixel can be
LOGITS_TOLERANCE = 1e-3  # float32's rounding, and the folding of batch normalisation, stay far below


def main(
    network: Path,
    manifest: Path,
    images: Path,
    shards: list[Path],
    output: Path,
    family: str,
    upsampling: str,
    shard: int,
    shard_size: int,
    grid: int,
    noise_maps: int,
    fill: float,
    ties: str,
    never_flips: str,
    seed: int,
    batch: int,
    precision: str,
    device: str,
    threads: int,
) -> None:
    check_range("removal.grid", grid, low=2)
    check_range("removal.batch", batch, low=1)
    check_range("removal.fill", fill, low=-LARGEST, high=LARGEST)
    check_range("removal.shard_size", shard_size, low=1)
    for key, value, allowed in (("ties", ties, TIES), ("never_flips", never_flips, NEVER_FLIPS)):
        if value not in allowed:
            raise InputError(f"removal.{key} is {value}; allowed are {', '.join(allowed)}")
    place = use_device(device, threads)
    rows = read_manifest(manifest)
    if len(rows) == 1:
        raise InputError(
            f"removal.noise_maps is {noise_maps}; {manifest} holds 1 image, and noise maps are other images'"
        )
    check_range("removal.noise_maps", noise_maps, low=1, high=len(rows) - 1)
    partners = noise_partners(len(rows), noise_maps, seed)
    block = choose_block(rows, shard, shard_size, manifest)
    classifier, description = load_network(network)
    check_labels(rows, len(description.classes), manifest)
    counts = removed_counts(description.size**2, grid).tolist()
    decide = decide_in(precision, classifier, place)
    loaded = load_images([row.picture(images, manifest) for row in block], description.framing, threads)
    inputs = preprocess(torch.from_numpy(loaded), description).to(place)
    chosen = [row.index for row in block]
    with ShardReader(shards, file_hash(network)) as reader:
        reader.check_manifest(rows, manifest)
        own = ShardMaps(reader, chosen, place)
        noise = [ShardMaps(reader, partners[chosen, r].tolist(), place) for r in range(noise_maps)]
        methods = family_methods(family, own)
        check_whole_images(decide, inputs, reader.read("logits", chosen), [row.path for row in block], batch)
        targets = torch.from_numpy(reader.read("target", chosen)).to(place)
        order = tie_orders(chosen, inputs[0, 0].numel(), seed, ties).to(place)
        scans = make_scans(methods, upsampling, [own, *noise], order)
        shape = (len(block), len(methods), 1 + noise_maps, len(ORDERS))
        passes = 0
        steps, signal = np.full(shape, NEVER), np.full(shape, np.nan)
        label = f"{reader.identity['network']} {reader.identity['variant']} {family}"
        with ProgressBar(label, steps.size, "scan") as bar:
            try:
                for flip in find_flips(decide, inputs, targets, scans, grid, fill, batch):
                    steps[flip.key], signal[flip.key] = flip.step, flip.signal
                    passes += grid if flip.step == NEVER else flip.step
                    done = bar.done + 1
                    bar.advance(1, describe_speed(passes / bar.elapsed(), steps.size / len(block), done, decide))
            except LogitsError as error:
                lost = f"{block[error.image].path} with {counts[error.step]} pixels removed"
                usual = f"its pixels are {inputs.min():.3g} to {inputs.max():.3g} in the network's input space"
                raise InputError(
                    f"removal.fill is {fill:g}; the logits of {lost} are NaN or infinite; allowed is a value with "
                    f"which they are finite ({usual})"
                ) from None
        if isinstance(decide, FastDecisions):
            print(f"{precision}: {decide.summary()}")
        settings = {**reader.identity, "upsampling": upsampling, "family": family, "grid": grid, "fill": fill}
    settings |= {"noise_maps": noise_maps, "ties": ties, "never_flips": never_flips, "seed": seed}
    if never_flips == "exclude":
        signal[steps == NEVER] = np.nan
    arrays = {"image": np.array(chosen), "label": np.array([row.label for row in block])}
    for index, name in enumerate(ORDERS):
        arrays[f"e_{name}"] = signal[:, :, 0, index]
        arrays[f"e_{name}_noise"] = signal[:, :, 1:, index].mean(2)
        arrays[f"flip_{name}"] = steps[:, :, 0, index]
        arrays[f"flip_{name}_noise"] = steps[:, :, 1:, index]
    write_measurements(output, methods, arrays, settings)


def describe_speed(rate: float, scans_per_image: float, scans: int, decide: torch.nn.Module | FastDecisions) -> str:
    """What stands beside the progress: forward passes per second, scans in images' worth, the share done twice."""
    speed = f"{rate:.0f} passes/s, {scans / scans_per_image:.1f} images' worth"
    return f"{speed}, {decide.share()}" if isinstance(decide, FastDecisions) else speed


@torch.no_grad()
def check_whole_images(
    decide: torch.nn.Module | FastDecisions, inputs: torch.Tensor, logits: np.ndarray, paths: list[str], batch: int
) -> None:
    """The images must have signal, and the network the logits that the shards hold: otherwise e would mean nothing."""
    exact = decide.measure if isinstance(decide, FastDecisions) else decide
    found = torch.cat([exact(part) for part in inputs.split(batch)]).cpu()
    gap = relative_errors(found, torch.from_numpy(logits)).tolist()
    for path, image, value in zip(paths, inputs, gap, strict=True):
        if not image.any():
            raise InputError(f"{path}: all its pixels are 0 in the network's input space; e needs an image with signal")
        if not value <= LOGITS_TOLERANCE:
            raise InputError(
                f"{path}: its logits are {value:.2g} of their size off the shard's; allowed is {LOGITS_TOLERANCE:g}"
            )


def make_scans(methods: list[str], upsampling: str, sources: list[ShardMaps], order: torch.Tensor) -> Iterator[Scan]:
    """All scans of a block of images: its own maps (source 0) and the noise maps, least and most salient first.

    A scan's key is (image, method, source, order of removal). Each map is sorted once; the most salient first is
    the reverse of that order.
    """
    pixels = order.shape[1]
    for m, method in enumerate(methods):
        for s, source in enumerate(sources):
            ranks = rank_pixels(saliency_maps(method, source, upsampling), order)
            for image, rank in enumerate(ranks):
                yield Scan((image, m, s, 0), image, rank)
                yield Scan((image, m, s, 1), image, pixels - 1 - rank)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="all attribution shards of the network")
    parser.add_argument("--output", type=Path, required=True, help="result file to write")
    parser.add_argument("--family", choices=FAMILIES, required=True, help="which methods")
    parser.add_argument("--upsampling", choices=UPSAMPLINGS, default="bilinear")
    parser.add_argument("--shard", type=int, default=0, help="which block of images")
    parser.add_argument("--shard-size", type=int, default=100, help="images in a block")
    parser.add_argument("--grid", type=int, default=100, help="steps from no pixel removed to all")
    parser.add_argument("--noise-maps", type=int, default=1, help="maps ξ of other images, for each image")
    parser.add_argument("--fill", type=float, default=0.0, help="a removed pixel's value, in the network's input space")
    parser.add_argument("--ties", choices=TIES, default="random", help="order of pixels of equal saliency")
    parser.add_argument("--never-flips", choices=NEVER_FLIPS, default="one", help="e of a decision that never flips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=64, help="scans under way at a time")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="that decisions are first tried in")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    run_command(parser, main)
