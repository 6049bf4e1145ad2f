"""Which conclusions survive the choice of a removal operator: orders of methods, and differences between two."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from explanations.statistics.agreement import correlate_orders
from explanations.statistics.ranking import PairTest
from explanations.statistics.significance import ALPHA

Pairs = Mapping[tuple[str, str], PairTest]  # of two methods each, in one order for all operators


class Survival(NamedTuple):
    """What another operator says of the pairs of methods that differ significantly by one."""

    significant: int  # by the one
    same: int  # significant by the other too, with the same sign
    undecided: int  # not significant by the other
    opposite: int  # significant with the other sign


def correlate_medians(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> float:
    """Spearman's ρ of the same methods' medians over images by two operators; NaN with fewer than three methods."""
    medians = [[float(np.nanmedian(values[method])) for method in first] for values in (first, second)]
    return float(correlate_orders(np.array(medians))[0, 1]) if len(first) > 2 else np.nan


def judge_pair(first: PairTest, second: PairTest) -> str:
    """What another operator says of a pair that differs by the first: `same`, `opposite`, or `undecided`."""
    if second.log10_p_holm >= np.log10(ALPHA):
        return "undecided"
    return "same" if first.effect_size * second.effect_size > 0 else "opposite"


def count_survivors(first: Pairs, second: Pairs) -> Survival:
    """How many of the pairs that differ by the first operator do so by the second."""
    said = [judge_pair(test, second[pair]) for pair, test in first.items() if test.log10_p_holm < np.log10(ALPHA)]
    return Survival(len(said), *(said.count(word) for word in ("same", "undecided", "opposite")))
