"""Files of single patches: the class's scores without each patch of an image, and how these go with maps.

Files of patches: HDF5 of a block of images, /image /label (n,), /logit /probability (n, 1 + side²) f4: of the whole
image, then without each of its patches, row by row. A file of patch correlations: of all images and methods of a
network, /image /label (n,), /logit /probability (n, methods, 1 + noise maps) f8; the first map is the image's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explanations.errors import InputError, make_again
from explanations.files.hdf5 import read_hdf5, set_attributes, write_dataset, write_hdf5
from explanations.files.measurements import read_operator
from explanations.files.shards import IDENTITY

SCORES_KIND, CORRELATIONS_KIND = "file of patches", "file of patch correlations"
SCORES = ("logit", "probability")
SETTINGS = (*IDENTITY, "side", "precision")  # what files that are read as one have in common


@dataclass(frozen=True)
class PatchScores:
    """Scores of n images, by SCORES, (n, 1 + side²) each, with what files say of them."""

    image: np.ndarray
    label: np.ndarray
    values: dict[str, np.ndarray]
    settings: dict


@dataclass(frozen=True)
class PatchCorrelations:
    """Correlations of n images: `values` of a method are by SCORES, (n, 1 + noise maps) each."""

    image: np.ndarray
    label: np.ndarray
    values: dict[str, dict[str, np.ndarray]]
    settings: dict


def write_patch_scores(path: Path, arrays: Mapping[str, np.ndarray], settings: Mapping) -> None:
    """Write the scores of a block of images; InputError for values that can't be."""
    if fault := find_score_fault(arrays, settings):
        raise InputError(f"{path}: {fault}")
    _write(path, arrays, settings)


def find_score_fault(arrays: Mapping[str, np.ndarray], settings: Mapping) -> str:
    """What is wrong with the values of a file of patches, and what is allowed; empty if nothing is."""
    if fault := _find_shape(arrays, (len(arrays["image"]), 1 + int(settings["side"]) ** 2)):
        return fault
    if not np.isfinite(arrays["logit"]).all():
        return "logit holds NaN or infinite values; all must be finite"
    values = arrays["probability"]
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        return f"probability is {values.min():g} to {values.max():g}; allowed are 0 to 1"
    return ""


def read_patch_scores(paths: Sequence[Path]) -> PatchScores:
    """Read files of blocks of images as one, in the images' order; InputError for files that don't belong together."""
    settings: dict = {}
    blocks = []
    for path in paths:
        arrays, attributes = read_hdf5(path, SCORES_KIND, ("image", "label", *SCORES), SETTINGS)
        held = {**attributes, **read_operator(attributes)}
        for key in (*SETTINGS, "operator", "setting"):
            if settings.setdefault(key, held[key]) != held[key]:
                raise InputError(f"{path}: {key} is {held[key]}; {paths[0]} has {settings[key]}")
        if fault := find_score_fault(arrays, attributes):
            raise InputError(f"{path}: {fault}; {make_again(path)}")
        blocks.append(arrays)
    stacked = {name: np.concatenate([block[name] for block in blocks]) for name in ("image", "label", *SCORES)}
    images, order = np.unique(stacked["image"], return_index=True)
    if len(images) < len(stacked["image"]):
        raise InputError(f"{paths[0]}: the files of patches given hold an image twice")
    values = {score: stacked[score][order] for score in SCORES}
    return PatchScores(images, stacked["label"][order], values, settings)


def write_patch_correlations(
    path: Path, scores: PatchScores, by_method: Mapping[str, Mapping[str, np.ndarray]], about: Mapping
) -> None:
    """Write the correlations of all methods, by name and score, (n, 1 + noise maps) each, with that of `scores`."""
    arrays = {"image": scores.image, "label": scores.label}
    arrays |= {score: np.stack([each[score] for each in by_method.values()], 1) for score in SCORES}
    settings = {key: scores.settings[key] for key in (*SETTINGS, "operator")}
    _write(path, arrays, {"methods": list(by_method), **settings, **about})


def read_patch_correlations(path: Path) -> PatchCorrelations:
    """Read a network's file; InputError if its values can't be."""
    wanted = ("methods", *IDENTITY, "noise_maps", "upsampling")
    arrays, settings = read_hdf5(path, CORRELATIONS_KIND, ("image", "label", *SCORES), wanted)
    methods = settings["methods"]
    fault = _find_shape(arrays, (len(arrays["image"]), len(methods), 1 + int(settings["noise_maps"])))
    for score in SCORES:
        wrong = np.abs(arrays[score]) > 1  # NaN, where there is no correlation, is not
        if not fault and wrong.any():
            fault = f"{score} is {arrays[score][wrong][0]:g}; allowed are -1 to 1"
    if fault:
        raise InputError(f"{path}: {fault}; {make_again(path)}")
    values = {method: {score: arrays[score][:, column] for score in SCORES} for column, method in enumerate(methods)}
    return PatchCorrelations(arrays["image"], arrays["label"], values, settings)


def _find_shape(arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> str:
    """The first score that is of another shape, and what is allowed; empty if none is."""
    for score in SCORES:
        if arrays[score].shape != shape:
            found, wanted = (" × ".join(map(str, each)) for each in (arrays[score].shape, shape))
            return f"{score} is of {found}; allowed is {wanted}"
    return ""


def _write(path: Path, arrays: Mapping[str, np.ndarray], settings: Mapping) -> None:
    with write_hdf5(path) as file:
        for name, values in arrays.items():
            write_dataset(file, name, values)
        set_attributes(file, settings)
