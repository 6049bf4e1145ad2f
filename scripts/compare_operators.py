"""Compare removal operators: does it change which methods are better, what removed pixels become?

In:  result files of all kinds of methods of a network, variant and upsampling, by two or more operators.
Out: two tidy CSVs. Of each measure and each two operators, the one given first first: Spearman's ρ of the methods'
     order by their medians over images; of the pairs of methods that differ significantly by the first (Wilcoxon, Holm
     over all pairs), how many do so by the other with the same sign, with the other sign, or not. And each such pair by
     the first operator of all, with what each other one says of it.
"""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from explanations.command import run_command, step_parser
from explanations.errors import InputError
from explanations.files.measurements import read_by_operator
from explanations.files.tables import write_table
from explanations.statistics.operators import correlate_medians, count_survivors, judge_pair
from explanations.statistics.ranking import PairTest, compare_pairs
from explanations.statistics.significance import ALPHA
from explanations.statistics.tests import WILCOX, ZEROS

MEASURES = ("delta_e_minus", "e_minus")
IDENTITY = ("experiment", "network", "variant", "upsampling")
COLUMNS = ("measure", "operator", "other_operator", "methods", "rho", "significant", "same", "undecided", "opposite")
PAIR_COLUMNS = (
    *("measure", "method_a", "method_b", "operator", "effect_size", "log10_p_holm"),
    *("other_operator", "other_effect_size", "other_log10_p_holm", "survives"),
)


def main(measurements: list[Path], operators: Path, pairs: Path, zeros: str = WILCOX) -> None:
    results = read_by_operator(measurements)
    if len(results) < 2:
        raise InputError(f"{measurements[0]}: all result files are by {', '.join(results)}; needed are two operators")
    first = next(iter(results.values()))
    for name, each in results.items():
        if each.methods != first.methods or not np.array_equal(each.image, first.image):
            raise InputError(f"{measurements[0]}: results by {name} are of other methods or images than the first ones")
    rows, pair_rows = [], []
    for measure in MEASURES:
        methods = [method for method in first.methods if first.has(measure, method)]
        values = {name: {method: each.measure(measure, method) for method in methods} for name, each in results.items()}
        tests = {name: compare_pairs(each, zeros) for name, each in values.items()}
        for one, other in combinations(results, 2):
            row = {"measure": measure, "operator": one, "other_operator": other, "methods": len(methods)}
            row |= {"rho": correlate_medians(values[one], values[other])}
            rows.append(row | count_survivors(tests[one], tests[other])._asdict())
        pair_rows += [{"measure": measure, **row} for row in describe_pairs(tests)]
    identity = {key: first.settings[key] for key in IDENTITY}
    write_table(operators, pd.DataFrame(rows, columns=COLUMNS), identity)
    write_table(pairs, pd.DataFrame(pair_rows, columns=PAIR_COLUMNS), identity)


def describe_pairs(tests: dict[str, dict[tuple[str, str], PairTest]]) -> Iterator[dict]:
    """A row for each pair of methods that differs significantly by the first operator, and each other operator."""
    first, *others = tests
    for pair, test in tests[first].items():
        if test.log10_p_holm >= np.log10(ALPHA):
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
    parser.add_argument("--operators", type=Path, required=True, help="CSV of pairs of operators to write")
    parser.add_argument("--pairs", type=Path, required=True, help="CSV of pairs of methods to write")
    parser.add_argument("--zeros", choices=ZEROS, default=WILCOX, help="what becomes of differences of 0 in the test")
    run_command(parser, main)
