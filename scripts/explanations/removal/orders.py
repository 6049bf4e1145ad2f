"""In which order pixels are removed, how many at a time, and whose maps are the noise maps (§4)."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from explanations.errors import InputError


def removed_counts(pixels: int, grid: int) -> Tensor:
    """How many of `pixels` are removed at grid index 0…grid: rounded k/grid shares, (grid + 1,).

    InputError for more steps than pixels: some would remove none, and measure again what the step before measured.
    """
    if grid > pixels:
        raise InputError(f"removal.grid is {grid}; images have {pixels} pixels, and each step removes at least one")
    return torch.from_numpy(np.rint(np.linspace(0, pixels, grid + 1)).astype(np.int32))


def tie_orders(images: Iterable[int], pixels: int, seed: int, ties: str) -> Tensor:
    """One order of the pixels per image (index in the manifest) that decides between equal values, (n, pixels).

    `random`: drawn from the seed and the image's index alone, so that shards don't matter. `raster`: row by row.
    """
    if ties == "raster":
        return torch.arange(pixels).expand(len(list(images)), pixels)
    orders = [np.random.default_rng([seed, 1, image]).permutation(pixels) for image in images]
    return torch.from_numpy(np.stack(orders))


def rank_pixels(maps: Tensor, order: Tensor) -> Tensor:
    """Each pixel's rank, (n, H·W) int32 from 0, in ascending order of (n, H, W) maps; ties as in `order` (n, H·W)."""
    values = maps.flatten(1).gather(1, order)
    ascending = order.gather(1, values.argsort(dim=1, stable=True))
    ranks = torch.arange(values.shape[1], dtype=torch.int32, device=maps.device).expand(len(maps), -1)
    return torch.empty_like(ranks, memory_format=torch.contiguous_format).scatter_(1, ascending, ranks)


def noise_partners(images: int, noise_maps: int, seed: int) -> np.ndarray:
    """Whose map is ξ: (images, noise_maps) indices, no image its own partner, no partner twice for one image.

    A random cyclic order of all evaluated images; the r-th partner comes r positions later.
    """
    order = np.random.default_rng([seed, 2]).permutation(images)
    partners = np.empty((images, noise_maps), int)
    for r in range(noise_maps):
        partners[order, r] = np.roll(order, -(r + 1))
    return partners
