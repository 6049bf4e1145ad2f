"""Measures of localisation of a method's maps, image by image."""

from collections.abc import Sequence

import numpy as np

from explanations.localisation.measures import MEASURES, measure_all
from explanations.methods.makers import BLOCK, Maker


def measure_method(make: Maker, images: Sequence[int], inside: np.ndarray) -> dict[str, np.ndarray]:
    """All measures of a method's maps of images, each (n,), against masks (n, H, W)."""
    starts = range(0, len(images), BLOCK)
    parts = [measure_all(make(images[k : k + BLOCK]), inside[k : k + BLOCK]) for k in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in MEASURES}
