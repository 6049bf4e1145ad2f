"""How many images would decide what is undecided: held against simulated tests, and in words."""

import math

import numpy as np
import pytest

from explanations.statistics.power import decide_signs, describe_need, images_by_interval, images_for
from explanations.statistics.tests import signed_rank_test


@pytest.mark.parametrize("tests", [1, 13])
@pytest.mark.parametrize("shift", [0.2, 0.5])
def test_so_many_images_are_enough_four_times_in_five(shift, tests):
    """Differences are drawn; the effect size is that of many of them."""
    rng = np.random.default_rng(0)
    effect = signed_rank_test(rng.normal(shift, 1, 20000)).effect_size
    images = round(images_for(effect, tests))
    significant = [signed_rank_test(rng.normal(shift, 1, images)).p < 0.05 / tests for _ in range(500)]
    assert 0.7 < np.mean(significant) < 0.9
    assert images_for(-effect, tests) == images_for(effect, tests)


def test_what_no_number_of_images_decides():
    assert images_for(0.0) == images_for(math.nan) == math.inf
    assert (
        describe_need(math.inf, True) == describe_need(math.nan, True) == "no number of images, if effects are as seen"
    )
    assert images_by_interval(100, -0.05, -0.08, -0.02) == math.inf  # the estimate itself is beyond the limit
    assert images_by_interval(100, -0.02, -0.08, -0.02) == math.inf


def test_an_interval_shrinks_by_the_root():
    """From 0.01 down to −0.05 with 100 images; down to −0.02 it is half as wide."""
    assert images_by_interval(100, 0.01, -0.05, -0.02) == pytest.approx(400)
    assert images_by_interval(100, 0.985, 1.005, 0.99) == pytest.approx(1600)


def test_a_claim_of_all_signs():
    """An effect of the other sign refutes it once it is significant; else the weakest effect must be."""
    supported = decide_signs([0.5, 0.2, 0.3], [False, True, True], +1)
    assert supported == (images_for(0.2, 3), True)
    assert decide_signs([-0.5, -0.2, -0.3], [False, True, True], -1) == supported
    assert decide_signs([0.5, -0.1, -0.2], [False, True, True], +1) == (images_for(0.2, 3), False)
    assert decide_signs([0.5, 0.0], [False, True], +1) == (math.inf, True)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (7.2, "about 8 images: supported"),
        (96.1, "about 97 images: supported"),
        (1234, "about 1,300 images: supported"),
        (999_999, "about 1,000,000 images: supported"),
        (1_000_001, "no number of images, if effects are as seen"),
    ],
)
def test_numbers_in_words(images, said):
    assert describe_need(images, True) == said
