"""Shards' maps of some images as tensors: what saliency methods read."""

from collections.abc import Sequence

import torch
from torch import Tensor

from explanations.files.shards import ShardReader, numbered


class ShardMaps:
    """The attribution maps of `images` (indices in the manifest), read from shards on demand (base.Maps)."""

    def __init__(self, shards: ShardReader, images: Sequence[int], device: torch.device | str = "cpu"):
        self.shards, self.images, self.device = shards, images, device
        self.size = tuple(shards.size)
        sizes = shards.map_sizes()
        self.layers, self.sizes = list(sizes), list(sizes.values())
        self.operation_layers = [operation.layer for operation in shards.operations]

    def _read(self, name: str) -> Tensor:
        return torch.from_numpy(self.shards.read(name, self.images)).to(self.device)

    def activity(self, layer: int) -> Tensor:
        """a^{h,l}, (n, H_l, W_l)."""
        return self._read(numbered("activity", layer))

    def bias(self, operation: int) -> Tensor:
        """a^b of one biased operation, (n, H, W)."""
        return self._read(numbered("bias", operation + 1))

    def fullgrad_feature(self, operation: int) -> Tensor:
        """Σ_φ rescale(abs(a^b_φ)) of one biased operation, (n, H, W)."""
        return self._read(numbered("fullgrad_feature", operation + 1))

    def gradient(self) -> Tensor:
        """Σ_φ |∂f_c/∂x_φ|, (n, H, W)."""
        return self._read("gradient")

    def gradcam(self) -> Tensor:
        """Grad-CAM at the last layer with positions, (n, h, w)."""
        return self._read("gradcam")
