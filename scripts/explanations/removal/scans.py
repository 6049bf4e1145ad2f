"""Pixel removal (§4): how much of an image's signal goes, in a map's order, before the network's decision flips.

e = 1 − ‖x_s‖₂ / ‖x‖₂ (Eq. 17), where x_s is what is left of the image's signal; what a removal operator puts in place
of removed pixels is no signal, unless it is still the image's. So e is in [0, 1] with any operator.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from explanations.files.measurements import NEVER
from explanations.networks.decisions import Decisions, fetch
from explanations.removal.operators import Operator, Removal


@dataclass(frozen=True)
class Scan:
    """One removal: image `image` (a row of the images) loses its pixels in the order of `rank` (H·W,), lowest first.

    It goes by the steps of grid `grid`, of those that there are.
    """

    key: tuple
    image: int
    rank: Tensor
    grid: int = 0


@dataclass(frozen=True)
class Flip:
    """Where a scan ended: the index on its grid (from 1, or NEVER) and e there (Eq. 17)."""

    key: tuple
    step: int
    signal: float


class LogitsError(ArithmeticError):
    """Logits of image `image` (a row of the images) aren't finite with `removed` of its pixels removed."""

    def __init__(self, image: int, removed: int):
        super().__init__(f"logits of image {image} aren't finite with {removed} pixels removed")
        self.image, self.removed = image, removed


class ScansUnderWay:
    """The scans in a full batch of slots, and for each its image as far as it is removed, all on the images' device.

    Slots of scans that ended take in new ones; when none is left to enter, the gaps close. Grids stand in a row, one
    behind another: a scan's step is a place in it, from the start of its grid to where all pixels are removed.
    """

    def __init__(self, inputs: Tensor, grids: Sequence[Tensor], operator: Operator, batch: int):
        device = inputs.device
        self.operator = operator
        self.channels, *self.size = inputs.shape[1:]
        self.whole = inputs.flatten(2).transpose(1, 2).contiguous()  # (N, H·W, C): perturbed images are channels last
        # (N, H·W); by parts, since all pixels as doubles would be twice all images
        self.energy = torch.cat([part.double().square().sum(2) for part in self.whole.split(64)])
        self.total = self.energy.sum(1)
        counts = torch.cat(list(grids)).long()
        self.starts = list(accumulate(map(len, grids), initial=0))
        self.removed = counts.tolist()  # `counts` on the device
        self.widths = counts.diff(prepend=counts[:1]).tolist()  # how many pixels a step removes
        self.within_step = torch.arange(max(self.widths), device=device)
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
        starts = [self.starts[scan.grid] for scan in scans]
        for number, scan, start in zip(slots, scans, starts, strict=True):
            self.scans[number], self.step[number] = scan, start
        slot, row, start = torch.tensor([slots, [scan.image for scan in scans], starts], device=self.whole.device)
        ranks = torch.stack([scan.rank for scan in scans]).long()
        pixels = torch.arange(ranks.shape[1], dtype=torch.int32, device=ranks.device).expand_as(ranks)
        self.order[slot] = torch.empty_like(ranks, dtype=torch.int32).scatter_(1, ranks, pixels)
        self.images[slot] = self.whole[row]
        self.rows[slot], self.steps[slot] = row, start

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
        # as wide as the widest step: those that remove fewer pixels name their last one again
        within_step = self.within_step[: max(self.widths[step] for step in self.step)]
        within_order = torch.minimum(self.counts[self.steps - 1][:, None] + within_step, count - 1)
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
            raise LogitsError(self.scans[slot].image, self.removed[self.step[slot]])
        pixels = self.whole.shape[1]
        self.free = [slot for slot, flag in enumerate(flipped) if flag or self.removed[self.step[slot]] == pixels]
        if not self.free:
            return list
        ended = [(self.scans[slot].key, self._place(slot) if flipped[slot] else NEVER) for slot in self.free]
        signal = fetch(self.signal(torch.tensor(self.free, device=self.whole.device)))

        def wait() -> list[Flip]:
            values = signal().tolist()
            return [Flip(key, step, 1.0 if step == NEVER else e) for (key, step), e in zip(ended, values, strict=True)]

        return wait

    def signal(self, slots: Tensor | slice) -> Tensor:
        """e (Eq. 17) of the scans in some slots, as far as their pixels are removed, (n,) f8."""
        rows, count = self.rows[slots], self.counts[self.steps[slots]][:, None]
        removal = self._removal(self.images[slots], rows, self.order[slots], count)
        left = self.operator.signal_left(removal).sum(1) / self.total[rows]
        # sums of other shapes may round otherwise: 1 + 2e-16 if pixels without signal made the decision flip
        return 1 - left.clamp_(max=1).sqrt()

    def _place(self, slot: int) -> int:
        """The index on its grid at which a scan is."""
        return self.step[slot] - self.starts[self.scans[slot].grid]

    def _removal(self, images: Tensor, rows: Tensor, order: Tensor, count: Tensor) -> Removal:
        return Removal(images, rows, order, count, self.whole, self.energy, tuple(self.size))


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
    grids: Sequence[Tensor],
    operator: Operator,
    batch: int = 64,
) -> Iterator[Flip]:
    """Remove pixels along each scan, grid step by grid step, up to the first point where argmax is not the target.

    `inputs` (N, C, H, W) and `targets` (N,) are the whole images and their decisions; `operator` says what removed
    pixels become. A scan is of one of the `grids`: how many pixels are removed at each index of it, ascending from 0 to
    all of them. A full batch of unfinished scans is kept: those that flipped leave, new ones enter. On a GPU two are,
    so that it computes one while the CPU sees to the other. Ends come in the order in which they are found. LogitsError
    if removal leads to logits that aren't finite.
    """
    scans = iter(scans)
    batches = 2 if inputs.device.type == "cuda" else 1
    running = deque(
        run_scans(ScansUnderWay(inputs, grids, operator, batch), decide, targets, scans) for _ in range(batches)
    )
    while running:
        try:
            flips = next(running[0])
        except StopIteration:
            running.popleft()
        else:
            running.rotate(-1)
            yield from flips or ()
