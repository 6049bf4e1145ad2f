"""What is claimed of measures of saliency maps themselves, and the tests: fixed in this file before anything was run.

A measure orders methods. δe is said to be a fair one (§4): then its order should depend less than others' on what
removed pixels become and on the order of removal, and be nearer to the ground truth's; and a blurred map, which knows
no more of the network, should not be better by it. All but the last compare mean Spearman's ρ of pairs of measures,
with an interval over images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from explanations.statistics.agreement import Agreement, percentile_interval
from explanations.statistics.counting import NOT_SUPPORTED, SUPPORTED, UNDECIDED
from explanations.statistics.significance import ALPHA

TRUTH = "average_precision"  # of the measures of localisation, the one that orders all pixels
DELTA, ALONE = "delta_e_minus", "e_minus"
OTHERS = {"e_minus": "e₋", "aopc_probability": "AOPC", "srg_probability": "SRG"}  # that ground truth is asked about

Key = tuple[str, str]  # a measure and the removal operator; of ground truth, which removes nothing, ""


@dataclass(frozen=True)
class Contrast:
    """A claim that the measures of some pairs agree better, in the mean, than those of others."""

    claim: str
    statement: str
    better: Sequence[tuple[Key, Key]]
    worse: Sequence[tuple[Key, Key]]


def list_contrasts(keys: Sequence[Key], operators: Sequence[str]) -> list[Contrast]:
    """The claims that measures by these keys can test; the first operator is the paper's."""
    first, truth = operators[0], (TRUTH, "")
    found = []
    if len(operators) > 1:
        pairs = list(combinations(operators, 2))
        found.append(
            Contrast(
                "L1",
                "removal operators agree in the order of methods by δe₋ better than by e₋",
                *([((name, a), (name, b)) for a, b in pairs] for name in (DELTA, ALONE)),
            )
        )
    orders = [(((f"{sign}e_minus", first), (f"{sign}e_plus", first))) for sign in ("delta_", "")]
    if all(key in keys for pair in orders for key in pair):
        said = "the least and the most salient first agree in the order of methods by δe better than by e"
        found.append(Contrast("L2", said, orders[:1], orders[1:]))
    for letter, (name, title) in zip("abc", OTHERS.items(), strict=True):
        if truth in keys and (name, first) in keys:
            said = f"δe₋ is nearer to the ground truth's order of methods than {title}"
            pairs = [((DELTA, first), truth)], [((name, first), truth)]
            found.append(Contrast(f"L3{letter}", said, *pairs))
    return found


def judge_contrast(contrast: Contrast, keys: Sequence[Key], agreement: Agreement) -> dict:
    """The claim's row: the difference of mean ρ, its interval, and whether that lies above or below 0.

    The difference is NaN, and the claim undecided, if a measure gives all methods the same.
    """
    place = {key: number for number, key in enumerate(keys)}

    def mean(rho: np.ndarray, pairs: Sequence[tuple[Key, Key]]) -> np.ndarray:
        return np.mean([rho[..., place[a], place[b]] for a, b in pairs], axis=0)

    values = {name: mean(agreement.rho, getattr(contrast, name)) for name in ("better", "worse")}
    drawn = mean(agreement.resampled, contrast.better) - mean(agreement.resampled, contrast.worse)
    low, high = (float(bound) for bound in percentile_interval(drawn))
    verdict = SUPPORTED if low > 0 else NOT_SUPPORTED if high < 0 else UNDECIDED
    text = f"mean ρ {float(values['better']):.2f} against {float(values['worse']):.2f}"
    if np.isnan(values["better"] - values["worse"]):
        text = "a measure has the same median for all methods, and so no order"
    estimate = float(values["better"] - values["worse"])
    row = {"claim": contrast.claim, "statement": contrast.statement, "ours": text, "estimate": estimate}
    return row | {"ci_low": low, "ci_high": high, "verdict": verdict}


def judge_blurring(tests: Mapping[str, tuple[float, float]]) -> dict:
    """The row of the blurring control, of each method's effect size and log10 p (Holm) of being better once blurred.

    Not supported if more than half of the methods are better significantly; supported if none is.
    """
    better = [name for name, (effect, log10_p) in tests.items() if effect > 0 and log10_p < np.log10(ALPHA)]
    share = len(better) / len(tests)
    verdict = NOT_SUPPORTED if share > 0.5 else UNDECIDED if better else SUPPORTED
    row = {"claim": "L4", "statement": "blurred maps are not better by δe₋", "verdict": verdict}
    text = f"{len(better)} of {len(tests)} methods are better once blurred"
    return row | {"ours": text, "estimate": share, "ci_low": np.nan, "ci_high": np.nan}
