"""Measure how much of a network's saliency maps lies inside the objects' masks, which removal never sees.

In:  the attribution shards of one network and variant, the manifest, the folder of masks: grey images at the manifest's
     paths, as large as the saliency maps, 128 and above where the object is.
Out: tidy CSV, one row per method and measure: n, mean, quartiles, the median's bootstrap interval, which resamples
     classes, and `chance`, the mean of a map without structure. Measures:
     relative_energy  the share of a map's sum inside the mask, relative to the mask's share of the image;
     pointing_game    the share of a map's maxima inside the mask: 1 or 0 if there is one maximum (Zhang et al., 2016,
                      without a tolerance).
     A map that is 0 everywhere has no energy: n is smaller then.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from explanations.command import run_command, step_parser
from explanations.data.masks import read_mask
from explanations.errors import check_range
from explanations.files.manifests import read_manifest
from explanations.files.shards import ShardReader
from explanations.files.tables import write_table
from explanations.methods.maps import ShardMaps
from explanations.methods.names import MethodName, parse_kind
from explanations.methods.saliency import list_methods, saliency_maps
from explanations.methods.transform import UPSAMPLINGS
from explanations.progress import progress
from explanations.statistics.tests import summarise

BLOCK = 100  # images whose maps are in memory at a time


def main(
    shards: list[Path],
    manifest: Path,
    masks: Path,
    output: Path,
    methods: list[str],
    upsampling: str,
    resamples: int,
    seed: int,
) -> None:
    check_range("statistics.resamples", resamples, low=100)
    kinds = [parse_kind(name) for name in methods]
    rows = read_manifest(manifest)
    with ShardReader(shards) as reader:
        reader.check_manifest(rows, manifest)
        images = reader.images
        inside = np.stack([read_mask(rows[image], masks, reader.size) for image in images])
        energy, pointing = {}, {}
        maps = ShardMaps(reader, images)
        names = [name for kind in kinds for name in list_methods(kind, maps)]
        for method in progress(names, f"localisation {reader.identity['network']}", unit="method"):
            maps = make_maps(method, reader, upsampling)
            energy[method], pointing[method] = relative_energy(maps, inside), pointing_game(maps, inside)
        labels = np.array([rows[image].label for image in images])
        about = {key: reader.identity[key] for key in ("experiment", "network", "variant")}
    chance = {"relative_energy": 1.0, "pointing_game": inside.mean()}
    rng = np.random.default_rng(seed)
    table = []
    for method in energy:
        for measure, values in (("relative_energy", energy[method]), ("pointing_game", pointing[method])):
            spread = summarise(values, labels, resamples, rng)
            mean = np.nan if np.isnan(values).all() else np.nanmean(values)
            table.append({"method": str(method), "measure": measure, "chance": chance[measure], "mean": mean, **spread})
    write_table(output, pd.DataFrame(table), {**about, "upsampling": upsampling})


def make_maps(method: MethodName, reader: ShardReader, upsampling: str) -> np.ndarray:
    """A method's saliency maps of all images, (n, H, W)."""
    blocks = (reader.images[start : start + BLOCK] for start in range(0, len(reader.images), BLOCK))
    return np.concatenate([saliency_maps(method, ShardMaps(reader, block), upsampling).numpy() for block in blocks])


def relative_energy(maps: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Σ_inside s / Σ s, over the mask's share of the image, (n,), of maps and masks (n, H, W); NaN where Σ s is 0."""
    total = maps.sum((1, 2), dtype=float)
    share = np.divide(
        maps.sum((1, 2), dtype=float, where=inside), total, out=np.full(len(maps), np.nan), where=total > 0
    )
    return share / inside.mean((1, 2))


def pointing_game(maps: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The share of each map's maxima that lie inside, (n,), of maps and masks (n, H, W)."""
    largest = maps == maps.max((1, 2), keepdims=True)
    return (largest & inside).sum((1, 2)) / largest.sum((1, 2))


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="attribution shards of the network")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    parser.add_argument(
        "--methods", nargs="+", required=True, help="kinds of methods: gradient activity activity_from …"
    )
    parser.add_argument("--upsampling", choices=UPSAMPLINGS, default="bilinear")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0)
    run_command(parser, main)
