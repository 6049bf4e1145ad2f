"""Ψ(a^{b,l}) of one layer's biases (Eq. 12)."""

from torch import Tensor

from explanations.decomposition.layer_bias import layer_bias
from explanations.errors import InputError
from explanations.methods.base import Maps
from explanations.methods.names import MethodName
from explanations.methods.transform import transform


def make_map(maps: Maps, name: MethodName, upsampling: str) -> Tensor:
    """(n, H, W) of the layer; InputError if it has no biases."""
    if name.layer not in maps.operation_layers:
        raise InputError(f"method is {name}; layer {name.layer} has no biases")
    return transform(add_biases(maps, name.layer), maps.size, upsampling)


def list_layers(maps: Maps, signed: bool) -> list[int]:
    """The layers with positions that have biases."""
    return [layer for layer in maps.layers[1:] if layer in maps.operation_layers]


def add_biases(maps: Maps, layer: int) -> Tensor:
    """a^{b,l} (Eq. 12), (n, h, w), of all biased operations of a layer."""
    return layer_bias([maps.bias(operation) for operation, owner in enumerate(maps.operation_layers) if owner == layer])
