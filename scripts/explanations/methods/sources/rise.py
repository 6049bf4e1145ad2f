"""RISE (Petsiuk, Das & Saenko, 2018): how probable the target is, on average, where random masks keep a pixel."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explanations.methods.sources.base import Method

AT_A_TIME = 50  # masked images in a pass


def prepare(settings: Mapping, network: nn.Module, size: tuple[int, int], names: Sequence[str]) -> Method:
    """RISE with so many masks of cells × cells, each cell kept with a probability."""
    masks, cells, kept = settings["masks"], settings["cells"], settings["kept"]

    @torch.no_grad()
    def make(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        drawn = draw_masks(masks, cells, kept, size).to(images)
        image, target = images[0], int(targets[0])
        found = torch.zeros(size, device=images.device)
        for part in drawn.split(AT_A_TIME):
            probabilities = network(part[:, None] * image).softmax(1)[:, target]
            found += (probabilities[:, None, None] * part).sum(0)
        return found[None] / (masks * kept)

    return Method(make, alone=True)


def draw_masks(count: int, cells: int, kept: float, size: tuple[int, int]) -> Tensor:
    """Masks (count, H, W) in [0, 1]: coarse random ones, enlarged bilinearly, each cut at a place of its own."""
    cell = [-(-extent // cells) for extent in size]  # rounded up
    coarse = (torch.rand(count, 1, cells, cells) < kept).float()
    wide = F.interpolate(coarse, [(cells + 1) * extent for extent in cell], mode="bilinear", align_corners=False)[:, 0]
    tops, lefts = (torch.randint(extent, (count,)).tolist() for extent in cell)
    height, width = size
    return torch.stack(
        [mask[top : top + height, left : left + width] for mask, top, left in zip(wide, tops, lefts, strict=True)]
    )
