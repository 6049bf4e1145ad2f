"""Saliency methods by name: maps (n, H, W) at the image's size from attributions at their own resolutions.

What names there are: explanations/methods.py.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from explanations.command import InputError
from explanations.methods import parse_method

UPSAMPLINGS = ("bilinear", "nearest", "bicubic")
FAMILIES = ("layers", "biases", "aggregates", "signed")


class Maps(Protocol):
    """Attribution maps of n images: what a method reads. `layers` are those with more than one position, from 0."""

    size: tuple[int, int]
    layers: Sequence[int]
    operation_layers: Sequence[int]  # the layer of every biased operation

    def activity(self, layer: int) -> Tensor:
        """a^{h,l}, (n, H_l, W_l)."""

    def bias(self, operation: int) -> Tensor:
        """a^b of one biased operation, (n, H, W)."""

    def fullgrad_feature(self, operation: int) -> Tensor:
        """Σ_φ rescale(abs(a^b_φ)) of one biased operation, (n, H, W)."""

    def gradient(self) -> Tensor:
        """Σ_φ |∂f_c/∂x_φ|, (n, H, W)."""

    def gradcam(self) -> Tensor:
        """Grad-CAM at the last layer with positions, (n, h, w)."""


def rescale(values: Tensor) -> Tensor:
    """(a − min a) / (max a − min a) over the last two dimensions; 0 where a is constant (Eq. 10)."""
    low, high = values.amin((-2, -1), keepdim=True), values.amax((-2, -1), keepdim=True)
    span = high - low
    constant = span == 0  # a span that isn't finite is none, and gives NaN
    return torch.where(constant, 0, (values - low) / torch.where(constant, 1, span))


def upsample(values: Tensor, size: tuple[int, int], upsampling: str) -> Tensor:
    """Resize maps (n, h, w) to (n, H, W); bilinear and bicubic take pixels as areas (corners not aligned)."""
    if upsampling not in UPSAMPLINGS:
        raise InputError(f"upsampling is {upsampling}; allowed are {', '.join(UPSAMPLINGS)}")
    if values.shape[-2:] == size:
        return values
    options = {} if upsampling == "nearest" else {"align_corners": False}
    return F.interpolate(values[:, None], size, mode=upsampling, **options)[:, 0]


def transform(values: Tensor, size: tuple[int, int], upsampling: str, *, signed: bool = False) -> Tensor:
    """Ψ(a) = upsample(rescale(abs(a))) (Eq. 9); `signed` leaves out abs (Suppl. D)."""
    return upsample(rescale(values if signed else values.abs()), size, upsampling)


def layer_bias(maps: Maps, layer: int) -> Tensor:
    """a^{b,l} (Eq. 12): the maps of a layer's operations, added at the smallest of their sizes.

    Larger maps are pooled by sums, so that the gross sum is kept; a map of one position among larger ones is left out.
    """
    found = [maps.bias(k) for k, owner in enumerate(maps.operation_layers) if owner == layer]
    found = [m for m in found if m.shape[-1] * m.shape[-2] > 1] or found
    size = min((m.shape[-2:] for m in found), key=lambda s: s[0] * s[1])
    return torch.stack([sum_pool(m, size) for m in found]).sum(0)


def sum_pool(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Add up maps (n, H, W) to (n, h, w), h ≤ H and w ≤ W: every position counts in one cell, sums are kept."""
    rows, columns = (
        F.one_hot(torch.arange(length, device=values.device) * cells // length, cells).to(values.dtype)
        for length, cells in zip(values.shape[-2:], size, strict=True)
    )  # (H, h), (W, w)
    return rows.T @ values @ columns


# --- methods: (maps, upsampling[, layer]) → (n, H, W) ------------------------------------------------------------


def gradient(maps: Maps, upsampling: str) -> Tensor:
    """Σ_φ |∂f_c/∂x_φ| (fig. 5)."""
    return maps.gradient()


def input_attribution(maps: Maps, upsampling: str) -> Tensor:
    """Ψ(a) of the input attributions (Eq. 5)."""
    return transform(maps.activity(0), maps.size, upsampling)


def gradcam(maps: Maps, upsampling: str) -> Tensor:
    """Grad-CAM (Selvaraju et al., 2016)."""
    return upsample(maps.gradcam(), maps.size, upsampling)


def activity(maps: Maps, upsampling: str, layer: int, *, signed: bool = False) -> Tensor:
    """Ψ(a^{h,l}) of one layer (Eq. 11)."""
    return transform(maps.activity(layer), maps.size, upsampling, signed=signed)


def bias(maps: Maps, upsampling: str, layer: int) -> Tensor:
    """Ψ(a^{b,l}) of one layer (Eq. 12)."""
    return transform(layer_bias(maps, layer), maps.size, upsampling)


def activity_from(maps: Maps, upsampling: str, layer: int, *, signed: bool = False) -> Tensor:
    """The mean of Ψ(a^{h,l}) over layers from `layer` to the top: Eq. 16 without its input term."""
    chosen = [l for l in maps.layers if l >= layer]
    return torch.stack([activity(maps, upsampling, l, signed=signed) for l in chosen]).mean(0)


def activity_with_input(maps: Maps, upsampling: str) -> Tensor:
    """The mean of Ψ over the input and all layers: Eq. 16 with l_0 = 1."""
    return activity_from(maps, upsampling, 0)


def signed_activity(maps: Maps, upsampling: str, layer: int) -> Tensor:
    """As `activity`, ranked by a instead of |a| (Suppl. D, fig. S9)."""
    return activity(maps, upsampling, layer, signed=True)


def signed_activity_from(maps: Maps, upsampling: str, layer: int) -> Tensor:
    """As `activity_from`, of signed maps (Suppl. D, fig. S10)."""
    return activity_from(maps, upsampling, layer, signed=True)


def fullgrad(maps: Maps, upsampling: str) -> Tensor:
    """Ψ(a) + Σ_l Ψ(a^{b,l}): Eq. 8 with biases summed per layer, the paper's FullGrad baseline (fig. 6)."""
    layers = sorted(set(maps.operation_layers))
    return input_attribution(maps, upsampling) + sum(bias(maps, upsampling, l) for l in layers)


def fullgrad_feature(maps: Maps, upsampling: str) -> Tensor:
    """Ψ(a) + Σ_l Σ_φ Ψ(a^{b,l}_φ): Eq. 8 as written, per feature (Srinivas & Fleuret, 2019)."""
    features = (maps.fullgrad_feature(k) for k in range(len(maps.operation_layers)))
    return input_attribution(maps, upsampling) + sum(upsample(f, maps.size, upsampling) for f in features)


# by kind, as explanations/methods.py has them
METHODS: dict[str, Callable[..., Tensor]] = {
    "gradient": gradient,
    "input": input_attribution,
    "gradcam": gradcam,
    "activity_with_input": activity_with_input,
    "fullgrad": fullgrad,
    "fullgrad_feature": fullgrad_feature,
    # of a layer:
    "activity": activity,
    "bias": bias,
    "activity_from": activity_from,
    "signed_activity": signed_activity,
    "signed_activity_from": signed_activity_from,
}


def saliency_maps(method: str, maps: Maps, upsampling: str) -> Tensor:
    """The maps (n, H, W) of a method, by name; InputError if sums of attributions overflow."""
    found = _make_maps(method, maps, upsampling)
    if not found.isfinite().all():
        raise InputError(f"method is {method}; its maps of these attributions hold NaN or infinite values")
    return found


def _make_maps(method: str, maps: Maps, upsampling: str) -> Tensor:
    try:
        kind, layer = parse_method(method)
    except ValueError as error:
        raise InputError(str(error)) from None
    if layer is None:
        return METHODS[kind](maps, upsampling)
    if layer not in maps.layers:
        raise InputError(f"method is {method}; allowed layers are {maps.layers[0]} to {maps.layers[-1]}")
    if kind == "bias" and layer not in maps.operation_layers:
        raise InputError(f"method is {method}; layer {layer} has no biases")
    return METHODS[kind](maps, upsampling, layer)


def family_methods(family: str, maps: Maps) -> list[str]:
    """The methods of a family for a network: single layers' activities or biases, aggregates, or signed maps."""
    layers = maps.layers[1:]
    if family == "layers":
        return ["gradient", "input", *(f"activity_{l}" for l in layers)]
    if family == "biases":
        return [f"bias_{l}" for l in layers if l in maps.operation_layers]
    if family == "aggregates":
        baselines = ["activity_with_input", "fullgrad", "fullgrad_feature", "gradcam"]
        return [*(f"activity_from_{l}" for l in layers[:-1]), *baselines]
    if family == "signed":
        single = [f"signed_activity_{l}" for l in maps.layers]
        return [*single, *(f"signed_activity_from_{l}" for l in maps.layers[:-1])]
    raise InputError(f"family is {family}; allowed are {', '.join(FAMILIES)}")
