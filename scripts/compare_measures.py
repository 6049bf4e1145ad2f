"""Compare measures of saliency maps: which agree in the order of methods, and which with where objects are.

In:  result files of removal of a network by one or more operators, files of curves, and the correlations of its single
     patches; for ground truth the network, its shards, files of maps, the manifest, a folder of masks.
Out: three tidy CSVs. Of each two measures: Spearman's ρ of the orders of the methods that all measures have, by their
     medians over images, with an interval that resamples classes. Of each measure and each method that has a blurred
     twin: paired differences, blurred less as it is, with Wilcoxon's test (Holm over methods). And the claims of
     explanations.statistics.measure_claims, with their verdicts.

Signed maps, and methods that are made of another's maps, are left out of the orders.
"""

from dataclasses import fields
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from explanations.command import run_command, step_parser
from explanations.errors import InputError, check_range
from explanations.files.curves import read_curves
from explanations.files.measurements import read_by_operator
from explanations.files.patches import read_patch_correlations
from explanations.files.tables import write_table
from explanations.flags import dictionary
from explanations.localisation.truth import Truth
from explanations.methods.names import SIGNED
from explanations.removal.curves import derive_curve_measures
from explanations.removal.patches import derive_patch_measures
from explanations.statistics.agreement import measure_agreement
from explanations.statistics.measure_claims import DELTA, Key, judge_blurring, judge_contrast, list_contrasts
from explanations.statistics.ranking import SMALLER_IS_BETTER
from explanations.statistics.tests import WILCOX, ZEROS, adjust_holm, compare
from explanations.statistics.verdicts import Finding

REMOVED = ("delta_e_minus", "e_minus", "delta_e_plus", "e_plus", "delta_e_delta")
AREAS, PATCHES = (
    [f"{sign}{name}_{score}" for name in names for score in ("probability", "logit") for sign in ("delta_", "")]
    for names in (("srg", "aopc", "insertion", "deletion"), ("patches",))
)
FEWEST = 3  # methods that have an order

Scores = dict[Key, dict[str, np.ndarray]]  # by measure and operator, then by method, (n,) each


def main(
    measurements: list[Path],
    curves: list[Path],
    patches: list[Path],
    truth: Truth,
    derived: dict,
    blurred: dict,
    agreement: Path,
    blurring: Path,
    claims: Path,
    resamples: int,
    seed: int,
    zeros: str = WILCOX,
) -> None:
    check_range("statistics.resamples", resamples, low=100)
    results = read_by_operator(measurements)
    operators, first = list(results), next(iter(results.values()))
    identity = {key: first.settings[key] for key in ("experiment", "network", "variant", "upsampling")}
    scores = read_scores(results, curves, patches, truth)
    methods = list_methods(scores, derived)
    if len(methods) < FEWEST:
        raise InputError(
            f"{measurements[0]}: {len(methods)} methods have all measures; needed are {FEWEST} for an order"
        )
    keys = list(scores)
    values = np.stack([np.stack([scores[key][method] for method in methods], 1) for key in keys])
    larger = [is_better_larger(measure) for measure, _ in keys]
    rng = np.random.default_rng(seed)
    found = measure_agreement(values, larger, first.label, resamples, rng)
    low, high = found.interval()
    rows = []
    for a, b in combinations(range(len(keys)), 2):
        row = {"measure_a": keys[a][0], "operator_a": keys[a][1], "measure_b": keys[b][0], "operator_b": keys[b][1]}
        row |= {"methods": len(methods), "n": len(first.label), "correlation": found.rho[a, b]}
        rows.append(row | {"ci_low": low[a, b], "ci_high": high[a, b]})
    write_table(agreement, pd.DataFrame(rows), identity)
    control = pd.DataFrame(compare_blurred(scores, first.label, blurred, resamples, rng, zeros), columns=BLURRED)
    write_table(blurring, control, identity)
    judged = [judge_contrast(contrast, keys, found) for contrast in list_contrasts(keys, operators)]
    tested = control[(control.measure == DELTA) & (control.operator == operators[0])]
    if len(tested):
        tests = {row.method: (row.effect_size, row.log10_p_holm) for row in tested.itertuples()}
        judged.append(judge_blurring(tests))
    write_table(claims, pd.DataFrame(judged, columns=CLAIM), identity)


