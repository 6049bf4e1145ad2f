"""Ψ(a) of the input attributions (Eq. 5)."""

from torch import Tensor

from explanations.methods.base import Maps
from explanations.methods.names import MethodName
from explanations.methods.transform import transform


def make_map(maps: Maps, name: MethodName, upsampling: str) -> Tensor:
    """(n, H, W)."""
    return transform(maps.activity(0), maps.size, upsampling)
