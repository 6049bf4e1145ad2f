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
        self.not_applicable = ""  # why the method can't explain the network, or some of the images; empty if it can
        for path in self.paths:
            arrays, attributes = read_hdf5(path, "file of maps", ("image", "target", "maps"), KEYS)
            for key in (*IDENTITY, "method", "settings"):
                if self.about.setdefault(key, attributes[key]) != attributes[key]:
                    raise InputError(f"{path}: {key} is {attributes[key]}; {self.paths[0]} has {self.about[key]}")
            self.not_applicable = self.not_applicable or str(attributes["not_applicable"])
            if attributes["weights"] != weights:
                raise InputError(f"{path}: was made of another network than the one given; {make_again(path)}")
            if not np.isfinite(arrays["maps"]).all():
                raise InputError(f"{path}: maps hold NaN or infinite values; all must be finite; {make_again(path)}")
            self.maps |= zip(arrays["image"].tolist(), arrays["maps"], strict=False)

    def choose(self, images: Sequence[int]) -> np.ndarray:
        """The maps (n, H, W) of images of the manifest; InputError if one has none."""
        for image in images:
            if image not in self.maps:
                raise InputError(f"{self.paths[0].parent}: its files of maps lack image {image} of the manifest")
        return np.stack([self.maps[image] for image in images])


def read_about(paths: Sequence[Path]) -> dict[tuple[str, str], dict]:
    """What files of maps say of their methods, by network and method, all blocks of images together: KEYS.

    `seconds_per_image` is the mean over blocks, `not_applicable` the first reason that there is; and `completeness` the
    median gap, NaN of a method that doesn't claim completeness.
    """
    blocks: dict[tuple[str, str], list[tuple[np.ndarray, dict]]] = {}
    for path in paths:
        arrays, attributes = read_hdf5(path, "file of maps", ("gap",), KEYS)
        blocks.setdefault((attributes["network"], attributes["method"]), []).append((arrays["gap"], attributes))
    found = {}
    for key, read in blocks.items():
        gaps = np.concatenate([gap for gap, _ in read])
        gaps = gaps[np.isfinite(gaps)]  # a score of 0 has none
        about = {**read[0][1], "completeness": float(np.median(gaps)) if len(gaps) else np.nan}
        about["seconds_per_image"] = float(np.mean([each["seconds_per_image"] for _, each in read]))
        about["not_applicable"] = next(filter(None, (each["not_applicable"] for _, each in read)), "")
        found[key] = about
    return found