CLAIM = ("claim", "statement", *(field.name for field in fields(Finding)), "ci_low", "ci_high")
BLURRED = (
    *("measure", "operator", "method", "blurred", "median_a", "median_b", "n", "q25_difference", "median_difference"),
    *("q75_difference", "ci_low", "ci_high", "statistic", "p", "log10_p", "effect_size", "class_p", "log10_p_holm"),
)


def read_scores(results: dict, curves: list[Path], patches: list[Path], truth: Truth) -> Scores:
    """All measures of all methods, image by image; InputError if curves or patches are of other images than removal."""
    first_operator, first = next(iter(results.items()))
    scores: Scores = {}
    for operator, each in results.items():
        for measure in REMOVED:
            methods = [method for method in each.methods if each.has(measure, method)]
            if methods:
                scores[measure, operator] = {method: each.measure(measure, method) for method in methods}
    if curves:
        traced = read_curves(curves)
        check_images(traced.image, first.image, curves[0])
        measured = {method: derive_curve_measures(own) for method, own in traced.values.items()}
        scores |= {(name, first_operator): pick(measured, name) for name in AREAS}
    for path in patches:
        correlated = read_patch_correlations(path)
        check_images(correlated.image, first.image, path)
        measured = {method: derive_patch_measures(own) for method, own in correlated.values.items()}
        scores |= {(name, first_operator): pick(measured, name) for name in PATCHES}
    for measure, by_method in truth.measure(first.image.tolist()).items():
        scores[measure, ""] = by_method
    return scores


def check_images(images: np.ndarray, removed: np.ndarray, path: Path) -> None:
    """InputError, naming a file, unless it is of the same images as the results of removal."""
    if not np.array_equal(images, removed):
        raise InputError(f"{path}: holds other images than the results of removal")


def pick(measured: dict[str, dict[str, np.ndarray]], name: str) -> dict[str, np.ndarray]:
    """One of the measures of all methods."""
    return {method: measures[name] for method, measures in measured.items()}


def list_methods(scores: Scores, derived: dict) -> list[str]:
    """The methods that all measures have, in the order of the first; none that is signed or made of another's maps."""
    first, *others = scores.values()
    shared = [method for method in first if all(method in other for other in others)]
    return [method for method in shared if method not in derived and not method.startswith(SIGNED)]


def is_better_larger(measure: str) -> bool:
    """Whether a larger value is better: of all measures but e₊ and deletion."""
    return measure not in SMALLER_IS_BETTER and not measure.removeprefix("delta_").startswith("deletion")


def compare_blurred(
    scores: Scores, labels: np.ndarray, blurred: dict, resamples: int, rng: np.random.Generator, zeros: str
) -> list[dict]:
    """Rows of the blurring control: how much better a method is once its maps are blurred, whatever is better."""
    rows = []
    for (measure, operator), by_method in scores.items():
        sign, block = 1 if is_better_larger(measure) else -1, []
        for name, of in blurred.items():
            if name in by_method and of in by_method:
                row = compare(sign * by_method[name], sign * by_method[of], labels, resamples, rng, zeros)
                block.append({"measure": measure, "operator": operator, "method": of, "blurred": name, **row})
        adjusted = adjust_holm(np.array([row["log10_p"] for row in block])).tolist() if block else []
        rows += [{**row, "log10_p_holm": value} for row, value in zip(block, adjusted, strict=True)]
    return rows


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--measurements", type=Path, nargs="+", required=True, help="result files of all operators")
    parser.add_argument("--curves", type=Path, nargs="*", default=[], help="files of curves")
    parser.add_argument("--patches", type=Path, nargs="*", default=[], help="file of patch correlations")
    parser.add_argument("--derived", type=dictionary, default={}, help="methods made of another's maps, and whose")
    parser.add_argument("--blurred", type=dictionary, default={}, help="those of them that are blurred maps, and whose")
    parser.add_argument("--agreement", type=Path, required=True, help="CSV of pairs of measures to write")
    parser.add_argument("--blurring", type=Path, required=True, help="CSV of the blurring control to write")
    parser.add_argument("--claims", type=Path, required=True, help="CSV of claims to write")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--zeros", choices=ZEROS, default=WILCOX, help="what becomes of differences of 0 in the test")
    run_command(parser, main)
