"""Which conclusions survive the choice of a removal operator: orders of methods, and differences between two."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from explanations.statistics.agreement import correlate_orders
from explanations.statistics.counting import UNDECIDED
from explanations.statistics.ranking import PairTest
from explanations.statistics.significance import is_significant

Pairs = Mapping[tuple[str, str], PairTest]  # of two methods each, in one order for all operators


class Survival(NamedTuple):
    """What another operator says of the pairs of methods that differ significantly by one."""

    significant: int  # by the one
    same: int  # significant by the other too, with the same sign
    undecided: int  # not significant by the other
    opposite: int  # significant with the other sign


class Conclusions(NamedTuple):
    """What all operators together say of the pairs of methods, each counted once."""

    pairs: int
    every: int  # differ significantly by every operator, with the same sign
    some: int  # by some operators, all with the same sign
    reversed: int  # by two or more, with both signs
    none: int  # by no operator


def correlate_medians(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> float:
    """Spearman's ρ of the same methods' medians over images by two operators; NaN with fewer than three methods."""
    medians = [[float(np.nanmedian(values[method])) for method in first] for values in (first, second)]
    return float(correlate_orders(np.array(medians))[0, 1]) if len(first) > 2 else np.nan


def judge_pair(first: PairTest, second: PairTest) -> str:
    """What another operator says of a pair that differs by the first: `same`, `opposite`, or `undecided`."""
    if not is_significant(second.log10_p_holm):
        return "undecided"
    return "same" if first.effect_size * second.effect_size > 0 else "opposite"


def count_survivors(first: Pairs, second: Pairs) -> Survival:
    """How many of the pairs that differ by the first operator do so by the second."""
    said = [judge_pair(test, second[pair]) for pair, test in first.items() if is_significant(test.log10_p_holm)]
    return Survival(len(said), *(said.count(word) for word in ("same", "undecided", "opposite")))


def conclude(tests: Sequence[PairTest]) -> str:
    """What the operators' tests of one pair say together: a field of Conclusions."""
    signs = {bool(test.effect_size > 0) for test in tests if is_significant(test.log10_p_holm)}
    if len(signs) > 1:
        return "reversed"
    if not signs:
        return "none"
    return "every" if all(is_significant(test.log10_p_holm) for test in tests) else "some"


def count_conclusions(by_operator: Sequence[Pairs]) -> Conclusions:
    """How many pairs' differences hold by every operator, by some, are reversed, or are found by none."""
    found = [conclude([pairs[pair] for pairs in by_operator]) for pair in by_operator[0]]
    return Conclusions(len(found), *(found.count(word) for word in Conclusions._fields[1:]))


def agree(first: str, other: str) -> str:
    """Of two verdicts on a claim: `same`, `opposite`, or `undecided` if one of the two alone decides it."""
    return "same" if first == other else "undecided" if UNDECIDED in (first, other) else "opposite"
