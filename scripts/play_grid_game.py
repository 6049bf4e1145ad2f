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

from explanations.command import run_command, step_parser
from explanations.errors import InputError, check_range
from explanations.explaining.given import GivenSettings, open_given
from explanations.explaining.grids import Game
from explanations.files.tables import write_table
from explanations.localisation.grid import CELLS, choose_grids, rank_confident
from explanations.progress import ProgressBar
from explanations.statistics.tests import summarise

MEASURE = "grid_pointing"


def main(output: Path, chosen: GivenSettings, grids: int) -> None:
    check_range("grid_pointing.grids", grids, low=1)
    for kind in chosen.kinds:
        if kind.signed:  # Eq. 10 moves what was 0
            raise InputError(
                f"method is {kind}; allowed are unsigned ones: rescaled, a map doesn't say what is positive"
            )
    with open_given(chosen) as given:
        about, names = given.about, given.list_papers()
        decisions, logits = (given.reader.read(name, range(len(given.rows))) for name in ("target", "logits"))
        ranked = rank_confident(logits, decisions, np.array([row.label for row in given.rows]))
        groups = choose_grids(decisions, ranked, grids, chosen.seed)
        print(f"{len(groups)} of {grids} grids, from {len(ranked)} images that are decided as they are labelled")
        inputs = given.load(groups.ravel()).unflatten(0, groups.shape)
    classes = torch.from_numpy(decisions[groups]).to(given.device)
    game = Game(given.network, inputs, classes, given.bounds, chosen.batch, chosen.seed)
    with ProgressBar(f"grid game {about['network']}", 1 + len(chosen.own), "method") as bar:
        scores, reasons = game.play_all(names, chosen.own, chosen.upsampling, bar.advance)
    for reason in dict.fromkeys(reasons.values()):
        said = ", ".join(name for name in reasons if reasons[name] == reason)
        print(f"no grids of {about['network']} for {said}: {reason}")
    table, rng = [], np.random.default_rng(chosen.seed)
    for name in [*map(str, names), *chosen.own]:
        values = scores[name].numpy() if name in scores else np.full(groups.shape, np.nan)
        row = {"method": name, "measure": MEASURE, "grids": len(groups), "chance": 1 / CELLS}
        row["mean"] = np.nan if np.isnan(values).all() else np.nanmean(values)
        row |= summarise(values.ravel(), decisions[groups].ravel(), chosen.resamples, rng)
        table.append({**row, "reason": reasons.get(name, "")})
    write_table(output, pd.DataFrame(table), {**about, "upsampling": chosen.upsampling})


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    parser.add_argument("--grids", type=int, default=50, help="at most, as far as images can fill them")
    run_command(parser, main)
