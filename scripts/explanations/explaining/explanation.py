"""What is found of one image: decisions, the decomposition by layer, maps with their measures. It needs no torch."""

from dataclasses import dataclass

import numpy as np

from explanations.files.descriptions import NetworkDescription
from explanations.files.measurements import NEVER, STORED, derive_measure

SHOWN = ("e_minus", "e_plus", "delta_e_minus", "delta_e_plus")  # of a map's measures, in figures and tables


@dataclass(frozen=True)
class ClassScore:
    """A class among a network's outputs: its index and name, its logit, its probability by softmax."""

    index: int
    name: str
    logit: float
    probability: float


@dataclass(frozen=True)
class ExplainedLayer:
    """A layer's attributions of the target's score.

    `activity` (H, W) is a^{h,l} (Eq. 11), `bias` (h, w) is a^{b,l} (Eq. 12), None if the layer has none;
    `activity_sum` and `bias_sum` are their gross sums (Eq. 14), with what has no position; `above` is the gross sum of
    all biases of higher layers. `gap` is activity_sum + above − score (Eq. 13), `relative_gap` that by the sum of all
    terms' magnitudes.
    """

    name: str
    activity: np.ndarray
    bias: np.ndarray | None
    activity_sum: float
    bias_sum: float
    above: float
    gap: float
    relative_gap: float


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class MeasuredMap:
    """A method's saliency (H, W) at the image's size, and what removal in its order gave.

    `stored` holds e by the names of STORED (Eq. 17), those of noise maps as means over the reference images; NaN where
    a decision that never flips is left out. `flip_minus` and `flip_plus` are grid indices, NEVER if none.
    """

    method: str
    saliency: np.ndarray
    stored: dict[str, float]
    flip_minus: int
    flip_plus: int

    def measure(self, name: str) -> float:
        """A measure by name: those of STORED, and what follows from them (Eqs 18, 20)."""
        return float(derive_measure(name, self.stored))

    def measures(self) -> dict[str, float]:
        """All of STORED and SHOWN."""
        return {name: self.measure(name) for name in dict.fromkeys((*SHOWN, *STORED))}


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class Explanation:
    """All that is found of an image.

    `pixels` (H, W, 3) uint8 are what the network sees, as a figure shows them; `top` are its five likeliest classes,
    fewer if it has fewer, `target` is the class whose score is explained. `layers` are l = 0, the input, to the
    output; `references` are the images whose maps are the noise maps. `removed` (H, W) bool are the pixels that are
    gone when the decision flips by the best map, `best`; None if it flips by no map. `content` is the SHA-256 of the
    image's file, empty if there is none.
    """

    name: str
    content: str
    network: NetworkDescription
    pixels: np.ndarray
    top: tuple[ClassScore, ...]
    target: ClassScore
    layers: tuple[ExplainedLayer, ...]
    maps: tuple[MeasuredMap, ...]
    references: tuple[str, ...]
    removed: np.ndarray | None

    @property
    def decision(self) -> ClassScore:
        """The network's own decision, whose flip removal waits for, whatever is explained."""
        return self.top[0]

    @property
    def best(self) -> MeasuredMap | None:
        """The map of the largest e₋ among those whose removal flips the decision; None if there is none."""
        flipping = [each for each in self.maps if each.flip_minus != NEVER]
        return max(flipping, key=lambda each: each.stored["e_minus"], default=None)
