"""Removal operators: what a removed pixel becomes, and what is left of the image's signal then (§4, Eq. 17).

A new operator is a class with the two methods of `Operator`, and a line in OPERATORS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


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
    whole: Tensor  # (N, H·W, C): the whole images
    energy: Tensor  # (N, H·W) f8: the sum over channels of their squares
    size: tuple[int, int]  # H, W

    def removed(self) -> Tensor:
        """Which pixels are removed so far, (n, H·W) bool. It takes as long as to write whole images."""
        first = torch.arange(self.order.shape[1], device=self.order.device) < self.count
        return torch.empty_like(first).scatter_(1, self.order.long(), first)


class Operator(Protocol):
    """What removed pixels become. One operator serves all images and steps, so it keeps nothing of them."""

    def remove(self, removal: Removal, pixels: Tensor) -> None:
        """Write into `removal.images` what the `pixels` (n, k) int64 of this step become.

        A scan that removes fewer pixels than k names its last one several times. An operator that looks at these
        pixels alone takes no longer than needed; one whose result depends on all that is removed (inpainting, say) can
        ask `removal.removed()` and write other removed pixels again. Pixels that are not removed stay the image's.
        """

    def signal_left(self, removal: Removal) -> Tensor:
        """The energy of the image's signal that each pixel still carries, (n, H·W) f8; asked once a scan has ended.

        It is that of x_s in Eq. 17. What an operator brings in from elsewhere, such as a constant or other images, is
        no signal of the image; what it keeps of the image, such as its blurred or shuffled pixels, is.
        """


@dataclass(frozen=True)
class Fill:
    """All channels of a removed pixel are `value`, in the network's input space; nothing of the image is left there."""

    value: float

    def remove(self, removal: Removal, pixels: Tensor) -> None:
        """Write the value."""
        removal.images.scatter_(1, pixels[..., None].expand(-1, -1, removal.images.shape[2]), self.value)

    def signal_left(self, removal: Removal) -> Tensor:
        """The energy of the pixels that aren't removed, whatever the value."""
        return removal.energy[removal.rows] * ~removal.removed()


OPERATORS: dict[str, Callable[..., Operator]] = {
    "fill": Fill,
}
