"""The maps that methods make of any network in memory: of one that is changed again and again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from explanations.decomposition.decomposition import Decomposition
from explanations.explaining.maps import AttributionMaps
from explanations.methods.names import MethodName
from explanations.methods.saliency import LAYERS, list_methods, saliency_maps
from explanations.methods.sources.base import make_maps
from explanations.methods.sources.registry import SOURCES, complete_settings, load_source


@dataclass(frozen=True)
class Batch:
    """Images (n, C, H, W) as a network takes them, targets (n,), their numbers and all paths of the manifest.

    `bounds` (2, C, 1, 1) are the lowest and the highest value that pixels have.
    """

    images: Tensor
    targets: Tensor
    indices: Sequence[int]
    paths: Sequence[str]
    bounds: Tensor

    def shifted(self, shift: float) -> "Batch":
        """The same images, with a number added to all of their values."""
        return replace(self, images=self.images + shift, bounds=self.bounds + shift)


def papers_maps(
    network: nn.Module, batch: Batch, kinds: Sequence[MethodName], layers: str = LAYERS[0], upsampling: str = "bilinear"
) -> dict[str, Tensor]:
    """The maps (n, H, W) of all methods of some kinds, by name, from one decomposition of the network's scores."""
    decomposition = Decomposition(network, batch.images[:1])
    attributions = decomposition(batch.images, batch.targets)
    maps = AttributionMaps(attributions, [operation.layer for operation in decomposition.operations])
    names = [name for kind in kinds for name in list_methods(kind, maps, layers)]
    return {str(name): saliency_maps(name, maps, upsampling).cpu() for name in names}


def own_maps(network: nn.Module, batch: Batch, settings: Mapping, seed: int, size: int) -> Tensor:
    """The maps (n, H, W) of a method with passes of its own; NotApplicableError if it can't explain the network."""
    name, size_of_images = settings["source"], tuple(batch.images.shape[2:])
    bounds = [batch.bounds] if SOURCES[name].bounded else []
    prepared = load_source(name).prepare(complete_settings(settings), network, size_of_images, batch.paths, *bounds)
    return make_maps(prepared, batch.images, batch.targets, batch.indices, seed, size)
