"""Paired comparisons of methods: Wilcoxon's test, its effect size, Holm's adjustment, the bootstrap by class."""

import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

from explanations.errors import check_choice
from explanations.files.manifests import UNLABELLED

# what the signed rank test does with differences of 0. wilcox: leaves them out; pratt: ranks them below all others, and
# counts these ranks for neither sign
ZEROS = ("wilcox", "pratt")
WILCOX, PRATT = ZEROS
CONFIDENCE = 0.95
AT_A_TIME = 10**7  # values of resamples in memory
ENUMERATED = 14  # classes whose sign patterns are all tried; of more, so many are drawn:
DRAWN = 10_000


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed rank test of paired differences, two-sided (§5)."""

    statistic: float  # the smaller of the two rank sums
    p: float
    log10_p: float  # p underflows for thousands of images
    effect_size: float  # matched-pairs rank-biserial correlation, in [−1, 1]


def signed_rank_test(differences: np.ndarray, zeros: str = WILCOX) -> SignedRank:
    """Test (n,) paired differences against a median of 0; `zeros`, one of ZEROS, says what becomes of those that are 0.

    p is the normal approximation with the correction for ties, so that p and log10 p agree at any n. With Pratt's zeros
    its mean and variance are those of Cureton (1967). The effect size is of the differences that aren't 0: their ranks'
    sums W₊ and W₋ make (W₊ − W₋) / (W₊ + W₋).
    """
    check_choice("statistics.zeros", zeros, ZEROS)
    kept = differences if zeros == PRATT else differences[differences != 0]
    if not kept.any():
        return SignedRank(0.0, 1.0, 0.0, 0.0)
    result = stats.wilcoxon(kept, zero_method=zeros, method="asymptotic")
    ranks = stats.rankdata(np.abs(kept))
    positive, total = ranks[kept > 0].sum(), ranks[kept != 0].sum()
    log10_p = (np.log(2) + stats.norm.logsf(abs(result.zstatistic))) / np.log(10)
    return SignedRank(float(result.statistic), float(10**log10_p), float(log10_p), float(2 * positive / total - 1))


def adjust_holm(log10_p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment of m p-values, given and returned as log10, (m,)."""
    order = np.argsort(log10_p, kind="stable")
    m = len(log10_p)
    scaled = log10_p[order] + np.log10(m - np.arange(m))
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 0.0)
    return adjusted


