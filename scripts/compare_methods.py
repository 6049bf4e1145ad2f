"""Compare saliency methods image by image: Wilcoxon's signed rank tests of a network's removal results (§5).

In:  result files of one network and variant; `--against`, those of another variant for comparisons across the two; a
     shard of its attributions, which has all layers with maps, of which removal may have measured a part.
Out: tidy CSV, one row per comparison and measure: medians, paired differences a − b with quartiles and a bootstrap
     interval that resamples classes, the test's statistic, p, log10 p, the rank-biserial effect size, p over classes
     (class_p), what the test does with differences of 0 (zeros), and Holm's adjusted log10 p within the comparison's
     family and measure.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from explanations.command import run_command, step_parser
from explanations.errors import InputError, check_range
from explanations.files.measurements import read_measurements
from explanations.files.tables import write_table
from explanations.statistics.comparisons import ACROSS, FAMILIES, compare_families
from explanations.statistics.layers import read_layers
from explanations.statistics.tests import WILCOX, ZEROS


def main(
    measurements: list[Path],
    against: list[Path],
    shard: Path,
    output: Path,
    families: list[str],
    resamples: int,
    seed: int,
    zeros: str = WILCOX,
) -> None:
    check_range("statistics.resamples", resamples, low=100)
    results = read_measurements(measurements)
    other = read_measurements(against) if against else results
    across = ACROSS.intersection(families)
    if across != (set(families) if against else set()):
        raise InputError(f"--families is {' '.join(families)}; {', '.join(sorted(ACROSS))} go with --against, alone")
    if not np.array_equal(results.image, other.image):
        raise InputError(f"{against[0]}: holds other images than {measurements[0]}")
    network, layers_by_network = results.settings["network"], read_layers([shard])
    if network not in layers_by_network:
        raise InputError(f"{shard}: is of {', '.join(layers_by_network)}; {measurements[0]} is of {network}")
    layers = layers_by_network[network]
    rows = compare_families(families, results, other, layers, resamples, np.random.default_rng(seed), zeros)
    identity = {"network": network, "upsampling": results.settings["upsampling"]}
    identity |= {"variant_a": results.settings["variant"], "variant_b": other.settings["variant"]}
    write_table(output, pd.DataFrame([{**identity, **row} for row in rows]))


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--measurements", type=Path, nargs="+", required=True, help="result files")
    parser.add_argument("--against", type=Path, nargs="+", default=[], help="result files of another variant")
    parser.add_argument("--shard", type=Path, required=True, help="attribution shard of the network")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    names = "; ".join(f"{name}: {meaning}" for name, meaning in FAMILIES.items())
    parser.add_argument("--families", choices=FAMILIES, nargs="+", required=True, help=f"comparisons to make. {names}")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--zeros", choices=ZEROS, default=WILCOX, help="differences of 0 in the signed rank test")
    run_command(parser, main)
