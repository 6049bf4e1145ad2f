"""Summarise the removal results of one network, variant and upsampling: medians and quartiles of every measure.

In:  result files of one or more blocks of images and families of methods.
Out: tidy CSV, one row per method and measure, of those that the orders of removal give: n, never_flipped (images in
     which a scan of the measure never flips), quartiles, and the median's bootstrap interval, which resamples classes.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from explanations.command import run_command, step_parser
from explanations.errors import check_range
from explanations.files.measurements import MEASURES, read_measurements
from explanations.files.tables import write_table
from explanations.statistics.flips import never_flipped
from explanations.statistics.tests import summarise

COLUMNS = (  # also where no method has a map
    *("experiment", "network", "variant", "upsampling", "method", "measure", "never_flipped"),
    *("n", "q25", "median", "q75", "ci_low", "ci_high"),
)


def main(measurements: list[Path], output: Path, resamples: int, seed: int) -> None:
    check_range("statistics.resamples", resamples, low=100)
    results = read_measurements(measurements)
    rng = np.random.default_rng(seed)
    identity = {key: results.settings[key] for key in ("experiment", "network", "variant", "upsampling")}
    rows = []
    for method in results.methods:
        for measure in (name for name in MEASURES if results.has(name, method)):
            spread = summarise(results.measure(measure, method), results.label, resamples, rng)
            never = int(never_flipped(results, measure, method).sum())
            rows.append({**identity, "method": method, "measure": measure, "never_flipped": never, **spread})
    write_table(output, pd.DataFrame(rows, columns=COLUMNS))


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--measurements", type=Path, nargs="+", required=True, help="result files")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0)
    run_command(parser, main)
