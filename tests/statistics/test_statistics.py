"""Paired comparisons against literal versions and scipy."""

import math

import literal
import numpy as np
import pytest
from scipy import stats

from explanations.statistics.tests import adjust_holm, bootstrap_median, compare, pearson, signed_rank_test, summarise

SAMPLES = {
    "continuous": lambda rng: rng.normal(0.3, 1, 40),
    "ties": lambda rng: rng.integers(-5, 7, 50) / 4,
    "ties and zeros": lambda rng: rng.integers(-2, 4, 60).astype(float),
    "few": lambda rng: np.array([1.0, -2.0, 3.0, 5.0]),
    "one sign": lambda rng: rng.random(12) + 0.1,
    "negative": lambda rng: rng.normal(-1, 1, 30),
}


@pytest.mark.parametrize("sample", SAMPLES)
def test_signed_ranks(sample):
    differences = SAMPLES[sample](np.random.default_rng(0))
    positive, negative, z = literal.signed_ranks(differences.tolist())
    found = signed_rank_test(differences)
    assert found.statistic == pytest.approx(min(positive, negative))
    assert found.p == pytest.approx(min(1.0, 2 * stats.norm.cdf(z)))
    assert found.log10_p == pytest.approx(math.log10(found.p), abs=1e-12)
    assert found.effect_size == pytest.approx((positive - negative) / (positive + negative))
    scipy = stats.wilcoxon(differences, zero_method="wilcox", correction=False, method="asymptotic")
    assert (found.statistic, found.p) == (pytest.approx(scipy.statistic), pytest.approx(scipy.pvalue))


def test_direction_does_not_change_p():
    differences = SAMPLES["ties"](np.random.default_rng(1))
    one, other = signed_rank_test(differences), signed_rank_test(-differences)
    assert (one.statistic, one.p, one.effect_size) == (other.statistic, other.p, -other.effect_size)


def test_no_difference_at_all():
    found = signed_rank_test(np.zeros(5))
    assert (found.p, found.log10_p, found.effect_size) == (1.0, 0.0, 0.0)


def test_log10_p_where_p_underflows():
    n = 6000
    found = signed_rank_test(np.arange(1.0, n + 1))
    z = (n * (n + 1) / 4) / (n * (n + 1) * (2 * n + 1) / 24) ** 0.5
    # the normal tail's asymptotic series: log(2 φ(z)/z (1 − 1/z² + 3/z⁴ − …))
    series = 1 - 1 / z**2 + 3 / z**4 - 15 / z**6
    wanted = (math.log(2) - z**2 / 2 - 0.5 * math.log(2 * math.pi) - math.log(z) + math.log(series)) / math.log(10)
    assert found.p == 0.0
    assert found.log10_p == pytest.approx(wanted, rel=1e-9)
    assert found.log10_p < -900


@pytest.mark.parametrize("p", [[0.01, 0.04, 0.03, 0.005], [0.2], [0.5, 0.5, 0.9], [0.01, 0.01, 0.01], [1e-200, 1.0]])
def test_holm(p):
    found = adjust_holm(np.log10(p))
    np.testing.assert_allclose(10.0**found, literal.holm(p), rtol=1e-12)


def test_holm_of_p_below_the_smallest_number():
    assert adjust_holm(np.array([-1000.0, -5000.0])).tolist() == [-1000.0, -5000.0 + math.log10(2)]
    assert adjust_holm(np.array([])).shape == (0,)


class RecordedDraws:
    """A generator that keeps what it draws."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def multinomial(self, *args) -> np.ndarray:
        self.drawn = self.rng.multinomial(*args)
        return self.drawn


@pytest.mark.parametrize("sizes", [(4, 4, 4), (1, 2, 5, 3), (2, 2)])
def test_bootstrap_resamples_whole_classes(sizes):
    rng = np.random.default_rng(3)
    classes = rng.permutation(np.repeat(np.arange(len(sizes)) * 10, sizes))
    values = rng.integers(0, 9, len(classes)) / 4
    draws = RecordedDraws(0)
    found = bootstrap_median(values, classes, 200, draws)
    medians = []
    for counts in draws.drawn:
        assert sum(counts) == len(sizes)
        resample = [
            value
            for name, count in zip(np.unique(classes), counts, strict=True)
            for value in values[classes == name]
            for _ in range(count)
        ]
        medians.append(np.median(resample))
    assert found == pytest.approx(tuple(np.percentile(medians, [2.5, 97.5])))


def test_bootstrap_draws_every_class_alike():
    draws = RecordedDraws(0)
    bootstrap_median(np.arange(20.0), np.arange(20) // 4, 4000, draws)
    assert draws.drawn.mean(0) == pytest.approx(np.ones(5), abs=0.06)


def test_bootstrap_by_class_is_wider_than_by_image():
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(10), 20)
    values = rng.normal(size=10)[classes] + 0.1 * rng.normal(size=200)
    by_class = bootstrap_median(values, classes, 500, rng)
    by_image = bootstrap_median(values, np.arange(200), 500, rng)
    assert by_class[1] - by_class[0] > 2 * (by_image[1] - by_image[0])


def test_summary_leaves_out_excluded_images():
    values, classes = np.array([1.0, np.nan, 3.0, 2.0, 10.0]), np.array([0, 0, 1, 1, 2])
    found = summarise(values, classes, 100, np.random.default_rng(0))
    kept = ~np.isnan(values)
    wanted = summarise(values[kept], classes[kept], 100, np.random.default_rng(0))
    assert found == wanted
    assert (found["n"], found["q25"], found["median"], found["q75"]) == (4, 1.75, 2.5, 4.75)
    assert found["ci_low"] <= found["median"] <= found["ci_high"]


def test_summary_of_nothing():
    found = summarise(np.full(3, np.nan), np.arange(3), 100, np.random.default_rng(0))
    assert found.pop("n") == 0
    assert all(np.isnan(value) for value in found.values())


def test_comparison_is_of_pairs():
    rng = np.random.default_rng(0)
    first, second, classes = rng.random(30), rng.random(30), np.arange(30) % 5
    first[3] = second[8] = np.nan
    found = compare(first, second, classes, 100, np.random.default_rng(1))
    kept = [i for i in range(30) if i not in (3, 8)]
    differences = first[kept] - second[kept]
    assert found["n"] == 28
    assert found["median_a"] == np.median(first[kept])
    assert found["median_b"] == np.median(second[kept])
    quartiles = (found["q25_difference"], found["median_difference"], found["q75_difference"])
    assert quartiles == pytest.approx(tuple(np.percentile(differences, [25, 50, 75])))
    assert found["p"] == pytest.approx(signed_rank_test(differences).p)
    interval = bootstrap_median(differences, classes[kept], 100, np.random.default_rng(1))
    assert (found["ci_low"], found["ci_high"]) == interval


def test_pearson():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(4, 5, 6)), rng.normal(size=(4, 5, 6))
    second[1], second[2] = -2 * first[1] + 3, first[2] * 1e-8 + 1e-3
    found = pearson(first, second)
    for image in range(4):
        wanted = np.corrcoef(first[image].flatten(), second[image].flatten())[0, 1]
        assert found[image] == pytest.approx(wanted, abs=1e-9)
    assert found[1:3] == pytest.approx([-1, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("constant", [0.0, 0.1, 1.0])
def test_pearson_of_a_constant_map_is_undefined(constant, dtype):
    first = np.full((1, 7, 7), constant, dtype)
    second = np.random.default_rng(0).random((1, 7, 7)).astype(dtype)
    assert np.isnan(pearson(first, second)).all() and np.isnan(pearson(second, first)).all()
