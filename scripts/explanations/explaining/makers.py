"""Methods that are ready to make maps of any network in memory, and of any images: nothing is read from files."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from explanations.decomposition.decomposition import Decomposition
from explanations.explaining.maps import AttributionMaps
from explanations.methods.names import MethodName
from explanations.methods.saliency import saliency_maps
from explanations.methods.sources.base import Method
from explanations.methods.sources.registry import SOURCES, complete_settings, load_source


def prepare_papers(
    network: nn.Module, image: Tensor, names: Sequence[MethodName], upsampling: str
) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    """What gives the maps (n, H, W) by the paper's methods, by name, of images (n, C, H, W) and targets (n,).

    All are of one decomposition of the network, which is traced with `image` (1, C, H, W).
    """
    decomposition = Decomposition(network, image)
    owners = [operation.layer for operation in decomposition.operations]

    def make(images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        maps = AttributionMaps(decomposition(images, targets), owners)
        return {str(name): saliency_maps(name, maps, upsampling).cpu() for name in names}

    return make


def prepare_own(
    network: nn.Module, size: tuple[int, int], settings: Mapping, paths: Sequence[str], bounds: Tensor
) -> Method:
    """A method with passes of its own, by what the configuration says of it, for images of a height and width.

    `paths` name the images, `bounds` (2, C, 1, 1) are the lowest and the highest value that pixels have.
    NotApplicableError if it can't explain the network. Of methods for which say_no_maker is empty alone.
    """
    source = settings["source"]
    known = [bounds] if SOURCES[source].bounded else []
    return load_source(source).prepare(complete_settings(settings), network, size, paths, *known)
