"""Which learned tensors of a network are added to what is computed from the image, whatever its modules are called.

A network runs on random images, and every call of torch's own operations is seen (watcher.py): a convolution's bias, a
parameter that some module adds by itself, a vector that is put together from two parameters first. Nothing depends on
lists of module classes, and networks that torch.fx can't trace are seen as well.
"""

import copy
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from explanations.decomposition.operations import attention_in_parts
from explanations.errors import InputError
from explanations.networks.watcher import Watcher


@dataclass(frozen=True)
class Additions:
    """What is added to a network's activities: names of learned tensors, as in its state and in its order.

    `biases` are added to all positions alike, or cut values off there. What is no bias: `by_position`, which are added
    with values that differ along more than one dimension, as position embeddings are, and `joined` with activities, as
    tokens are. `maps` are the weights of convolutions and linear maps. `normalisation` says what the activities are
    divided by: statistics of the training images (`batch`), of the image itself (`layer`), or `none`.
    """

    biases: tuple[str, ...]
    by_position: tuple[str, ...]
    joined: tuple[str, ...]
    maps: tuple[str, ...]
    normalisation: str


def find_additions(network: nn.Module, size: tuple[int, int, int]) -> Additions:
    """Watch a copy of a network on two random images of `size`, (channels, H, W), in evaluation mode.

    Learned are parameters and what else a network's state holds, such as batch normalisation's means; a tensor with
    several names counts under its first. Raises InputError if learned tensors, which it names, are added in such a way
    that one can't tell which of them to set to 0.
    """
    network = copy.deepcopy(network).cpu().eval().requires_grad_(False)
    learned: dict[str, Tensor] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        if tensor.is_floating_point() and not any(tensor is other for other in learned.values()):
            learned[name] = tensor
    _randomise(learned.values())
    watcher = _watch(network, learned, size)
    biases = watcher.biases()
    for name in biases:
        learned[name].data.zero_()
    left = _watch(network, learned, size).remaining()
    if left:
        raise InputError(
            f"the network's {left} can't be told to be a bias or none: it is added to the activities after "
            "operations that don't leave 0 as 0; allowed are sums, and products with what else multiplies activities"
        )
    kinds = (biases, watcher.by_position() - biases, watcher.joined, watcher.maps)
    return Additions(*(tuple(name for name in learned if name in kind) for kind in kinds), watcher.normalisation)


def _randomise(tensors: Iterable[Tensor]) -> None:
    """Give tensors values that differ and are not 0, which show what a sum is made of; maps keep an input's scale."""
    generator = torch.Generator().manual_seed(0)
    for tensor in tensors:
        values = torch.empty(tensor.shape, dtype=tensor.dtype).uniform_(0.5, 1.5, generator=generator)
        is_map = values.dim() > 1 and len(values) > 1
        tensor.data = values / values[0].numel() if is_map else values


def _watch(network: nn.Module, learned: dict[str, Tensor], size: tuple[int, int, int]) -> Watcher:
    dtype = next((tensor.dtype for tensor in learned.values()), torch.get_default_dtype())
    images = torch.rand(2, *size, generator=torch.Generator().manual_seed(0)).to(dtype)
    watcher = Watcher(learned, images)
    # recurrent maps have to show their parts too
    recurrent = any(isinstance(module, nn.RNNBase) for module in network.modules())
    in_parts = torch.backends.mkldnn.flags(enabled=False) if recurrent else nullcontext()
    with torch.no_grad(), attention_in_parts(), in_parts, watcher:
        network(images)
    return watcher
