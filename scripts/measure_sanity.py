"""Try whether a network's saliency maps depend on what they must depend on: its parameters, and no shift of its images.

In:  a network file, the manifest and its folder of images, all attribution shards of that network.
Out: tidy CSV, one row per method, test, step and measure: n, quartiles, the median's bootstrap interval, which
     resamples classes. Tests:
     randomisation  the values of the layers' parameters change places, from the top layer to the lowest in some steps;
                    `layers` of them are shuffled, `lowest` is the last (Adebayo et al., 2018);
     shift          a constant is added to the images, and taken away by the network (Kindermans et al., 2017).
     Measures:
     rho            Spearman's correlation of an image's map with that of the network as it was;
     rho_noise      that with the map that the network as it was has of another image;
     delta_rho      the first less the second: what of the likeness is the image's own.
     Under randomisation a map that shows what the network has learnt loses rho, or delta_rho; under a shift it keeps
     rho at 1. Left out are methods that can't explain the network, maps made elsewhere, and maps made of another's.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from explanations.command import dictionary, run_command, step_parser
from explanations.data.images import load_images
from explanations.errors import check_range
from explanations.files.hashes import file_hash
from explanations.files.manifests import check_labels, read_manifest
from explanations.files.shards import ShardReader
from explanations.files.tables import write_table
from explanations.methods.maps import ShardMaps
from explanations.methods.names import parse_kind
from explanations.methods.saliency import LAYERS, list_methods
from explanations.methods.sources.base import NotApplicableError
from explanations.methods.sources.registry import say_no_maker
from explanations.methods.transform import UPSAMPLINGS
from explanations.networks.devices import place_network, use_device
from explanations.networks.files import load_network, pixel_bounds, preprocess
from explanations.progress import ProgressBar
from explanations.sanity.makers import Batch, own_maps, papers_maps
from explanations.sanity.networks import Shifted, cascade
from explanations.statistics.correlation import rank_correlation
from explanations.statistics.tests import summarise


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
    count: int,
    steps: int,
    shift: float,
    batch: int,
    resamples: int,
    seed: int,
    device: str,
    threads: int,
    builder: Path | None = None,
) -> None:
    check_range("sanity.images", count, low=2)
    check_range("sanity.steps", steps, low=1)
    check_range("attributions.batch", batch, low=1)
    check_range("statistics.resamples", resamples, low=100)
    kinds = [parse_kind(name) for name in methods]
    device = use_device(device, threads)
    rows = read_manifest(manifest)
    classifier, description = load_network(network, builder)
    check_labels(rows, len(description.classes), manifest)
    classifier = place_network(classifier, device).requires_grad_(False)
    with ShardReader(shards, file_hash(network)) as reader:
        reader.check_manifest(rows, manifest)
        about = {key: reader.identity[key] for key in ("experiment", "network", "variant")}
        chosen = choose_evenly(reader.images, count)
        targets = torch.from_numpy(reader.read("target", chosen)).to(device)
        names = [name for kind in kinds for name in list_methods(kind, ShardMaps(reader, []), layers)]
    block = [rows[index] for index in chosen]
    loaded = load_images([row.picture(images, manifest) for row in block], description.framing, threads)
    inputs = preprocess(torch.from_numpy(loaded), description).to(device)
    labels, paths = np.array([row.label for row in block]), [row.path for row in rows]
    given = Batch(inputs, targets, chosen, paths, pixel_bounds(description).to(device))
    known = {name: settings for name, settings in own.items() if not say_no_maker(settings["source"])}

    def make_all(changed: torch.nn.Module, images: Batch) -> Iterator[tuple[str, np.ndarray]]:
        """The maps of all methods, by name; those of methods that can't explain the network are left out."""
        for name, maps in papers_maps(changed, images, names, upsampling).items():
            yield name, maps.numpy()
        for name, settings in known.items():
            try:
                yield name, own_maps(changed, images, settings, seed, batch).numpy()
            except NotApplicableError as error:
                print(f"{name} is left out, because {error}")

    stages = cascade(classifier, inputs[:1], steps, seed)
    trials = [("randomisation", layer, lowest, changed, given) for layer, lowest, changed in stages]
    trials.append(("shift", 0, "", Shifted(classifier, shift), given.shifted(shift)))
    table, rng = [], np.random.default_rng(seed)
    with ProgressBar(f"sanity {about['network']}", 1 + len(trials), "network") as bar:
        whole = dict(make_all(classifier, given))
        bar.advance(1)
        for test, layer, lowest, changed, shown in trials:
            for name, maps in make_all(changed, shown):
                if name not in whole:
                    continue
                for measure, values in compare(maps, whole[name]).items():
                    spread = summarise(values, labels, resamples, rng)
                    row = {"method": name, "test": test, "layers": layer, "lowest": lowest, "measure": measure}
                    table.append({**row, **spread})
            bar.advance(1)
    write_table(output, pd.DataFrame(table), {**about, "upsampling": upsampling})


def choose_evenly(images: Sequence[int], count: int) -> list[int]:
    """So many of the images, from all classes alike: the manifest is in the order of classes."""
    places = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)
    return [images[place] for place in dict.fromkeys(places.tolist())]


def compare(maps: np.ndarray, whole: np.ndarray) -> dict[str, np.ndarray]:
    """rho, rho_noise and delta_rho, (n,) each, of maps (n, H, W) with those of the network as it was."""
    rho, noise = rank_correlation(maps, whole), rank_correlation(maps, np.roll(whole, 1, axis=0))
    return {"rho": rho, "rho_noise": noise, "delta_rho": rho - noise}


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--builder", type=Path, help="your own file that builds the network, if it is of source file")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="all attribution shards of the network")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    parser.add_argument("--methods", nargs="+", required=True, help="kinds of methods: gradient activity …")
    parser.add_argument("--own", type=dictionary, default={}, help="methods with passes of their own, with settings")
    parser.add_argument(
        "--layers", choices=LAYERS, default=LAYERS[0], help="that have maps: all, or one for each stage"
    )
    parser.add_argument("--upsampling", choices=UPSAMPLINGS, default="bilinear")
    parser.add_argument("--count", type=int, default=20, help="images")
    parser.add_argument("--steps", type=int, default=5, help="in which all layers are shuffled, from the top")
    parser.add_argument("--shift", type=float, default=0.5, help="added to the images, in the network's input space")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    run_command(parser, main)
