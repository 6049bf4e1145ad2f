"""Agreement of measures: against SciPy's ρ pair by pair, medians and resamples one by one; values all the same."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from explanations.statistics.agreement import correlate_orders, measure_agreement, percentile_interval

RNG = np.random.default_rng(3)
VALUES = RNG.random((3, 12, 5)).round(2)  # measures, images, methods
VALUES[1, 4] = np.nan  # an image that a measure leaves out
CLASSES = np.repeat([0, 1, 2, 3], 3)
LARGER = [True, False, True]


def test_agreement_is_the_literal_one():
    found = measure_agreement(VALUES, LARGER, CLASSES, 100, np.random.default_rng(0))
    medians = [[np.nanmedian(VALUES[k, :, m]) for m in range(5)] for k in range(3)]
    medians[1] = [-value for value in medians[1]]
    for a in range(3):
        for b in range(3):
            assert found.rho[a, b] == pytest.approx(spearmanr(medians[a], medians[b]).statistic)
    assert np.diag(found.rho).tolist() == pytest.approx([1, 1, 1])


def test_resamples_draw_whole_classes_the_same_for_all():
    found = measure_agreement(VALUES, LARGER, CLASSES, 50, np.random.default_rng(7))
    drawn = np.random.default_rng(7).integers(0, 4, (50, 4))
    for number, chosen in enumerate(drawn):
        images = [image for each in chosen for image in range(12) if CLASSES[image] == each]
        medians = np.array([[np.nanmedian(VALUES[k, images, m]) for m in range(5)] for k in range(3)])
        medians[1] *= -1
        assert found.resampled[number, 0, 1] == pytest.approx(spearmanr(medians[0], medians[1]).statistic)
    low, high = found.interval()
    assert (low[0, 1], high[0, 1]) == pytest.approx(tuple(np.percentile(found.resampled[:, 0, 1], [2.5, 97.5])))


def test_orders():
    scores = np.array([[1.0, 2, 3, 4], [10, 20, 30, 40], [4, 3, 2, 1], [5, 5, 5, 5]])
    rho = correlate_orders(scores)
    assert rho[0, 1] == pytest.approx(1) and rho[0, 2] == pytest.approx(-1)
    assert np.isnan(rho[3]).all() and np.isnan(rho[:, 3]).all()


def test_an_interval_leaves_out_what_is_missing():
    low, high = percentile_interval(np.array([[0.0, np.nan], [1.0, np.nan], [np.nan, np.nan]]))
    assert (low[0], high[0]) == pytest.approx((0.025, 0.975)) and np.isnan(low[1]) and np.isnan(high[1])
