"""What a network that halves its maps by poolings is compared by with its twin, which does it by strides (Suppl. F.2).

Strides without pooling are suspected of two things: artefacts in the maps of the layer just before a halving, which
show as a dip of e₋^ξ there, and that averages over all layers gain nothing over those of the top ones.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from explanations.errors import InputError
from explanations.files.measurements import Measurements
from explanations.methods.names import MethodName

ACTIVITY, AGGREGATE = MethodName("activity"), MethodName("activity_from")
FAMILIES = {
    "dip": "e₋^ξ of the layers just before a halving, below that of the layers beside them",
    "gain": "δe₋ of the average of all layers, above that of the top two layers' average",
}


def find_halvings(sizes: Mapping[int, int]) -> list[int]:
    """The layers just before maps get smaller that have a layer with a map on either side, which the input isn't.

    `sizes` are the heights of maps by layer.
    """
    layers = [layer for layer in sizes if layer]
    return [layer for layer, above in pairwise(layers) if sizes[above] < sizes[layer] and layer != layers[0]]


def measure_dips(results: Measurements, sizes: Mapping[int, int]) -> np.ndarray:
    """How far e₋^ξ of the layers before halvings lies below the mean of their neighbours', (n,): the mean of all.

    InputError if there is no such layer, or one of those was not measured.
    """
    layers, halvings = [layer for layer in sizes if layer], find_halvings(sizes)
    if not halvings:
        raise InputError(f"{results.settings['network']} has no layer between two others before its maps get smaller")
    dips = []
    for layer in halvings:
        place = layers.index(layer)
        below, own, above = (
            results.measure("e_minus_noise", str(ACTIVITY.at(near))) for near in layers[place - 1 : place + 2]
        )
        dips.append((below + above) / 2 - own)
    return np.mean(dips, 0)


def measure_gain(results: Measurements, layers: Sequence[int]) -> np.ndarray:
    """δe₋ of the average of all layers less that of the top two layers' average, (n,); `layers` are all with maps."""
    if len(layers) < 3:
        raise InputError(f"{results.settings['network']} has maps of {len(layers)} layers; three are needed")
    lowest, second = (results.measure("delta_e_minus", str(AGGREGATE.at(layer))) for layer in (layers[0], layers[-2]))
    return lowest - second
