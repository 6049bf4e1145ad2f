"""What a removal operator is: it says what removed pixels become, of images that are under way together (§4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from explanations.files.descriptions import NetworkDescription

COLOURS = 3  # channels at most; a fourth is alpha, whose 0 in the network's input space is opaque


@dataclass(frozen=True)
class Pictures:
    """The whole images that pixels are removed from, as an operator is made for them."""

    inputs: Tensor  # (N, C, H, W), in the network's input space
    numbers: Sequence[int]  # (N,): each one's index in the manifest, by which noise is drawn
    mean: Tensor  # (C,): what an input is, of pixels from 0 to 1: (pixel − mean) / std
    std: Tensor  # (C,)
    seed: int

    @classmethod
    def of(cls, inputs: Tensor, numbers: Sequence[int], description: NetworkDescription, seed: int) -> "Pictures":
        """Images as a network with this description reads them."""
        mean, std = (inputs.new_tensor(values) for values in (description.mean, description.std))
        return cls(inputs, numbers, mean, std, seed)


@dataclass(frozen=True)
class Removal:
    """How far the pixels of n images are removed, as an operator gets it.

    Pixels are numbered row by row, and channels are last. The n images are those that are under way together; an image
    may be among them several times, in different orders of removal.
    """

    images: Tensor  # (n, H·W, C): as the steps before left them; the operator writes into them, and nowhere else
    rows: Tensor  # (n,): which of the whole images each one was
    order: Tensor  # (n, H·W) int32: the pixels in the order in which they are removed
    count: Tensor  # (n, 1): how many of them are removed so far, those of this step among them
    size: tuple[int, int]  # H, W

    def removed(self) -> Tensor:
        """Which pixels are removed so far, (n, H·W) bool. It takes as long as to write whole images."""
        first = torch.arange(self.order.shape[1], device=self.order.device) < self.count
        return torch.empty_like(first).scatter_(1, self.order.long(), first)


class Operator(Protocol):
    """What removed pixels become. One operator serves all orders and steps, so it keeps nothing of them.

    e (Eq. 17) is of the signal of the pixels that aren't removed, whatever an operator makes of the others: so numbers
    of several operators compare.
    """

    def remove(self, removal: Removal, pixels: Tensor) -> None:
        """Write into `removal.images` what the `pixels` (n, k) int64 of this step become.

        A scan that removes fewer pixels than k names its last one several times. An operator that looks at these
        pixels alone takes no longer than needed; one whose result depends on all that is removed (imputation, say) can
        ask `removal.removed()` and write other removed pixels again. Pixels that are not removed stay the image's.
        What it writes depends on the scan's own image and pixels alone, not on what else is under way.
        """


@dataclass(frozen=True)
class Replace:
    """A removed pixel becomes the same pixel of another image, one for each of the whole images."""

    others: Tensor  # (N, H·W, C), which may be expanded

    def remove(self, removal: Removal, pixels: Tensor) -> None:
        """Write the other images' pixels."""
        values = self.others[removal.rows[:, None], pixels]  # (n, k, C)
        removal.images.scatter_(1, pixels[..., None].expand_as(values), values)


def replace_by(inputs: Tensor, values: Tensor) -> Replace:
    """Of (N, C, H, W) images, removal that replaces by values that broadcast to them."""
    return Replace(values.to(inputs).expand_as(inputs).flatten(2).transpose(1, 2))
