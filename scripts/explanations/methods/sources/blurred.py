"""Another method's maps, blurred: a control of the measure.

Blurring adds no knowledge of the network. A measure that finds maps better once they are blurred measures, in part, how
smooth they are.
"""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from explanations.methods.sources.base import Method
from explanations.methods.transform import blur


def prepare(
    settings: Mapping,
    network: nn.Module,
    size: tuple[int, int],
    names: Sequence[str],
    maps: Callable[[Sequence[int]], Tensor],
) -> Method:
    """The blurred `maps`, which gives (n, H, W) of images by their indices in the manifest."""

    def make(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        return blur(maps(indices).to(images), settings["sigma"])

    return Method(make)
