"""The verdicts on the paper's claims: what supports, what refutes, what leaves undecided."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import refused

from explanations import claim_tests
from explanations.claim_tests import Evidence
from explanations.claims import CLAIMS
from explanations.verdicts import NOT_SUPPORTED, SUPPORTED, UNDECIDED, judge_ratio, judge_signs, ratio_error
from report_findings import judge


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
    ("value", "verdict"),
    [
        *[(2, SUPPORTED), (1.2, UNDECIDED), (3.5, UNDECIDED), (0.9, NOT_SUPPORTED), (5, NOT_SUPPORTED)],
        (np.nan, UNDECIDED),
    ],
)
def test_ratios(value, verdict):
    assert judge_ratio(value, (1.5, 3), (1, 4), "").verdict == verdict


def test_activity_against_bias_leaves_out_the_input():
    table = rows(("input", -0.5, 1e-9), ("activity_1", 0.5, 1e-9), ("activity_2", 0.5, 1e-9))
    evidence = SimpleNamespace(biases=table)
    assert claim_tests.activity_against_bias(evidence).verdict == SUPPORTED
    assert claim_tests.input_against_gradient(evidence).verdict == SUPPORTED


def test_top_three_are_counted_from_the_top():
    table = pd.concat(
        [
            rows(*((f"activity_{layer}", 0.1, 0.5) for layer in range(1, 8)), family="gradient"),
            rows(("activity_from_4", -0.5, 1e-9), ("activity_from_5", 0.5, 1e-9), family="fullgrad"),
        ]
    )
    assert claim_tests.top_three_against_fullgrad(SimpleNamespace(aggregates={"vgg16": table})).verdict == SUPPORTED


@pytest.mark.parametrize(("decayed", "verdict"), [(0.95, SUPPORTED), (0.935, UNDECIDED), (0.8, NOT_SUPPORTED)])
def test_decay(decayed, verdict):
    evidence = SimpleNamespace(accuracy={"vgg16": {"original": 0.95, "decayed": decayed}}, tested_images=1000)
    assert claim_tests.decay_restores("vgg16")(evidence).verdict == verdict


@pytest.mark.parametrize(
    ("plus", "verdict"),
    [([-4, -3, -2, -1], NOT_SUPPORTED), ([-1, -2, -3, -4], SUPPORTED), ([0, 0, 0, 0], UNDECIDED)],
)
def test_orders_of_methods(plus, verdict):
    """By δe₋ methods rise; by δe₊ they fall, rise or are all the same; e₋ and e₊ order them otherwise, or not."""
    e = [0, 0, 0, 0] if plus == [0, 0, 0, 0] else [2, 4, 1, 3]
    columns = {"delta_e_minus": [1, 2, 3, 4], "delta_e_plus": plus, "e_minus": [1, 2, 3, 4], "e_plus": e}
    tables = []
    for measure, values in columns.items():
        outcomes = ((f"activity_{k}", 10 * value, 1.0) for k, value in enumerate(values))
        tables.append(rows(*outcomes, family="gradient", measure=measure))
    table = pd.concat(tables)
    assert claim_tests.orders_agree(SimpleNamespace(aggregates={"vgg16": table})).verdict == verdict


def test_the_error_of_a_ratio_of_accuracies():
    """Against 20,000 draws of 2000 images that are right or wrong; an original that is always right has none."""
    rng = np.random.default_rng(0)
    for decayed, original in ((0.6, 0.9), (0.9, 0.6), (0.7, 1.0)):
        drawn = [rng.binomial(2000, share, 20_000) for share in (decayed, original)]
        assert ratio_error(decayed, original, 2000) == pytest.approx((drawn[0] / drawn[1]).std(), rel=0.03)
    assert ratio_error(0.0, 0.5, 100) == 0


@pytest.mark.parametrize(("gap", "verdict"), [(1e-5, SUPPORTED), (5e-3, UNDECIDED), (0.5, NOT_SUPPORTED)])
def test_gross_sums_without_biases(gap, verdict):
    table = pd.DataFrame({"variant": ["original", "decayed"], "layer": [1, 1], "largest_relative_gap": [9.0, gap]})
    assert claim_tests.gross_sums_equal(SimpleNamespace(gross_sums=table)).verdict == verdict


@pytest.mark.parametrize(("negative", "verdict"), [(0.4, SUPPORTED), (0.1, UNDECIDED), (0.0, NOT_SUPPORTED)])
def test_gross_sums_with_biases(negative, verdict):
    table = pd.DataFrame({"layer": [1, 2, 3], "median_relative_gap": 0.5, "negative_share": negative})
    assert (
        claim_tests.gross_sums_differ(SimpleNamespace(gross_sums=table.assign(variant="original"))).verdict == verdict
    )


@pytest.mark.parametrize(
    ("top", "first", "verdict"), [(0.95, 0.3, SUPPORTED), (0.95, 0.7, UNDECIDED), (0.2, 0.3, NOT_SUPPORTED)]
)
def test_zeroing_a_resnet(top, first, verdict):
    table = pd.DataFrame({"layer": [0, 1, 2, 3, 4], "median": [0.9, first, 0.5, top, top], "comparison": "zeroed"})
    assert claim_tests.zeroing_changes_maps(SimpleNamespace(correlations={"resnet50": table})).verdict == verdict


# --- the zoo -----------------------------------------------------------------------------------------------------


def zoo(table: str, plain: list[dict], normalised: list[dict] = ()) -> SimpleNamespace:
    """A survey's table, a row for each network: those without batch normalisation, and those with it."""
    groups = (("plain", "none", plain), ("normalised", "batch", normalised))
    found = [
        {"network": f"{name} {k}", "normalisation": norm, **row}
        for name, norm, rows in groups
        for k, row in enumerate(rows)
    ]
    return SimpleNamespace(survey={table: pd.DataFrame(found)})


