"""The grid pointing game (Böhle, Fritz & Schiele, 2021): does a class's evidence lie where its image is?

Four images of different classes are laid into a grid of two by two, twice as large as one image. A method makes a map
of the grid for each of the four classes. By construction a class is to be seen in one cell alone: the score is the
share of the map's positive evidence that lies in it. It asks nothing of objects or masks; a constant map has 1/4.

For methods with passes of their own, and for networks that take images of twice the size and end in pooling over all
positions: others have weights for each position, and a cell's evidence isn't that of its image alone.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from explanations.methods.sources.base import NotApplicableError, make_maps
from explanations.networks.modes import Mode

CELLS = 4


def choose_grids(classes: Sequence[int], seed: int) -> np.ndarray:
    """Groups of four images of different classes, (g, 4) indices, of the classes (n,) that a network decides for.

    Each image is in one group at most. The images are taken in a random order; one whose class its group has already
    waits for the next. What is left over when no group can be filled is in none.
    """
    waiting, groups = np.random.default_rng(seed).permutation(len(classes)).tolist(), []
    while True:
        group: list[int] = []
        for image in waiting:
            if len(group) < CELLS and classes[image] not in {classes[other] for other in group}:
                group.append(image)
        if len(group) < CELLS:
            return np.array(groups, int).reshape(-1, CELLS)
        groups.append(group)
        waiting = [image for image in waiting if image not in group]


def tile(cells: Tensor) -> Tensor:
    """Grids (g, C, 2H, 2W) of cells (g, 4, C, H, W): upper left, upper right, lower left, lower right."""
    return torch.cat([torch.cat([*cells[:, row : row + 2].unbind(1)], -1) for row in (0, 2)], -2)


def cell_shares(maps: Tensor) -> Tensor:
    """The share of each map's positive evidence in its own cell, (g, 4), of maps (g, 4, 2H, 2W), one for each cell.

    Σ_cell s⁺ / Σ s⁺, with s⁺ = max(s, 0); NaN where nothing is positive.
    """
    positive = maps.clamp(min=0).double()
    count, _, height, width = maps.shape
    # (g, map, row of cells, H, column of cells, W) to (g, map, cell)
    sums = positive.reshape(count, CELLS, 2, height // 2, 2, width // 2).sum((3, 5)).reshape(count, CELLS, CELLS)
    return sums.diagonal(dim1=1, dim2=2) / sums.sum(2)


class FixedPoolings(Mode):
    """Notes the sizes, more than one position, that images of any size are pooled to while it is on."""

    def __init__(self):
        super().__init__()
        self.sizes: list[tuple[int, int]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if "adaptive" in function.__name__:
            pooled = made[0] if isinstance(made, tuple) else made
            self.sizes += [tuple(pooled.shape[-2:])] * (pooled.shape[-2:].numel() > 1)
        return made


@torch.no_grad()
def check_takes_grids(network: nn.Module, image: Tensor) -> None:
    """NotApplicableError unless a network takes images of twice the size of one (C, H, W) and pools all positions.

    What was built for one size does not, by a linear map of all positions or an embedding of each; nor does what pools
    any image to some positions, with weights for each, as torchvision's VGG.
    """
    outputs = network(image[None]).shape
    try:
        with FixedPoolings() as poolings:
            found = network(tile(image.expand(1, CELLS, *image.shape))).shape
    except (RuntimeError, AssertionError, ValueError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise NotApplicableError(f"the network takes images of one size alone: {said}") from None
    if poolings.sizes:
        height, width = poolings.sizes[-1]
        raise NotApplicableError(f"the network pools images of any size to {height} × {width} positions, not to one")
    if found != outputs:
        raise NotApplicableError(f"the network has outputs of {tuple(found[1:])} for images of twice the size")


def play(
    source: ModuleType,
    settings: Mapping,
    network: nn.Module,
    images: Tensor,
    classes: Sequence[int],
    seed: int,
    batch: int,
) -> Tensor:
    """The scores (g, 4) of a method in grids of images (n, C, H, W), in the order of choose_grids.

    `source` is a module of methods.sources and `settings` are complete (see its registry); `classes` (n,) are those to
    explain, the network's own decisions on the single images. NotApplicableError if the network or the method can't.
    """
    check_takes_grids(network, images[0])
    groups = choose_grids(classes, seed)
    cells, (height, width) = groups.ravel(), images.shape[-2:]
    names = [f"grid {place}" for place in range(len(cells))]
    prepared = source.prepare(settings, network, (2 * height, 2 * width), names)
    targets, found = torch.as_tensor(classes).to(images.device), [torch.zeros(0, 2 * height, 2 * width)]
    step = 1 if prepared.alone else batch
    for start in range(0, len(cells), step):
        part = range(start, min(start + step, len(cells)))  # of all cells, grid by grid
        grids = tile(images[groups[[place // CELLS for place in part]]])
        found.append(make_maps(prepared, grids, targets[cells[part]], part, seed, batch))
    return cell_shares(torch.cat(found).reshape(-1, CELLS, 2 * height, 2 * width))
