"""Grad-CAM (Selvaraju et al., 2016)."""

from torch import Tensor

from explanations.methods.base import Maps
from explanations.methods.names import MethodName
from explanations.methods.transform import upsample


def make_map(maps: Maps, name: MethodName, upsampling: str) -> Tensor:
    """(n, H, W), from the last layer with positions."""
    return upsample(maps.gradcam(), maps.size, upsampling)
