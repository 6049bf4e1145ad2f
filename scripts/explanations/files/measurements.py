"""Files of removal results: one (image × method) array per measure, and the measures derived from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from explanations.errors import InputError, make_again
from explanations.files.grids import count_steps
from explanations.files.hdf5 import read_hdf5, set_attributes, write_dataset, write_hdf5
from explanations.files.operators import PAPERS_OPERATOR
from explanations.files.orders import ORDERS

NEVER = -1  # the grid index of a decision that never flips
STORED = ("e_minus", "e_plus", "e_minus_noise", "e_plus_noise")
MEASURES = (*STORED, "e_delta", "e_delta_noise", "delta_e_minus", "delta_e_plus", "delta_e_delta")
SETTINGS = (
    *("experiment", "network", "variant", "weights", "upsampling"),
    *("grid", "noise_maps", "ties", "never_flips"),
)
GRID_PLUS = "grid_plus"  # the setting that results have where the order "plus" goes by a grid of its own


@dataclass(frozen=True)
class Measurements:
    """Removal results of n images and m methods: arrays by name, (n,) for image and label, (n, m) for measures.

    `orders` are those of each method; of another, e is NaN and flips are NEVER.
    """

    methods: list[str]
    image: np.ndarray
    label: np.ndarray
    values: dict[str, np.ndarray]
    settings: dict
    orders: dict[str, tuple[str, ...]]

    def has(self, name: str, method: str) -> bool:
        """Whether a measure of one method was measured: all the orders of removal that it takes."""
        return set(orders_of(name)) <= set(self.orders.get(method, ()))

    def select(self, methods: Sequence[str]) -> "Measurements":
        """The same of some of the methods alone, in their order here."""
        kept = [column for column, method in enumerate(self.methods) if method in methods]
        names = [self.methods[column] for column in kept]
        values = {name: array[:, kept] for name, array in self.values.items()}
        return replace(self, methods=names, values=values, orders={name: self.orders[name] for name in names})

    def measure(self, name: str, method: str) -> np.ndarray:
        """A measure of one method, (n,), in the order of images."""
        if method not in self.methods:
            raise InputError(f"method is {method}; measured are {', '.join(self.methods)}")
        column = self.methods.index(method)
        values = derive_measure(name, {key: self.values[key][:, column] for key in STORED})
        if not self.has(name, method):
            raise InputError(f"measure is {name}; of {method} the order {', '.join(self.orders[method])} was measured")
        return values


def orders_of(measure: str) -> tuple[str, ...]:
    """The orders of removal that a measure takes: both, unless it is named after one."""
    return tuple(order for order in ORDERS if order in measure) or ORDERS


def stored_of(orders: Sequence[str]) -> list[str]:
    """The names under which e is stored, of some orders."""
    return [name for name in STORED if set(orders_of(name)) <= set(orders)]


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


def arrange_flips(flips: np.ndarray, e: np.ndarray, orders: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of a file, from where all scans end: `flips`, `e` (n, methods, 1 + noise maps, orders).

    The first map is the image's own; e of noise maps is the mean over them.
    """
    arrays = {}
    for index, order in enumerate(orders):
        arrays[f"e_{order}"] = e[:, :, 0, index]
        arrays[f"e_{order}_noise"] = e[:, :, 1:, index].mean(2)
        arrays[f"flip_{order}"] = flips[:, :, 0, index]
        arrays[f"flip_{order}_noise"] = flips[:, :, 1:, index]
    return arrays


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
    orders = list(settings["orders"])
    if not orders or orders != [order for order in ORDERS if order in orders]:
        return f"orders is {' '.join(orders) or 'empty'}; allowed are {', '.join(ORDERS)}, or both"
    excluded = settings["never_flips"] == "exclude"
    shape = (len(arrays["image"]), len(methods))
    for name, values in arrays.items():
        if values.shape[: 1 if name in ("image", "label") else 2] != shape[: values.ndim]:
            return f"{name} is of {' × '.join(map(str, values.shape))}; images and methods are {shape[0]} × {shape[1]}"
    for name in stored_of(orders):
        flips = arrays.get(name.replace("e_", "flip_", 1))
        if flips is None:  # e alone, of another making
            never = np.zeros(shape, bool)
        else:
            steps, grid = flips[..., None] if flips.ndim == 2 else flips, count_steps(settings, *orders_of(name))
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
    """Read result files as one: blocks of images are stacked, methods set side by side.

    A kind of method that a network has no map of, as biases of one without, has files without columns.
    """
    blocks: dict[tuple[str, ...], list[dict[str, np.ndarray]]] = {}  # of images, by the methods that they have
    orders: dict[tuple[str, ...], tuple[str, ...]] = {}
    settings: dict = {}
    for path in paths:
        arrays, methods, held = _read_file(Path(path))
        for key in (*SETTINGS, GRID_PLUS, "operator", "setting"):
            if settings.setdefault(key, held[key]) != held[key]:
                raise InputError(f"{path}: {key} is {held[key]}; {paths[0]} has {settings[key]}")
        measured = tuple(held["orders"])
        if orders.setdefault(methods, measured) != measured and methods:
            raise InputError(f"{path}: orders is {' '.join(measured)}; others have {' '.join(orders[methods])}")
        blocks.setdefault(methods, []).append(arrays)
    if len(blocks) > 1:
        blocks.pop((), None)
    whole = [_stack(arrays, paths[0]) for arrays in blocks.values()]
    for block in whole:
        for name in ("image", "label"):
            if not np.array_equal(block[name], whole[0][name]):
                said = "images" if name == "image" else "labels of the same images"
                raise InputError(f"{paths[0]}: the result files given hold different {said}")
    held = dict.fromkeys(name for block in whole for name in block if name not in ("image", "label"))
    names = dict.fromkeys(other for name in held for other in _in_both_orders(name))
    values = {name: np.concatenate([_values_of(block, name) for block in whole], axis=1) for name in names}
    by_method = {method: orders[methods] for methods in blocks for method in methods}
    return Measurements(list(by_method), whole[0]["image"], whole[0]["label"], values, settings, by_method)


