"""How many images it would take to decide what a run leaves undecided, if the effects are as this run saw them.

An estimate of the order of magnitude: effects that are seen are uncertain themselves, most of all small ones.
"""

import math
from collections.abc import Sequence

from scipy import stats

from explanations.statistics.significance import ALPHA

POWER = 0.8  # the chance that a test of so many images is significant
LARGEST = 1e6  # images, beyond which no number is named


def images_for(effect_size: float, tests: int = 1) -> float:
    """Images for which Wilcoxon's signed rank test of an effect is significant with a chance of POWER; inf if it is 0.

    `effect_size` is the rank-biserial correlation r; `tests` are adjusted by Holm, whose first step asks for
    p < ALPHA / tests. Where there is no effect, r has the standard deviation √(2 (2n + 1) / (3n (n + 1))), nearly
    2 / √(3n).
    """
    if not effect_size or math.isnan(effect_size):
        return math.inf
    wanted = stats.norm.isf(ALPHA / tests / 2) + stats.norm.isf(1 - POWER)
    return (2 * wanted / effect_size) ** 2 / 3


def images_by_interval(n: int, estimate: float, bound: float, limit: float) -> float:
    """Images for which an interval's bound reaches a limit, as its width shrinks by √n; inf if it can't."""
    room = abs(limit - estimate)
    within = (estimate - limit) * (estimate - bound) > 0
    return n * ((estimate - bound) / room) ** 2 if within and room else math.inf


def decide_signs(effects: Sequence[float], undecided: Sequence[bool], sign: int) -> tuple[float, bool]:
    """Images for a claim that all effects have a sign, and whether it would be supported then.

    An effect of the other sign refutes it as soon as that is significant; otherwise all that are undecided must be.
    """
    against = [abs(effect) for effect in effects if effect * sign < 0]
    if against:
        return images_for(max(against), len(effects)), False
    left = [effect for effect, is_left in zip(effects, undecided, strict=True) if is_left]
    return max(images_for(effect, len(effects)) for effect in left), True


def describe_need(images: float, supported: bool, unit: str = "images") -> str:
    """`about 340 images: supported`, to two digits; that no number does, if it is infinite or beyond all use."""
    if not images <= LARGEST:
        return f"no number of {unit}, if effects are as seen"
    digits = max(0, math.floor(math.log10(max(images, 1))) - 1)
    count = math.ceil(images / 10**digits) * 10**digits
    return f"about {count:,} {unit}: {'supported' if supported else 'not supported'}"
