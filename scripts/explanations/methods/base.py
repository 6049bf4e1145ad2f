"""What a saliency method reads, and what its file holds.

The file of a method, methods/<kind>.py, has

    make_map(maps, name, upsampling) -> Tensor     saliency (n, H, W) at the images' size, from `maps` of n images;
                                                   `name` says which layer, and whether it is signed
    list_layers(maps, signed) -> list[int]         only of a kind that makes a map for each layer: the layers that it
                                                   has one of, ascending

Maps are made from the stored decomposition wherever they are needed, and never stored.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Maps(Protocol):
    """Attribution maps of n images: what a method reads.

    `layers` are those with more than one position, from 0; `sizes` the height and width of each one's maps.
    """

    size: tuple[int, int]
    layers: Sequence[int]
    sizes: Sequence[tuple[int, int]]
    operation_layers: Sequence[int]  # the layer of every biased operation

    def activity(self, layer: int) -> Tensor:
        """a^{h,l}, (n, H_l, W_l)."""

    def bias(self, operation: int) -> Tensor:
        """a^b of one biased operation, (n, H, W)."""

    def fullgrad_feature(self, operation: int) -> Tensor:
        """Σ_φ rescale(abs(a^b_φ)) of one biased operation, (n, H, W)."""

    def gradient(self) -> Tensor:
        """Σ_φ |∂f_c/∂x_φ|, (n, H, W)."""

    def gradcam(self) -> Tensor:
        """Grad-CAM at the last layer with positions, (n, h, w)."""