def _values_of(block: dict[str, np.ndarray], name: str) -> np.ndarray:
    """An array of a block of images; of an order that was not measured, as many values that say so."""
    if name in block:
        return block[name]
    other = next(other for other in _in_both_orders(name) if other in block)
    return np.full_like(block[other], NEVER if name.startswith("flip") else np.nan)


def _in_both_orders(name: str) -> list[str]:
    """The names of the same array in both orders."""
    return [name.replace(orders_of(name)[0], order) for order in ORDERS]


def _stack(arrays: list[dict[str, np.ndarray]], path: Path) -> dict[str, np.ndarray]:
    """Blocks of images as one, in the images' order; InputError, naming the first file, if they hold one twice."""
    stacked = {name: np.concatenate([block[name] for block in arrays]) for name in arrays[0]}
    images, order = np.unique(stacked["image"], return_index=True)
    if len(images) < len(stacked["image"]) and arrays[0]["e_minus"].shape[1]:  # files without columns are all alike
        raise InputError(f"{path}: the result files given hold an image twice")
    return {name: values[order] for name, values in stacked.items()}


def read_by_operator(paths: Sequence[Path]) -> dict[str, Measurements]:
    """Result files as one for each removal operator, in the order in which these are given."""
    files: dict[str, list[Path]] = {}
    for path in paths:
        files.setdefault(read_measurements([path]).settings["operator"], []).append(path)
    return {name: read_measurements(each) for name, each in files.items()}


def read_operator(attributes: Mapping) -> dict:
    """What a file's attributes say of the removal operator: its name, and its own setting, which has the same name."""
    operator = attributes.get("operator", PAPERS_OPERATOR)
    return {"operator": operator, "setting": attributes.get(operator)}


def _read_file(path: Path) -> tuple[dict[str, np.ndarray], tuple[str, ...], dict]:
    kind, keys = "file of removal results", ("methods", "orders", *SETTINGS)
    arrays, attributes = read_hdf5(path, kind, ("image", "label"), keys)
    methods, settings = tuple(attributes["methods"]), {key: attributes[key] for key in ("orders", *SETTINGS)}
    settings[GRID_PLUS] = np.asarray(attributes.get(GRID_PLUS, [])).tolist()
    settings |= read_operator(attributes)
    absent = [name for name in stored_of(settings["orders"]) if name not in arrays]
    if absent:
        raise InputError(f"{path}: not a {kind}; it lacks {', '.join(absent)}")
    if fault := find_fault(arrays, methods, settings):
        raise InputError(f"{path}: {fault}; {make_again(path)}")
    return arrays, methods, settings
