"""Files of curves: the class's probability and logit along whole removals, of some images and kinds of methods.

HDF5: /image /label (n,), /probability /logit (n, methods, 1 + noise maps, 2, K + 1) f4, /flip /e (n, methods, 1 + noise
maps, 2). The first map is the image's own; the orders are minus and plus, as in files.orders.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explanations.errors import InputError, make_again
from explanations.files.hdf5 import read_hdf5, set_attributes, write_dataset, write_hdf5
from explanations.files.measurements import NEVER, SETTINGS, read_operator
from explanations.files.orders import ORDERS

KIND = "file of curves"
CURVES, ENDS = ("probability", "logit"), ("flip", "e")
IDENTITY = (*SETTINGS, "precision")  # what files that are read as one have in common


@dataclass(frozen=True)
class Curves:
    """Curves of n images by several methods: `values` of a method has the arrays of a file without its second axis."""

    image: np.ndarray
    label: np.ndarray
    values: dict[str, dict[str, np.ndarray]]
    settings: dict


def write_curves(path: Path, methods: Sequence[str], arrays: dict[str, np.ndarray], settings: dict) -> None:
    """Write the arrays of a file; InputError for values that can't be."""
    if fault := find_fault(arrays, methods, settings):
        raise InputError(f"{path}: {fault}")
    with write_hdf5(path) as file:
        for name, values in arrays.items():
            write_dataset(file, name, values)
        set_attributes(file, {"methods": list(methods), **settings})


def find_fault(arrays: dict[str, np.ndarray], methods: Sequence[str], settings: dict) -> str:
    """What is wrong with the values of a file, and what is allowed; empty if nothing is."""
    grid = int(settings["grid"])
    ends = (len(arrays["image"]), len(methods), 1 + int(settings["noise_maps"]), len(ORDERS))
    for name in (*CURVES, *ENDS):
        shape = (*ends, grid + 1) if name in CURVES else ends
        if arrays[name].shape != shape:
            found, wanted = (" × ".join(map(str, each)) for each in (arrays[name].shape, shape))
            return f"{name} is of {found}; allowed is {wanted}"
    if not np.isfinite(arrays["logit"]).all():
        return "logit holds NaN or infinite values; all must be finite"
    for name, low, high in (("probability", 0, 1), ("flip", NEVER, grid)):
        values = arrays[name]
        if values.size and not (values.min() >= low and values.max() <= high):
            return f"{name} is {values.min():g} to {values.max():g}; allowed are {low} to {high}"
    return ""


def read_file(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays and attributes of one file; InputError for another file, and for values that can't be."""
    arrays, attributes = read_hdf5(path, KIND, ("image", "label", *CURVES, *ENDS), ("methods", *IDENTITY))
    if fault := find_fault(arrays, attributes["methods"], attributes):
        raise InputError(f"{path}: {fault}; {make_again(path)}")
    return arrays, attributes


def read_curves(paths: Sequence[Path]) -> Curves:
    """Read files as one: blocks of images are stacked, in the images' order, methods set side by side."""
    settings: dict = {}
    blocks: dict[str, list[dict[str, np.ndarray]]] = {}  # of images, by method
    for path in paths:
        arrays, attributes = read_file(path)
        held = {**attributes, **read_operator(attributes)}
        for key in (*IDENTITY, "operator", "setting"):
            if settings.setdefault(key, held[key]) != held[key]:
                raise InputError(f"{path}: {key} is {held[key]}; {paths[0]} has {settings[key]}")
        for column, method in enumerate(attributes["methods"]):
            own = {name: arrays[name][:, column] for name in (*CURVES, *ENDS)}
            blocks.setdefault(method, []).append({"image": arrays["image"], "label": arrays["label"], **own})
    if not blocks:
        raise InputError(f"{paths[0]}: the files of curves given hold no method")
    values = {method: _stack(parts, paths[0]) for method, parts in blocks.items()}
    image, label = ([each.pop(name) for each in values.values()] for name in ("image", "label"))
    for method, images in zip(values, image, strict=True):
        if not np.array_equal(images, image[0]):
            raise InputError(f"{paths[0]}: the files of curves given hold other images of {method} than of others")
    return Curves(image[0], label[0], values, settings)


def _stack(parts: list[dict[str, np.ndarray]], path: Path) -> dict[str, np.ndarray]:
    """Blocks of images as one, in the images' order; InputError, naming the first file, if they hold one twice."""
    stacked = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    images, order = np.unique(stacked["image"], return_index=True)
    if len(images) < len(stacked["image"]):
        raise InputError(f"{path}: the files of curves given hold an image twice")
    return {name: values[order] for name, values in stacked.items()}
