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

from explanations.command import run_command, step_parser
from explanations.errors import check_range
from explanations.explaining.given import GivenSettings, open_given
from explanations.files.tables import write_table
from explanations.methods.sources.base import NotApplicableError
from explanations.methods.sources.registry import say_no_maker
from explanations.progress import ProgressBar
from explanations.sanity.makers import Batch, own_maps, papers_maps
from explanations.sanity.networks import Shifted, cascade
from explanations.statistics.correlation import rank_correlation
from explanations.statistics.tests import summarise


def main(output: Path, chosen: GivenSettings, count: int, steps: int, shift: float) -> None:
    check_range("sanity.images", count, low=2)
    check_range("sanity.steps", steps, low=1)
    with open_given(chosen) as given:
        about, names = given.about, given.list_papers()
        images = choose_evenly(given.reader.images, count)
        inputs, targets = given.load(images), torch.from_numpy(given.reader.read("target", images)).to(given.device)
    labels, paths = np.array([given.rows[image].label for image in images]), [row.path for row in given.rows]
    whole = Batch(inputs, targets, images, paths, given.bounds)
    known = {name: settings for name, settings in chosen.own.items() if not say_no_maker(settings["source"])}

    def make_all(network: torch.nn.Module, batch: Batch) -> Iterator[tuple[str, np.ndarray]]:
        """The maps of all methods, by name; those of methods that can't explain the network are left out."""
        for name, maps in papers_maps(network, batch, names, chosen.upsampling).items():
            yield name, maps.numpy()
        for name, settings in known.items():
            try:
                yield name, own_maps(network, batch, settings, chosen.seed, chosen.batch).numpy()
            except NotApplicableError as error:
                print(f"{name} is left out, because {error}")

    stages = cascade(given.network, inputs[:1], steps, chosen.seed)
    trials = [("randomisation", layer, lowest, changed, whole) for layer, lowest, changed in stages]
    trials.append(("shift", 0, "", Shifted(given.network, shift), whole.shifted(shift)))
    table, rng = [], np.random.default_rng(chosen.seed)
    with ProgressBar(f"sanity {about['network']}", 1 + len(trials), "network") as bar:
        usual = dict(make_all(given.network, whole))
        bar.advance(1)
        for test, layer, lowest, changed, shown in trials:
            for name, maps in make_all(changed, shown):
                if name not in usual:
                    continue
                for measure, values in compare(maps, usual[name]).items():
                    spread = summarise(values, labels, chosen.resamples, rng)
                    row = {"method": name, "test": test, "layers": layer, "lowest": lowest, "measure": measure}
                    table.append({**row, **spread})
            bar.advance(1)
    write_table(output, pd.DataFrame(table), {**about, "upsampling": chosen.upsampling})


def choose_evenly(images: Sequence[int], count: int) -> list[int]:
    """So many of the images, from all classes alike: the manifest is in the order of classes."""
    places = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)
    return [images[place] for place in dict.fromkeys(places.tolist())]


def compare(maps: np.ndarray, usual: np.ndarray) -> dict[str, np.ndarray]:
    """rho, rho_noise and delta_rho, (n,) each, of maps (n, H, W) with those of the network as it was."""
    rho, noise = rank_correlation(maps, usual), rank_correlation(maps, np.roll(usual, 1, axis=0))
    return {"rho": rho, "rho_noise": noise, "delta_rho": rho - noise}


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    parser.add_argument("--count", type=int, default=20, help="images")
    parser.add_argument("--steps", type=int, default=5, help="in which all layers are shuffled, from the top")
    parser.add_argument("--shift", type=float, default=0.5, help="added to the images, in the network's input space")
    run_command(parser, main)
