"""Ψ(a) + Σ_l Σ_φ Ψ(a^{b,l}_φ): Eq. 8 as written, per feature (Srinivas & Fleuret, 2019)."""

from torch import Tensor

from explanations.methods import input
from explanations.methods.base import Maps
from explanations.methods.names import MethodName
from explanations.methods.transform import upsample


def make_map(maps: Maps, name: MethodName, upsampling: str) -> Tensor:
    """(n, H, W)."""
    features = (maps.fullgrad_feature(operation) for operation in range(len(maps.operation_layers)))
    return input.make_map(maps, name, upsampling) + sum(upsample(each, maps.size, upsampling) for each in features)
