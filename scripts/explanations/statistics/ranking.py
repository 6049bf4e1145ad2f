"""The order of many methods by a measure: who is best, who can't be told apart, how far the order can be trusted."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy import stats

from explanations.statistics.significance import ALPHA
from explanations.statistics.tests import WILCOX, adjust_holm, signed_rank_test

STABLE = 0.9  # Spearman's ρ of an order that counts as stable
SMALLER_IS_BETTER = ("e_plus", "delta_e_plus")


def is_equivalent(low: float, high: float, region: float) -> bool:
    """Whether an interval of a difference lies within ±region: then it is practically none."""
    return -region <= low and high <= region


def order_methods(values: Mapping[str, np.ndarray], measure: str) -> list[str]:
    """Methods by their medians over images, the best first; of equal ones, those that come first; without one, last."""
    sign = 1 if measure in SMALLER_IS_BETTER else -1

    def place(method: str) -> float:
        kept = values[method][~np.isnan(values[method])]
        return sign * float(np.median(kept)) if len(kept) else np.inf

    return sorted(values, key=place)


def compare_all(values: Mapping[str, np.ndarray], zeros: str = WILCOX) -> dict[frozenset[str], float]:
    """log10 p of every pair of methods, adjusted over all pairs (Wilcoxon's signed rank test, Holm)."""
    pairs = [frozenset(pair) for pair in combinations(values, 2)]
    tests = [signed_rank_test(_difference(values, *sorted(pair)), zeros) for pair in pairs]
    adjusted = adjust_holm(np.array([test.log10_p for test in tests]))
    return dict(zip(pairs, adjusted.tolist(), strict=True))


def _difference(values: Mapping[str, np.ndarray], first: str, second: str) -> np.ndarray:
    """The paired differences of two methods, of the images that both have."""
    difference = values[first] - values[second]
    return difference[~np.isnan(difference)]


def find_ties(order: Sequence[str], log10_p: Mapping[frozenset[str], float]) -> list[list[str]]:
    """The longest runs of methods, in their order, in which no two differ significantly; each of two or more."""
    runs: list[tuple[int, int]] = []
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and all(
            log10_p[frozenset((order[k], order[end]))] >= np.log10(ALPHA) for k in range(start, end)
        ):
            end += 1
        if end - start > 1 and not any(first <= start and end <= last for first, last in runs):
            runs.append((start, end))
    return [list(order[start:end]) for start, end in runs]


def friedman_test(values: Mapping[str, np.ndarray]) -> float:
    """log10 p of whether methods differ at all (Friedman); 0 if they don't in any image, or are fewer than three."""
    table = np.stack(list(values.values()), 1)
    table = table[~np.isnan(table).any(1)]
    if table.shape[1] < 3 or not (table != table[:, :1]).any():
        return 0.0
    statistic = stats.friedmanchisquare(*table.T).statistic
    return float(stats.chi2.logsf(statistic, table.shape[1] - 1) / np.log(10))


def images_for_stable_order(values: Mapping[str, np.ndarray], resamples: int, rng: np.random.Generator) -> float:
    """How many images an order of methods takes that agrees with another such sample's: Spearman's ρ of STABLE.

    From the agreement of halves of the images, by the formula of Spearman and Brown. NaN if halves don't agree.
    """
    table = np.stack(list(values.values()), 1)
    table = table[~np.isnan(table).any(1)]
    half = len(table) // 2
    if half < 2 or table.shape[1] < 3:
        return np.nan
    agreements = []
    for _ in range(resamples):
        drawn = rng.permutation(len(table))
        first, second = (np.median(table[drawn[part]], 0) for part in (slice(half), slice(half, 2 * half)))
        agreements.append(stats.spearmanr(first, second).statistic)
    reliability = np.nanmean(agreements) if not np.isnan(agreements).all() else np.nan
    if not reliability > 0:
        return np.nan
    return float(half * STABLE * (1 - reliability) / (reliability * (1 - STABLE)))
