"""Another method's maps, blurred: a control of the measure.

Blurring adds no knowledge of the network. A measure that finds maps better once they are blurred measures, in part, how
smooth they are.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explanations.methods.sources.base import Method

REACH = 3  # standard deviations, at which the Gaussian is cut


def prepare(
    settings: Mapping,
    network: nn.Module,
    size: tuple[int, int],
    names: Sequence[str],
    maps: Callable[[Sequence[int]], Tensor],
) -> Method:
    """The blurred `maps`, which gives (n, H, W) of images by their indices in the manifest."""

    def make(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        return blur(maps(indices).to(images), settings["sigma"])

    return Method(make)


def blur(maps: Tensor, sigma: float) -> Tensor:
    """Maps (n, H, W) convolved with a Gaussian of a standard deviation of `sigma` times the extent.

    At the border the weights that fall outside are left out, and the others grow: a constant map stays as it is.
    """
    found = maps[:, None]
    for axis, extent in ((2, maps.shape[1]), (3, maps.shape[2])):
        reach = max(1, min(math.ceil(REACH * sigma * extent), extent - 1))
        offsets = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
        kernel = torch.exp(-((offsets / (sigma * extent)) ** 2) / 2)
        shape, padding = ((-1, 1), (reach, 0)) if axis == 2 else ((1, -1), (0, reach))
        weights = kernel.view(1, 1, *shape)
        found = F.conv2d(found, weights, padding=padding) / F.conv2d(torch.ones_like(found), weights, padding=padding)
    return found[:, 0]
