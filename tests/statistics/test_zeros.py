"""Differences of 0 in Wilcoxon's signed rank test: left out, or ranked (Pratt), in all steps that test."""

import math
from dataclasses import replace

import literal
import numpy as np
import pandas as pd
import pytest
from conftest import measured, refused
from made import write_shard
from scipy import stats

import compare_methods
import rank_methods
from explanations.files.manifests import ManifestRow, write_manifest
from explanations.files.measurements import SETTINGS, read_measurements, write_measurements
from explanations.files.tables import read_tables
from explanations.statistics import claim_tests
from explanations.statistics.evidence import ZooEvidence
from explanations.statistics.tests import PRATT, WILCOX, ZEROS, SignedRank, compare, signed_rank_test

SAMPLES = {
    "ties and zeros": lambda rng: rng.integers(-2, 4, 60).astype(float),
    "a third zeros": lambda rng: rng.normal(0.3, 1, 45) * (np.arange(45) % 3 > 0),
    "all but two zeros": lambda rng: np.array([0.0] * 20 + [0.5, -0.25]),
    "one sign": lambda rng: np.array([0.0] * 5 + [0.1, 0.2, 0.3, 0.3]),
    "no zeros": lambda rng: rng.normal(0.3, 1, 40),
}


@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_approximate_p(sample, zeros):
    differences = SAMPLES[sample](np.random.default_rng(0))
    positive, negative, z = literal.signed_ranks(differences.tolist(), zeros)
    found = signed_rank_test(differences, zeros)
    assert found.statistic == pytest.approx(min(positive, negative))
    assert found.p == pytest.approx(2 * stats.norm.cdf(z)) and found.p <= 1
    assert found.log10_p == pytest.approx(math.log10(found.p), abs=1e-12)
    assert found.effect_size == pytest.approx((positive - negative) / (positive + negative))
    scipy = stats.wilcoxon(differences, zero_method=zeros, correction=False, method="asymptotic")
    assert (found.statistic, found.p) == (pytest.approx(scipy.statistic), pytest.approx(scipy.pvalue))


@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("seed", range(3))
def test_exact_p(seed, zeros):
    """The literal one is scipy's, by all signs; the normal approximation is near it even for so few differences."""
    rng = np.random.default_rng(seed)
    differences = np.concatenate([rng.normal(0.5, 1, 6), rng.integers(-2, 3, 5)]).round(1)
    exact = literal.exact_signed_ranks(differences.tolist(), zeros)
    every = stats.PermutationMethod(n_resamples=np.inf)
    assert exact == pytest.approx(stats.wilcoxon(differences, zero_method=zeros, method=every).pvalue)
    assert signed_rank_test(differences, zeros).p == pytest.approx(exact, abs=0.06)


def test_by_hand():
    """Of 1, 2, −3 the ranks are 1, 2, 3; below them two zeros have ranks 1 and 2, so that they are 3, 4, 5."""
    differences = np.array([0, 0, 1.0, 2, -3])
    left_out, ranked = (signed_rank_test(differences, zeros) for zeros in (WILCOX, PRATT))
    assert (left_out.statistic, left_out.effect_size, left_out.p) == (3, 0, 1)
    assert (ranked.statistic, ranked.effect_size) == (5, pytest.approx((7 - 5) / 12))
    deviation = ((3**2 + 4**2 + 5**2) / 4) ** 0.5  # each rank is there or not, with a chance of a half
    assert ranked.p == pytest.approx(2 * stats.norm.cdf((5 - 6) / deviation))


def test_many_small_differences_of_one_sign_and_zeros():
    """Zeros speak against a few large differences of one sign no more than they do left out: ranks go up alike."""
    few = np.array([0.0] * 30 + [1.0, 2, 3, 4, 5, 6])
    assert signed_rank_test(few, PRATT).p < 0.05 and signed_rank_test(few, PRATT).effect_size == 1
    mixed = np.array([0.0] * 30 + [-1.0, -2, 3, 4, 5, 6])
    assert signed_rank_test(mixed, WILCOX).effect_size > signed_rank_test(mixed, PRATT).effect_size > 0


def test_no_zeros_no_difference():
    differences = np.random.default_rng(0).normal(0.2, 1, 30)
    assert signed_rank_test(differences, WILCOX) == signed_rank_test(differences, PRATT)


def test_left_out_is_left_out():
    differences = SAMPLES["ties and zeros"](np.random.default_rng(1))
    assert signed_rank_test(differences) == signed_rank_test(differences[differences != 0])


@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_nothing_but_zeros(count, zeros):
    assert signed_rank_test(np.zeros(count), zeros) == SignedRank(0.0, 1.0, 0.0, 0.0)
    assert compare(np.ones(count), np.ones(count), np.arange(count), 100, np.random.default_rng(0), zeros)["p"] == 1


