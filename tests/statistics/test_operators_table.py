"""What survives the choice of a removal operator: worked out by hand, and the step's tables."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import refused
from scipy.stats import wilcoxon

import compare_operators
from explanations.files.measurements import write_measurements
from explanations.statistics.operators import Survival, correlate_medians, count_survivors, judge_pair
from explanations.statistics.ranking import PairTest, compare_all, compare_pairs

METHODS = ["a", "b", "c", "d"]
IMAGES = 40


def test_another_operator_agrees_or_not():
    better, worse, unclear = PairTest(0.5, -3.0), PairTest(-0.4, -2.0), PairTest(0.9, -1.3)  # log10 of 0.05 is −1.301
    assert judge_pair(better, better) == judge_pair(worse, worse) == "same"
    assert judge_pair(better, worse) == judge_pair(worse, better) == "opposite"
    assert judge_pair(better, unclear) == "undecided"
    first = {("a", "b"): better, ("a", "c"): worse, ("b", "c"): better, ("b", "d"): unclear}
    second = {("a", "b"): better, ("a", "c"): better, ("b", "c"): unclear, ("b", "d"): better}
    assert count_survivors(first, second) == Survival(significant=3, same=1, undecided=1, opposite=1)


def test_orders_by_medians():
    first = {"a": np.array([1.0, 2, 9]), "b": np.array([0.0, 1, 1]), "c": np.array([5.0, np.nan, 5])}  # 2, 1, 5
    second = {"a": np.array([3.0, 3, 3]), "b": np.array([4.0, 4, 0]), "c": np.array([9.0, 9, 9])}  # 3, 4, 9
    assert correlate_medians(first, second) == pytest.approx(0.5)  # 1 − 6·(1 + 1)/(3·8)
    assert correlate_medians(first, first) == pytest.approx(1)
    assert np.isnan(correlate_medians({"a": first["a"]}, {"a": second["a"]}))
    assert np.isnan(correlate_medians(first, dict.fromkeys(first, second["a"])))


def test_pairs_are_tested_as_by_scipy_and_holm():
    rng = np.random.default_rng(0)
    values = {method: rng.normal(0.4 * m, 1, IMAGES) for m, method in enumerate(METHODS)}
    found = compare_pairs(values)
    assert list(found) == list(combinations(METHODS, 2))
    p = {pair: wilcoxon(values[pair[0]], values[pair[1]], method="asymptotic").pvalue for pair in found}
    largest = 0.0
    for rank, pair in enumerate(sorted(p, key=p.get)):  # Holm's steps, one by one
        largest = max(largest, min(1, (len(p) - rank) * p[pair]))
        assert 10 ** found[pair].log10_p_holm == pytest.approx(largest)
    clear = {pair: test for pair, test in found.items() if test.log10_p_holm < -2}
    assert len(clear) > 1
    assert all((test.effect_size > 0) == (np.median(values[a] - values[b]) > 0) for (a, b), test in clear.items())
    assert compare_all(values) == {frozenset(pair): test.log10_p_holm for pair, test in found.items()}


def write_results(folder: Path, operator: str, seed: int, sign: int = 1, images: int = IMAGES) -> list[Path]:
    """Result files of four methods, the later the better, or the worse; two files of methods each."""
    rng, paths = np.random.default_rng(seed), []
    settings = {"experiment": "tests", "network": "n", "variant": "original", "weights": "", "upsampling": "bilinear"}
    settings |= {"grid": 10, "noise_maps": 1, "ties": "random", "never_flips": "one", "orders": ["minus", "plus"]}
    settings |= {"fill": 0.0} if operator == "fill" else {"operator": operator}
    for part in (METHODS[:2], METHODS[2:]):
        shape = (images, len(part))
        places = np.array([METHODS.index(method) for method in part])
        arrays = {"image": np.arange(images), "label": np.arange(images) % 5}
        for order in ("minus", "plus"):
            own = np.clip(0.5 + 0.08 * sign * places + rng.normal(0, 0.06, shape), 0, 1)
            arrays |= {f"e_{order}": own, f"e_{order}_noise": np.full(shape, 0.4)}
            arrays |= {f"flip_{order}": np.full(shape, 5), f"flip_{order}_noise": np.full((*shape, 1), 5)}
        paths.append(folder / f"{operator}-{part[0]}.h5")
        write_measurements(paths[-1], part, arrays, settings)
    return paths


def test_the_tables(tmp_path):
    files = {
        "fill": write_results(tmp_path, "fill", 0),
        "mean": write_results(tmp_path, "mean", 1),
        "road": write_results(tmp_path, "road", 2, sign=-1),
    }
    flags = {"operators": tmp_path / "operators.csv", "pairs": tmp_path / "pairs.csv"}
    compare_operators.main([path for paths in files.values() for path in paths], **flags)
    table, pairs = (pd.read_csv(flags[key], comment="#") for key in ("operators", "pairs"))
    assert table[["measure", "operator", "other_operator"]].values.tolist() == [
        [measure, *pair] for measure in ("delta_e_minus", "e_minus") for pair in combinations(files, 2)
    ]
    same, opposite = table.iloc[0], table.iloc[1]
    assert (same.methods, same.rho, opposite.rho) == (4, 1, -1)
    assert same.significant == same.same == opposite.significant == opposite.opposite == 6
    assert (same.undecided, same.opposite, opposite.same, opposite.undecided) == (0, 0, 0, 0)
    assert len(pairs) == 2 * 6 * 2 and set(pairs.operator) == {"fill"}
    assert set(pairs[pairs.other_operator == "mean"].survives) == {"same"}
    assert set(pairs[pairs.other_operator == "road"].survives) == {"opposite"}
    assert (pairs.effect_size * pairs.other_effect_size > 0).eq(pairs.survives == "same").all()


def test_results_that_cannot_be_compared(tmp_path):
    fill = write_results(tmp_path, "fill", 0)
    flags = {"operators": tmp_path / "operators.csv", "pairs": tmp_path / "pairs.csv"}
    message = refused(compare_operators.main, fill, **flags)
    assert message == f"{fill[0]}: all result files are by fill; needed are two operators"
    fewer = write_results(tmp_path, "road", 0, images=IMAGES - 1)
    message = refused(compare_operators.main, [*fill, *fewer], **flags)
    assert message == f"{fill[0]}: results by road are of other methods or images than the first ones"
