"""Controls, which put a measure in its place: maps that know nothing of the network."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explanations.methods.sources.base import Method

SOBEL = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]) / 8


def prepare(settings: Mapping, network: nn.Module, size: tuple[int, int], names: Sequence[str]) -> Method:
    """A control by its name."""
    make: dict[str, Callable[[Tensor], Tensor]] = {
        "random": draw,
        "sobel": find_edges,
        "gaussian": lambda images: centre(images, settings["sigma"]),
        "norm": lambda images: images.norm(dim=1),
    }
    control = make[settings["name"]]

    def call(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        return control(images)

    return Method(call, alone=settings["name"] == "random")


def draw(images: Tensor) -> Tensor:
    """Uniform random numbers (n, H, W), the same on every device."""
    return torch.rand((len(images), *images.shape[2:])).to(images.device)


def find_edges(images: Tensor) -> Tensor:
    """The magnitude of Sobel's gradient, summed over channels, (n, H, W); the border is repeated outside the image."""
    kernel = SOBEL.to(images)
    filters = torch.stack([kernel, kernel.T])[:, None]
    planes = F.pad(images, (1, 1, 1, 1), mode="replicate").flatten(0, 1)[:, None]
    return F.conv2d(planes, filters).norm(dim=1).view_as(images).sum(1)


def centre(images: Tensor, sigma: float) -> Tensor:
    """A Gaussian in the middle of the image, (n, H, W), of standard deviation `sigma` times the image's extent."""
    rows, columns = ((torch.arange(extent) + 0.5) / extent - 0.5 for extent in images.shape[2:])
    one = torch.exp(-(rows[:, None] ** 2 + columns**2) / (2 * sigma**2))
    return one.to(images).expand(len(images), -1, -1)
