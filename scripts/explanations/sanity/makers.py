"""The maps that methods make of any network in memory: of one that is changed again and again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from explanations.explaining.makers import prepare_own, prepare_papers
from explanations.methods.names import MethodName
from explanations.methods.sources.base import make_maps


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
    network: nn.Module, batch: Batch, names: Sequence[MethodName], upsampling: str = "bilinear"
) -> dict[str, Tensor]:
    """The maps (n, H, W) by the paper's methods, by name, from one decomposition of the network's scores."""
    return prepare_papers(network, batch.images[:1], names, upsampling)(batch.images, batch.targets)


def own_maps(network: nn.Module, batch: Batch, settings: Mapping, seed: int, size: int) -> Tensor:
    """The maps (n, H, W) of a method with passes of its own; NotApplicableError if it can't explain the network."""
    prepared = prepare_own(network, tuple(batch.images.shape[2:]), settings, batch.paths, batch.bounds)
    return make_maps(prepared, batch.images, batch.targets, batch.indices, seed, size)
