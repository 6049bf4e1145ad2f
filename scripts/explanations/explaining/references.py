"""Whose maps are an image's noise maps ξ (§4): other images', of their own decisions; few are held at a time."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from explanations.errors import InputError
from explanations.explaining.explainer import AttributedImage

ALIKE = 0.95  # correlation of pixels: photographs saved anew as JPEG, smaller or darker stay above it, others below


class References:
    """Attributions of image files by `read`, each of its own decision's score; the last few are kept.

    `paths` are those to use first, `most` is how many an image gets. InputError if one of the first can't be read.
    """

    def __init__(self, read: Callable[[Path], AttributedImage], paths: Sequence[Path], most: int):
        self.read = lru_cache(most + 2)(read)  # those that an image has, the image itself, and the one after it
        self.paths, self.most = list(paths), most
        for path in self.paths[:most]:
            self.read(path)

    def choose(self, image: AttributedImage, others: Sequence[Path]) -> list[AttributedImage]:
        """The references of an image, `most` at most: of `paths`, then of `others`; no picture twice, nor its own.

        Those of `others` that can't be read are passed over.
        """
        chosen: list[AttributedImage] = []
        for number, path in enumerate((*self.paths, *others)):
            if len(chosen) == self.most:
                break
            try:
                other = self.read(path)
            except InputError:
                if number < len(self.paths):
                    raise
                continue
            if not any(same_picture(other.pixels, each.pixels) for each in (image, *chosen)):
                chosen.append(other)
        return chosen


def same_picture(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two images (C, H, W) uint8, as a network sees them, are one picture, however each was saved.

    Their pixels correlate above ALIKE; images of one colour, which have no correlation, are the same.
    """
    a, b = (each.astype(float).ravel() - each.mean() for each in (first, second))
    size = np.sqrt((a @ a) * (b @ b))
    return bool(a @ b > ALIKE * size) if size else not a.any() and not b.any()
