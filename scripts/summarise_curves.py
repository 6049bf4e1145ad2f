"""Summarise the curves of one network: median and quartiles of every area by them, with and without noise maps.

In:  files of curves of one or more blocks of images and kinds of methods, of one network, variant and upsampling.
Out: tidy CSV, one row per method and measure: n, quartiles, and the median's bootstrap interval, which resamples
     classes. explanations/removal/curves.py says what the measures are and how they depend on each other.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from explanations.command import run_command, step_parser
from explanations.errors import check_range
from explanations.files.curves import read_curves
from explanations.files.tables import write_table
from explanations.removal.curves import derive_curve_measures
from explanations.statistics.tests import summarise


def main(curves: list[Path], output: Path, resamples: int, seed: int) -> None:
    check_range("statistics.resamples", resamples, low=100)
    results = read_curves(curves)
    rng = np.random.default_rng(seed)
    rows = [
        {"method": method, "measure": measure, **summarise(values, results.label, resamples, rng)}
        for method, traced in results.values.items()
        for measure, values in derive_curve_measures(traced).items()
    ]
    identity = {key: results.settings[key] for key in ("experiment", "network", "variant", "upsampling")}
    write_table(output, pd.DataFrame(rows), identity)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--curves", type=Path, nargs="+", required=True, help="files of curves")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0)
    run_command(parser, main)
