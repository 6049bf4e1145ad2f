"""Attributions in memory as maps of images: what saliency methods read."""

from collections.abc import Sequence

from torch import Tensor

from explanations.decomposition.decomposition import Attributions


class AttributionMaps:
    """The maps of n images' attributions (base.Maps), on their device, in single precision as shards hold them.

    `operation_layers` are the layers of the biased operations.
    """

    def __init__(self, attributions: Attributions, operation_layers: Sequence[int]):
        self.attributions, self.operation_layers = attributions, operation_layers
        self.size = tuple(attributions.gradient.shape[1:])
        shapes = [each.shape[1:] for each in attributions.activity]
        self.layers = [layer for layer, (height, width) in enumerate(shapes) if height * width > 1]
        self.sizes = [tuple(shapes[layer]) for layer in self.layers]

    def activity(self, layer: int) -> Tensor:
        """a^{h,l}, (n, H_l, W_l)."""
        return self.attributions.activity[layer].float()

    def bias(self, operation: int) -> Tensor:
        """a^b of one biased operation, (n, H, W)."""
        return self.attributions.bias[operation].float()

    def fullgrad_feature(self, operation: int) -> Tensor:
        """Σ_φ rescale(abs(a^b_φ)) of one biased operation, (n, H, W)."""
        return self.attributions.fullgrad_feature[operation].float()

    def gradient(self) -> Tensor:
        """Σ_φ |∂f_c/∂x_φ|, (n, H, W)."""
        return self.attributions.gradient.float()

    def gradcam(self) -> Tensor:
        """Grad-CAM at the last layer with positions, (n, h, w)."""
        return self.attributions.gradcam.float()
