"""Areas by curves of whole removals: by hand, against literal versions, and how they depend on each other."""

import literal
import numpy as np
import pytest
import torch
from torch import Tensor

from explanations.removal.curves import AREAS, CURVE_MEASURES, SCORES, derive_curve_measures, measure_areas


@pytest.fixture
def curves() -> tuple[np.ndarray, np.ndarray]:
    """f₋ and f₊ of 7 images at 12 points, which begin and end alike."""
    minus, plus = np.random.default_rng(0).normal(size=(2, 7, 12)).astype(np.float32)
    plus[:, 0], plus[:, -1] = minus[:, 0], minus[:, -1]
    return minus, plus


def test_areas_by_hand():
    """1 for half of the removal, then 0, against the reverse of a map: 0 after the first of two steps."""
    areas = measure_areas(np.array([1.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0]))
    assert areas == {
        "deletion": 1 / 4,  # one triangle of half the width
        "insertion": 3 / 4,
        "srg": 1 / 2,
        "aopc": pytest.approx(2 / 3),  # of three points, two are 1 below the first
        "abpc": pytest.approx(1 / 3),
    }


def test_a_score_that_nothing_changes():
    areas = measure_areas(np.full((2, 5), 0.25), np.full((2, 5), 0.25))
    assert {name: values.tolist() for name, values in areas.items()} == {
        **{"deletion": [0.25] * 2, "insertion": [0.25] * 2},
        **{"srg": [0.0] * 2, "aopc": [0.0] * 2, "abpc": [0.0] * 2},
    }


def test_areas_are_the_literal_ones(curves):
    minus, plus = curves
    areas = measure_areas(minus, plus)
    for image in range(7):
        least, most = minus[image].astype(float).tolist(), plus[image].astype(float).tolist()
        assert areas["deletion"][image] == pytest.approx(literal.auc(most))
        assert areas["insertion"][image] == pytest.approx(literal.auc(least[::-1]))
        assert areas["srg"][image] == pytest.approx(literal.auc(least) - literal.auc(most))
        assert areas["aopc"][image] == pytest.approx(literal.aopc(most))
        assert areas["abpc"][image] == pytest.approx(literal.abpc(least, most))


def test_how_they_depend_on_each_other(curves):
    """As the module's docstring says."""
    minus, plus = curves
    areas, steps = measure_areas(minus, plus), 11
    whole, last = plus[:, 0].astype(float), plus[:, -1].astype(float)
    np.testing.assert_allclose(areas["abpc"], steps / (steps + 1) * areas["srg"])
    np.testing.assert_allclose(areas["aopc"], whole - (steps * areas["deletion"] + (whole + last) / 2) / (steps + 1))


def test_insertion_is_the_least_salient_first_curve_read_backwards():
    """A literal insertion, the most salient first, at as many pixels as the other has left: 30 pixels in 6 steps."""
    generator = torch.Generator().manual_seed(0)
    image, weights = torch.randn(3, 5, 6, generator=generator), torch.randn(2, 90, generator=generator)

    def score(values: Tensor) -> Tensor:
        return torch.tanh(values.flatten(1) @ weights.T)

    order = torch.randperm(30, generator=generator).tolist()  # from the least salient
    removed = literal.curve(score, image, order, 6, fill=0.5)
    assert literal.insertion(score, image, order[::-1], 6, fill=0.5) == removed[::-1]


def test_measures_of_own_maps_noise_maps_and_their_difference():
    rng = np.random.default_rng(1)
    values = {score: rng.normal(size=(4, 3, 2, 6)).astype(np.float32) for score in SCORES}  # two noise maps
    measures = derive_curve_measures(values)
    assert tuple(measures) == CURVE_MEASURES and len(CURVE_MEASURES) == 2 * 5 * 3
    for score in SCORES:
        each = [measure_areas(values[score][:, k, 0], values[score][:, k, 1]) for k in range(3)]
        for area in AREAS:
            noise = (each[1][area] + each[2][area]) / 2
            np.testing.assert_array_equal(measures[f"{area}_{score}"], each[0][area])
            np.testing.assert_allclose(measures[f"{area}_{score}_noise"], noise)
            np.testing.assert_allclose(measures[f"delta_{area}_{score}"], each[0][area] - noise)


def test_in_differences_what_all_removals_of_an_image_share_is_gone():
    """δ of aopc is that of deletion, but for a factor."""
    rng = np.random.default_rng(2)
    values = {score: rng.normal(size=(4, 2, 2, 6)) for score in SCORES}
    for curve in values.values():
        curve[..., 0], curve[..., -1] = curve[:, :1, :1, 0], curve[:, :1, :1, -1]
    measures = derive_curve_measures(values)
    for score in SCORES:
        wanted = -5 / 6 * measures[f"delta_deletion_{score}"]
        np.testing.assert_allclose(measures[f"delta_aopc_{score}"], wanted)
