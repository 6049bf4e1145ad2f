"""Play the grid pointing game with all methods that make maps of a network, whatever its images (Böhle et al., 2021).

In:  a network file, the manifest and its folder of images, all attribution shards of that network, which have the
     decisions and the network's methods by its decomposition; settings of methods with passes of their own.
Out: tidy CSV, one row per method: the number of grids; n maps that have positive evidence, mean, quartiles and the
     median's bootstrap interval, which resamples classes, of the share of evidence in the class's own cell; `chance`,
     that of a constant map; `reason`, why the network or the method can't play, and then n is 0 and no score is there.

The images are those decided as they are labelled, the most confident first (explanations.localisation.grid).
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from explanations.command import dictionary, run_command, step_parser
from explanations.data.images import load_images
from explanations.errors import InputError, check_range
from explanations.explaining.grids import Game
from explanations.files.hashes import file_hash
from explanations.files.manifests import check_labels, read_manifest
from explanations.files.shards import ShardReader
from explanations.files.tables import write_table
from explanations.localisation.grid import CELLS, choose_grids, rank_confident
from explanations.methods.maps import ShardMaps
from explanations.methods.names import parse_kind
from explanations.methods.saliency import LAYERS, list_methods
from explanations.methods.transform import UPSAMPLINGS
from explanations.networks.devices import place_network, use_device
from explanations.networks.files import load_network, pixel_bounds, preprocess
from explanations.progress import ProgressBar
from explanations.statistics.tests import summarise

MEASURE = "grid_pointing"


def main(
    network: Path,
    manifest: Path,
    images: Path,
    shards: list[Path],
    output: Path,
    methods: list[str],
    own: dict,
    layers: str,
    upsampling: str,
    grids: int,
    batch: int,
    resamples: int,
    seed: int,
    device: str,
    threads: int,
    builder: Path | None = None,
) -> None:
    check_range("grid_pointing.grids", grids, low=1)
    check_range("attributions.batch", batch, low=1)
    check_range("statistics.resamples", resamples, low=100)
    kinds = [parse_kind(name) for name in methods]
    for kind in kinds:
        if kind.signed:  # Eq. 10 moves what was 0
            raise InputError(
                f"method is {kind}; allowed are unsigned ones: rescaled, a map doesn't say what is positive"
            )
    device = use_device(device, threads)
    rows = read_manifest(manifest)
    classifier, description = load_network(network, builder)
    check_labels(rows, len(description.classes), manifest)
    classifier = place_network(classifier, device).requires_grad_(False)
    with ShardReader(shards, file_hash(network)) as reader:
        reader.check_manifest(rows, manifest)
        about = {key: reader.identity[key] for key in ("experiment", "network", "variant")}
        decisions, logits = (reader.read(name, range(len(rows))) for name in ("target", "logits"))
        names = [name for kind in kinds for name in list_methods(kind, ShardMaps(reader, []), layers)]
    ranked = rank_confident(logits, decisions, np.array([row.label for row in rows]))
    groups = choose_grids(decisions, ranked, grids, seed)
    print(f"{len(groups)} of {grids} grids, from {len(ranked)} images that are decided as they are labelled")
    files = [rows[image].picture(images, manifest) for image in groups.ravel()]
    loaded = load_images(files, description.framing, threads) if files else np.zeros((0, *description.shape), np.uint8)
    inputs = preprocess(torch.from_numpy(loaded), description).to(device).unflatten(0, groups.shape)
    classes = torch.from_numpy(decisions[groups]).to(device)
    game = Game(classifier, inputs, classes, pixel_bounds(description).to(device), batch, seed)
    with ProgressBar(f"grid game {about['network']}", 1 + len(own), "method") as bar:
        scores, reasons = game.play_all(names, own, upsampling, bar.advance)
    for reason in dict.fromkeys(reasons.values()):
        said = ", ".join(name for name in reasons if reasons[name] == reason)
        print(f"no grids of {about['network']} for {said}: {reason}")
    table, rng = [], np.random.default_rng(seed)
    for name in [*map(str, names), *own]:
        values = scores[name].numpy() if name in scores else np.full(groups.shape, np.nan)
        row = {"method": name, "measure": MEASURE, "grids": len(groups), "chance": 1 / CELLS}
        row["mean"] = np.nan if np.isnan(values).all() else np.nanmean(values)
        row |= summarise(values.ravel(), decisions[groups].ravel(), resamples, rng)
        table.append({**row, "reason": reasons.get(name, "")})
    write_table(output, pd.DataFrame(table), {**about, "upsampling": upsampling})


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--builder", type=Path, help="your own file that builds the network, if it is of source file")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="all attribution shards of the network")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    parser.add_argument("--methods", nargs="*", default=[], help="kinds of methods: gradient activity …")
    parser.add_argument("--own", type=dictionary, default={}, help="methods with passes of their own, with settings")
    parser.add_argument(
        "--layers", choices=LAYERS, default=LAYERS[0], help="that have maps: all, or one for each stage"
    )
    parser.add_argument("--upsampling", choices=UPSAMPLINGS, default="bilinear")
    parser.add_argument("--grids", type=int, default=50, help="at most, as far as images can fill them")
    parser.add_argument("--batch", type=int, default=32, help="images of a pass; a grid counts as four")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    run_command(parser, main)
