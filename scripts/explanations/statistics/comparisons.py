"""Which saliency methods are compared with which, and the rows of their tests (§5).

"Top" counts layers with maps from the output, measured or not: what is compared with a method that was not measured is
left out, and no other layer takes its place.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from explanations.errors import InputError
from explanations.files.measurements import Measurements
from explanations.methods.names import MethodName, layers_of, parse_method
from explanations.statistics.tests import WILCOX, adjust_holm, compare

MEASURES = ("delta_e_minus", "e_minus", "delta_e_plus", "e_plus", "delta_e_delta", "e_delta")
FAMILIES = {
    "bias": "activity_l against bias_l, layer by layer; the input against gradient",
    "gradient": "every method against gradient",
    "noise": "a measure against 0: δe of every method, e_Δ^ξ",
    "fullgrad": "every aggregate of activities against fullgrad",
    "aggregate": "every aggregate against those of the top two and of the top three layers",
    "input": "activity_with_input against the aggregate of all layers",
    "single": "every single layer against the penultimate; the top two layers' aggregate against it",
    "layers": "whether single layers differ at all (Friedman's test)",
    "all_layers": "the aggregate of all layers against every single layer",
    "variant": "every unsigned method against itself in the other variant (--against)",
    "variant_signed": "every signed single layer against itself in the other variant",
    "variant_signed_from": "every signed aggregate against itself in the other variant",
}
ACROSS = {"variant", "variant_signed", "variant_signed_from"}  # what needs --against
GRADIENT, INPUT, FULLGRAD = MethodName("gradient"), MethodName("input"), MethodName("fullgrad")
ACTIVITY, BIAS, AGGREGATE = MethodName("activity"), MethodName("bias"), MethodName("activity_from")
WITH_INPUT = MethodName("activity_with_input")
ZERO = "zero"  # no method, whose measure is 0
NOISE_MEASURES = ("delta_e_minus", "delta_e_plus", "delta_e_delta", "e_delta_noise")


def compare_families(
    families: Sequence[str],
    results: Measurements,
    other: Measurements,
    layers: Sequence[int],
    resamples: int,
    rng: np.random.Generator,
    zeros: str = WILCOX,
) -> list[dict]:
    """The rows of some families of comparisons, for all measures; Holm's adjustment is within family and measure."""
    rows = []
    for family in families:
        for measure in NOISE_MEASURES if family == "noise" else MEASURES:
            block = list(compare_family(family, measure, results, other, layers, resamples, rng, zeros))
            adjusted = adjust_holm(np.array([row["log10_p"] for row in block]))
            rows += [{**row, "log10_p_holm": value} for row, value in zip(block, adjusted, strict=True)]
    return rows


def compare_family(
    family: str,
    measure: str,
    results: Measurements,
    other: Measurements,
    layers: Sequence[int],
    resamples: int,
    rng: np.random.Generator,
    zeros: str = WILCOX,
) -> Iterator[dict]:
    """The rows of one family of comparisons for one measure, of a network with maps of `layers`.

    None of methods for which removal was not measured in the orders that the measure takes.
    """
    if family == "layers":
        single = [str(ACTIVITY.at(layer)) for layer in layers_of(ACTIVITY, results.methods)]
        if len(single) > 2 and all(results.has(measure, method) for method in single):
            yield friedman(measure, results)
        return
    for a, b in list_pairs(family, results.methods, layers):
        if not results.has(measure, a) or (b != ZERO and not other.has(measure, b)):
            continue
        first = results.measure(measure, a)
        second = np.zeros_like(first) if b == ZERO else other.measure(measure, b)
        row = compare(first, second, results.label, resamples, rng, zeros)
        yield {"family": family, "measure": measure, "method_a": a, "method_b": b, **row}


def list_pairs(family: str, methods: list[str], layers: Sequence[int]) -> list[tuple[str, str]]:
    """The pairs (a, b) of a family, of those methods that were measured; `zero` stands for no method.

    `layers` are all that have maps, ascending, without the input.
    """
    if family not in FAMILIES:
        raise InputError(f"family is {family}; allowed are {', '.join(FAMILIES)}")
    names = list(map(parse_method, methods))
    single = [ACTIVITY.at(layer) for layer in layers_of(ACTIVITY, methods)]
    aggregates = [name for name in names if name.all_layers in (AGGREGATE, WITH_INPUT)]
    references = [AGGREGATE.at(layer) for layer in (*layers[-2:-1], *layers[-3:-2])]
    penultimate = ACTIVITY.at(layers[-2]) if len(layers) > 1 else None
    all_layers = AGGREGATE.at(layers[0]) if layers else None
    pairs = {
        "bias": [(INPUT, GRADIENT), *((name, BIAS.at(name.layer)) for name in single)],
        "gradient": [(name, GRADIENT) for name in names if name != GRADIENT],
        "noise": [(name, ZERO) for name in names],
        "fullgrad": [(name, FULLGRAD) for name in [*aggregates, MethodName("fullgrad_feature")]],
        "aggregate": [(name, reference) for reference in references for name in aggregates if name != reference],
        "input": [(WITH_INPUT, all_layers)],
        "all_layers": [(all_layers, name) for name in single],
        "single": [(name, penultimate) for name in [*single, *references[:1]] if name != penultimate],
        "variant": [(name, name) for name in names if not name.signed],
        "variant_signed": [(name, name) for name in names if name.signed and name.kind == ACTIVITY.kind],
        "variant_signed_from": [(name, name) for name in names if name.signed and name.kind == AGGREGATE.kind],
    }
    known = {*names, ZERO}
    return [(str(a), str(b)) for a, b in pairs[family] if a in known and b in known]


def friedman(measure: str, results: Measurements) -> dict:
    """Friedman's test of whether a measure, and its noise, is the same over single layers.

    p is 1 where it is the same in every image, of which scipy makes p = 0.
    """
    single = [str(ACTIVITY.at(layer)) for layer in layers_of(ACTIVITY, results.methods)]
    name = "e_delta_noise" if measure == "e_delta" else measure
    values = np.stack([results.measure(name, method) for method in single], 1)
    values = values[~np.isnan(values).any(1)]
    differ = (values != values[:, :1]).any()
    statistic = stats.friedmanchisquare(*values.T).statistic if differ else 0.0
    log10_p = stats.chi2.logsf(statistic, len(single) - 1) / np.log(10)
    row = {"family": "layers", "measure": name, "method_a": single[0], "method_b": single[-1], "n": len(values)}
    return {**row, "statistic": statistic, "p": stats.chi2.sf(statistic, len(single) - 1), "log10_p": log10_p}
