"""What is claimed of measures of saliency maps themselves, and the tests: fixed in this file before anything was run.

A measure orders methods. δe is said to be a fair one (§4): then its order should depend less than others' on what
removed pixels become and on the order of removal, and be nearer to the ground truth's; and a blurred map, which knows
no more of the network, should not be better by it. All but the last compare mean Spearman's ρ of pairs of measures,
with an interval over images. A network's rows are findings like those of the paper's claims.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np

from explanations.statistics.agreement import Agreement, percentile_interval
from explanations.statistics.counting import NOT_SUPPORTED, SUPPORTED, UNDECIDED
from explanations.statistics.power import describe_need, images_by_interval, images_for
from explanations.statistics.significance import ALPHA, is_significant
from explanations.statistics.verdicts import BETWEEN, Finding

TRUTH = "average_precision"  # of the measures of localisation, the one that orders all pixels
DELTA, ALONE = "delta_e_minus", "e_minus"
OTHERS = {"L3a": "e_minus", "L3b": "aopc_probability", "L3c": "srg_probability"}  # that ground truth is asked about
STATEMENTS = {
    "L1": "Removal operators agree in the order of methods by δe₋ better than by e₋",
    "L2": "The least and the most salient first agree in the order of methods by δe better than by e",
    "L3a": "δe₋ is nearer to the ground truth's order of methods than e₋",
    "L3b": "δe₋ is nearer to the ground truth's order of methods than AOPC",
    "L3c": "δe₋ is nearer to the ground truth's order of methods than SRG",
    "L4": "Blurred maps are not better by δe₋",
}
MOST = 0.5  # of the methods, that may be better once blurred before claim L4 is refuted

Key = tuple[str, str]  # a measure and the removal operator; of ground truth, which removes nothing, ""


@dataclass(frozen=True)
class Contrast:
    """A claim that the measures of some pairs agree better, in the mean, than those of others."""

    claim: str
    better: Sequence[tuple[Key, Key]]
    worse: Sequence[tuple[Key, Key]]


def list_contrasts(keys: Sequence[Key], operators: Sequence[str]) -> list[Contrast]:
    """The claims that measures by these keys can test; the first operator is the paper's."""
    first, truth = operators[0], (TRUTH, "")
    found = []
    if len(operators) > 1:
        pairs = list(combinations(operators, 2))
        found.append(Contrast("L1", *([((name, a), (name, b)) for a, b in pairs] for name in (DELTA, ALONE))))
    orders = [(((f"{sign}e_minus", first), (f"{sign}e_plus", first))) for sign in ("delta_", "")]
    if all(key in keys for pair in orders for key in pair):
        found.append(Contrast("L2", orders[:1], orders[1:]))
    for claim, name in OTHERS.items():
        if truth in keys and (name, first) in keys:
            found.append(Contrast(claim, [((DELTA, first), truth)], [((name, first), truth)]))
    return found


def judge_contrast(contrast: Contrast, keys: Sequence[Key], agreement: Agreement) -> dict:
    """The claim's row: the difference of mean ρ, its interval, and whether that lies above or below 0.

    The difference is NaN, and the claim undecided, if a measure gives all methods the same.
    """
    place = {key: number for number, key in enumerate(keys)}

    def mean(rho: np.ndarray, pairs: Sequence[tuple[Key, Key]]) -> np.ndarray:
        return np.mean([rho[..., place[a], place[b]] for a, b in pairs], axis=0)

    better, worse = (float(mean(agreement.rho, pairs)) for pairs in (contrast.better, contrast.worse))
    drawn = mean(agreement.resampled, contrast.better) - mean(agreement.resampled, contrast.worse)
    low, high = (float(bound) for bound in percentile_interval(drawn))
    estimate = better - worse
    text = (
        f"mean ρ {better:.2f} against {worse:.2f}, difference {estimate:+.2f}, 95% interval {low:+.2f} to {high:+.2f}"
    )
    if np.isnan(estimate):
        text = "a measure has the same median for all methods, and so no order"
    finding = Finding(
        f"{text}, n = {agreement.images}",
        "interval of the difference of mean ρ, resampling classes: supported above 0, not supported below",
        SUPPORTED if low > 0 else NOT_SUPPORTED if high < 0 else UNDECIDED,
        "difference of mean ρ",
        estimate,
        describe_need(images_by_interval(agreement.images, estimate, low if estimate > 0 else high, 0), estimate > 0),
    )
    return make_row(contrast.claim, finding, low, high)


def judge_blurring(tests: Mapping[str, tuple[float, float]]) -> dict:
    """The row of the blurring control, of each method's effect size and log10 p (Holm) of being better once blurred.

    Not supported if more than half of the methods are better significantly; supported if none is.
    """
    effects = {name: effect for name, (effect, _) in tests.items() if effect > 0}
    better = [name for name in effects if is_significant(tests[name][1])]
    share = len(better) / len(tests)
    needed = BETWEEN
    if len(effects) / len(tests) > MOST:  # enough of them would be significant with more images
        most = sorted(images_for(effect, len(tests)) for effect in effects.values())[int(MOST * len(tests))]
        needed = describe_need(most, False)
    finding = Finding(
        f"{len(better)} of {len(tests)} methods are better once blurred",
        f"Wilcoxon signed rank, Holm, α = {ALPHA}: supported if none is better, not supported if more than half are",
        NOT_SUPPORTED if share > MOST else UNDECIDED if better else SUPPORTED,
        "share of methods that are better once blurred",
        share,
        needed,
    )
    return make_row("L4", finding, np.nan, np.nan)


def make_row(claim: str, finding: Finding, low: float, high: float) -> dict:
    """A row of measure_claims.csv: a finding, and the bounds of its estimate's interval; NaN without one."""
    return {"claim": claim, "statement": STATEMENTS[claim], **asdict(finding), "ci_low": low, "ci_high": high}
