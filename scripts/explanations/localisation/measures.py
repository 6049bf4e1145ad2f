"""Measures of localisation, of saliency maps against masks of objects.

Each takes maps s (n, H, W), finite, larger where more salient, and masks (n, H, W), true inside the object, and gives a
number for each image, (n,). Every mask marks a pixel. Pixels of equal saliency are told apart by nothing: where a rank
or a maximum falls among them, each counts by the same share, so that no number depends on the order of pixels, and a
constant map gets the mask's share of the image (as energy, relative to that share, 1).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from explanations.errors import InputError


def relative_energy(maps: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Σ_inside s / Σ s over the mask's share of the image, of what is positive in s (Wang et al., 2020, made relative).

    1 is no better than a constant map; the mask itself has the inverse of its share; NaN where nothing is positive.
    """
    positive = np.maximum(maps, 0)
    total = positive.sum((1, 2), dtype=float)
    share = np.divide(
        positive.sum((1, 2), dtype=float, where=inside), total, out=np.full(len(maps), np.nan), where=total > 0
    )
    return share / inside.mean((1, 2))


def pointing_game(maps: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The share of each map's maxima that lie inside: 1 or 0 if there is one (Zhang et al., 2016, no tolerance)."""
    largest = maps == maps.max((1, 2), keepdims=True)
    return (largest & inside).sum((1, 2)) / largest.sum((1, 2))


def rank_accuracy(maps: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The share of the K most salient pixels that lie inside, K being the mask's number of pixels (Arras et al., 2022).

    All pixels above the K-th value count whole; what is left of K is shared by all pixels that have that value.
    """
    found = np.empty(len(maps))
    for image, (saliency, mask) in enumerate(zip(maps, inside, strict=True)):
        k = int(mask.sum())
        kth = np.partition(saliency, saliency.size - k, axis=None)[saliency.size - k]
        above, tied = saliency > kth, saliency == kth
        open_places = (k - above.sum()) / tied.sum()  # for each of the tied pixels
        found[image] = ((above & mask).sum() + open_places * (tied & mask).sum()) / k
    return found


def average_precision(maps: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The mean over the pixels p inside of P(s_p), P(t) being the share of the pixels with s ≥ t that lie inside.

    That is Σ (R_t − R_{t−1}) P(t) over the map's different values t from the largest down, R_t being the share of the
    inside with s ≥ t: pixels of one value pass its threshold together, and nothing is interpolated, as in scikit-learn.
    """
    found = np.empty(len(maps))
    for image, (saliency, mask) in enumerate(zip(maps, inside, strict=True)):
        everywhere, own = np.sort(saliency, axis=None), np.sort(saliency[mask])
        hits = own.size - np.searchsorted(own, own)  # inside and as large as each of its pixels, or larger
        found[image] = np.mean(hits / (everywhere.size - np.searchsorted(everywhere, own)))
    return found


@dataclass(frozen=True)
class Measure:
    """A measure of localisation: its function; `relative` if a constant map has 1, else it has the mask's share."""

    function: Callable[[np.ndarray, np.ndarray], np.ndarray]
    relative: bool = False

    def chance(self, inside: np.ndarray) -> float:
        """What a constant map has, in the mean over masks (n, H, W)."""
        return 1.0 if self.relative else float(inside.mean())


MEASURES = {
    "relative_energy": Measure(relative_energy, relative=True),
    "pointing_game": Measure(pointing_game),
    "rank_accuracy": Measure(rank_accuracy),
    "average_precision": Measure(average_precision),
}


def find_marked(inside: np.ndarray) -> np.ndarray:
    """Which of the masks (n, H, W) mark a pixel, (n,) truth values; InputError if none does."""
    marked = inside.any((1, 2))
    if not marked.any():
        raise InputError("no mask marks a pixel of what the network sees of its image; allowed are masks, one at least")
    return marked


def measure_all(maps: np.ndarray, inside: np.ndarray) -> dict[str, np.ndarray]:
    """All MEASURES of maps and masks (n, H, W), each (n,); NaN for an image whose mask marks no pixel."""
    marked = inside.any((1, 2))
    found = {name: np.full(len(maps), np.nan) for name in MEASURES}
    for name, measure in MEASURES.items():
        found[name][marked] = measure.function(maps[marked], inside[marked])
    return found
