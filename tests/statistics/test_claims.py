"""The verdicts on the paper's claims: what supports, what refutes, what leaves undecided."""

import numpy as np
import pandas as pd
import pytest
from conftest import measured, refused

from explanations.statistics import claim_tests
from explanations.statistics.claims import CLAIMS, MEASURE_CLAIMS, ZOO_GROUPS, TwinClaim, ZooClaim
from explanations.statistics.evidence import AGREEMENT, NetworkEvidence, ZooEvidence
from explanations.statistics.verdicts import (
    NOT_SUPPORTED,
    SUPPORTED,
    UNDECIDED,
    NotMeasuredError,
    judge_ratio,
    judge_signs,
    ratio_error,
)
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


def test_what_would_decide_a_claim_stands_beside_undecided_alone():
    assert judge_signs(rows(("a", 0.5, 1e-4), ("b", 0.2, 0.2)), +1).needed == "about 320 images: supported"
    assert judge_signs(rows(("a", 0.5, 1e-4), ("b", -0.2, 0.2)), +1).needed == "about 320 images: not supported"
    assert judge_signs(rows(("a", 0.0, 1.0)), +1).needed == "no number of images, if effects are as seen"
    assert judge_signs(rows(("a", 0.5, 1e-4), ("b", -0.2, 0.01)), +1).needed == ""
    assert judge_ratio("ratio", 1.2, (1.5, 3), (1, 4), "").needed.startswith("not a matter of images")
    assert judge_ratio("ratio", 2, (1.5, 3), (1, 4), "").needed == ""


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        *[(2, SUPPORTED), (1.2, UNDECIDED), (3.5, UNDECIDED), (0.9, NOT_SUPPORTED), (5, NOT_SUPPORTED)],
        (np.nan, UNDECIDED),
    ],
)
def test_ratios(value, verdict):
    assert judge_ratio("ratio", value, (1.5, 3), (1, 4), "").verdict == verdict


def test_activity_against_bias_leaves_out_the_input():
    table = rows(("input", -0.5, 1e-9), ("activity_1", 0.5, 1e-9), ("activity_2", 0.5, 1e-9))
    found = measured(biases=table)
    assert claim_tests.activity_against_bias(found).verdict == SUPPORTED
    assert claim_tests.input_against_gradient(found).verdict == SUPPORTED


def test_top_three_are_counted_from_the_top():
    table = pd.concat(
        [
            rows(*((f"activity_{layer}", 0.1, 0.5) for layer in range(1, 8)), family="gradient"),
            rows(("activity_from_4", -0.5, 1e-9), ("activity_from_5", 0.5, 1e-9), family="fullgrad"),
        ]
    )
    found = measured(layers=range(1, 8), aggregates=table)
    assert claim_tests.top_three_against_fullgrad(found).verdict == SUPPORTED


@pytest.mark.parametrize(("decayed", "verdict"), [(0.95, SUPPORTED), (0.935, UNDECIDED), (0.8, NOT_SUPPORTED)])
def test_decay(decayed, verdict):
    found = measured(accuracy={"original": 0.95, "decayed": decayed}, tested_images=1000)
    assert claim_tests.decay_restores(found).verdict == verdict


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
    assert claim_tests.orders_agree(measured(aggregates=table)).verdict == verdict


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
    assert claim_tests.gross_sums_equal(measured(gross_sums=table)).verdict == verdict


@pytest.mark.parametrize(("negative", "verdict"), [(0.4, SUPPORTED), (0.1, UNDECIDED), (0.0, NOT_SUPPORTED)])
def test_gross_sums_with_biases(negative, verdict):
    table = pd.DataFrame({"layer": [1, 2, 3], "median_relative_gap": 0.5, "negative_share": negative})
    table["variant"] = "original"
    assert claim_tests.gross_sums_differ(measured(gross_sums=table)).verdict == verdict


@pytest.mark.parametrize(
    ("top", "first", "verdict"), [(0.95, 0.3, SUPPORTED), (0.95, 0.7, UNDECIDED), (0.2, 0.3, NOT_SUPPORTED)]
)
def test_zeroing_a_resnet(top, first, verdict):
    table = pd.DataFrame({"layer": [0, 1, 2, 3, 4], "median": [0.9, first, 0.5, top, top], "comparison": "zeroed"})
    assert claim_tests.zeroing_changes_maps(measured(correlations=table)).verdict == verdict


