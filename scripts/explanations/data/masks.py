"""Masks of images: where the object is, which nothing that makes maps ever sees.

The mask of the image at a path of the manifest lies at that path, ending in .png, in a folder of masks: grey, 128 and
above where the object is, pixel by pixel over the image as it is stored.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from explanations.data.images import TURNS, UNREADABLE, frame
from explanations.data.pixels import convert, find_problem
from explanations.errors import InputError
from explanations.files.framing import AS_STORED, Framing
from explanations.files.manifests import ManifestRow

INSIDE = 128  # the least value of a mask inside the object


def mask_path(row: ManifestRow, masks: Path) -> Path:
    """The file of an image's mask."""
    return (masks / row.path).with_suffix(".png")


def load_mask(path: Path) -> np.ndarray:
    """A mask as it is stored, (height, width) truth values; InputError, naming the file, if it is none."""
    try:
        with Image.open(path) as file:
            file.load()
            problem = find_problem(file)
            mask = np.zeros(0) if problem else np.asarray(convert(file, 1)) >= INSIDE
    except FileNotFoundError:
        raise InputError(f"{path}: no such mask") from None
    except UNREADABLE as error:
        raise InputError(f"{path}: can't be read as a mask ({error}); allowed is a grey image") from None
    if problem:
        raise InputError(f"{path}: {problem}")
    if not mask.any():
        raise InputError(f"{path}: marks no pixel; allowed is a mask with values of {INSIDE} and above")
    return mask


def stored_size(path: Path) -> tuple[int, int]:
    """The width and height of an image as it is stored; InputError, naming the file, if it can't be read."""
    try:
        with Image.open(path) as file:
            if file.format == "TIFF":  # turned when it is loaded
                file.load()
            return file.size
    except UNREADABLE as error:
        raise InputError(f"{path}: can't be read as an image ({error})") from None


def save_mask(path: Path, mask: np.ndarray) -> None:
    """Save a mask (height, width) of truth values as load_mask reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(255 * mask.astype(np.uint8)).save(path, compress_level=1)


def read_mask(row: ManifestRow, masks: Path, framing: Framing) -> np.ndarray:
    """Where the object is in what a network sees of an image, (size, size) truth values.

    The mask is turned, resized and cut as the image is, by nearest neighbours; nothing is marked where the object lies
    outside the cut. InputError, naming the file, if there is no such mask.
    """
    mask = Image.fromarray(load_mask(mask_path(row, masks)).astype(np.uint8))
    if row.orientation != AS_STORED:
        mask = mask.transpose(TURNS[row.orientation])
    return np.asarray(frame(mask, replace(framing, interpolation="nearest"))) > 0
