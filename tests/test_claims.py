"""The verdicts on the paper's claims: what supports, what refutes, what leaves undecided."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from explanations import claims
from explanations.claims import NOT_SUPPORTED, SUPPORTED, UNDECIDED, judge_ratio, judge_signs


def rows(*outcomes: tuple[str, float, float], family: str = "bias", measure: str = "delta_e_minus") -> pd.DataFrame:
    """Comparisons of a family: (method_a, effect size, Holm's p)."""
    table = pd.DataFrame(outcomes, columns=["method_a", "effect_size", "p"])
    table["log10_p_holm"] = table["log10_p"] = np.log10(table.p)
    table["median_difference"] = table["median_a"] = table["ci_low"] = table["ci_high"] = table.effect_size / 10
    return table.assign(family=family, measure=measure, method_b="other", n=100)


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ([("a", 0.5, 1e-4), ("b", 0.2, 0.01)], SUPPORTED),
        ([("a", 0.5, 1e-4), ("b", 0.2, 0.2)], UNDECIDED),
        ([("a", 0.5, 1e-4), ("b", -0.2, 0.2)], UNDECIDED),
        ([("a", 0.5, 1e-4), ("b", -0.2, 0.01)], NOT_SUPPORTED),
        ([("a", 0.0, 1.0)], UNDECIDED),
    ],
)
def test_signs(outcomes, verdict):
    assert judge_signs(rows(*outcomes), +1).verdict == verdict
    mirrored = [(name, -effect, p) for name, effect, p in outcomes]
    assert judge_signs(rows(*mirrored), -1).verdict == verdict


@pytest.mark.parametrize(
    ("value", "verdict"), [(2, SUPPORTED), (1.2, UNDECIDED), (3.5, UNDECIDED), (0.9, NOT_SUPPORTED), (5, NOT_SUPPORTED)]
)
def test_ratios(value, verdict):
    assert judge_ratio(value, (1.5, 3), (1, 4), "").verdict == verdict


def test_activity_against_bias_leaves_out_the_input():
    table = rows(("input", -0.5, 1e-9), ("activity_1", 0.5, 1e-9), ("activity_2", 0.5, 1e-9))
    evidence = SimpleNamespace(biases=table)
    assert claims.activity_against_bias(evidence).verdict == SUPPORTED
    assert claims.input_against_gradient(evidence).verdict == SUPPORTED


def test_top_three_are_counted_from_the_top():
    table = pd.concat(
        [
            rows(*((f"activity_{layer}", 0.1, 0.5) for layer in range(1, 8)), family="gradient"),
            rows(("activity_from_4", -0.5, 1e-9), ("activity_from_5", 0.5, 1e-9), family="fullgrad"),
        ]
    )
    assert claims.top_three_against_fullgrad(SimpleNamespace(aggregates={"vgg16": table})).verdict == SUPPORTED


@pytest.mark.parametrize(("decayed", "verdict"), [(0.95, SUPPORTED), (0.935, UNDECIDED), (0.8, NOT_SUPPORTED)])
def test_decay(decayed, verdict):
    evidence = SimpleNamespace(accuracy={"vgg16": {"original": 0.95, "decayed": decayed}}, tested_images=1000)
    assert claims.decay_restores("vgg16")(evidence).verdict == verdict


@pytest.mark.parametrize(("gap", "verdict"), [(1e-5, SUPPORTED), (5e-3, UNDECIDED), (0.5, NOT_SUPPORTED)])
def test_gross_sums_without_biases(gap, verdict):
    table = pd.DataFrame({"variant": ["original", "decayed"], "layer": [1, 1], "largest_relative_gap": [9.0, gap]})
    assert claims.gross_sums_equal(SimpleNamespace(gross_sums=table)).verdict == verdict


@pytest.mark.parametrize(("negative", "verdict"), [(0.4, SUPPORTED), (0.1, UNDECIDED), (0.0, NOT_SUPPORTED)])
def test_gross_sums_with_biases(negative, verdict):
    table = pd.DataFrame({"layer": [1, 2, 3], "median_relative_gap": 0.5, "negative_share": negative})
    assert claims.gross_sums_differ(SimpleNamespace(gross_sums=table.assign(variant="original"))).verdict == verdict


@pytest.mark.parametrize(
    ("top", "first", "verdict"), [(0.95, 0.3, SUPPORTED), (0.95, 0.7, UNDECIDED), (0.2, 0.3, NOT_SUPPORTED)]
)
def test_zeroing_a_resnet(top, first, verdict):
    table = pd.DataFrame({"layer": [0, 1, 2, 3, 4], "median": [0.9, first, 0.5, top, top], "comparison": "zeroed"})
    assert claims.zeroing_changes_maps(SimpleNamespace(correlations={"resnet50": table})).verdict == verdict


def test_claims_are_numbered_once():
    numbers = [claim.number for claim in claims.CLAIMS]
    assert len(set(numbers)) == len(numbers)
