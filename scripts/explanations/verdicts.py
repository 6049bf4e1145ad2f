"""Verdicts: when a comparison or a number supports a claim, when it refutes it, when it leaves it undecided.

Where a claim says "better", Holm's p must be below ALPHA with the right sign; one significant comparison of the wrong
sign makes it not supported; anything else is undecided.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

ALPHA = 0.05
SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"


@dataclass(frozen=True)
class Finding:
    """One claim's outcome: what this run has, how it was tested, and the verdict."""

    ours: str
    test: str
    verdict: str


def judge_signs(rows: pd.DataFrame, sign: int) -> Finding:
    """Every row must be significant with the sign given."""
    signs = np.sign(rows.effect_size) * sign
    significant = rows.log10_p_holm < np.log10(ALPHA)
    right, wrong = int((significant & (signs > 0)).sum()), int((significant & (signs < 0)).sum())
    verdict = SUPPORTED if right == len(rows) else NOT_SUPPORTED if wrong else UNDECIDED
    differences = rows.median_difference
    spread = f"{differences.min():+.3f}" if len(rows) == 1 else f"{differences.min():+.3f} to {differences.max():+.3f}"
    p = rows.log10_p_holm
    p_range = describe_p(p.iloc[0]) if len(rows) == 1 else f"{describe_p(p.max())} to {describe_p(p.min())}"
    count = "" if len(rows) == 1 else f"{right} of {len(rows)} as claimed, {wrong} against; "
    return Finding(
        f"{count}median difference {spread}, p = {p_range}, n = {int(rows.n.max())}",
        f"Wilcoxon signed rank, Holm, α = {ALPHA}",
        verdict,
    )


def judge_ratio(
    value: float, supported: tuple[float, float], refuted: tuple[float, float], text: str, what: str = ""
) -> Finding:
    """Supported inside the first interval, not supported outside the second, undecided between the two, or if NaN."""
    inside = supported[0] <= value <= supported[1]
    outside = value < refuted[0] or value > refuted[1]
    verdict = SUPPORTED if inside else NOT_SUPPORTED if outside else UNDECIDED
    return Finding(
        text, f"{what}supported in {_interval(supported)}, not supported outside {_interval(refuted)}", verdict
    )


def _interval(bounds: tuple[float, float]) -> str:
    return f"[{bounds[0]:g}, {bounds[1]:g}]"


def span(values: pd.Series, form: str) -> str:
    """The least and the greatest value."""
    return f"{form.format(values.min())} to {form.format(values.max())}"


def describe_p(log10_p: float) -> str:
    """A p value, as a power of ten if it is small."""
    return f"{10**log10_p:.2g}" if log10_p > -3 else f"10^{log10_p:.1f}"


def ratio(upper: float, lower: float) -> float:
    """upper / lower; NaN, which decides nothing, if `lower` is 0."""
    return upper / lower if lower else np.nan


def ratio_error(upper: float, lower: float, n: int) -> float:
    """Standard error of the ratio of two accuracies on n images each, as if they were not the same images: at most."""
    return ratio(np.sqrt((upper * (1 - upper) + ratio(upper, lower) ** 2 * lower * (1 - lower)) / n), lower)
