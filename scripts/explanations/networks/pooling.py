"""Max pooling by rows and then by columns: the same maxima as torch's, which takes a window at a time, and faster."""

import torch
from torch import Tensor, fx, nn

from explanations.decomposition.operations import leaf_module


class SeparablePooling(nn.Module):
    """nn.MaxPool2d of images whose channels are last in memory: of k² pixels in a window 2k are compared, all at once.

    Images laid out otherwise are left to torch.
    """

    def __init__(self, pooling: nn.MaxPool2d):
        super().__init__()
        self.pooling = pooling

    def forward(self, x: Tensor) -> Tensor:
        """The largest values (n, C, H', W') in the windows of (n, C, H, W)."""
        if x.dim() != 4 or not x.is_contiguous(memory_format=torch.channels_last):
            return self.pooling(x)
        settings = (_pair(getattr(self.pooling, key)) for key in ("kernel_size", "stride", "padding"))
        for dim, (kernel, stride, padding) in enumerate(zip(*settings, strict=True), start=2):
            x = _slide(x, dim, kernel, stride, padding, self.pooling.ceil_mode)
        return x


def is_separable(pooling: nn.Module | None) -> bool:
    """Whether a module is a max pooling that makes images smaller, of adjacent pixels, and returns no indices.

    With a stride of 1 rows and columns are as slow as windows.
    """
    if type(pooling) is not nn.MaxPool2d or pooling.return_indices:
        return False
    return _pair(pooling.dilation) == (1, 1) and min(_pair(pooling.stride)) > 1


def separate_poolings(module: fx.GraphModule) -> None:
    """Replace the max poolings that a traced network calls."""
    for node in module.graph.nodes:
        pooling = leaf_module(module, node)
        if is_separable(pooling):
            module.set_submodule(node.target, SeparablePooling(pooling))


def _slide(x: Tensor, dim: int, kernel: int, stride: int, padding: int, ceil: bool) -> Tensor:
    """The maxima in windows along one axis; pixels outside are none (torch pads with −∞)."""
    size = x.shape[dim]
    outputs = (size + 2 * padding - kernel + (stride - 1 if ceil else 0)) // stride + 1
    if ceil and (outputs - 1) * stride >= size + padding:  # a window must start at a pixel, or in what pads the start
        outputs -= 1
    places = list(range(-padding, kernel - padding))  # of a window's pixels, against where the stride takes it
    full = [place for place in places if place >= 0 and place + stride * (outputs - 1) < size]  # in all windows
    if len(full) > 1:
        found = torch.maximum(*(_every(x, dim, place, outputs, stride) for place in full[:2]))
        places = [place for place in places if place not in full[:2]]
    else:
        shape = [outputs if axis == dim else length for axis, length in enumerate(x.shape)]
        found = x.new_full(shape, -torch.inf).contiguous(memory_format=torch.channels_last)
    for place in places:
        first, last = max(0, -(place // stride)), min(outputs - 1, (size - 1 - place) // stride)
        if first <= last:
            part = found.narrow(dim, first, last - first + 1)
            torch.maximum(part, _every(x, dim, stride * first + place, last - first + 1, stride), out=part)
    return found


def _every(x: Tensor, dim: int, start: int, count: int, step: int) -> Tensor:
    """`count` slices of an axis, every `step`-th, as a view."""
    return x.narrow(dim, start, (count - 1) * step + 1)[(slice(None),) * dim + (slice(None, None, step),)]


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)
