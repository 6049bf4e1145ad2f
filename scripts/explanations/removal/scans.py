"""Pixel removal (§4): how much of an image's signal goes, in a map's order, before the network's decision flips.

e = 1 − ‖x_s‖₂ / ‖x‖₂ (Eq. 17), where x_s is the image's signal in the pixels that are left; what a removal operator
puts in place of the others is none of it. So e is in [0, 1] with any operator, and compares between them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from explanations.files.measurements import NEVER
from explanations.networks.decisions import Decisions, fetch
from explanations.removal.operators.base import Operator, Removal
from explanations.removal.orders import removed_counts


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


class ScansUnderWay:
    """The scans in a full batch of slots, and for each its image as far as it is removed, all on the images' device.

    Slots of scans that ended take in new ones; when none is left to enter, the gaps close.
    """

    def __init__(self, inputs: Tensor, grid: int, operator: Operator, batch: int):
        device = inputs.device
        self.grid, self.operator = grid, operator
        self.channels, *self.size = inputs.shape[1:]
        self.whole = inputs.flatten(2).transpose(1, 2).contiguous()  # (N, H·W, C): perturbed images are channels last
        # (N, H·W); by parts, since all pixels as doubles would be twice all images
        self.energy = torch.cat([part.double().square().sum(2) for part in self.whole.split(64)])
        self.total = self.energy.sum(1)
        counts = removed_counts(self.whole.shape[1], grid).long()
        self.within_step = torch.arange(int(counts.diff().max()), device=device)  # of the pixels that a step removes
        self.counts = counts.to(device)
        self.scans: list[Scan] = []
        self.step: list[int] = []  # of each scan; `steps` on the device
        self.free = list(range(batch))
        self.steps, self.rows = torch.empty((2, batch), dtype=torch.long, device=device)
        self.order = torch.empty((batch, self.whole.shape[1]), dtype=torch.int32, device=device)
        self.images = torch.empty((batch, *self.whole.shape[1:]), dtype=inputs.dtype, device=device)

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
        for number, scan in zip(slots, scans, strict=True):
            self.scans[number], self.step[number] = scan, 0
        slot, row = torch.tensor([slots, [scan.image for scan in scans]], device=self.whole.device)
        ranks = torch.stack([scan.rank for scan in scans]).long()
        pixels = torch.arange(ranks.shape[1], dtype=torch.int32, device=ranks.device).expand_as(ranks)
        self.order[slot] = torch.empty_like(ranks, dtype=torch.int32).scatter_(1, ranks, pixels)
        self.images[slot] = self.whole[row]
        self.rows[slot], self.steps[slot] = row, 0

    def _keep(self, slots: list[int]) -> None:
        self.scans, self.step = ([values[slot] for slot in slots] for values in (self.scans, self.step))
        index = torch.tensor(slots, dtype=torch.long, device=self.whole.device)
        self.rows, self.steps = self.rows[index], self.steps[index]
        self.order, self.images = self.order[index], self.images[index]

    def remove(self) -> tuple[Tensor, Tensor]:
        """One more step of every scan: copies of the images (n, C, H, W), and their rows among the inputs (n,)."""
        self.steps += 1
        self.step = [step + 1 for step in self.step]
        count = self.counts[self.steps][:, None]
        # steps differ by a pixel: the shorter ones name their last pixel twice
        within_order = torch.minimum(self.counts[self.steps - 1][:, None] + self.within_step, count - 1)
        pixels = self.order.gather(1, within_order).long()
        self.operator.remove(self._removal(self.images, self.rows, self.order, count), pixels)
        images = self.images.clone().view(-1, *self.size, self.channels)  # a network may write into it
        return images.permute(0, 3, 1, 2), self.rows

    def end(self, flags: Tensor) -> Callable[[], list[Flip]]:
        """End the scans that flipped, or whose grid is done; `flags` are judge's, on the CPU.

        What is returned waits for their e. LogitsError, unless all logits are finite.
        """
        flipped, finite = flags.tolist()
        if not all(finite):
            slot = finite.index(False)
            raise LogitsError(self.scans[slot].image, self.step[slot])
        self.free = [slot for slot, flag in enumerate(flipped) if flag or self.step[slot] == self.grid]
        if not self.free:
            return list
        ended = [(self.scans[slot].key, self.step[slot] if flipped[slot] else NEVER) for slot in self.free]
        index = torch.tensor(self.free, device=self.whole.device)
        rows, count = self.rows[index], self.counts[self.steps[index]][:, None]
        removal = self._removal(self.images[index], rows, self.order[index], count)
        left = (self.energy[rows] * ~removal.removed()).sum(1) / self.total[rows]
        # sums of other shapes may round otherwise: 1 + 2e-16 if pixels without signal made the decision flip
        signal = fetch(1 - left.clamp_(max=1).sqrt())

        def wait() -> list[Flip]:
            values = signal().tolist()
            return [Flip(key, step, 1.0 if step == NEVER else e) for (key, step), e in zip(ended, values, strict=True)]

        return wait

    def _removal(self, images: Tensor, rows: Tensor, order: Tensor, count: Tensor) -> Removal:
        return Removal(images, rows, order, count, tuple(self.size))


def judge(logits: Tensor, own: Tensor) -> Tensor:
    """Whether each decision by logits (n, C) isn't `own` (n,) any more, and whether its logits are finite, (2, n)."""
    return torch.stack([logits.argmax(1) != own, logits.isfinite().all(1)])


def run_scans(
    under_way: ScansUnderWay, decide: Decisions, targets: Tensor, scans: Iterator[Scan]
) -> Iterator[list[Flip] | None]:
    """Take scans to their ends, which come in lists; yields, them or nothing, before it waits for the device."""
    ended: Callable[[], list[Flip]] = list
    while under_way.refill(scans):
        images, rows = under_way.remove()
        own = targets[rows]
        logits = yield from decide.steps(images)
        flags = fetch(judge(logits, own))
        yield ended()
        ended = under_way.end(flags())
    yield ended()


@torch.no_grad()
def find_flips(
    decide: Decisions,
    inputs: Tensor,
    targets: Tensor,
    scans: Iterable[Scan],
    grid: int,
    operator: Operator,
    batch: int = 64,
) -> Iterator[Flip]:
    """Remove pixels along each scan, grid step by grid step, up to the first point where argmax is not the target.

    `inputs` (N, C, H, W) and `targets` (N,) are the whole images and their decisions; `operator` says what removed
    pixels become. A full batch of unfinished scans is kept: those that flipped leave, new ones enter. On a GPU two are,
    so that it computes one while the CPU sees to the other. Ends come in the order in which they are found. LogitsError
    if removal leads to logits that aren't finite; InputError for a grid of more steps than pixels.
    """
    scans = iter(scans)
    batches = 2 if inputs.device.type == "cuda" else 1
    running = deque(
        run_scans(ScansUnderWay(inputs, grid, operator, batch), decide, targets, scans) for _ in range(batches)
    )
    while running:
        try:
            flips = next(running[0])
        except StopIteration:
            running.popleft()
        else:
            running.rotate(-1)
            yield from flips or ()