def bootstrap_median(
    values: np.ndarray, classes: np.ndarray, resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    """A 95% percentile interval of the median of (n,) values that resamples whole classes, with replacement.

    Images of one class are not independent of each other; classes are. An image without a label is a class of its own.
    NaN for a single class: it would be drawn whole every time, as if the median were certain.
    """
    names, member = group_by_class(classes)
    order = np.argsort(values, kind="stable")
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)  # (resamples, classes)
    if len(names) == 1:
        return np.nan, np.nan  # after drawing: what others draw later stays the same
    ascending, member = values[order], member[order]
    medians = []
    for part in np.array_split(drawn, math.ceil(drawn.shape[0] * len(values) / AT_A_TIME)):
        weight = part[:, member].cumsum(1)  # (resamples, n): how many drawn values lie at or below each
        total = weight[:, -1:]
        low = ascending[(weight >= (total + 1) // 2).argmax(1)]  # the two middle values of the resample
        high = ascending[(weight >= total // 2 + 1).argmax(1)]
        medians.append((low + high) / 2)
    tail = 100 * (1 - CONFIDENCE) / 2
    return tuple(float(bound) for bound in np.percentile(np.concatenate(medians), [tail, 100 - tail]))


def sign_flip_test(differences: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> float:
    """p of the mean over classes of the classes' mean differences (n,), against all signs that classes could have.

    Images of a class are not independent; classes are. Exact for at most ENUMERATED classes; of more, signs are drawn.
    An image without a label is a class of its own. 1 where nothing differs.
    """
    names, member = group_by_class(classes)
    means = np.bincount(member, differences) / np.bincount(member)
    observed = abs(means.sum()) * (1 - 1e-12)
    if len(names) <= ENUMERATED:
        bits = np.arange(2 ** len(names))[:, None] >> np.arange(len(names))
        return float(np.mean(np.abs((1 - 2 * (bits & 1)) @ means) >= observed))
    reached, at_a_time = 1, max(1, AT_A_TIME // len(names))  # the signs that are there count among those drawn
    for start in range(0, DRAWN, at_a_time):
        signs = 1.0 - 2 * rng.integers(0, 2, (min(at_a_time, DRAWN - start), len(names)), dtype=np.int8)
        reached += int((np.abs(signs @ means) >= observed).sum())
    return reached / (1 + DRAWN)


def group_by_class(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes of (n,) labels, and which of them each image is of; one without a label is a class of its own."""
    groups = np.where(classes == UNLABELLED, UNLABELLED - np.arange(len(classes)), classes)
    return np.unique(groups, return_inverse=True)


def summarise(values: np.ndarray, classes: np.ndarray, resamples: int, rng: np.random.Generator) -> dict:
    """n, quartiles and the median's interval of one measure of one method; NaN (excluded images) are left out."""
    kept = ~np.isnan(values)
    values, classes = values[kept], classes[kept]
    if not len(values):
        return {"n": 0, "q25": np.nan, "median": np.nan, "q75": np.nan, "ci_low": np.nan, "ci_high": np.nan}
    q25, median, q75 = np.percentile(values, [25, 50, 75])
    low, high = bootstrap_median(values, classes, resamples, rng)
    return {"n": len(values), "q25": q25, "median": median, "q75": q75, "ci_low": low, "ci_high": high}


def compare(
    first: np.ndarray,
    second: np.ndarray,
    classes: np.ndarray,
    resamples: int,
    rng: np.random.Generator,
    zeros: str = WILCOX,
) -> dict:
    """One row of a comparison: medians of both, and the paired differences first − second with test and interval.

    Without any pair nothing speaks against no difference: p is 1, and all medians and bounds are NaN.
    """
    kept = ~(np.isnan(first) | np.isnan(second))
    differences = first[kept] - second[kept]
    test = signed_rank_test(differences, zeros)
    spread = summarise(differences, classes[kept], resamples, rng)
    class_p = sign_flip_test(differences, classes[kept], rng.spawn(1)[0])  # draws nothing of what others draw
    names = {"q25": "q25_difference", "median": "median_difference", "q75": "q75_difference"}
    medians = [np.median(values[kept]) if kept.any() else np.nan for values in (first, second)]
    return {
        "median_a": medians[0],
        "median_b": medians[1],
        **{names.get(key, key): value for key, value in spread.items()},
        **asdict(test),
        "class_p": class_p,
        "zeros": zeros,
    }


def fit_lines(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares fits y = α x + β of (n, m) values, one for each row: (n,) α and (n,) β; NaN where x is constant."""
    x, y = x.astype(float), y.astype(float)
    centred = x - x.mean(1, keepdims=True)
    spread = (centred**2).sum(1)
    varied = np.ptp(x, 1) > 0
    slope = np.divide((centred * y).sum(1), spread, out=np.full(len(x), np.nan), where=varied)
    return slope, y.mean(1) - slope * x.mean(1)


def pearson(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson's correlation over positions of maps (n, h, w) with (n, h, w), (n,); NaN where one is constant."""
    a, b = (values.reshape(len(values), -1).astype(float) for values in (first, second))
    varied = (np.ptp(a, 1) > 0) & (np.ptp(b, 1) > 0)  # a constant's deviations from its mean may round to more than 0
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    norm = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.divide((a * b).sum(1), norm, out=np.full(len(a), np.nan), where=varied & (norm > 0))
