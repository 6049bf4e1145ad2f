"""Compare removal operators: does it change which methods are better, what removed pixels become?

In:  result files of all kinds of methods of a network, variant and upsampling, by two or more operators; a shard of the
     network's attributions, which has all layers with maps.
Out: four tidy CSVs. Of each measure and each two operators, the one given first first: Spearman's ρ of the methods'
     order by their medians over images; of the pairs of methods that differ significantly by the first (Wilcoxon, Holm
     over all pairs), how many do so by the other with the same sign, with the other sign, or not. Each such pair by the
     first operator of all, with what each other one says of it. Of each measure, in how many pairs the difference
     holds by every operator, by some, is reversed, or is found by none. And of each claim that findings test on
     removal's results alone: the finding by each operator.
"""

from collections.abc import Iterator
from dataclasses import fields
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from explanations.command import run_command, step_parser
from explanations.errors import InputError, check_range
from explanations.files.measurements import read_by_operator
from explanations.files.tables import write_table
from explanations.statistics.layers import read_layers
from explanations.statistics.operator_claims import judge_by_operator
from explanations.statistics.operators import (
    Conclusions,
    correlate_medians,
    count_conclusions,
    count_survivors,
    judge_pair,
)
from explanations.statistics.ranking import PairTest, compare_pairs
from explanations.statistics.significance import is_significant
from explanations.statistics.tests import WILCOX, ZEROS
from explanations.statistics.verdicts import Finding

MEASURES = ("delta_e_minus", "e_minus")
IDENTITY = ("experiment", "network", "variant", "upsampling")
COLUMNS = ("measure", "operator", "other_operator", "methods", "rho", "significant", "same", "undecided", "opposite")
PAIR_COLUMNS = (
    *("measure", "method_a", "method_b", "operator", "effect_size", "log10_p_holm"),
    *("other_operator", "other_effect_size", "other_log10_p_holm", "survives"),
)
SURVIVAL_COLUMNS = ("measure", "operators", "methods", *Conclusions._fields)
CLAIM_COLUMNS = ("claim", "statement", "operator", *(field.name for field in fields(Finding)), "survives")


def main(
    measurements: list[Path],
    shard: Path,
    operators: Path,
    pairs: Path,
    survival: Path,
    claims: Path,
    resamples: int,
    seed: int,
    zeros: str = WILCOX,
) -> None:
    check_range("statistics.resamples", resamples, low=100)
    results = read_by_operator(measurements)
    if len(results) < 2:
        raise InputError(f"{measurements[0]}: all result files are by {', '.join(results)}; needed are two operators")
    first = next(iter(results.values()))
    for name, each in results.items():
        if each.methods != first.methods or not np.array_equal(each.image, first.image):
            raise InputError(f"{measurements[0]}: results by {name} are of other methods or images than the first ones")
    layers = read_layers([shard])
    if first.settings["network"] not in layers:
        raise InputError(f"{shard}: is of {', '.join(layers)}; {measurements[0]} is of {first.settings['network']}")
    rows, pair_rows, survival_rows = [], [], []
    for measure in MEASURES:
        methods = [method for method in first.methods if first.has(measure, method)]
        values = {name: {method: each.measure(measure, method) for method in methods} for name, each in results.items()}
        tests = {name: compare_pairs(each, zeros) for name, each in values.items()}
        for one, other in combinations(results, 2):
            row = {"measure": measure, "operator": one, "other_operator": other, "methods": len(methods)}
            row |= {"rho": correlate_medians(values[one], values[other])}
            rows.append(row | count_survivors(tests[one], tests[other])._asdict())
        pair_rows += [{"measure": measure, **row} for row in describe_pairs(tests)]
        counts = count_conclusions(list(tests.values()))._asdict()
        survival_rows.append({"measure": measure, "operators": len(results), "methods": len(methods), **counts})
    identity = {key: first.settings[key] for key in IDENTITY}
    write_table(operators, pd.DataFrame(rows, columns=COLUMNS), identity)
    write_table(pairs, pd.DataFrame(pair_rows, columns=PAIR_COLUMNS), identity)
    write_table(survival, pd.DataFrame(survival_rows, columns=SURVIVAL_COLUMNS), identity)
    judged = judge_by_operator(results, layers[first.settings["network"]], resamples, seed, zeros)
    write_table(claims, pd.DataFrame(judged, columns=CLAIM_COLUMNS), identity)


def describe_pairs(tests: dict[str, dict[tuple[str, str], PairTest]]) -> Iterator[dict]:
    """A row for each pair of methods that differs significantly by the first operator, and each other operator."""
    first, *others = tests
    for pair, test in tests[first].items():
        if not is_significant(test.log10_p_holm):
            continue
        for other in others:
            found = tests[other][pair]
            yield {
                **{"method_a": pair[0], "method_b": pair[1], "operator": first, **test._asdict()},
                **{"other_operator": other, **{f"other_{key}": value for key, value in found._asdict().items()}},
                "survives": judge_pair(test, found),
            }


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--measurements", type=Path, nargs="+", required=True, help="result files of all operators")
    parser.add_argument("--shard", type=Path, required=True, help="attribution shard of the network")
    parser.add_argument("--operators", type=Path, required=True, help="CSV of pairs of operators to write")
    parser.add_argument("--pairs", type=Path, required=True, help="CSV of pairs of methods to write")
    parser.add_argument("--survival", type=Path, required=True, help="CSV of what all operators say together to write")
    parser.add_argument("--claims", type=Path, required=True, help="CSV of claims by each operator to write")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--zeros", choices=ZEROS, default=WILCOX, help="what becomes of differences of 0 in the test")
    run_command(parser, main)