@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("count", [0, 1, 50])
def test_one_difference_among_zeros(count, zeros):
    """By its sign alone: z is 1 whatever its rank."""
    found = signed_rank_test(np.array([*np.zeros(count), -0.5]), zeros)
    assert (found.statistic, found.effect_size) == (0, -1) and found.p == pytest.approx(2 * stats.norm.sf(1))


def test_other_zeros_are_refused():
    message = "statistics.zeros is zsplit; allowed are wilcox, pratt"
    assert refused(signed_rank_test, np.ones(3), "zsplit") == message


# --- the steps ---------------------------------------------------------------------------------------------------

METHODS = ["gradient", "activity_1", "activity_2", "activity_3"]
COUNT = 40


@pytest.fixture(scope="module")
def flags(tmp_path_factory) -> dict:
    """Results of few values, so that many images have no difference; and a shard of the network."""
    folder, rng = tmp_path_factory.mktemp("zeros"), np.random.default_rng(0)
    names = ("e_minus", "e_plus", "e_minus_noise", "e_plus_noise")
    arrays = {name: rng.integers(0, 3, (COUNT, len(METHODS))) / 4 + [0, 0, 0.25, 0.25] for name in names}
    arrays |= {"image": np.arange(COUNT), "label": np.arange(COUNT) % 5}
    settings = {**dict.fromkeys(SETTINGS, "x"), "network": "n", "orders": ["minus", "plus"]}
    write_measurements(folder / "n.h5", METHODS, arrays, settings)
    write_manifest(folder / "n.csv", [ManifestRow(k, f"{k}.png", "a", 0) for k in range(10)])
    shard = write_shard(folder / "0.h5", folder / "n.csv", [8, 4, 4, 2], network="n")
    return {"measurements": [folder / "n.h5"], "shard": shard}


@pytest.mark.parametrize("zeros", ZEROS)
def test_comparisons_say_what_they_did(flags, tmp_path, zeros):
    options = {"against": [], "families": ["gradient", "noise"], "resamples": 100, "seed": 0, "zeros": zeros}
    compare_methods.main(**flags, **options, output=tmp_path / "c.csv")
    table, results = pd.read_csv(tmp_path / "c.csv"), read_measurements(flags["measurements"])
    assert (table.zeros == zeros).all() and len(table)
    for row in table[(table.family == "gradient") & (table.measure == "e_minus")].itertuples():
        differences = results.measure("e_minus", row.method_a) - results.measure("e_minus", "gradient")
        assert (differences == 0).any()
        _, _, z = literal.signed_ranks(differences.tolist(), zeros)
        assert row.p == pytest.approx(2 * stats.norm.cdf(z))


@pytest.mark.parametrize("zeros", ZEROS)
def test_ranks_say_what_they_did(flags, tmp_path, zeros):
    options = {"maps": [], "titles": {}, "resamples": 100, "region": 0.02, "seed": 0, "zeros": zeros}
    files = {"output": tmp_path / "ranks.csv", "reasons": tmp_path / "reasons.csv"}
    rank_methods.main(measurements=flags["measurements"], **options, **files)
    table, results = read_tables([files["output"]], ()), read_measurements(flags["measurements"])
    assert (table.zeros == zeros).all()
    rows = table[(table.measure == "e_minus") & (table.method != "gradient")]
    p = []
    for method in rows.method:
        differences = results.measure("e_minus", method) - results.measure("e_minus", "gradient")
        p.append(2 * stats.norm.cdf(literal.signed_ranks(differences.tolist(), zeros)[2]))
    assert 10 ** rows.gradient_log10_p_holm.to_numpy() == pytest.approx(literal.holm(p))


def test_claims_test_by_the_same_rule():
    """What findings test by themselves: scales α of outputs, of which some are exactly 1; gains in log10 p."""
    alpha = np.array([1.0] * 12 + [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.01, 1.02])
    fits = pd.DataFrame({"network": "a", "alpha": alpha})
    gain = np.array([0.0] * 40 + [1.0, 2, 3, 4, 5, -6, -7])
    rows = {"method_a": [f"activity_{layer}" for layer in range(1, 48)], "family": "bias"}
    biases = pd.concat(
        [
            pd.DataFrame(rows | {"measure": "delta_e_minus", "log10_p": -10.0}),
            pd.DataFrame(rows | {"measure": "delta_e_delta", "log10_p": -10 - gain}),
        ]
    )
    found = {}
    for zeros in ZEROS:
        finding = claim_tests.outputs_shrink(ZooEvidence({"fits": fits}, zeros=zeros))
        p = 2 * stats.norm.cdf(literal.signed_ranks((1 - alpha).tolist(), zeros)[2])
        assert ("below 1 in 1 of 1" in finding.ours) == (p < 0.05)
        found[zeros] = claim_tests.delta_is_more_significant(replace(measured(biases=biases), zeros=zeros)).ours
        wanted = stats.wilcoxon(gain, zero_method=zeros).pvalue
        assert found[zeros].endswith(f"p = {wanted:.2g}")
    assert found[WILCOX] != found[PRATT]
