"""The mean map of another method, over all images of the experiment: a control that knows no image.

It has what a method's maps have in common, as the middle of the image. Since it is every image's map, it is another
image's too: δe, which compares the two, is 0. What e of the method itself is beyond e of its mean is what the method
knows of the image.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from explanations.methods.sources.base import Method

AT_A_TIME = 64  # maps that are read together


def prepare(
    settings: Mapping,
    network: nn.Module,
    size: tuple[int, int],
    names: Sequence[str],
    maps: Callable[[Sequence[int]], Tensor],
) -> Method:
    """The mean of `maps`, which gives (n, H, W) of images by their indices in the manifest."""
    mean = average(maps, len(names), size)

    def make(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        return mean.to(images).expand(len(images), -1, -1)

    return Method(make)


def average(maps: Callable[[Sequence[int]], Tensor], count: int, size: tuple[int, int]) -> Tensor:
    """The mean (H, W), in float64, of images 0 to `count` − 1, each map divided by Σ |m|: no image counts for more.

    A map of zeros stays one.
    """
    total = torch.zeros(size, dtype=torch.float64)
    for start in range(0, count, AT_A_TIME):
        read = maps(range(start, min(start + AT_A_TIME, count))).double().cpu()
        sums = read.abs().sum((1, 2), keepdim=True)
        total += torch.where(sums > 0, read / sums, 0).sum(0)
    return total / count
