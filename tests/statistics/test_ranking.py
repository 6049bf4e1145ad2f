"""The order of many methods: against slow versions, and cases worked by hand."""

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from conftest import refused, remove

import rank_methods
from explanations.files.tables import read_tables
from explanations.statistics.ranking import (
    compare_all,
    find_ties,
    friedman_test,
    images_for_stable_order,
    is_equivalent,
    order_methods,
)
from explanations.statistics.tests import DRAWN, adjust_holm, sign_flip_test, signed_rank_test


def test_signs_of_classes_are_all_tried():
    rng = np.random.default_rng(0)
    differences, classes = rng.normal(0.3, 1, 40), np.repeat(np.arange(8), 5)
    means = [differences[classes == name].mean() for name in range(8)]
    found = [abs(np.dot(signs, means)) >= abs(sum(means)) - 1e-12 for signs in product((1, -1), repeat=8)]
    assert sign_flip_test(differences, classes, rng) == pytest.approx(np.mean(found))


def test_signs_of_classes_by_hand():
    """Two classes, both better by the same: of four patterns two reach it. Images of one class are one."""
    rng = np.random.default_rng(0)
    assert sign_flip_test(np.ones(6), np.array([0, 0, 0, 0, 0, 1]), rng) == 0.5
    assert sign_flip_test(np.zeros(6), np.array([0, 0, 0, 1, 1, 1]), rng) == 1
    assert sign_flip_test(np.ones(10), np.full(10, -1), rng) == 2 / 2**10  # without labels, each is its own


def test_signs_of_many_classes_are_drawn():
    rng = np.random.default_rng(1)
    differences = np.random.default_rng(0).normal(0.4, 1, 30)
    p = sign_flip_test(differences, np.arange(30), rng)
    assert 1 / (DRAWN + 1) <= p < 1
    assert p == pytest.approx(10 ** signed_rank_test(differences).log10_p, abs=0.03)


@pytest.mark.parametrize(("low", "high", "found"), [(-0.02, 0.02, True), (-0.021, 0, False), (0, 0.03, False)])
def test_equivalence(low, high, found):
    assert is_equivalent(low, high, 0.02) is found
    assert not is_equivalent(np.nan, np.nan, 0.02)


VALUES = {
    "a": np.array([0.9, 0.8, 0.9, 0.7, 0.8, 0.9] * 5),
    "b": np.array([0.8, 0.9, 0.7, 0.9, 0.7, 0.8] * 5),
    "c": np.array([0.1, 0.2, 0.1, 0.3, 0.2, 0.1] * 5),
}


def test_orders():
    assert order_methods(VALUES, "delta_e_minus") == ["a", "b", "c"]
    assert order_methods(VALUES, "e_plus") == ["c", "b", "a"]
    assert order_methods({"x": VALUES["a"], "y": VALUES["a"]}, "e_minus") == ["x", "y"]
    assert order_methods({"x": np.full(30, np.nan), **VALUES}, "e_minus") == ["a", "b", "c", "x"]


def test_all_pairs_are_adjusted_together():
    found = compare_all(VALUES)
    pairs = list(combinations("abc", 2))
    wanted = adjust_holm(np.array([signed_rank_test(VALUES[a] - VALUES[b]).log10_p for a, b in pairs]))
    assert [found[frozenset(pair)] for pair in pairs] == pytest.approx(wanted)
    assert find_ties(["a", "b", "c"], found) == [["a", "b"]]


def test_ties_are_runs_without_a_difference():
    def p(*different):
        pairs = map(frozenset, combinations("abcd", 2))
        return {pair: -5.0 if pair in map(frozenset, different) else 0.0 for pair in pairs}

    assert find_ties("abcd", p()) == [list("abcd")]
    assert find_ties("abcd", p("ad")) == [list("abc"), list("bcd")]
    assert find_ties("abcd", p("ab", "ac", "ad")) == [list("bcd")]
    assert find_ties("abcd", p(*combinations("abcd", 2))) == []
    assert find_ties("abcd", p("ac")) == [list("ab"), list("bcd")]


def test_friedman():
    assert friedman_test(VALUES) < -5
    assert friedman_test(dict.fromkeys("xyz", VALUES["a"])) == 0
    assert friedman_test({name: VALUES[name] for name in "ab"}) == 0


def test_stable_orders_take_few_images_and_noise_many():
    rng = np.random.default_rng(0)
    clear = {str(k): k + rng.normal(0, 0.1, 40) for k in range(6)}
    mixed = {str(k): 0.2 * k + rng.normal(0, 1, 40) for k in range(6)}
    same = {str(k): np.ones(40) for k in range(6)}
    assert images_for_stable_order(clear, 50, rng) < 3
    assert 20 < images_for_stable_order(mixed, 50, rng) < 2000
    assert np.isnan(images_for_stable_order(same, 50, rng))
    assert np.isnan(images_for_stable_order(VALUES | {"c": np.full(30, np.nan)}, 50, rng))


# --- the step ----------------------------------------------------------------------------------------------------


def rank(measurements, folder, **changes):
    flags = {"measurements": measurements, "maps": [], "titles": {}, "output": folder / "ranks.csv"}
    flags |= {"reasons": folder / "reasons.csv", "resamples": 100, "region": 0.02, "seed": 0}
    rank_methods.main(**flags | changes)
    return read_tables([folder / "ranks.csv"], ()), pd.read_csv(folder / "reasons.csv")


def test_ranks_of_a_network(results, tmp_path):
    table, reasons = rank(list(results.values()), tmp_path)
    assert reasons.empty and set(table.measure) == set(rank_methods.MEASURES)
    for measure, rows in table.groupby("measure"):
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
        ascending = measure in ("e_plus", "delta_e_plus")
        assert rows["median"].tolist() == sorted(rows["median"], reverse=not ascending)
        best = rows.iloc[0]
        assert best.method == best.best and np.isnan(best.best_effect_size)
        assert rows[rows.method != best.method].best_log10_p_holm.notna().all()
        assert rows[rows.method == "gradient"].gradient_effect_size.isna().all()
    assert set(table[table.method == "activity_from_1"].title) == {"All layers"}
    assert (table.source == "decomposition").all()


def test_of_one_order_there_are_ranks_of_it_alone(world, tmp_path):
    files = [
        remove(world, "vgg16", tmp_path / f"{method}.h5", method=method, orders=["minus"])
        for method in ("gradient", "input")
    ]
    table, _ = rank(files, tmp_path)
    assert set(table.measure) == {"delta_e_minus", "e_minus"}


def test_without_the_gradient_nothing_is_ranked(results, tmp_path):
    assert "have no method gradient, to compare with" in refused(rank, [results["activity"]], tmp_path)
