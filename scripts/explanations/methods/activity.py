"""Ψ(a^{h,l}) of one layer's activity (Eq. 11); signed, ranked by a instead of |a| (Suppl. D, fig. S9)."""

from torch import Tensor

from explanations.methods.base import Maps
from explanations.methods.names import MethodName
from explanations.methods.transform import transform


def make_map(maps: Maps, name: MethodName, upsampling: str) -> Tensor:
    """(n, H, W) of the layer."""
    return transform(maps.activity(name.layer), maps.size, upsampling, signed=name.signed)


def list_layers(maps: Maps, signed: bool) -> list[int]:
    """All layers with positions; the input's unsigned map has a name of its own, `input`."""
    return list(maps.layers if signed else maps.layers[1:])
