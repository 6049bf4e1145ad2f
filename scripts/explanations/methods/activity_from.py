"""The mean of Ψ(a^{h,l}) over the layers from one to the top (Eq. 16 without its input term); signed: fig. S10."""

import torch
from torch import Tensor

from explanations.methods import activity
from explanations.methods.base import Maps
from explanations.methods.names import MethodName


def make_map(maps: Maps, name: MethodName, upsampling: str) -> Tensor:
    """(n, H, W), of the layers from `name.layer` to the top; from 0, the input's attributions count as a layer."""
    chosen = [layer for layer in maps.layers if layer >= name.layer]
    single = MethodName("activity", signed=name.signed)
    return torch.stack([activity.make_map(maps, single.at(layer), upsampling) for layer in chosen]).mean(0)


def list_layers(maps: Maps, signed: bool) -> list[int]:
    """All layers but the top, which alone is no aggregate; from 0 unsigned, it is `activity_with_input`."""
    return list(maps.layers[:-1] if signed else maps.layers[1:-1])
