"""Measuring maps by removal (§4): all scans of some images, by method and by whose map, and what comes of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from explanations.errors import InputError
from explanations.files.measurements import NEVER, arrange_flips
from explanations.files.operators import PAPERS_OPERATOR
from explanations.files.orders import ORDERS
from explanations.methods.names import MethodName
from explanations.networks.decisions import Decisions, relative_errors
from explanations.removal.operators.base import Operator
from explanations.removal.orders import rank_pixels, removed_counts
from explanations.removal.scans import Flip, LogitsError, Scan, ScansUnderWay, find_flips
from explanations.removal.settings import OperatorSettings, RemovalSettings

Source = TypeVar("Source")
LEARNT, LEARNT_STEPS = 8, 16  # scans, and their steps, on which a fast precision's errors are measured in advance
COARSE = 8  # values in a row of the smooth maps that these scans go by
LOGITS_TOLERANCE = 1e-3  # float32's rounding, and the folding of batch normalisation, stay far below


@torch.no_grad()
def check_whole_images(decide: Decisions, inputs: Tensor, logits: np.ndarray, names: Sequence[str], batch: int) -> None:
    """The images must have signal, and the network their attributions' logits: otherwise e would mean nothing.

    `inputs` are (n, C, H, W), `logits` (n, classes); InputError with an image's name of `names`.
    """
    exact = torch.cat([decide.measure(part) for part in inputs.split(batch)]).cpu()
    gap = relative_errors(exact, torch.from_numpy(logits)).tolist()
    for name, image, value in zip(names, inputs, gap, strict=True):
        if not image.any():
            raise InputError(f"{name}: all its pixels are 0 in the network's input space; e needs an image with signal")
        if not value <= LOGITS_TOLERANCE:
            raise InputError(
                f"{name}: its logits are {value:.2g} of their size off its attributions'; "
                f"allowed is {LOGITS_TOLERANCE:g}"
            )


@torch.no_grad()
def learn_errors(decide: Decisions, inputs: Tensor, operator: Operator) -> None:
    """Let decisions in a fast precision see their errors on images (n, C, H, W) with few to all pixels removed.

    Errors are relative to logits, which removal makes smaller: on whole images alone, or on the first steps of one
    image's scans, they are up to four times smaller than half of the way. Half of the scans remove pixels by smooth
    maps, half by maps without any order.
    """
    if not decide.learns:
        return
    generator, (height, width) = torch.Generator().manual_seed(0), inputs.shape[2:]
    coarse = torch.rand(LEARNT // 2, 1, COARSE, COARSE, generator=generator)
    smooth = F.interpolate(coarse, size=(height, width), mode="bilinear").flatten(1)
    maps = torch.cat([smooth, torch.rand(LEARNT - LEARNT // 2, height * width, generator=generator)])
    ranks = maps.argsort(1).argsort(1).int().to(inputs.device)
    rows = torch.linspace(0, len(inputs) - 1, LEARNT).round().long().tolist()
    steps = min(LEARNT_STEPS, height * width)
    under_way = ScansUnderWay(inputs, [removed_counts(height * width, steps)], operator, LEARNT)
    under_way.refill(Scan((k,), row, rank) for k, (row, rank) in enumerate(zip(rows, ranks, strict=True)))
    for _ in range(steps):
        decide.measure(under_way.remove()[0])


def make_scans(
    methods: list[MethodName],
    make: Callable[[MethodName, Source], Tensor],
    sources: Sequence[Source],
    ties: Tensor,
    orders: Sequence[str] = ORDERS,
) -> Iterator[Scan]:
    """All scans of a block of images: by its own maps (source 0) and by noise maps, in one order of removal or both.

    `make` gives the maps (n, H, W) of a method from a source, whatever that is: stored maps, images that have them.

    A scan's key is (image, method, source, index of the order); its grid is the order's. Each map is sorted once,
    pixels of equal saliency by `ties`; the most salient first is the reverse of the least salient first.
    """
    pixels = ties.shape[1]
    for m, method in enumerate(methods):
        for s, source in enumerate(sources):
            ranks = rank_pixels(make(method, source), ties)
            for image, rank in enumerate(ranks):
                for index, order in enumerate(orders):
                    yield Scan((image, m, s, index), image, rank if order == "minus" else pixels - 1 - rank, index)


def measure(
    decide: Decisions,
    inputs: Tensor,
    targets: Tensor,
    scans: Iterable[Scan],
    shape: tuple[int, ...],
    names: Sequence[str],
    settings: RemovalSettings,
    operator: Operator,
    batch: int,
    advance: Callable[[Flip], None],
    orders: Sequence[str] = ORDERS,
) -> dict[str, np.ndarray]:
    """The results of n images' scans, of `shape` (n, methods, 1 + noise maps, orders), under the names of STORED.

    Arrays are (image, method): e_minus, e_plus and, the mean over noise maps, e_minus_noise, e_plus_noise; flip_minus,
    flip_plus, and (image, method, noise map) flip_minus_noise, flip_plus_noise; those of `orders` alone. `advance` is
    told of every end.
    InputError, with an image's name of `names`, if the operator makes logits that aren't finite.
    """
    steps, signal = np.full(shape, NEVER), np.full(shape, np.nan)
    grids = [settings.removed_counts(inputs[0, 0].numel(), order) for order in orders]
    try:
        for flip in find_flips(decide, inputs, targets, scans, grids, operator, batch):
            steps[flip.key], signal[flip.key] = flip.step, flip.signal
            advance(flip)
    except LogitsError as error:
        raise explain_overflow(error, inputs, names, settings) from None
    if settings.never_flips == "exclude":
        signal[steps == NEVER] = np.nan
    return arrange_flips(steps, signal, orders)


def explain_overflow(
    error: LogitsError, inputs: Tensor, names: Sequence[str], settings: OperatorSettings
) -> InputError:
    """The line for logits that aren't finite once pixels of an image are removed, with its name of `names`."""
    lost = f"{names[error.image]} with {error.removed} pixels removed"
    usual = f"its pixels are {inputs.min():.3g} to {inputs.max():.3g} in the network's input space"
    if settings.operator != PAPERS_OPERATOR:
        return InputError(
            f"removal.operators has {settings.operator}; the logits of {lost} are NaN or infinite ({usual})"
        )
    return InputError(
        f"removal.fill is {settings.fill:g}; the logits of {lost} are NaN or infinite; allowed is a value "
        f"with which they are finite ({usual})"
    )