@pytest.mark.parametrize(
    ("losses", "error", "verdict"),
    [
        ([0.0, 0.009, 0.03], 0.001, SUPPORTED),  # one is excepted
        ([0.0, 0.02, 0.03], 0.001, NOT_SUPPORTED),
        ([0.0, 0.02, 0.03], 0.01, UNDECIDED),
        ([-0.02, -0.01, 0.0], 0.001, SUPPORTED),
    ],
)
def test_what_zeroing_costs(losses, error, verdict):
    rows = [{"k": 1, "n": 1000, "original": 0.9, "zeroed": 0.9 - loss, "standard_error": error} for loss in losses]
    rows += [{"k": 5, "n": 1000, "original": 0.9, "zeroed": 0.4, "standard_error": error}] * 2  # only top-1 counts
    assert claim_tests.zeroing_costs_little(zoo("accuracy", rows)).verdict == verdict


@pytest.mark.parametrize(
    ("kept", "verdict"), [([0.1, 0.4], SUPPORTED), ([0.1, 0.6], UNDECIDED), ([0.1, 0.95], NOT_SUPPORTED)]
)
def test_what_zeroing_destroys(kept, verdict):
    rows = [{"k": 1, "n": 1000, "original": 0.9, "zeroed": 0.9 * share} for share in kept]
    plain = [{"k": 1, "n": 1000, "original": 0.9, "zeroed": 0.9}]
    assert claim_tests.zeroing_destroys(zoo("accuracy", plain, rows)).verdict == verdict


@pytest.mark.parametrize(("least", "verdict"), [(0.95, SUPPORTED), (0.8, UNDECIDED), (0.2, NOT_SUPPORTED)])
def test_correlated_outputs(least, verdict):
    evidence = zoo("outputs", [{"correlation": 1.0}, {"correlation": least}], [{"correlation": 0.0}])
    assert claim_tests.outputs_stay_correlated(evidence).verdict == verdict


@pytest.mark.parametrize(
    ("alpha", "verdict"), [((0.8, 0.7), SUPPORTED), ((0.8, 1.0), UNDECIDED), ((0.8, 1.2), NOT_SUPPORTED)]
)
def test_shrinking_outputs(alpha, verdict):
    spread = np.linspace(-0.05, 0.05, 40)
    table = pd.concat(
        [
            pd.DataFrame({"network": str(k), "normalisation": "none", "alpha": value + spread})
            for k, value in enumerate(alpha)
        ]
        + [pd.DataFrame({"network": "n", "normalisation": "batch", "alpha": 3 + spread})]
    )
    assert claim_tests.outputs_shrink(SimpleNamespace(survey={"fits": table})).verdict == verdict


@pytest.mark.parametrize(("beta", "verdict"), [(-0.2, SUPPORTED), (1.0, UNDECIDED), (-4.0, NOT_SUPPORTED)])
def test_negligible_offsets(beta, verdict):
    rows = [{"beta": 0.01, "largest_output": 10.0}, {"beta": beta, "largest_output": 10.0}]
    evidence = zoo("fits", rows, [{"beta": 9.0, "largest_output": 10.0}])
    assert claim_tests.offset_is_negligible(evidence).verdict == verdict


@pytest.mark.parametrize(
    ("plain", "normalised", "verdict"),
    [
        ([-0.1, -0.2, 0.0, -0.15], [-0.8, -0.9, -0.7, -0.6], SUPPORTED),
        ([-0.1, -0.9, 0.0, -0.5], [-0.8, -0.2, -0.7, -0.05], UNDECIDED),
        ([-0.8, -0.9, -0.7, -0.6], [-0.1, -0.2, 0.0, -0.15], NOT_SUPPORTED),
    ],
)
def test_robustness(plain, normalised, verdict):
    rows = [[{"change": "scale", "value": 10.0, "relative_change": x} for x in group] for group in (plain, normalised)]
    other = [{"change": "scale", "value": 100.0, "relative_change": -1.0}] * 5
    evidence = zoo("robustness", rows[0] + other, rows[1])
    assert claim_tests.robust_without_batch_norm("scale", 10)(evidence).verdict == verdict


def test_claims_are_numbered_once():
    numbers = [claim.number for claim in CLAIMS]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.number)
def test_tables_that_lost_all_rows_decide_nothing(claim):
    """One line that names the claim, or no verdict; never a traceback."""
    lost = pd.DataFrame()
    networks = dict.fromkeys(("vgg16", "resnet50"), lost)
    evidence = Evidence(
        **{
            "biases": lost,
            "biases_other": lost,
            "variants": lost,
            "gross_sums": lost,
            "accuracy": {},
            "tested_images": 0,
        },
        **{"aggregates": networks, "correlations": networks},
        survey=dict.fromkeys(("accuracy", "outputs", "fits", "robustness"), lost),
    )
    assert refused(judge, claim, evidence).startswith(f"claim {claim.number}: ")
