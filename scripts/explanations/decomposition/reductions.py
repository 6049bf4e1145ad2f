"""Attributions summed over channels: sums channels blockwise; the full attribution tensor is never materialised.

Values are rows, (n, P, C): P positions of n images with C channels each. On a CPU they are read in blocks that stay in
its cache, which takes a fraction of the time of whole tensors; a GPU takes them whole.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

CACHED = 2**19  # values in a thread's block; more leave its core's cache


def sum_channels(a: Tensor, b: Tensor) -> Tensor:
    """Σ_φ a_φ b_φ at every position, (n, P), of (n, P, C) values; b may be one value for each channel, (C,)."""
    if b.dim() == 1:
        return a @ b
    sums, buffer = a.new_empty(a.shape[:2]), _buffer(a)
    for images, blocks in _blocks(a):
        for rows in blocks:
            part = a[images, rows]
            torch.sum(torch.mul(part, b[images, rows], out=_fit(buffer, part)), 2, out=sums[images, rows])
    return sums


def sum_channels_twice(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_φ a_φ b_φ, and Σ_φ rescale(|a_φ b_φ|) (Eqs 8, 10), of (n, P, C) values, (n, P) each, in one go.

    b may be one value for each channel, (C,): rescaling undoes such a factor, unless it is 0. A range below the
    smallest normal number, as gradients of a GELU far below 0 have, counts as 0: a constant map is rescaled to 0.
    """
    by_channel = b.dim() == 1
    sums, rescaled, buffer = a.new_empty(a.shape[:2]), a.new_empty(a.shape[:2]), _buffer(a)

    def magnitude(images: slice, rows: slice, summed: Tensor | None = None) -> Tensor:
        """The block's |a b|, or |a| by channel, in the buffer; its sums go to `summed`."""
        part = a[images, rows]
        product = _fit(buffer, part)
        if by_channel:
            if summed is not None:
                summed.copy_(part @ b)
            return torch.abs(part, out=product)
        torch.mul(part, b[images, rows], out=product)
        if summed is not None:
            summed.copy_(product.sum(2))
        return product.abs_()

    for images, blocks in _blocks(a):
        low, high = torch.inf, -torch.inf
        for rows in blocks:
            part = magnitude(images, rows, sums[images, rows])
            low = part.amin(1, keepdim=True).clamp(max=low)  # (images, 1, C)
            high = part.amax(1, keepdim=True).clamp(min=high)
        span = high - low
        varied = span >= torch.finfo(span.dtype).tiny
        weight = torch.where(varied, 1 / torch.where(varied, span, 1), 0)  # a constant map has no weight
        if by_channel:
            weight = weight * (b != 0)
        # after a ReLU all start at 0; to ask a GPU for this would make the CPU wait
        shifted = a.device.type != "cpu" or bool(low.any())
        for rows in blocks:
            if len(blocks) > 1:
                part = magnitude(images, rows)
            if shifted:
                part.sub_(low)
            rescaled[images, rows] = (part @ weight.transpose(1, 2))[..., 0]
    return sums, rescaled


def _blocks(a: Tensor) -> Iterator[tuple[slice, list[slice]]]:
    """Slices of images, and for each of them slices of positions, that together cover (n, P, C) values."""
    count, positions, channels = a.shape
    size = CACHED * torch.get_num_threads() if a.device.type == "cpu" else a.numel()
    rows = max(1, size // max(1, channels))
    images = max(1, rows // max(1, positions))
    blocks = [slice(row, min(row + rows, positions)) for row in range(0, positions, rows)]
    for first in range(0, count, images):
        yield slice(first, min(first + images, count)), blocks


def _buffer(a: Tensor) -> Tensor:
    """Memory for the products of the largest block."""
    images, blocks = next(_blocks(a), (slice(0), [slice(0)]))
    return a.new_empty(a[images, blocks[0]].numel())


def _fit(buffer: Tensor, part: Tensor) -> Tensor:
    """The buffer's beginning, in the shape of a block."""
    return buffer[: part.numel()].view(part.shape)
