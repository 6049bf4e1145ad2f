"""Whole removals: the class's score after every step of a scan, from no pixel removed to all.

Where find_flips ends a scan at its flip, this goes on; the flip, and e there, are the same.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from explanations.files.measurements import NEVER
from explanations.files.orders import ORDERS
from explanations.networks.decisions import Decisions
from explanations.removal.measuring import explain_overflow
from explanations.removal.operators.base import Operator
from explanations.removal.orders import removed_counts
from explanations.removal.scans import LogitsError, Scan, ScansUnderWay, judge
from explanations.removal.settings import OperatorSettings, RemovalSettings


@torch.no_grad()
def trace(
    decide: Decisions,
    inputs: Tensor,
    targets: Tensor,
    scans: Iterable[Scan],
    shape: tuple[int, ...],
    names: Sequence[str],
    settings: RemovalSettings,
    operator: Operator,
    batch: int,
    advance: Callable[[int], None],
) -> dict[str, np.ndarray]:
    """The curves of n images' scans, of `shape` (n, methods, 1 + noise maps, 2 orders), into which their keys point.

    `inputs` (N, C, H, W) and `targets` (N,) are the whole images and their decisions. Arrays are `logit` of the
    image's class and its `probability` by softmax, (*shape, K + 1) f4; `flip`, the grid index of the flip or NEVER, and
    `e` there (Eq. 17), f8, of `shape`. `advance` is told of every step, with the number of its passes.

    Logits are those of the precision that is decided in, nothing checked again. The whole images are computed once for
    all of their scans. All batches are full, with copies where scans or images run out: kernels, and with them the
    last digits, don't depend on how many there are. InputError, with an image's name of `names`, if removal makes
    logits that aren't finite.
    """
    arrays = {score: np.empty((*shape, settings.grid + 1), np.float32) for score in ("logit", "probability")}
    arrays |= {"flip": np.full(shape, NEVER), "e": np.full(shape, np.nan)}
    grid = removed_counts(inputs[0, 0].numel(), settings.grid)  # of both orders: their curves are subtracted
    under_way = ScansUnderWay(inputs, [grid] * len(ORDERS), operator, batch)
    for keys, traced in trace_parts(under_way, decide, inputs, targets, scans, names, settings, batch, advance):
        arrays["logit"][keys], arrays["probability"][keys] = traced.logit, traced.probability
        flips = np.where(traced.flipped.any(1), traced.flipped.argmax(1), NEVER)
        at_flip = traced.signal[np.arange(len(flips)), flips]  # of none it is that of all pixels, which isn't read
        never = 1.0 if settings.never_flips == "one" else np.nan
        arrays["flip"][keys], arrays["e"][keys] = flips, np.where(flips == NEVER, never, at_flip)
    return arrays


class Traced(NamedTuple):
    """What n scans gave at each of a grid's K + 1 points, (n, K + 1) each."""

    logit: np.ndarray  # of the class
    probability: np.ndarray
    flipped: np.ndarray  # whether the decision isn't the whole image's any more
    signal: np.ndarray  # e


def trace_parts(
    under_way: ScansUnderWay,
    decide: Decisions,
    inputs: Tensor,
    targets: Tensor,
    scans: Iterable[Scan],
    names: Sequence[str],
    settings: OperatorSettings,
    batch: int,
    advance: Callable[[int], None],
) -> Iterator[tuple[tuple[np.ndarray, ...], Traced]]:
    """Scans, `batch` of them at a time, from their whole images to the end of the grid: their keys, and what they gave.

    Keys are index arrays, one for each of a key's parts. All else is as in `trace`.
    """
    whole = compute_whole(decide, inputs, batch)
    scans = iter(scans)
    while part := list(islice(scans, batch)):
        keys = tuple(np.array([scan.key for scan in part]).T)
        try:
            traced = remove_all(under_way, decide, targets, whole, part, batch, advance)
        except LogitsError as error:
            raise explain_overflow(error, inputs, names, settings) from None
        yield keys, traced


def compute_whole(decide: Decisions, inputs: Tensor, batch: int) -> Tensor:
    """The logits (N, classes) of the whole images, in full batches."""
    rows = torch.arange(-(-len(inputs) // batch) * batch, device=inputs.device).clamp_(max=len(inputs) - 1)
    return torch.cat([decide.compute(inputs[part]) for part in rows.split(batch)])[: len(inputs)]


def remove_all(
    under_way: ScansUnderWay,
    decide: Decisions,
    targets: Tensor,
    whole: Tensor,
    scans: Sequence[Scan],
    batch: int,
    advance: Callable[[int], None],
) -> Traced:
    """Take n scans, `batch` at most, from their whole images, of which `whole` are the logits, to the end of the grid.

    LogitsError if logits aren't finite.
    """
    under_way.refill(iter([*scans, *[scans[-1]] * (batch - len(scans))]))
    rows = under_way.rows.clone()
    own = targets[rows]
    chosen, flags, signals = [], [], []
    for step in range(under_way.starts[1]):  # the points of the grid
        logits = decide.compute(under_way.remove()[0]) if step else whole[rows]
        scores = torch.stack([logits, logits.softmax(1)])
        chosen.append(scores.gather(2, own.expand(2, -1)[..., None])[..., 0])
        flags.append(judge(logits, own))
        signals.append(under_way.signal(slice(None)))
        if step:
            advance(len(scans))
    (logit, probability), (flipped, finite), signal = (
        torch.stack(values, -1)[..., : len(scans), :].cpu().numpy() for values in (chosen, flags, signals)
    )
    if not finite.all():
        slot, step = np.argwhere(~finite)[0].tolist()
        raise LogitsError(scans[slot].image, under_way.removed[step])
    flipped[:, 0] = False  # that is the decision which it flips from
    under_way.end(torch.ones(2, batch, dtype=torch.bool))  # all slots are free again
    return Traced(logit, probability, flipped, signal)
