"""The bias attribution of a layer (Eq. 12): the sum of the maps of its biased operations.

Numpy arrays and torch tensors take the same path here, so that figures, whose environment has no torch, and methods
share the formula.
"""

import sys
from collections.abc import Sequence
from typing import TypeVar

Array = TypeVar("Array")  # numpy.ndarray or torch.Tensor


def layer_bias(maps: Sequence[Array]) -> Array:
    """a^{b,l} of one layer (Eq. 12), (..., h, w), of the maps of its biased operations: one or more, (..., H, W) each.

    The maps are added at the smallest of their sizes. Larger maps are pooled by sums, so that the gross sum is kept; a
    map of one position among larger ones is left out.
    """
    with_positions = [each for each in maps if each.shape[-2] * each.shape[-1] > 1] or maps
    size = min((each.shape[-2:] for each in with_positions), key=lambda s: s[0] * s[1])
    return _library(maps[0]).stack([sum_pool(each, size) for each in with_positions]).sum(0)


def sum_pool(values: Array, size: tuple[int, int]) -> Array:
    """Add up maps (..., H, W) to (..., h, w), h ≤ H and w ≤ W: every position counts in one cell, sums are kept."""
    library = _library(values)
    rows, columns = (
        library.eye(cells, dtype=values.dtype, device=values.device)[
            library.arange(length, device=values.device) * cells // length
        ]
        for length, cells in zip(values.shape[-2:], size, strict=True)
    )  # (H, h), (W, w): 1 where a position lies in a cell
    return rows.T @ values @ columns


def _library(values: Array):
    """numpy or torch: the library that an array comes from."""
    return sys.modules[type(values).__module__.partition(".")[0]]
