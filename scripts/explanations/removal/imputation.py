"""Missing pixels as weighted means of their neighbours, solved for all of an image at once.

Σ_q w_pq (x_p − x_q) = 0 for each missing pixel p, over the neighbours q that there are: a network of conductances w in
which known pixels hold their values. Conjugate gradients solve it, preconditioned by a multigrid cycle on the
conductances themselves: a block of 2 × 2 pixels is a node of the coarser network. Of two series of two parallel
conductances w, the whole is w again, so what joins two blocks is half the sum of what joins their pixels, while what
leads to known pixels adds up. As a preconditioned residual is near the error, it says when to stop.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

DIRECT, DIAGONAL = 2.0, 1.0  # twelfths: whole numbers, of which sums are exact
DAMPING = 0.8  # of Jacobi's method on coarser levels; on the finest, undamped, it takes the neighbours' mean
ON_CPU = 2**16  # pixels that are solved at a time there: what fits a cache
MOST = 200  # iterations; 11 were the most seen for 224 × 224 pixels from any start
ALL = slice(None)
LATER, EARLIER = slice(1, None), slice(None, -1)
# the four directions of a pixel's later neighbours: where the pixel is, where the neighbour, in rows and columns
PAIRS = (
    ((ALL, EARLIER), (ALL, LATER)),
    ((EARLIER, ALL), (LATER, ALL)),
    ((EARLIER, EARLIER), (LATER, LATER)),
    ((EARLIER, LATER), (LATER, EARLIER)),
)
WEIGHTS = (DIRECT, DIRECT, DIAGONAL, DIAGONAL)


@dataclass
class Level:
    """The unknowns of n images on a grid, (n, 1, h, w): pixels, or blocks of them. Nodes without any have zeros."""

    pairs: list[Tensor]  # conductances to the neighbours of PAIRS, each as of the pair's first node; 0 at the border
    diagonal: Tensor  # the sum of all conductances of a node, to known pixels too
    smoother: Tensor  # the damped inverse of the diagonal

    def apply(self, values: Tensor) -> Tensor:
        """What flows out of each node, (n, C, h, w), if the unknowns are `values` and known pixels 0."""
        flow = self.diagonal * values
        for conductance, (first, second) in zip(self.pairs, PAIRS, strict=True):
            first, second = (..., *first), (..., *second)
            weight = conductance[first]
            flow[first].addcmul_(weight, values[second], value=-1)
            flow[second].addcmul_(weight, values[first], value=-1)
        return flow

    def keep(self, images: Tensor) -> "Level":
        """Of some of the images, (n,) bool."""
        return Level([pair[images] for pair in self.pairs], self.diagonal[images], self.smoother[images])


def impute(images: Tensor, missing: Tensor, tolerance: float) -> Tensor:
    """Images (n, C, H, W) with missing (n, H, W) pixels solved for, to an error of about `tolerance`.

    What is there is the start. Without any known pixel all are 0. An image's result doesn't depend on the others.
    """
    height, width = missing.shape[1:]
    parts = max(1, ON_CPU // (height * width)) if images.device.type == "cpu" else len(images)
    return torch.cat(
        [_impute(*part, tolerance) for part in zip(images.split(parts), missing[:, None].split(parts), strict=True)]
    )


def _impute(images: Tensor, missing: Tensor, tolerance: float) -> Tensor:
    levels = build_levels(missing, images.dtype)
    solved = images * ~missing.all(3, keepdim=True).all(2, keepdim=True)
    solved = solved.contiguous()
    residual = missing * flow_in(solved)
    unfinished = torch.arange(len(images), device=images.device)
    result, x = torch.empty_like(solved), solved
    direction, before = torch.zeros_like(residual), None
    for _ in range(MOST):
        correction = cycle(levels, residual)
        done = correction.abs().amax((1, 2, 3)) < tolerance
        product = (residual * correction).sum((2, 3), keepdim=True)
        if done.any():
            result[unfinished[done]] = x[done] + correction[done]
            if done.all():
                return result
            left = ~done
            unfinished, x, residual, direction, correction, product = (
                values[left] for values in (unfinished, x, residual, direction, correction, product)
            )
            before = None if before is None else before[left]
            levels = [level.keep(left) for level in levels]
        if before is not None:
            correction.addcmul_(direction, _divide(product, before))
        direction, before = correction, product
        flow = levels[0].apply(direction)
        step = _divide(product, (direction * flow).sum((2, 3), keepdim=True))
        x = torch.addcmul(x, direction, step)
        residual = residual.addcmul_(flow, step, value=-1)
    raise ArithmeticError(f"imputation did not converge in {MOST} iterations")


def flow_in(images: Tensor) -> Tensor:
    """What flows into each pixel, Σ_q w_pq (x_q − x_p), of (n, C, H, W): of differences, which hardly round."""
    flow = torch.zeros_like(images)
    for weight, (first, second) in zip(WEIGHTS, PAIRS, strict=True):
        difference = images[(..., *second)] - images[(..., *first)]
        flow[(..., *first)].add_(difference, alpha=weight)
        flow[(..., *second)].sub_(difference, alpha=weight)
    return flow


def cycle(levels: list[Level], residual: Tensor) -> Tensor:
    """A correction (n, C, h, w) for what still flows into each node: a V-cycle, Jacobi's step before and after."""
    level, coarser = levels[0], levels[1:]
    correction = level.smoother * residual
    if not coarser:
        return correction
    height, width = residual.shape[2:]
    rest = residual - level.apply(correction)
    blocks = cycle(coarser, _sum_blocks(rest))
    correction += _spread(blocks, height, width) * (level.diagonal > 0)
    return correction.addcmul_(level.smoother, residual - level.apply(correction))


