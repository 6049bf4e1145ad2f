"""The mean of Ψ over the input and all layers: Eq. 16 with l_0 = 1."""

from torch import Tensor

from explanations.methods import activity_from
from explanations.methods.base import Maps
from explanations.methods.names import MethodName


def make_map(maps: Maps, name: MethodName, upsampling: str) -> Tensor:
    """(n, H, W)."""
    return activity_from.make_map(maps, MethodName("activity_from", 0), upsampling)
