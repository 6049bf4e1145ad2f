"""Pixel removal (§4): how much of an image's signal goes, in a map's order, before the network's decision flips.

e = 1 − ‖x_s‖₂ / ‖x‖₂ (Eq. 17), where x_s is what is left of the image: removed pixels carry no signal of it, whatever
value stands in their place. So e is in [0, 1], with any fill.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from explanations.command import InputError
from explanations.inference import FastDecisions
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


class LogitsError(ArithmeticError):
    """Logits of image `image` (a row of the images) aren't finite at grid index `step`, with pixels removed."""

    def __init__(self, image: int, step: int):
        super().__init__(f"logits of image {image} aren't finite at step {step}")
        self.image, self.step = image, step


def removed_counts(pixels: int, grid: int) -> Tensor:
    """How many of `pixels` are gone at grid index 0…grid: rounded k/grid shares, (grid + 1,).

    InputError for more steps than pixels: some would remove none, and find again what the step before them found.
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


class ScansUnderWay:
    """The scans in a full batch of slots, and for each its image as far as it is removed, all on the images' device.

    A step writes the pixels that it removes, and no others. Slots of scans that ended take in new ones; when none is
    left to enter, the gaps close.
    """

    def __init__(self, inputs: Tensor, grid: int, fill: float, batch: int):
        device = inputs.device
        self.grid, self.fill = grid, fill
        self.channels, self.height, self.width = inputs.shape[1:]
        self.flat = inputs.flatten(2).transpose(1, 2).contiguous()  # (N, H·W, 3): perturbed images are channels last
        # (N, H·W); by parts, since all pixels as doubles would be twice all images
        self.energy = torch.cat([part.double().square().sum(2) for part in self.flat.split(64)])
        self.whole = self.energy.sum(1)
        counts = removed_counts(self.height * self.width, grid).long()
        self.within_step = torch.arange(int(counts.diff().max()), device=device)  # of the pixels that a step removes
        self.counts = counts.to(device)
        self.scans: list[Scan] = []
        self.step: list[int] = []  # of each scan; `steps` on the device
        self.free = list(range(batch))
        self.steps, self.rows = torch.empty((2, batch), dtype=torch.long, device=device)
        self.order = torch.empty((batch, self.height * self.width), dtype=torch.int32, device=device)
        self.images = torch.empty((batch, *self.flat.shape[1:]), dtype=inputs.dtype, device=device)

    def refill(self, scans: Iterator[Scan]) -> bool:
        """Put new scans into free slots; whether any scan is under way."""
        entering = list(zip(self.free, scans, strict=False))  # takes no scan that has no slot
        if entering:
            self._enter([slot for slot, _ in entering], [scan for _, scan in entering])
        if len(entering) < len(self.free):
            gaps = set(self.free[len(entering) :])
            self._keep([slot for slot in range(len(self.scans)) if slot not in gaps])
        self.free = []
        return bool(self.scans)

    def _enter(self, slots: list[int], scans: list[Scan]) -> None:
        new = len(slots) - sum(slot < len(self.scans) for slot in slots)
        self.scans += scans[len(slots) - new :]
        self.step += [0] * new
        for slot, scan in zip(slots, scans, strict=True):
            self.scans[slot], self.step[slot] = scan, 0
        place, row = torch.tensor([slots, [scan.image for scan in scans]], device=self.flat.device)
        ranks = torch.stack([scan.rank for scan in scans]).long()
        pixels = torch.arange(ranks.shape[1], dtype=torch.int32, device=ranks.device).expand_as(ranks)
        self.order[place] = torch.empty_like(ranks, dtype=torch.int32).scatter_(1, ranks, pixels)
        self.images[place] = self.flat[row]
        self.rows[place], self.steps[place] = row, 0

    def _keep(self, slots: list[int]) -> None:
        self.scans, self.step = ([values[slot] for slot in slots] for values in (self.scans, self.step))
        index = torch.tensor(slots, dtype=torch.long, device=self.flat.device)
        self.rows, self.steps = self.rows[index], self.steps[index]
        self.order, self.images = self.order[index], self.images[index]

    def remove(self) -> tuple[Tensor, Tensor]:
        """One more step of every scan: copies of the images (n, 3, H, W), and their rows among the inputs (n,)."""
        self.steps += 1
        self.step = [step + 1 for step in self.step]
        upto = self.counts[self.steps][:, None]
        # steps differ by a pixel: the shorter ones name their last pixel twice
        places = torch.minimum(self.counts[self.steps - 1][:, None] + self.within_step, upto - 1)
        pixels = self.order.gather(1, places).long()[..., None].expand(-1, -1, self.channels)
        self.images.scatter_(1, pixels, self.fill)
        images = self.images.clone().view(-1, self.height, self.width, self.channels)  # a network may write into it
        return images.permute(0, 3, 1, 2), self.rows

    def end(self, logits: Tensor, own: Tensor) -> Iterator[Flip]:
        """The ends of scans whose decision isn't `own` (n,) any more, by logits (n, C), or whose grid is done.

        Little but the flags is waited for, which come together. LogitsError, unless all logits are finite.
        """
        flipped = logits.argmax(1) != own
        flags, finite = torch.stack([flipped, logits.isfinite().all(1)]).tolist()
        if not all(finite):
            slot = finite.index(False)
            raise LogitsError(self.scans[slot].image, self.step[slot])
        self.free = [slot for slot, flag in enumerate(flags) if flag or self.step[slot] == self.grid]
        if not self.free:
            return
        index = torch.tensor(self.free, device=flipped.device)
        row = self.rows[index]
        gone = torch.stack([self.scans[slot].rank for slot in self.free]) < self.counts[self.steps[index]][:, None]
        left = (self.energy[row] * ~gone).sum(1) / self.whole[row]  # without the fill: it is no signal of the image
        # sums of other shapes may round otherwise: 1 + 2e-16 if pixels without signal made the decision flip
        signal = torch.where(flipped[index], 1 - left.clamp_(max=1).sqrt(), 1.0).tolist()
        for slot, e in zip(self.free, signal, strict=True):
            yield Flip(self.scans[slot].key, self.step[slot] if flags[slot] else NEVER, e)


@torch.no_grad()
def find_flips(
    decide: Callable[[Tensor], Tensor] | nn.Module | FastDecisions,
    inputs: Tensor,
    targets: Tensor,
    scans: Iterable[Scan],
    grid: int,
    fill: float = 0.0,
    batch: int = 64,
) -> Iterator[Flip]:
    """Remove pixels along each scan, grid step by grid step, up to the first point where argmax is not the target.

    `decide` maps (n, 3, H, W) to logits; `inputs` (N, 3, H, W) and `targets` (N,) are the whole images and their
    decisions. A removed pixel has all channels set to `fill`, which is no signal. A full batch of unfinished scans is
    kept: those that flipped leave, new ones enter. Ends come in the order in which they are found. LogitsError if
    removal leads to logits that aren't finite; InputError for a grid of more steps than pixels.
    """
    under_way = ScansUnderWay(inputs, grid, fill, batch)
    scans = iter(scans)
    while under_way.refill(scans):
        images, rows = under_way.remove()
        own = targets[rows]
        logits = decide(images, own) if isinstance(decide, FastDecisions) else decide(images)
        yield from under_way.end(logits, own)
