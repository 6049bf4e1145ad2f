"""Σ_φ |∂f_c/∂x_φ|: the plain gradient at the input, the baseline of figure 5."""

from torch import Tensor

from explanations.methods.base import Maps
from explanations.methods.names import MethodName


def make_map(maps: Maps, name: MethodName, upsampling: str) -> Tensor:
    """(n, H, W), as it is stored."""
    return maps.gradient()
