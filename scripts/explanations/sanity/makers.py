"""The maps that methods make of any network in memory: of one that is changed again and again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from explanations.decomposition.decomposition import Decomposition
from explanations.explaining.maps import AttributionMaps
from explanations.methods.names import MethodName
from explanations.methods.saliency import LAYERS, list_methods, saliency_maps
from explanations.methods.sources.base import make_maps
from explanations.methods.sources.registry import complete_settings, load_source


@dataclass(frozen=True)
class Batch:
    """Images (n, C, H, W) as a network takes them, targets (n,), their numbers and all paths of the manifest."""

    images: Tensor
    targets: Tensor
    indices: Sequence[int]
    paths: Sequence[str]


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
    source = load_source(settings["source"])
    prepared = source.prepare(complete_settings(settings), network, tuple(batch.images.shape[2:]), batch.paths)
    return make_maps(prepared, batch.images, batch.targets, batch.indices, seed, size)
