"""Ψ(a) + Σ_l Ψ(a^{b,l}): Eq. 8 with biases summed per layer, the paper's FullGrad baseline (fig. 6)."""

from torch import Tensor

from explanations.methods import bias, input
from explanations.methods.base import Maps
from explanations.methods.names import MethodName


def make_map(maps: Maps, name: MethodName, upsampling: str) -> Tensor:
    """(n, H, W)."""
    layers = [MethodName("bias", layer) for layer in sorted(set(maps.operation_layers))]
    return input.make_map(maps, name, upsampling) + sum(bias.make_map(maps, each, upsampling) for each in layers)
