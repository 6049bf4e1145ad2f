"""Networks that a method's maps are tried on: one whose parameters are shuffled from the top, and one that is shifted.

Randomisation from the top, layer after layer, is that of Adebayo et al. (2018): a map that stays as it was doesn't show
what the network has learnt. There layers are initialised anew; here the values of each of their tensors change places,
which leaves nothing learnt and, of any layer of any network, the distribution that its activities need.

The shift is that of Kindermans et al. (2017): a constant added to all images, and taken away by the network before all
else, changes no activity and no decision, and should change no map.
"""

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn


class Shifted(nn.Module):
    """A network that takes a constant away from its images first: of x + m it says what the network says of x."""

    def __init__(self, network: nn.Module, shift: float):
        super().__init__()
        self.network, self.shift = network, shift
        self.train(network.training)

    def forward(self, images: Tensor) -> Tensor:
        """The logits (n, C) of images (n, C, H, W)."""
        return self.network(images - self.shift)


@torch.no_grad()
def list_parametrised(network: nn.Module, image: Tensor) -> list[str]:
    """The names of the modules that hold parameters of their own, in the order in which an image passes them."""
    holding = {name: module for name, module in network.named_modules() if has_parameters(module)}
    passed: dict[str, None] = {}
    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: passed.setdefault(name))
        for name, module in holding.items()
    ]
    try:
        network(image)
    finally:
        for hook in hooks:
            hook.remove()
    order = list(passed)
    for name in holding:
        if name not in passed:  # read but never called, as the last map of an attention: it goes with what reads it
            reader = max((other for other in order if name.startswith(other)), key=len, default="")
            order.insert(order.index(reader) + 1 if reader in order else 0, name)
    return order


def has_parameters(module: nn.Module) -> bool:
    """Whether a module holds parameters itself, not only in modules within it."""
    return next(module.parameters(recurse=False), None) is not None


def cascade(network: nn.Module, image: Tensor, steps: int, seed: int) -> Iterator[tuple[int, str, nn.Module]]:
    """The network with ever more of its layers shuffled, from the output to the input, in at most so many steps.

    Each step gives how many layers are shuffled, the lowest of them, and a copy of the network; the last has all.
    """
    names = list_parametrised(network, image)[::-1]
    counts = sorted({*np.linspace(1, len(names), min(steps, len(names))).round().astype(int).tolist()})
    shuffled, done = copy.deepcopy(network), 0
    for count in counts:
        for number in range(done, count):
            shuffle_(shuffled.get_submodule(names[number]), np.random.default_rng([seed, 4, number]))
        done = count
        yield count, names[count - 1], copy.deepcopy(shuffled)


@torch.no_grad()
def shuffle_(module: nn.Module, rng: np.random.Generator) -> None:
    """Let the values of each of a module's own tensors change places: parameters, and statistics of normalisation."""
    for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
        if tensor.is_floating_point():
            order = torch.from_numpy(rng.permutation(tensor.numel())).to(tensor.device)
            tensor.copy_(tensor.flatten()[order].view_as(tensor))
