"""Files of maps that a method with passes of its own made of a block of images: HDF5, /image /target /maps /gap.

The experiment, network, variant and the weights' hash are attributes, as a shard's; the method's name and settings; the
seconds that an image took; and `not_applicable`, why the method can't explain the network: then there are no maps.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from explanations.errors import InputError, make_again
from explanations.files.hdf5 import read_hdf5, set_attributes, write_dataset, write_hdf5
from explanations.files.shards import IDENTITY

KEYS = (*IDENTITY, "method", "settings", "seconds_per_image", "not_applicable")


def write_maps(
    path: Path, images: Sequence[int], targets: np.ndarray, maps: np.ndarray, gaps: np.ndarray, about: dict
) -> None:
    """Write maps (n, H, W) of n images, or none of a method that isn't applicable, with all of KEYS.

    `gaps` (n,) are those of completeness, relative; none of a method that doesn't claim it.
    """
    with write_hdf5(path) as file:
        write_dataset(file, "image", np.array(images, np.int64))
        write_dataset(file, "target", targets)
        write_dataset(file, "maps", maps)
        write_dataset(file, "gap", gaps)
        set_attributes(file, {key: about[key] for key in KEYS})


class MadeMaps:
    """The maps of a method, of all images, from its files; InputError for files that don't belong together."""

    def __init__(self, paths: Sequence[Path], weights: str):
        """`weights`: the hash of the network that they must have been made of."""
        self.paths, self.maps = list(paths), dict[int, np.ndarray]()
        self.about: dict = {}
        for path in self.paths:
            arrays, attributes = read_hdf5(path, "file of maps", ("image", "target", "maps"), KEYS)
            for key in (*IDENTITY, "method", "settings", "not_applicable"):
                if self.about.setdefault(key, attributes[key]) != attributes[key]:
                    raise InputError(f"{path}: {key} is {attributes[key]}; {self.paths[0]} has {self.about[key]}")
            if attributes["weights"] != weights:
                raise InputError(f"{path}: was made of another network than the one given; {make_again(path)}")
            if not np.isfinite(arrays["maps"]).all():
                raise InputError(f"{path}: maps hold NaN or infinite values; all must be finite; {make_again(path)}")
            self.maps |= zip(arrays["image"].tolist(), arrays["maps"], strict=False)

    @property
    def not_applicable(self) -> str:
        """Why the method can't explain the network; empty if it can."""
        return str(self.about["not_applicable"])

    def choose(self, images: Sequence[int]) -> np.ndarray:
        """The maps (n, H, W) of images of the manifest; InputError if one has none."""
        for image in images:
            if image not in self.maps:
                raise InputError(f"{self.paths[0].parent}: its files of maps lack image {image} of the manifest")
        return np.stack([self.maps[image] for image in images])


def read_about(path: Path) -> dict:
    """What a file of maps says of its method: KEYS, and the median gap of completeness, NaN if it claims none."""
    arrays, attributes = read_hdf5(path, "file of maps", ("gap",), KEYS)
    gaps = arrays["gap"][np.isfinite(arrays["gap"])]  # a score of 0 has none
    return {**attributes, "completeness": float(np.median(gaps)) if len(gaps) else np.nan}
