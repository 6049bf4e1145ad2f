"""Pixel removal (§4): how much of an image's signal goes, in a map's order, before the network's decision flips."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from explanations.measurements import NEVER


@dataclass(frozen=True)
class Scan:
    """One removal: image `image` (a row of the images) loses its pixels in the order of `rank` (H·W,), lowest first."""

    key: tuple
    image: int
    rank: Tensor


@dataclass(frozen=True)
class Flip:
    """Where a scan ended: the grid index (1…grid, or NEVER) and e there (Eq. 17)."""

    key: tuple
    step: int
    signal: float


def removed_counts(pixels: int, grid: int) -> Tensor:
    """How many of `pixels` are gone at grid index 0…grid: rounded k/grid shares, (grid + 1,)."""
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
    """Each pixel's place, (n, H·W) int32 from 0, in ascending order of (n, H, W) maps; ties as in `order` (n, H·W)."""
    values = maps.flatten(1).gather(1, order)
    ascending = order.gather(1, values.argsort(dim=1, stable=True))
    places = torch.arange(values.shape[1], dtype=torch.int32, device=maps.device).expand(len(maps), -1)
    return torch.empty_like(places, memory_format=torch.contiguous_format).scatter_(1, ascending, places)


def noise_partners(images: int, noise_maps: int, seed: int) -> np.ndarray:
    """Whose map is ξ: (images, noise_maps) indices, no image its own partner, no partner twice for one image.

    A random cyclic order of all evaluated images; the r-th partner stands r places on.
    """
    order = np.random.default_rng([seed, 2]).permutation(images)
    partners = np.empty((images, noise_maps), int)
    for r in range(noise_maps):
        partners[order, r] = np.roll(order, -(r + 1))
    return partners


@torch.no_grad()
def find_flips(
    decide: Callable[[Tensor], Tensor] | nn.Module,
    inputs: Tensor,
    targets: Tensor,
    scans: Iterable[Scan],
    grid: int,
    fill: float = 0.0,
    batch: int = 64,
) -> Iterator[Flip]:
    """Remove pixels along each scan, grid step by grid step, up to the first point where argmax is not the target.

    `decide` maps (n, 3, H, W) to logits; `inputs` (N, 3, H, W) and `targets` (N,) are the whole images and their
    decisions. A removed pixel has all channels set to `fill`. A full batch of unfinished scans is kept: those that
    flipped leave, new ones enter. Ends come in the order in which they are found.
    """
    channels, height, width = inputs.shape[1:]
    flat = inputs.flatten(2).transpose(1, 2).contiguous()  # (N, H·W, 3): perturbed images are channels last at once
    energy = flat.double().square().sum(2)  # (N, H·W)
    whole = energy.sum(1)
    counts = removed_counts(height * width, grid).to(inputs.device)
    scans = iter(scans)
    waiting: list[Scan] = []  # the scan in each slot
    ranks = torch.empty((batch, height * width), dtype=torch.int32, device=inputs.device)
    rows = torch.empty(batch, dtype=torch.long, device=inputs.device)
    steps = torch.empty(batch, dtype=torch.long, device=inputs.device)
    free = list(range(batch))
    while True:
        for slot in list(free):
            scan = next(scans, None)
            if scan is None:
                break
            free.remove(slot)
            if slot == len(waiting):
                waiting.append(scan)
            waiting[slot] = scan
            ranks[slot], rows[slot], steps[slot] = scan.rank, scan.image, 1
        if free:  # no scan is left to enter: close the gaps
            kept = [slot for slot in range(len(waiting)) if slot not in free]
            if not kept:
                return
            waiting = [waiting[slot] for slot in kept]
            ranks, rows, steps = ranks[kept], rows[kept], steps[kept]
            free = []
        removed = ranks < counts[steps][:, None]
        perturbed = flat[rows].masked_fill_(removed[..., None], fill).view(-1, height, width, channels)
        decisions = decide(perturbed.permute(0, 3, 1, 2)).argmax(1)
        flipped = decisions != targets[rows]
        ended = (flipped | (steps == grid)).nonzero()[:, 0]
        if len(ended):
            gone = removed[ended]
            kept_energy = (energy[rows[ended]] * ~gone).sum(1) + channels * fill**2 * gone.sum(1)
            signal = torch.where(flipped[ended], 1 - (kept_energy / whole[rows[ended]]).sqrt(), 1.0)
            end_step = torch.where(flipped[ended], steps[ended], NEVER)
            for slot, step, e in zip(ended.tolist(), end_step.tolist(), signal.tolist(), strict=True):
                yield Flip(waiting[slot].key, step, e)
                free.append(slot)
        steps += 1
