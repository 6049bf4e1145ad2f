"""What any decomposition must be: complete at every layer, of a network that removal's faster copy agrees with."""

import literal
import numpy as np
import torch
from torch import Tensor, nn

from explanations.decomposition.decomposition import Attributions, Decomposition, completeness_gap
from explanations.networks.inference import optimise_for_inference


def explain(network: nn.Module, images: Tensor, targets: Tensor | None = None) -> tuple[Decomposition, Attributions]:
    """A network's decomposition, and what it finds in some images."""
    decomposition = Decomposition(network, images[:1])
    return decomposition, decomposition(images, targets)


def bias_layers(decomposition: Decomposition) -> list[int]:
    """The layer of each biased operation."""
    return [operation.layer for operation in decomposition.operations]


def assert_complete(network: nn.Module, images: Tensor, tolerance: float) -> tuple[Decomposition, Attributions]:
    """Eq. 13 at the input and at every layer, for float64 networks, to `tolerance` relative to the score."""
    decomposition, found = explain(network, images)
    with torch.no_grad():
        logits = network(images)
    torch.testing.assert_close(found.logits, logits, rtol=1e-9, atol=1e-12)
    assert found.target.tolist() == logits.argmax(1).tolist()
    layers = bias_layers(decomposition)
    totals = literal.decompositions(found.activity, found.bias, layers)
    totals += literal.non_spatial(found.activity_non_spatial, found.bias_non_spatial, layers)
    score = logits.amax(1).numpy()[:, None]
    assert (score != 0).all()
    np.testing.assert_allclose(totals, np.broadcast_to(score, totals.shape), rtol=tolerance, atol=0)
    for values, layer in zip(found.activity[1:], decomposition.layers, strict=True):
        assert values.any() or found.activity_non_spatial[:, layer.index].any(), layer.name
    gap, size = completeness_gap(found, layers)
    assert (gap.abs() <= 1e-12 * size).all()
    return decomposition, found


def assert_same_logits_for_inference(network: nn.Module, images: Tensor, logits: Tensor) -> None:
    """Removal's copy of a network, in float32, has its logits; the network is of no use any more."""
    inputs = images.float().contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        found = optimise_for_inference(network.float(), torch.device("cpu"))(inputs)
    torch.testing.assert_close(found.double(), logits, rtol=0, atol=1e-3 * logits.abs().max().item())


class FoundMaps:
    """A decomposition's maps, as saliency methods read them."""

    def __init__(self, found: Attributions, operation_layers: list[int]):
        self.found, self.operation_layers = found, operation_layers
        self.size = tuple(found.gradient.shape[1:])
        self.layers = [l for l, a in enumerate(found.activity) if a[0].numel() > 1]

    def activity(self, layer: int) -> Tensor:
        return self.found.activity[layer]

    def bias(self, operation: int) -> Tensor:
        return self.found.bias[operation]

    def fullgrad_feature(self, operation: int) -> Tensor:
        return self.found.fullgrad_feature[operation]

    def gradient(self) -> Tensor:
        return self.found.gradient

    def gradcam(self) -> Tensor:
        return self.found.gradcam