def build_levels(missing: Tensor, dtype: torch.dtype) -> list[Level]:
    """From the pixels of (n, 1, H, W) masks to a single block."""
    unknown = missing.to(dtype)
    pairs = []
    for weight, (first, second) in zip(WEIGHTS, PAIRS, strict=True):
        pair = torch.zeros_like(unknown)
        pair[(..., *first)] = weight * unknown[(..., *first)] * unknown[(..., *second)]
        pairs.append(pair)
    leak = unknown * flow_in(1 - unknown)
    levels = [_level(pairs, leak, 1.0)]
    while max(leak.shape[2:]) > 1:
        pairs, leak = _join(pairs), _sum_blocks(leak)
        levels.append(_level(pairs, leak, DAMPING if max(leak.shape[2:]) > 1 else 1.0))
    return levels


def _level(pairs: list[Tensor], leak: Tensor, damping: float) -> Level:
    diagonal = leak.clone()
    for conductance, (first, second) in zip(pairs, PAIRS, strict=True):
        first, second = (..., *first), (..., *second)
        diagonal[first] += conductance[first]
        diagonal[second] += conductance[first]
    return Level(pairs, diagonal, _divide(torch.full_like(diagonal, damping), diagonal))


def _join(pairs: list[Tensor]) -> list[Tensor]:
    """The conductances between blocks of 2 × 2 nodes."""
    right, below, falling, rising = map(_pad, pairs)

    def of(values: Tensor, row: int, column: int) -> Tensor:
        return values[..., row::2, column::2]

    joined = [
        of(right, 0, 1) + of(right, 1, 1) + of(falling, 0, 1),
        of(below, 1, 0) + of(below, 1, 1) + of(falling, 1, 0) + of(rising, 1, 1),
        of(falling, 1, 1).clone(),
        of(rising, 1, 0).clone(),
    ]
    joined[0][..., EARLIER] += of(rising, 0, 0)[..., LATER]  # from the next block's first node down to the left
    return [each.mul_(0.5) for each in joined]


def _pad(values: Tensor) -> Tensor:
    """With zeros up to even numbers of rows and columns."""
    height, width = values.shape[2:]
    return F.pad(values, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else values


def _sum_blocks(values: Tensor) -> Tensor:
    """Sums over blocks of 2 × 2 nodes, fewer at the border."""
    rows = _pad(values)
    rows = rows[..., 0::2, :] + rows[..., 1::2, :]
    return rows[..., 0::2] + rows[..., 1::2]


def _spread(blocks: Tensor, height: int, width: int) -> Tensor:
    """Each block's value at all of its nodes."""
    return F.interpolate(blocks, scale_factor=2, mode="nearest")[..., :height, :width]


def _divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient; 0 where the denominator is."""
    return torch.where(denominator > 0, numerator / denominator, 0)
