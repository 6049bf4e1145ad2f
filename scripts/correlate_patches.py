"""Correlate a network's saliency maps with what its single patches are to it, of all methods.

In:  all files of patches of a network (measure_patches.py), the network file, the manifest, its attribution shards;
     files of maps of methods with passes of their own.
Out: an HDF5 file of (image × method × map) arrays, Spearman's ρ over patches between the drops of the class's logit or
     probability and the map's sums, of an image's own map and the noise maps ξ; and a tidy CSV, one row per method and
     measure: n, quartiles, and the median's bootstrap interval, which resamples classes. ρ is NaN, and the image is
     left out, where a map has the same sum in all patches. Methods that can't explain the network are left out.
     explanations/removal/patches.py says what the measures are.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from explanations.command import run_command, step_parser
from explanations.errors import InputError, check_range, make_again
from explanations.files.hashes import file_hash
from explanations.files.manifests import read_manifest
from explanations.files.patches import PatchScores, read_patch_scores, write_patch_correlations
from explanations.files.shards import ShardReader
from explanations.files.tables import write_table
from explanations.methods.makers import BLOCK, Maker, list_makers
from explanations.methods.saliency import LAYERS
from explanations.methods.transform import UPSAMPLINGS
from explanations.removal.orders import noise_partners
from explanations.removal.patches import correlate_drops, derive_patch_measures, sum_patches
from explanations.statistics.tests import summarise


def main(
    patches: list[Path],
    network: Path,
    shards: list[Path],
    maps: list[Path],
    manifest: Path,
    correlations: Path,
    output: Path,
    methods: list[str],
    layers: str,
    upsampling: str,
    noise_maps: int,
    resamples: int,
    seed: int,
) -> None:
    check_range("statistics.resamples", resamples, low=100)
    scores, rows = read_patch_scores(patches), read_manifest(manifest)
    check_range("removal.noise_maps", noise_maps, low=1, high=len(rows) - 1)
    partners = noise_partners(len(rows), noise_maps, seed)
    with ShardReader(shards, file_hash(network)) as reader:
        reader.check_manifest(rows, manifest)
        check_scores(scores, patches[0], len(rows), reader.identity["weights"])
        images, side = scores.image.tolist(), scores.settings["side"]
        found = {}
        for method, make in list_makers("patches", reader, methods, maps, upsampling, layers):
            sums = sum_maps(make, images, side)
            found[method] = {name: correlate_drops(values, sums, partners) for name, values in scores.values.items()}
        about = {key: reader.identity[key] for key in ("experiment", "network", "variant")}
    if not found:
        raise InputError(f"{network}: no method given can explain it")
    write_patch_correlations(correlations, scores, found, {"upsampling": upsampling, "noise_maps": noise_maps})
    rng = np.random.default_rng(seed)
    table = [
        {"method": method, "measure": measure, **summarise(values, scores.label, resamples, rng)}
        for method, by_score in found.items()
        for measure, values in derive_patch_measures(by_score).items()
    ]
    write_table(output, pd.DataFrame(table), {**about, "upsampling": upsampling})


def check_scores(scores: PatchScores, path: Path, count: int, weights: str) -> None:
    """InputError, with the first file's path, unless scores are of all images of a manifest, and of one network."""
    if scores.settings["weights"] != weights:
        raise InputError(f"{path}: was made of another network than the one given; {make_again(path)}")
    absent = sorted({*range(count)} - {*scores.image.tolist()})
    if absent:
        raise InputError(f"{path}: the files of patches given lack image {absent[0]} of the manifest")


def sum_maps(make: Maker, images: list[int], side: int) -> np.ndarray:
    """The sums of a method's maps of images over patches, (n, side²)."""
    return np.concatenate([sum_patches(make(images[k : k + BLOCK]), side) for k in range(0, len(images), BLOCK)])


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--patches", type=Path, nargs="+", required=True, help="files of patches of the network")
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="attribution shards of the network")
    parser.add_argument("--maps", type=Path, nargs="*", default=[], help="files of maps of methods of their own")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--correlations", type=Path, required=True, help="file of patch correlations to write")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    parser.add_argument("--methods", nargs="*", default=[], help="kinds of methods: gradient activity activity_from …")
    parser.add_argument(
        "--layers", choices=LAYERS, default=LAYERS[0], help="that have maps: all, or one for each stage"
    )
    parser.add_argument("--upsampling", choices=UPSAMPLINGS, default="bilinear")
    parser.add_argument("--noise-maps", type=int, default=1, help="maps ξ of other images, for each image")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0)
    run_command(parser, main)
