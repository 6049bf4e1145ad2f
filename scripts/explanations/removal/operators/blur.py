"""A removed pixel becomes that of a blurred copy of its own image, which still tells of its surroundings."""

import torch
from torch import Tensor

from explanations.removal.operators.base import Operator, Pictures, replace_by


def make(pictures: Pictures, sigma: float) -> Operator:
    """Removal that writes the pixels of the image after a Gaussian filter; σ is a share of the image's longer side."""
    return replace_by(pictures.inputs, blur(pictures.inputs, sigma * max(pictures.inputs.shape[2:])))


def blur(images: Tensor, sigma: float) -> Tensor:
    """(N, C, H, W) after a Gaussian filter of standard deviation `sigma`, in pixels.

    Beyond the border is nothing: weights of the pixels that there are add up to 1.
    """
    rows, columns = (_weights(length, sigma).to(images) for length in images.shape[2:])
    return rows @ images @ columns.T


def _weights(length: int, sigma: float) -> Tensor:
    """How much each of a line's pixels (columns) counts in each blurred one (rows), (length, length) f8."""
    places = torch.arange(length, dtype=torch.float64)
    weights = torch.exp(-((places[:, None] - places) ** 2) / (2 * sigma**2))
    return weights / weights.sum(1, keepdim=True)
