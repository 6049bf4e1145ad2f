"""Files of removal results: one (image × method) array per measure, and the measures derived from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explanations.command import InputError, make_again
from explanations.hdf5 import read_hdf5, set_attributes, write_dataset, write_hdf5

NEVER = -1  # the grid index of a decision that never flips
STORED = ("e_minus", "e_plus", "e_minus_noise", "e_plus_noise")
MEASURES = (*STORED, "e_delta", "e_delta_noise", "delta_e_minus", "delta_e_plus", "delta_e_delta")
SETTINGS = (
    *("experiment", "network", "variant", "weights", "upsampling"),
    *("grid", "noise_maps", "fill", "ties", "never_flips"),
)


@dataclass(frozen=True)
class Measurements:
    """Removal results of n images and m methods: arrays by name, (n,) for image and label, (n, m) for measures."""

    methods: list[str]
    image: np.ndarray
    label: np.ndarray
    values: dict[str, np.ndarray]
    settings: dict

    def measure(self, name: str, method: str) -> np.ndarray:
        """A measure of one method, (n,), in the order of images."""
        if method not in self.methods:
            raise InputError(f"method is {method}; measured are {', '.join(self.methods)}")
        column = self.methods.index(method)
        return derive_measure(name, {key: self.values[key][:, column] for key in STORED})


def derive_measure(name: str, stored: dict[str, np.ndarray]) -> np.ndarray:
    """A measure by name from the stored ones.

    delta_e = e with s − e with ξ (Eqs 18, 20). e_delta = e₋ − e₊ (Suppl. F). delta_e_plus is signed as Eq. 18 has it:
    better maps make it smaller; delta_e_delta = delta_e_minus − delta_e_plus.
    """
    if name in STORED:
        return stored[name]
    if name in ("e_delta", "e_delta_noise"):
        noise = name.removeprefix("e_delta")
        return stored[f"e_minus{noise}"] - stored[f"e_plus{noise}"]
    if name in ("delta_e_minus", "delta_e_plus"):
        order = name.removeprefix("delta_")
        return stored[order] - stored[f"{order}_noise"]
    if name == "delta_e_delta":
        return derive_measure("delta_e_minus", stored) - derive_measure("delta_e_plus", stored)
    raise InputError(f"measure is {name}; allowed are {', '.join(MEASURES)}")


def write_measurements(path: Path, methods: Sequence[str], arrays: dict[str, np.ndarray], settings: dict) -> None:
    """Write arrays whose first axis is the image and, but for image and label, whose second is the method.

    InputError for values that can't be.
    """
    if fault := find_fault(arrays, methods, settings):
        raise InputError(f"{path}: {fault}")
    with write_hdf5(path) as file:
        for name, values in arrays.items():
            write_dataset(file, name, values)
        set_attributes(file, {"methods": list(methods), **settings})


def find_fault(arrays: dict[str, np.ndarray], methods: Sequence[str], settings: dict) -> str | None:
    """The first value of a file's arrays that can't be, and what can.

    e is in [0, 1]; it is NaN where the decision never flips and `never_flips` is "exclude", and 1 if that is "one".
    Of noise maps e is the mean, so NaN if one, and 1 if all never flip. A flip is on the grid, or NEVER.
    """
    excluded = settings["never_flips"] == "exclude"
    shape = (len(arrays["image"]), len(methods))
    for name, values in arrays.items():
        if values.shape[: 1 if name in ("image", "label") else 2] != shape[: values.ndim]:
            return f"{name} is of {' × '.join(map(str, values.shape))}; images and methods are {shape[0]} × {shape[1]}"
    for name in STORED:
        flips = arrays.get(name.replace("e_", "flip_", 1))
        if flips is None:  # e alone, of another making
            never = np.zeros(shape, bool)
        else:
            steps, grid = flips.reshape(*shape, -1), settings["grid"]
            wrong = (steps != NEVER) & ((steps < 1) | (steps > grid))
            if wrong.any():
                where, found = _first(arrays, methods, wrong.any(2)), steps[wrong][0]
                return f"{where}: {name.replace('e_', 'flip_', 1)} is {found}; allowed are 1 to {grid}, or {NEVER}"
            never = (steps == NEVER).any(2) if excluded else (steps == NEVER).all(2)
        e = arrays[name]
        allowed = np.isnan(e) if excluded else e == 1
        wrong = np.where(never, ~allowed, ~((e >= 0) & (e <= 1)))
        if wrong.any():
            one = "NaN" if excluded else "1"
            rule = f"{one}, since its decision never flips" if never[wrong][0] else "a number from 0 to 1"
            return f"{_first(arrays, methods, wrong)}: {name} is {e[wrong][0]:g}; allowed is {rule}"
    return None


def _first(arrays: dict[str, np.ndarray], methods: Sequence[str], wrong: np.ndarray) -> str:
    """The image and method of the first of (n, m) that is wrong."""
    image, method = np.argwhere(wrong)[0]
    return f"image {arrays['image'][image]}, {methods[method]}"


def read_measurements(paths: Sequence[Path]) -> Measurements:
    """Read result files as one: blocks of images are stacked, families of methods set side by side."""
    families: dict[tuple[str, ...], list[dict[str, np.ndarray]]] = {}
    settings: dict = {}
    for path in paths:
        arrays, methods, found = _read_file(Path(path))
        for key in SETTINGS:
            if settings.setdefault(key, found[key]) != found[key]:
                raise InputError(f"{path}: {key} is {found[key]}; {paths[0]} has {settings[key]}")
        families.setdefault(methods, []).append(arrays)
    blocks = []
    for arrays in families.values():
        stacked = {name: np.concatenate([block[name] for block in arrays]) for name in arrays[0]}
        order = stacked["image"].argsort()
        blocks.append({name: values[order] for name, values in stacked.items()})
        if len(np.unique(stacked["image"])) < len(order):
            raise InputError(f"{paths[0]}: the result files given hold an image twice")
    for block in blocks:
        if not np.array_equal(block["image"], blocks[0]["image"]):
            raise InputError(f"{paths[0]}: the result files given hold different images")
        if not np.array_equal(block["label"], blocks[0]["label"]):
            raise InputError(f"{paths[0]}: the result files given hold different labels of the same images")
    values = {
        name: np.concatenate([block[name] for block in blocks], axis=1)
        for name in blocks[0]
        if name not in ("image", "label")
    }
    methods = [method for names in families for method in names]
    return Measurements(methods, blocks[0]["image"], blocks[0]["label"], values, settings)


def _read_file(path: Path) -> tuple[dict[str, np.ndarray], tuple[str, ...], dict]:
    names = ("image", "label", *STORED)
    arrays, attributes = read_hdf5(path, "file of removal results", names, ("methods", *SETTINGS))
    methods, settings = tuple(attributes["methods"]), {key: attributes[key] for key in SETTINGS}
    if fault := find_fault(arrays, methods, settings):
        raise InputError(f"{path}: {fault}; {make_again(path)}")
    return arrays, methods, settings
