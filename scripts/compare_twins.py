"""Compare a network that halves its maps by poolings with its twin that has strides, image by image (Suppl. F.2).

In:  removal results of both by single layers and averages of them, of the same images; a shard of each one's
     attributions, which has the sizes of its layers.
Out: tidy CSV, one row per family of statistics.twins: medians with poolings (a) and with strides (b), their paired
     difference a − b with quartiles and a bootstrap interval that resamples classes, Wilcoxon's signed rank test.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from explanations.command import run_command, step_parser
from explanations.errors import InputError, check_range
from explanations.files.measurements import Measurements, read_measurements
from explanations.files.tables import write_table
from explanations.statistics.layers import read_sizes
from explanations.statistics.tests import WILCOX, ZEROS, compare
from explanations.statistics.twins import FAMILIES, measure_dips, measure_gain


def main(
    poolings: list[Path],
    strides: list[Path],
    poolings_shard: Path,
    strides_shard: Path,
    output: Path,
    resamples: int,
    seed: int,
    zeros: str = WILCOX,
) -> None:
    check_range("statistics.resamples", resamples, low=100)
    found = [measure_network(files, shard) for files, shard in ((poolings, poolings_shard), (strides, strides_shard))]
    (first, first_values), (second, second_values) = found
    if not np.array_equal(first.image, second.image):
        raise InputError(f"{strides[0]}: holds other images than {poolings[0]}")
    rng = np.random.default_rng(seed)
    identity = {"network_a": first.settings["network"], "network_b": second.settings["network"]}
    rows = [
        {**identity, "family": family, **compare(a, b, first.label, resamples, rng, zeros)}
        for family, a, b in zip(FAMILIES, first_values, second_values, strict=True)
    ]
    write_table(output, pd.DataFrame(rows))


def measure_network(files: list[Path], shard: Path) -> tuple[Measurements, tuple[np.ndarray, np.ndarray]]:
    """A network's results, and what FAMILIES compare, each (n,); InputError if the shard is another network's."""
    results = read_measurements(files)
    network, sizes = results.settings["network"], read_sizes([shard])
    if network not in sizes:
        raise InputError(f"{shard}: is of {', '.join(sizes)}; {files[0]} is of {network}")
    layers = [layer for layer in sizes[network] if layer]
    return results, (measure_dips(results, sizes[network]), measure_gain(results, layers))


if __name__ == "__main__":
    parser = step_parser(__doc__)
    for name in ("poolings", "strides"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, help=f"result files, network with {name}")
        parser.add_argument(f"--{name}-shard", type=Path, required=True, help="attribution shard of it")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--zeros", choices=ZEROS, default=WILCOX, help="differences of 0 in the signed rank test")
    run_command(parser, main)
