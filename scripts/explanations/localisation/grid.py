"""The grid pointing game (Böhle, Fritz & Schiele, 2021): does a class's evidence lie where its image is?

Four images of different classes are laid into a grid of two by two, twice as large as one image. A method makes a map
of the grid for each of the four classes. By construction a class is to be seen in one cell alone: the score is the
share of the map's positive evidence that lies in it. It asks nothing of objects or masks; a constant map has 1/4.

For networks that take images of twice the size and end in pooling over all positions: others have weights for each
position, and a cell's evidence isn't that of its image alone.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from explanations.files.manifests import UNLABELLED
from explanations.methods.sources.base import NotApplicableError
from explanations.networks.modes import Mode

CELLS = 4

# maps (m, 2H, 2W) by each method's name, of grids (m, C, 2H, 2W), classes (m,) to explain, and the maps' numbers
Maker = Callable[[Tensor, Tensor, Sequence[int]], Mapping[str, Tensor]]


def rank_confident(logits: np.ndarray, decisions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The images that are decided as they are labelled, or have no label, the most confident first: their indices.

    Of logits (n, K), decisions (n,) and labels (n,). Confidence is the decision's probability p by softmax. They are
    ranked by log p / (1 − p), which orders them in the same way, and tells them apart where p rounds to 1.
    """
    others = logits.astype(float)
    own = others[np.arange(len(others)), decisions]
    others[np.arange(len(others)), decisions] = -np.inf
    log_odds = own - np.logaddexp.reduce(others, axis=1)
    order = np.argsort(-log_odds, kind="stable")
    return order[((decisions == labels) | (labels == UNLABELLED))[order]]


def choose_grids(classes: Sequence[int], ranked: Sequence[int], most: int, seed: int) -> np.ndarray:
    """Groups of four images of different classes, (g, 4) indices: so many, or as many as there can be, each image once.

    `classes` (n,) are all images', `ranked` are the indices of those that may be chosen. A grid takes the first of them
    that is left, and the next ones of classes that it doesn't have yet; which lies in which cell is drawn by the seed.
    """
    waiting, groups, rng = list(ranked), [], np.random.default_rng(seed)
    while len(groups) < most:
        group: dict[int, int] = {}  # of a class, its image
        for image in waiting:
            if len(group) < CELLS:
                group.setdefault(classes[image], image)
        if len(group) < CELLS:
            break
        groups.append(rng.permutation(list(group.values())))
        waiting = [image for image in waiting if image not in group.values()]
    return np.array(groups, int).reshape(-1, CELLS)


def tile(cells: Tensor) -> Tensor:
    """Grids (g, C, 2H, 2W) of cells (g, 4, C, H, W): upper left, upper right, lower left, lower right."""
    return torch.cat([torch.cat([*cells[:, row : row + 2].unbind(1)], -1) for row in (0, 2)], -2)


def cell_shares(maps: Tensor, cells: Tensor) -> Tensor:
    """The share of each map's positive evidence in one of the cells, (m,), of maps (m, 2H, 2W) and cells (m,), 0 to 3.

    Σ_cell s⁺ / Σ s⁺, with s⁺ = max(s, 0); NaN where nothing is positive.
    """
    count, height, width = maps.shape
    positive = maps.clamp(min=0).double().reshape(count, 2, height // 2, 2, width // 2)
    sums = positive.sum((2, 4)).reshape(count, CELLS)  # (m, row of cells, column of cells) to (m, cell)
    return sums.gather(1, cells[:, None])[:, 0] / sums.sum(1)


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


def play(make: Maker, images: Tensor, classes: Tensor, batch: int) -> dict[str, Tensor]:
    """The scores (g, 4) by each method's name, in grids of images (g, 4, C, H, W), of the images' classes (g, 4).

    A pass takes as many pixels as one of `batch` single images. NaN where a map has nothing positive.
    """
    count, targets, step = classes.numel(), classes.flatten(), max(1, batch // CELLS)
    found: dict[str, list[Tensor]] = {}
    for start in range(0, count, step):
        part = torch.arange(start, min(start + step, count))  # of all maps, grid by grid and cell by cell
        grids = tile(images[part // CELLS])
        for name, maps in make(grids, targets[part], part.tolist()).items():
            found.setdefault(name, []).append(cell_shares(maps, part % CELLS))
    return {name: torch.cat(shares).reshape(-1, CELLS) for name, shares in found.items()}