# --- the zoo -----------------------------------------------------------------------------------------------------


def zoo(table: str, plain: list[dict], normalised: list[dict] = ()) -> ZooEvidence:
    """A survey's table, a row for each network: those without batch normalisation, and those with it."""
    groups = (("plain", "none", plain), ("normalised", "batch", normalised))
    found = [
        {"network": f"{name} {k}", "normalisation": norm, **row}
        for name, norm, rows in groups
        for k, row in enumerate(rows)
    ]
    return ZooEvidence({table: pd.DataFrame(found)})


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
    assert claim_tests.zeroing_costs_little(zoo("accuracy", rows).of("none")).verdict == verdict


@pytest.mark.parametrize(
    ("kept", "verdict"), [([0.1, 0.4], SUPPORTED), ([0.1, 0.6], UNDECIDED), ([0.1, 0.95], NOT_SUPPORTED)]
)
def test_what_zeroing_destroys(kept, verdict):
    rows = [{"k": 1, "n": 1000, "original": 0.9, "zeroed": 0.9 * share} for share in kept]
    plain = [{"k": 1, "n": 1000, "original": 0.9, "zeroed": 0.9}]
    assert claim_tests.zeroing_destroys(zoo("accuracy", plain, rows).of("batch")).verdict == verdict


@pytest.mark.parametrize(("least", "verdict"), [(0.95, SUPPORTED), (0.8, UNDECIDED), (0.2, NOT_SUPPORTED)])
def test_correlated_outputs(least, verdict):
    found = zoo("outputs", [{"correlation": 1.0}, {"correlation": least}], [{"correlation": 0.0}])
    assert claim_tests.outputs_stay_correlated(found.of("none")).verdict == verdict


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
    assert claim_tests.outputs_shrink(ZooEvidence({"fits": table}).of("none")).verdict == verdict


@pytest.mark.parametrize(("beta", "verdict"), [(-0.2, SUPPORTED), (1.0, UNDECIDED), (-4.0, NOT_SUPPORTED)])
def test_negligible_offsets(beta, verdict):
    rows = [{"beta": 0.01, "largest_output": 10.0}, {"beta": beta, "largest_output": 10.0}]
    found = zoo("fits", rows, [{"beta": 9.0, "largest_output": 10.0}])
    assert claim_tests.offset_is_negligible(found.of("none")).verdict == verdict


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
    found = zoo("robustness", rows[0] + other, rows[1])
    assert claim_tests.robust_without_batch_norm("scale", 10)(found).verdict == verdict


def test_claims_are_numbered_once():
    numbers = [claim.number for claim in CLAIMS]
    assert len(set(numbers)) == len(numbers)


TABLES = ("biases", "biases_other", "aggregates", "variants", "correlations", "gross_sums", "measure_claims")
SURVEYS = ("accuracy", "outputs", "fits", "robustness")
BY_NUMBER = {claim.number: claim for claim in CLAIMS}


@pytest.mark.parametrize("claim", CLAIMS + MEASURE_CLAIMS, ids=lambda claim: claim.number)
def test_tables_that_lost_all_rows_decide_nothing(claim):
    """One line that names the claim, or no verdict; never a traceback."""
    lost = pd.DataFrame()
    network = NetworkEvidence(dict.fromkeys(TABLES, lost), {"original": 1.0}, 0, [1, 2, 3])
    others = {ZooClaim: ZooEvidence(dict.fromkeys(SURVEYS, lost)), TwinClaim: lost}
    found = others.get(type(claim), network)
    assert refused(judge, claim, "ViT", found).startswith(f"claim {claim.number}: the tables of ViT lack ")


@pytest.mark.parametrize("claim", CLAIMS + MEASURE_CLAIMS, ids=lambda claim: claim.number)
def test_claims_of_what_was_not_measured_are_left_out(claim):
    columns = ["network", "k", "normalisation", "change", "value"]
    empty = ZooEvidence(dict.fromkeys(SURVEYS, pd.DataFrame(columns=columns)))
    others = {ZooClaim: empty, TwinClaim: pd.DataFrame(columns=["family", "log10_p", "network_a", "network_b"])}
    with pytest.raises(NotMeasuredError):
        judge(claim, "ViT", others.get(type(claim), measured()))


