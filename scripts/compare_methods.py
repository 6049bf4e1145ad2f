"""Compare saliency methods image by image: Wilcoxon's signed rank tests of a network's removal results (§5).

In:  result files of one network and variant; `--against`, those of another variant for comparisons across the two.
Out: tidy CSV, one row per comparison and measure: medians, paired differences a − b with quartiles and a bootstrap
     interval that resamples classes, the test's statistic, p, log10 p, the rank-biserial effect size, and Holm's
     adjusted log10 p within the comparison's family and measure.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from explanations.command import InputError, check_range, run_command, step_parser
from explanations.measurements import Measurements, read_measurements
from explanations.methods import layers_of
from explanations.statistics import adjust_holm, compare
from explanations.tables import write_table

MEASURES = ("delta_e_minus", "e_minus", "delta_e_plus", "e_plus", "delta_e_delta", "e_delta")
FAMILIES = {
    "bias": "activity_l against bias_l, layer by layer; the input against gradient",
    "gradient": "every method against gradient",
    "noise": "a measure against 0: δe of every method, e_Δ^ξ",
    "fullgrad": "every aggregate of activities against fullgrad",
    "aggregate": "every aggregate against those of the top two and of the top three layers",
    "input": "activity_with_input against activity_from_1",
    "single": "every single layer against the penultimate; the top two layers' aggregate against it",
    "layers": "whether single layers differ at all (Friedman's test)",
    "all_layers": "the aggregate of all layers against every single layer",
    "variant": "every unsigned method against itself in the other variant (--against)",
    "variant_signed": "every signed single layer against itself in the other variant",
    "variant_signed_from": "every signed aggregate against itself in the other variant",
}
ACROSS = {"variant", "variant_signed", "variant_signed_from"}  # what needs --against
NOISE_MEASURES = ("delta_e_minus", "delta_e_plus", "delta_e_delta", "e_delta_noise")


def main(
    measurements: list[Path], against: list[Path], output: Path, families: list[str], resamples: int, seed: int
) -> None:
    check_range("statistics.resamples", resamples, low=100)
    found = read_measurements(measurements)
    other = read_measurements(against) if against else found
    across = ACROSS.intersection(families)
    if across != (set(families) if against else set()):
        raise InputError(f"--families is {' '.join(families)}; {', '.join(sorted(ACROSS))} go with --against, alone")
    if not np.array_equal(found.image, other.image):
        raise InputError(f"{against[0]}: holds other images than {measurements[0]}")
    rng = np.random.default_rng(seed)
    rows = []
    for family in families:
        for measure in NOISE_MEASURES if family == "noise" else MEASURES:
            block = list(compare_family(family, measure, found, other, resamples, rng))
            adjusted = adjust_holm(np.array([row["log10_p"] for row in block]))
            rows += [{**row, "log10_p_holm": value} for row, value in zip(block, adjusted, strict=True)]
    identity = {"network": found.settings["network"], "upsampling": found.settings["upsampling"]}
    identity |= {"variant_a": found.settings["variant"], "variant_b": other.settings["variant"]}
    write_table(output, pd.DataFrame([{**identity, **row} for row in rows]))


def compare_family(
    family: str, measure: str, found: Measurements, other: Measurements, resamples: int, rng: np.random.Generator
) -> Iterator[dict]:
    """The rows of one family of comparisons for one measure."""
    if family == "layers":
        if len(layers_of("activity", found.methods)) > 2:
            yield friedman(measure, found)
        return
    for a, b in list_pairs(family, found.methods):
        first = found.measure(measure, a)
        second = np.zeros_like(first) if b == "zero" else other.measure(measure, b)
        row = compare(first, second, found.label, resamples, rng)
        yield {"family": family, "measure": measure, "method_a": a, "method_b": b, **row}


def list_pairs(family: str, methods: list[str]) -> list[tuple[str, str]]:
    """The pairs (a, b) of a family, of those methods that were measured."""
    layers = layers_of("activity", methods)
    single = [f"activity_{layer}" for layer in layers]
    aggregates = [m for m in methods if m.startswith("activity_from_") or m == "activity_with_input"]
    references = [f"activity_from_{layer}" for layer in (layers[-2:-1] + layers[-3:-2])]
    penultimate = f"activity_{layers[-2]}" if len(layers) > 1 else ""
    pairs = {
        "bias": [("input", "gradient"), *((m, m.replace("activity", "bias")) for m in single)],
        "gradient": [(m, "gradient") for m in methods if m != "gradient"],
        "noise": [(m, "zero") for m in methods],
        "fullgrad": [(m, "fullgrad") for m in [*aggregates, "fullgrad_feature"]],
        "aggregate": [(m, reference) for reference in references for m in aggregates if m != reference],
        "input": [("activity_with_input", "activity_from_1")],
        "all_layers": [("activity_from_1", m) for m in single],
        "single": [(m, penultimate) for m in [*single, *references[:1]] if m != penultimate],
        "variant": [(m, m) for m in methods if not m.startswith("signed")],
        "variant_signed": [(m, m) for m in methods if layers_of("signed_activity", [m])],
        "variant_signed_from": [(m, m) for m in methods if m.startswith("signed_activity_from_")],
    }
    if family not in pairs:
        raise InputError(f"family is {family}; allowed are {', '.join(FAMILIES)}")
    known = {*methods, "zero"}
    return [(a, b) for a, b in pairs[family] if a in known and b in known]


def friedman(measure: str, found: Measurements) -> dict:
    """Friedman's test of whether a measure, and its noise, is the same over single layers.

    p is 1 where it is the same in every image, of which scipy makes p = 0.
    """
    single = [f"activity_{layer}" for layer in layers_of("activity", found.methods)]
    name = "e_delta_noise" if measure == "e_delta" else measure
    values = np.stack([found.measure(name, method) for method in single], 1)
    values = values[~np.isnan(values).any(1)]
    differ = (values != values[:, :1]).any()
    statistic = stats.friedmanchisquare(*values.T).statistic if differ else 0.0
    log10_p = stats.chi2.logsf(statistic, len(single) - 1) / np.log(10)
    row = {"family": "layers", "measure": name, "method_a": single[0], "method_b": single[-1], "n": len(values)}
    return {**row, "statistic": statistic, "p": stats.chi2.sf(statistic, len(single) - 1), "log10_p": log10_p}


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--measurements", type=Path, nargs="+", required=True, help="result files")
    parser.add_argument("--against", type=Path, nargs="+", default=[], help="result files of another variant")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    names = "; ".join(f"{name}: {meaning}" for name, meaning in FAMILIES.items())
    parser.add_argument("--families", choices=FAMILIES, nargs="+", required=True, help=f"comparisons to make. {names}")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0)
    run_command(parser, main)
