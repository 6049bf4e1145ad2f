"""Measure how well a network's saliency maps say where objects are, by masks, which removal never sees.

In:  a network file, its attribution shards, the manifest; files of maps of methods with passes of their own; a folder
     of masks at the manifest's paths, as explanations.data.masks reads them.
Out: tidy CSV, one row per method and measure: n, mean, quartiles, the median's bootstrap interval, which resamples
     classes, and `chance`, the mean of a constant map. The measures are those of explanations.localisation.measures. n
     is smaller where an image's object lies outside what the network sees, and for relative_energy where a map has
     nothing positive. Methods that can't explain the network are left out.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from explanations.command import run_command, step_parser
from explanations.data.masks import read_mask
from explanations.errors import check_range
from explanations.files.descriptions import read_description
from explanations.files.hashes import file_hash
from explanations.files.manifests import read_manifest
from explanations.files.shards import ShardReader
from explanations.files.tables import write_table
from explanations.localisation.measures import MEASURES, find_marked
from explanations.localisation.methods import measure_method
from explanations.methods.makers import list_makers
from explanations.methods.transform import UPSAMPLINGS
from explanations.statistics.tests import summarise

FIRST = ("relative_energy", "pointing_game")  # their intervals' draws come one after the other, others' apart


def main(
    network: Path,
    shards: list[Path],
    maps: list[Path],
    manifest: Path,
    masks: Path,
    output: Path,
    methods: list[str],
    upsampling: str,
    resamples: int,
    seed: int,
) -> None:
    check_range("statistics.resamples", resamples, low=100)
    rows, description = read_manifest(manifest), read_description(network)
    with ShardReader(shards, file_hash(network)) as reader:
        reader.check_manifest(rows, manifest)
        images = reader.images
        inside = np.stack([read_mask(rows[image], masks, description.framing) for image in images])
        marked = find_marked(inside)
        for image in np.array(images)[~marked]:
            print(f"left out: {rows[image].path}, whose object lies outside what the network sees")
        labels = np.array([rows[image].label for image in images])
        chances = {name: measure.chance(inside[marked]) for name, measure in MEASURES.items()}
        rng = np.random.default_rng(seed)
        (apart,) = rng.spawn(1)
        table = []
        for method, make in list_makers("localisation", reader, methods, maps, upsampling):
            for measure, values in measure_method(make, images, inside).items():
                spread = summarise(values, labels, resamples, rng if measure in FIRST else apart)
                mean = np.nan if np.isnan(values).all() else np.nanmean(values)
                table.append({"method": method, "measure": measure, "chance": chances[measure], "mean": mean, **spread})
        about = {key: reader.identity[key] for key in ("experiment", "network", "variant")}
    write_table(output, pd.DataFrame(table), {**about, "upsampling": upsampling})


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="attribution shards of the network")
    parser.add_argument("--maps", type=Path, nargs="*", default=[], help="files of maps of methods of their own")
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