ONE_LAYER = pd.concat([rows(("activity_1", 0.5, 0.1)), rows(("input", 0.5, 0.1))])


@pytest.mark.parametrize(
    ("number", "tables"),
    [
        ("11a", {"gross_sums": pd.DataFrame({"variant": ["original"]})}),
        ("12a", {"correlations": pd.DataFrame({"comparison": ["decayed"]})}),
        ("12b", {"correlations": pd.DataFrame({"comparison": ["bias"]})}),
        ("12b", {"correlations": pd.DataFrame({"comparison": "zeroed", "layer": [0, 1, 2], "median": 0.5})}),
        ("13b", {"variants": rows(("activity_1", 0.5, 0.1), family="variant")}),
        *((number, {"aggregates": ONE_LAYER}) for number in ("3", "4a", "5a", "6a", "6b", "7", "15", "20", "21")),
        *((number, {"biases": rows(("input", 0.5, 0.1))}) for number in ("1", "16")),
        ("17", {"biases": rows(("input", 0.5, 0.1)), "biases_other": rows(("input", 0.5, 0.1))}),
    ],
)
def test_claims_of_what_a_networks_tables_lack_are_left_out(number, tables):
    """A variant that isn't explained, a network of a layer or two: no verdict is better than one about nothing."""
    with pytest.raises(NotMeasuredError):
        judge(BY_NUMBER[number], "ViT", measured(layers=[1], **tables))


def test_all_layers_against_the_best_single_one():
    """The best by its own median is named, and how the average of all compares with it."""
    table = rows(("activity_from_1", 0.4, 1e-3), ("activity_from_1", -0.3, 0.01), family="all_layers")
    table = table.assign(method_b=["activity_1", "activity_2"], median_a=0.2, median_b=[0.1, 0.3])
    found = judge(BY_NUMBER["20"], "ViT", measured(layers=[1, 2], aggregates=table))
    assert found.verdict == NOT_SUPPORTED and found.ours.startswith("1 of 2 as claimed, 1 against; ")
    assert found.ours.endswith("the best single layer is 2, median 0.300 against 0.200, p = 0.01")
    better = table.assign(effect_size=0.3)
    assert judge(BY_NUMBER["20"], "ViT", measured(layers=[1, 2], aggregates=better)).verdict == SUPPORTED


@pytest.mark.parametrize(
    ("effect", "p", "verdict", "said"),
    [
        (-0.3, 0.01, NOT_SUPPORTED, "worse: l = 2"),
        (-0.3, 0.2, UNDECIDED, "worse: none"),
        (0.3, 0.01, SUPPORTED, "worse: none"),
    ],
)
def test_layers_that_are_worse_than_another_images(effect, p, verdict, said):
    table = rows(("activity_1", 0.4, 1e-3), ("activity_2", effect, p), ("gradient", -0.9, 1e-9), family="noise")
    found = judge(BY_NUMBER["21"], "ViT", measured(layers=[1, 2], aggregates=table))
    assert found.verdict == verdict and found.ours.endswith(said)


def test_a_change_of_the_input_that_was_not_surveyed_is_left_out():
    changed = [{"change": "scale", "value": 3.0, "relative_change": 0.0}]
    with pytest.raises(NotMeasuredError, match="images changed by scale 10"):
        claim_tests.robust_without_batch_norm("scale", 10)(zoo("robustness", changed, changed))


def test_a_claim_of_the_zoo_is_tested_on_its_group_alone_and_names_it():
    rows = [{"k": 1, "n": 9, "original": 0.9, "zeroed": 0.9, "standard_error": 0.0}]
    lost = [{**rows[0], "zeroed": 0.1}] * 2
    finding = judge(BY_NUMBER["8a"], "without BN", zoo("accuracy", rows, lost))
    assert finding.verdict == SUPPORTED and finding.ours.endswith("; 1 without BN: plain 0")
    assert judge(BY_NUMBER["8b"], "with BN", zoo("accuracy", rows, lost)).ours.endswith("normalised 0, normalised 1")
    assert {claim.group for claim in CLAIMS if isinstance(claim, ZooClaim)} == ZOO_GROUPS.keys()


