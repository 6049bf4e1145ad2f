"""Masks of images: where the object is, which nothing that makes maps ever sees."""

from pathlib import Path

import numpy as np
from PIL import Image

from explanations.errors import InputError
from explanations.files.manifests import ManifestRow

INSIDE = 128  # the least value of a mask inside the object


def read_mask(row: ManifestRow, masks: Path, size: tuple[int, int]) -> np.ndarray:
    """Where an image's object is, (H, W) truth values; InputError, naming the file, if it isn't a mask of that size."""
    path = masks / row.path
    try:
        with Image.open(path) as file:
            mask = np.asarray(file.convert("L")) >= INSIDE
    except OSError as error:
        raise InputError(f"{path}: can't be read as a mask ({error}); allowed is a grey image") from None
    if mask.shape != tuple(size):
        height, width = mask.shape
        raise InputError(f"{path}: is {height} × {width}; saliency maps are {size[0]} × {size[1]}")
    if not mask.any():
        raise InputError(f"{path}: marks no pixel; allowed is a mask with values of {INSIDE} and above")
    return mask
