"""Grids of removal: how far pixels are removed at each step, in either order.

Both orders go in `removal.grid` equal steps. Where `removal.grid_plus` lists shares of pixels, the order "plus" goes by
these: with the most salient pixels first, decisions change within the first steps, where a grid can be finer so.
Needs the standard library alone: the workflow's plan uses it too.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from explanations.errors import InputError, check_range


def count_steps(settings: Mapping, order: str) -> int:
    """How many steps an order's grid has, by the settings of removal: `grid` and, if there is any, `grid_plus`."""
    shares = settings.get("grid_plus", ()) if order == "plus" else ()
    return len(shares) or settings["grid"]


def check_shares(shares: Sequence[float]) -> None:
    """InputError unless shares of pixels increase, from above 0 to 1; there may be none.

    The last is 1, since e is 1 where a decision never flips: it must hold until the image is gone.
    """
    for place, share in enumerate(shares):
        check_range(f"removal.grid_plus.{place}", share, low=0, high=1, open_low=True)
    for place, (before, share) in enumerate(pairwise(shares), start=1):
        if share <= before:
            raise InputError(f"removal.grid_plus.{place} is {share:g}; allowed is more than {before:g}, before it")
    if len(shares) and shares[-1] != 1:
        raise InputError(f"removal.grid_plus ends at {shares[-1]:g}; allowed is an end at 1, with all pixels removed")


def count_shares(pixels: int, shares: Sequence[float]) -> list[int]:
    """How many of `pixels` are removed at each grid index from 0, which is none: the shares of them, rounded.

    InputError for shares that come to the same number: a step would remove none, and measure again what the step before
    measured. A grid has the same steps at every size of images, so none is left out.
    """
    counts = [0, *(round(share * pixels) for share in shares)]
    for place, (before, count) in enumerate(pairwise(counts)):
        if count == before:
            what = f"{shares[place]:g}, {count} of the {pixels} pixels of an image, as many as the step before it"
            raise InputError(f"removal.grid_plus.{place} is {what}; each step removes at least one")
    return counts
