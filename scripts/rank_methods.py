"""Rank all methods that a network was explained by: medians, intervals, tests with the best method and the gradient.

In:  result files of all kinds of methods of a network, variant and upsampling; files of maps of methods with passes of
     their own, for their sources, and for those that can't explain the network.
Out: tidy CSV, one row per method and measure, the best first: medians with intervals that resample classes, ranks,
     ties; paired tests with the best method and with the gradient, over images (Wilcoxon, Holm within a measure) and
     over classes (signs of classes); whether the difference from the best is practically none; how far a method that
     claims completeness is from it; what Wilcoxon's test does with differences of 0 (zeros). And a CSV of methods that
     can't explain the network, each with the reason.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from explanations.command import run_command, step_parser
from explanations.errors import InputError, check_range
from explanations.figures.names import title_method
from explanations.files.made_maps import read_about
from explanations.files.measurements import Measurements, read_measurements
from explanations.files.tables import write_table
from explanations.flags import dictionary
from explanations.statistics.ranking import (
    compare_all,
    find_ties,
    friedman_test,
    images_for_stable_order,
    is_equivalent,
    order_methods,
)
from explanations.statistics.tests import WILCOX, ZEROS, adjust_holm, sign_flip_test, signed_rank_test, summarise

MEASURES = ("delta_e_minus", "e_minus", "delta_e_plus", "e_plus", "delta_e_delta")
GRADIENT = "gradient"
PAPERS = "decomposition"  # the source of methods that read the stored maps
RESAMPLES = 200  # of halves of the images
COLUMNS = (
    *("measure", "method", "title", "source", "rank", "n", "q25", "median", "q75", "ci_low", "ci_high", "ties"),
    *("best", "best_effect_size", "best_log10_p_holm", "best_class_p", "best_difference"),
    *("best_ci_low", "best_ci_high", "best_equivalent"),
    *("gradient_effect_size", "gradient_log10_p_holm", "gradient_class_p"),
    *("friedman_log10_p", "stable_images", "completeness", "zeros"),
)


def main(
    measurements: list[Path],
    maps: list[Path],
    titles: dict,
    output: Path,
    reasons: Path,
    resamples: int,
    region: float,
    seed: int,
    zeros: str = WILCOX,
) -> None:
    check_range("statistics.resamples", resamples, low=100)
    check_range("statistics.equivalent", region, low=0, open_low=True)
    results = read_measurements(measurements)
    if GRADIENT not in results.methods:
        raise InputError(f"{measurements[0]}: the result files given have no method {GRADIENT}, to compare with")
    about = {method: made for (_, method), made in read_about(maps).items()}
    rng = np.random.default_rng(seed)
    rows = []
    for measure in MEASURES:
        rows += rank(results, measure, resamples, region, rng, zeros)
    for row in rows:
        row |= name_method(row["method"], about, titles)
        row["completeness"] = about.get(row["method"], {}).get("completeness", np.nan)
    lacking = [
        {"method": method, **name_method(method, about, titles), "reason": made["not_applicable"]}
        for method, made in about.items()
        if made["not_applicable"]
    ]
    identity = {key: results.settings[key] for key in ("experiment", "network", "variant", "upsampling")}
    write_table(output, pd.DataFrame(rows, columns=COLUMNS), identity)
    write_table(reasons, pd.DataFrame(lacking, columns=("method", "title", "source", "reason")), identity)


def name_method(method: str, about: dict[str, dict], titles: dict[str, str]) -> dict[str, str]:
    """A method's title, in one line, and its source."""
    if method in about:
        return {"title": titles.get(method, method), "source": json.loads(about[method]["settings"])["source"]}
    return {"title": " ".join(title_method(method).split()), "source": PAPERS}


def rank(
    results: Measurements, measure: str, resamples: int, region: float, rng: np.random.Generator, zeros: str
) -> list[dict]:
    """The rows of a measure, the best method first; none if no method, or not the gradient, was measured so."""
    methods = [method for method in results.methods if results.has(measure, method)]
    if GRADIENT not in methods:
        return []
    values = {method: results.measure(measure, method) for method in methods}
    order = order_methods(values, measure)
    ties = find_ties(order, compare_all(values, zeros))
    best = order[0]
    shared = {
        "measure": measure,
        "best": best,
        "friedman_log10_p": friedman_test(values),
        "stable_images": images_for_stable_order(values, RESAMPLES, rng),
        "zeros": zeros,
    }
    rows = []
    for place, method in enumerate(order, start=1):
        spread = summarise(values[method], results.label, resamples, rng)
        row = {**shared, "method": method, "rank": place, **spread}
        row["ties"] = " ".join(str(number) for number, tied in enumerate(ties, start=1) if method in tied)
        for name, other in (("best", best), ("gradient", GRADIENT)):
            if method != other:
                tests = compare(results, values, method, other, rng, zeros)
                row |= {f"{name}_{key}": value for key, value in tests.items()}
        if method != best:
            gap = summarise(values[method] - values[best], results.label, resamples, rng)
            row |= {"best_difference": gap["median"], "best_ci_low": gap["ci_low"], "best_ci_high": gap["ci_high"]}
            row["best_equivalent"] = is_equivalent(gap["ci_low"], gap["ci_high"], region)
        rows.append(row)
    for name in ("best", "gradient"):
        tested = [row for row in rows if f"{name}_log10_p" in row]
        adjusted = adjust_holm(np.array([row.pop(f"{name}_log10_p") for row in tested]))
        for row, value in zip(tested, adjusted.tolist(), strict=True):
            row[f"{name}_log10_p_holm"] = value
    return rows


def compare(
    results: Measurements, values: dict[str, np.ndarray], method: str, other: str, rng: np.random.Generator, zeros: str
) -> dict[str, float]:
    """The tests of a method with another: over images, and over classes."""
    difference = values[method] - values[other]
    kept = ~np.isnan(difference)
    test = signed_rank_test(difference[kept], zeros)
    class_p = sign_flip_test(difference[kept], results.label[kept], rng)
    return {"effect_size": test.effect_size, "log10_p": test.log10_p, "class_p": class_p}


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--measurements", type=Path, nargs="+", required=True, help="result files")
    parser.add_argument("--maps", type=Path, nargs="*", default=[], help="all files of maps of the network")
    parser.add_argument("--titles", type=dictionary, default={}, help="of methods with passes of their own")
    parser.add_argument("--output", type=Path, required=True, help="CSV of ranks to write")
    parser.add_argument("--reasons", type=Path, required=True, help="CSV of reasons to write")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--region", type=float, default=0.02, help="a difference of at most this is practically none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--zeros", choices=ZEROS, default=WILCOX, help="differences of 0 in the signed rank test")
    run_command(parser, main)
