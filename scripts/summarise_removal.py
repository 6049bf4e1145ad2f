"""Summarise the removal results of one network, variant and upsampling: medians and quartiles of every measure.

In:  result files of one or more blocks of images and families of methods.
Out: tidy CSV, one row per method and measure: n, never_flipped (images in which a scan of the measure never flips),
     quartiles, and the median's bootstrap interval, which resamples classes.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from explanations.command import check_range, run_command, step_parser
from explanations.measurements import MEASURES, NEVER, Measurements, read_measurements
from explanations.statistics import summarise
from explanations.tables import write_table


def main(measurements: list[Path], output: Path, resamples: int, seed: int) -> None:
    check_range("statistics.resamples", resamples, low=100)
    found = read_measurements(measurements)
    rng = np.random.default_rng(seed)
    identity = {key: found.settings[key] for key in ("experiment", "network", "variant", "upsampling")}
    rows = []
    for method in found.methods:
        for measure in MEASURES:
            spread = summarise(found.measure(measure, method), found.label, resamples, rng)
            never = int(never_flipped(found, measure, method).sum())
            rows.append({**identity, "method": method, "measure": measure, "never_flipped": never, **spread})
    write_table(output, pd.DataFrame(rows))


def never_flipped(found: Measurements, measure: str, method: str) -> np.ndarray:
    """Whether any scan that a measure rests on never flipped, (n,)."""
    column = found.methods.index(method)
    orders = [order for order in ("minus", "plus") if order in measure] or ["minus", "plus"]
    never = np.zeros(len(found.image), bool)
    for order in orders:
        if not measure.endswith("noise"):
            never |= found.values[f"flip_{order}"][:, column] == NEVER
        if measure.endswith("noise") or measure.startswith("delta"):
            never |= (found.values[f"flip_{order}_noise"][:, column] == NEVER).any(-1)
    return never


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--measurements", type=Path, nargs="+", required=True, help="result files")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0)
    run_command(parser, main)
