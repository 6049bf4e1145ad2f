"""Ψ (Eq. 9): from signed attributions at a layer's resolution to saliency at the image's."""

import torch
from torch import Tensor
from torch.nn import functional as F

from explanations.errors import InputError

UPSAMPLINGS = ("bilinear", "nearest", "bicubic")


def rescale(values: Tensor) -> Tensor:
    """(a − min a) / (max a − min a) over the last two dimensions; 0 where a is constant (Eq. 10)."""
    low, high = values.amin((-2, -1), keepdim=True), values.amax((-2, -1), keepdim=True)
    span = high - low
    constant = span == 0  # a span that isn't finite is none, and gives NaN
    return torch.where(constant, 0, (values - low) / torch.where(constant, 1, span))


def upsample(values: Tensor, size: tuple[int, int], upsampling: str) -> Tensor:
    """Resize maps (n, h, w) to (n, H, W); bilinear and bicubic take pixels as areas (corners not aligned)."""
    if upsampling not in UPSAMPLINGS:
        raise InputError(f"upsampling is {upsampling}; allowed are {', '.join(UPSAMPLINGS)}")
    if values.shape[-2:] == size:
        return values
    options = {} if upsampling == "nearest" else {"align_corners": False}
    return F.interpolate(values[:, None], size, mode=upsampling, **options)[:, 0]


def transform(values: Tensor, size: tuple[int, int], upsampling: str, *, signed: bool = False) -> Tensor:
    """Ψ(a) = upsample(rescale(abs(a))) (Eq. 9); `signed` leaves out abs (Suppl. D)."""
    return upsample(rescale(values if signed else values.abs()), size, upsampling)


def blur(values: Tensor, sigma: float) -> Tensor:
    """Maps or images (…, H, W) after a Gaussian filter, whose standard deviation is `sigma` times their longer side.

    Beyond the border is nothing: weights of the pixels that there are add up to 1, and what is constant stays so.
    """
    rows, columns = (_weights(extent, sigma * max(values.shape[-2:])).to(values) for extent in values.shape[-2:])
    return rows @ values @ columns.T


def _weights(extent: int, deviation: float) -> Tensor:
    """How much each of a line's pixels (columns) counts in each blurred one (rows), (extent, extent); f8."""
    places = torch.arange(extent, dtype=torch.float64)
    weights = torch.exp(-((places[:, None] - places) ** 2) / (2 * deviation**2))
    return weights / weights.sum(1, keepdim=True)
