"""Verdicts: when a comparison or a number supports a claim, when it refutes it, when it leaves it undecided.

Where a claim says "better", Holm's p must be below ALPHA with the right sign; one significant comparison of the wrong
sign makes it not supported; anything else is undecided.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from explanations.statistics.counting import NOT_SUPPORTED, SUPPORTED, UNDECIDED
from explanations.statistics.power import decide_signs, describe_need
from explanations.statistics.significance import ALPHA, describe_p, is_significant

BETWEEN = "not a matter of images: it lies between the limits"


@dataclass(frozen=True)
class Finding:
    """One claim's outcome: what this run has, how it was tested, the verdict, and what it would take to decide it.

    `estimate` is the one number that says most of it, and `quantity` what that number is: over runs it has a range.
    `needed` is said where the verdict is undecided; it is empty elsewhere.
    """

    ours: str
    test: str
    verdict: str
    quantity: str
    estimate: float
    needed: str = ""

    def __post_init__(self):
        if self.verdict != UNDECIDED:
            object.__setattr__(self, "needed", "")


class NotMeasuredError(LookupError):
    """A run has nothing that a claim speaks of: no such network, or not what it takes of it."""


def judge_signs(rows: pd.DataFrame, sign: int) -> Finding:
    """Every row must be significant with the sign given; NotMeasuredError if there is none."""
    if rows.empty:
        raise NotMeasuredError("comparison that it asks for")
    signs = np.sign(rows.effect_size) * sign
    significant = is_significant(rows.log10_p_holm)
    right, wrong = int((significant & (signs > 0)).sum()), int((significant & (signs < 0)).sum())
    verdict = SUPPORTED if right == len(rows) else NOT_SUPPORTED if wrong else UNDECIDED
    differences = rows.median_difference
    spread = f"{differences.min():+.3f}" if len(rows) == 1 else f"{differences.min():+.3f} to {differences.max():+.3f}"
    p = rows.log10_p_holm
    p_range = describe_p(p.iloc[0]) if len(rows) == 1 else f"{describe_p(p.max())} to {describe_p(p.min())}"
    count = "" if len(rows) == 1 else f"{right} of {len(rows)} as claimed, {wrong} against; "
    ours = f"{count}median difference {spread}, p = {p_range}, n = {int(rows.n.max())}"
    test, needed = f"Wilcoxon signed rank, Holm, α = {ALPHA}", need_of_signs(rows, sign)
    quantity = "median difference" if len(rows) == 1 else "middle of the median differences"
    return Finding(ours, test, verdict, quantity, differences.median(), needed)


def need_of_signs(rows: pd.DataFrame, sign: int, unit: str = "images") -> str:
    """What it would take to decide whether all rows are significant with a sign; empty if that is decided."""
    undecided = ~is_significant(rows.log10_p_holm)
    if not undecided.any():
        return ""
    return describe_need(*decide_signs(list(rows.effect_size), list(undecided), sign), unit)


def judge_ratio(
    quantity: str,
    value: float,
    supported: tuple[float, float],
    refuted: tuple[float, float],
    text: str,
    needed: str = BETWEEN,
) -> Finding:
    """Supported inside the first interval, not supported outside the second, undecided between the two, or if NaN.

    `quantity` is what the value is, in words. What lies between stays there with more images, unless `needed` says
    otherwise.
    """
    inside = supported[0] <= value <= supported[1]
    outside = value < refuted[0] or value > refuted[1]
    verdict = SUPPORTED if inside else NOT_SUPPORTED if outside else UNDECIDED
    test = f"{quantity}: supported in {_interval(supported)}, not supported outside {_interval(refuted)}"
    return Finding(text, test, verdict, quantity, value, needed)


def _interval(bounds: tuple[float, float]) -> str:
    return f"[{bounds[0]:g}, {bounds[1]:g}]"


def span(values: pd.Series, form: str) -> str:
    """The least and the greatest value."""
    return f"{form.format(values.min())} to {form.format(values.max())}"


def ratio(upper: float, lower: float) -> float:
    """upper / lower; NaN, which decides nothing, if `lower` is 0."""
    return upper / lower if lower else np.nan


def ratio_error(upper: float, lower: float, n: int) -> float:
    """Standard error of the ratio of two accuracies on n images each, as if they were not the same images: at most."""
    return ratio(np.sqrt((upper * (1 - upper) + ratio(upper, lower) ** 2 * lower * (1 - lower)) / n), lower)
