"""Saliency maps (n, H, W) by a method's name, at the image's size, from attributions at their own resolutions."""

from itertools import pairwise

from torch import Tensor

from explanations.errors import InputError, check_choice
from explanations.methods.base import Maps
from explanations.methods.names import MethodName
from explanations.methods.registry import METHODS, load_method

LAYERS = ("all", "stages")  # of which layers there are maps to measure


def saliency_maps(name: MethodName, maps: Maps, upsampling: str) -> Tensor:
    """The maps (n, H, W) of a method.

    InputError for a layer that has none, and if sums of attributions overflow.
    """
    made = _make_maps(name, maps, upsampling)
    if not made.isfinite().all():
        raise InputError(f"method is {name}; its maps of these attributions hold NaN or infinite values")
    return made


def _make_maps(name: MethodName, maps: Maps, upsampling: str) -> Tensor:
    if name.layer is not None and name.layer not in maps.layers:
        raise InputError(f"method is {name}; allowed layers are {maps.layers[0]} to {maps.layers[-1]}")
    return load_method(name.kind).make_map(maps, name, upsampling)


def list_methods(kind: MethodName, maps: Maps, layers: str = LAYERS[0]) -> list[MethodName]:
    """The methods of a kind that a network's maps have: one, or one for each of the layers chosen, ascending."""
    if not METHODS[kind.kind].of_layers:
        return [kind]
    chosen = choose_layers(maps, layers)
    return [kind.at(layer) for layer in load_method(kind.kind).list_layers(maps, kind.signed) if layer in chosen]


def choose_layers(maps: Maps, layers: str) -> list[int]:
    """The layers that are measured, the input among them: all with maps, or one for each stage.

    A stage's layers have maps of one size, and its last one stands for it, as what the next stage gets. For the first
    stage it is the first layer, so that an aggregate of all layers is measured; the top layer always is.
    """
    check_choice("layers", layers, LAYERS)
    if layers == "all":
        return list(maps.layers)
    above = list(zip(maps.layers, maps.sizes, strict=True))[1:]
    lasts = [layer for (layer, size), (_, after) in pairwise(above) if size != after]
    return sorted({*maps.layers[:2], *lasts[1:], maps.layers[-1]})