@pytest.mark.parametrize("number", ["8a", "8b", "18a"])
def test_without_labels_accuracy_is_agreement(number):
    rows = [{"k": 1, "n": 9, "original": 1.0, "zeroed": 0.9, "standard_error": 0.0}]
    changed = [{"change": "scale", "value": 10.0, "relative_change": 0.0}]
    tables = {
        "accuracy": zoo("accuracy", rows, rows).tables["accuracy"],
        "robustness": zoo("robustness", changed, changed).tables["robustness"],
    }
    claim = BY_NUMBER[number]
    said, other = (judge(claim, claim.group, ZooEvidence(tables, *score)) for score in ([AGREEMENT], []))
    assert "agreement" in said.ours and not {"top-1", "accuracy"} & {*said.ours.split(), *said.test.split()}
    assert said.ours.replace("agreement", "top-1") == other.ours


def test_without_labels_decay_keeps_agreement():
    accuracy = {"original": 1.0, "zeroed": 0.1, "decayed": 0.995}
    finding = claim_tests.decay_restores(measured(accuracy, 1000, AGREEMENT))
    assert finding.ours.startswith("agreement original 100.0%, ") and finding.verdict == SUPPORTED


# --- layers that a network was measured at -----------------------------------------------------------------------


def compared(layers: list[int], better: dict[tuple[str, str], float], measure: str = "delta_e_minus") -> pd.DataFrame:
    """A table of aggregates as compare_methods makes it of some layers, written out.

    `better` says of which pairs a is better (1) or worse (−1) than b, significantly; others don't differ.
    """
    tested = []
    for a in layers[:-1]:
        tested += [("aggregate", f"activity_from_{a}", f"activity_from_{b}") for b in layers[-3:-1] if b != a]
        tested += [("fullgrad", f"activity_from_{a}", "fullgrad")]
    tested += [("single", f"activity_{a}", f"activity_{layers[-2]}") for a in layers if a != layers[-2]]
    tested += [("single", f"activity_from_{layers[-2]}", f"activity_{layers[-2]}")]
    tested += [("gradient", f"activity_{a}", "gradient") for a in layers]
    table = pd.DataFrame(tested, columns=["family", "method_a", "method_b"])
    table["effect_size"] = [better.get((a, b), 0.0) for _, a, b in tested]
    table["log10_p_holm"] = -5.0 * table.effect_size.abs()
    return table.assign(measure=measure, median_difference=0.0, ci_low=0.0, ci_high=0.0, n=100)


FEW = [2, 5, 9, 20, 24]  # layers with maps: the others have none
STAGES = [1, 6, 9, 17, 24]  # measured, of layers 1 to 24 that have maps
AGREED = {  # of each claim of layers from the top: the pairs that it speaks of, in layers FEW, and the measure
    "3": ({("activity_from_9", "fullgrad"): 1}, "delta_e_minus"),
    "4a": ({("activity_from_2", "activity_from_9"): 1}, "delta_e_minus"),
    "4b": ({("activity_from_2", "activity_from_9"): 1}, "e_minus"),
    "6a": ({(f"activity_{layer}", "activity_20"): -1 for layer in (2, 5, 9, 24)}, "delta_e_minus"),
    "6b": ({("activity_from_20", "activity_20"): 1}, "delta_e_minus"),
    "6c": ({("activity_from_20", "activity_20"): 1}, "e_minus"),
    "7": ({(f"activity_from_{layer}", "activity_from_20"): -1 for layer in (2, 5, 9)}, "delta_e_minus"),
}


@pytest.mark.parametrize("number", AGREED)
def test_top_and_bottom_are_of_the_layers_that_have_maps(number):
    """With all the pairs that the claim speaks of it is supported, without any one of them it isn't."""
    claim, (better, measure) = BY_NUMBER[number], AGREED[number]
    found = measured(layers=FEW, aggregates=compared(FEW, better, measure))
    assert judge(claim, "ViT", found).verdict == SUPPORTED
    for pair in better if number != "6b" else ():  # which is about no more than a margin
        less = {other: value for other, value in better.items() if other != pair}
        found = measured(layers=FEW, aggregates=compared(FEW, less, measure))
        assert judge(claim, "ViT", found).verdict == UNDECIDED


@pytest.mark.parametrize("number", AGREED)
@pytest.mark.parametrize("layers", [STAGES, [1, 2, 3, 24]])
def test_no_claim_is_tested_on_other_layers_than_it_speaks_of(number, layers):
    """The tables are those of a network that has no other layers: only the layers with maps tell that it has."""
    table = compared(layers, {}, AGREED[number][1])
    with pytest.raises(NotMeasuredError, match=r"measurement of layer 2[23], number [23] from the top"):
        judge(BY_NUMBER[number], "ViT", measured(layers=range(1, 25), aggregates=table))


def test_the_top_two_may_be_measured_without_the_third():
    found = {number: compared([1, 9, 23, 24], {}, measure) for number, (_, measure) in AGREED.items()}
    for number, table in found.items():
        evidence = measured(layers=range(1, 25), aggregates=table)
        if number in ("3", "4a", "4b"):
            with pytest.raises(NotMeasuredError, match="measurement of layer 22, number 3 from the top"):
                judge(BY_NUMBER[number], "ViT", evidence)
        else:
            assert judge(BY_NUMBER[number], "ViT", evidence)


def test_neither_are_unsigned_maps_of_the_top_two():
    table = rows(*((f"activity_{layer}", -0.5, 1e-9) for layer in STAGES), family="variant")
    with pytest.raises(NotMeasuredError, match="measurement of layer 23, number 2 from the top"):
        claim_tests.zero_bias_unsigned(measured(layers=range(1, 25), variants=table))
    table = pd.concat([table, rows(("activity_23", -0.5, 1e-9), family="variant")])
    assert claim_tests.zero_bias_unsigned(measured(layers=range(1, 25), variants=table)).verdict == SUPPORTED


def test_claims_of_layers_below_the_top_two_are_tested_on_those_measured():
    """The second of the measured layers from the top, 17, is below the top two: its map must be better too."""
    effects = {layer: 0.5 if layer < 24 else -0.5 for layer in STAGES}
    for effects[17], verdict in ((0.5, SUPPORTED), (-0.5, NOT_SUPPORTED)):
        outcomes = [(f"signed_activity_{layer}", effect, 1e-9) for layer, effect in effects.items()]
        found = measured(layers=range(1, 25), variants=rows(*outcomes, family="variant_signed"))
        assert claim_tests.zero_bias_signed(found).verdict == verdict


def test_the_lower_half_is_of_all_layers_that_have_maps():
    """9 is the third of five measured layers, and 14 in the upper half of 24."""
    measured_layers = [1, 9, 14, 23, 24]
    found = measured(layers=range(1, 25), aggregates=compared(measured_layers, {}))
    finding = claim_tests.more_layers_hurt(found)
    assert finding.ours.startswith("l₀ = 1, 9 against 23: ") and "of 2 as claimed" in finding.ours


@pytest.mark.parametrize(
    ("layers", "lower"),
    [(list(range(1, 18)), list(range(1, 10))), (FEW, [2, 5, 9]), ([1, 3, 4, 5], [1, 3]), ([1, 2, 3], [1])],
)
def test_the_lower_half_of_the_layers(layers, lower):
    """It is l₀ ≤ 9 of ResNet-50's 17 layers, and never one of the top two."""
    finding = claim_tests.more_layers_hurt(measured(layers=layers, aggregates=compared(layers, {})))
    assert finding.ours.startswith(f"l₀ ≤ {lower[-1]} against {layers[-2]}: ")
    assert f"of {len(lower)} as claimed" in finding.ours or len(lower) == 1


def test_the_top_two_layers_of_variants():
    """Signed maps are compared but for the top two, unsigned ones of the top two alone."""
    signed = rows(*((f"signed_activity_{k}", 0.5 if k < 20 else -0.5, 1e-9) for k in FEW), family="variant_signed")
    assert claim_tests.zero_bias_signed(measured(layers=FEW, variants=signed)).verdict == SUPPORTED
    unsigned = rows(*((f"activity_{k}", -0.5 if k >= 20 else 0.5, 1e-9) for k in FEW), family="variant")
    assert claim_tests.zero_bias_unsigned(measured(layers=FEW, variants=unsigned)).verdict == SUPPORTED


def test_maps_after_zeroing_are_of_the_lowest_layer_that_there_is():
    table = pd.DataFrame({"layer": [0, *FEW], "median": [0.9, 0.3, 0.9, 0.9, 0.95, 0.95], "comparison": "zeroed"})
    finding = claim_tests.zeroing_changes_maps(measured(correlations=table))
    assert finding.verdict == SUPPORTED and "layer 2 0.30" in finding.ours
