"""Attribution shards: HDF5 files of a block of images' attributions, checked as they are written.

The layout is design's: /image /target /label /score /logits /activity/00… /bias/01… /gradient /gradcam
/fullgrad_feature/01… /activity_elsewhere /bias_elsewhere, with the experiment, network, variant and the weights' hash
as attributes, the names of all layers, and of all biased operations with their layers. The numbers of maps go on past
99 with three digits: their order is that of the lists, never that of the names as text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from explanations.command import InputError
from explanations.hdf5 import open_hdf5

ELSEWHERE = ("activity_elsewhere", "bias_elsewhere")  # (n, L+2), (n, K): what has no position, a class token's share
PER_IMAGE = ("image", "target", "label", "score", "logits", "gradient", "gradcam", *ELSEWHERE)
IDENTITY = ("experiment", "network", "variant", "weights")
GROUPS = {"activity": 0, "bias": 1, "fullgrad_feature": 1}  # of maps, numbered from


@dataclass(frozen=True)
class Operation:
    """A biased operation: its name in the network and the layer it belongs to."""

    name: str
    layer: int


def numbered(group: str, number: int) -> str:
    """The dataset of a group's map: a layer's activity from 0, an operation's bias and feature maps from 1."""
    return f"{group}/{number:02d}"


class ShardWriter:
    """Appends batches of attributions to a shard of `count` images."""

    def __init__(
        self,
        file: h5py.File,
        count: int,
        identity: dict[str, str],
        layers: Sequence[str],
        operations: Sequence[Operation],
        extra: dict,
    ):
        """`layers`: names for l = 0…L+1; `operations` in forward order; `extra`: further attributes."""
        self.file, self.count, self.done, self.operations = file, count, 0, operations
        file.attrs.update({key: identity[key] for key in IDENTITY})
        self.maps = dict.fromkeys(GROUPS, len(operations)) | {"activity": len(layers)}
        text = h5py.string_dtype()
        file.attrs["layers"] = np.array(layers, text)
        file.attrs["operations"] = np.array([operation.name for operation in operations], text)
        file.attrs["operation_layers"] = np.array([operation.layer for operation in operations], np.int64)
        file.attrs.update(extra)

    def append(self, batch: dict[str, np.ndarray | Sequence[np.ndarray]]) -> None:
        """Write n more images; a sequence of arrays, one for each layer or operation, becomes a group of maps.

        ValueError if a sequence has another length.
        """
        size = len(batch["image"])
        for name, values in batch.items():
            if name in PER_IMAGE:
                self._write(name, values)
                continue
            self.file.require_group(name)  # a network may have no biases at all
            for index, values_k in zip(range(self.maps[name]), values, strict=True):
                dataset = self._write(numbered(name, index + GROUPS[name]), values_k)
                if name != "activity" and self.done == 0:
                    operation = self.operations[index]
                    dataset.attrs.update({"operation": operation.name, "layer": operation.layer})
        self.done += size

    def _write(self, name: str, values: np.ndarray) -> h5py.Dataset:
        if name not in self.file:
            map_options = {"chunks": (1, *values.shape[1:]), "compression": "lzf"} if values.ndim == 3 else {}
            self.file.create_dataset(name, (self.count, *values.shape[1:]), values.dtype, **map_options)
        dataset = self.file[name]
        dataset[self.done : self.done + len(values)] = values
        return dataset


class ShardReader:
    """Shards of one network and variant, read together: image i of the manifest, wherever it lies."""

    def __init__(self, paths: Iterable[Path], weights: str | None = None):
        """`weights`: the hash that the shards must have been made with, if it matters.

        Raises InputError, naming the file, for a missing or truncated shard or one of another network.
        """
        self.paths = [Path(path) for path in paths]
        self.files = [_open(path) for path in self.paths]
        first = self.files[0].attrs
        for path, file in zip(self.paths, self.files, strict=True):
            for key in IDENTITY:
                if file.attrs[key] != first[key]:
                    raise InputError(f"{path}: {key} is {file.attrs[key]}; {self.paths[0]} has {first[key]}")
            if weights is not None and file.attrs["weights"] != weights:
                raise InputError(
                    f"{path}: belongs to a network whose file's SHA-256 is {file.attrs['weights'][:12]}…; "
                    f"the network given has {weights[:12]}…"
                )
        self.identity = {key: str(first[key]) for key in IDENTITY}
        self.layer_names, self.operations = _structure(self.files[0])
        for path, file in zip(self.paths, self.files, strict=True):
            if _structure(file) != (self.layer_names, self.operations):
                raise InputError(f"{path}: has other layers or biased operations than {self.paths[0]}; make both again")
        self.size: tuple[int, int] = self.files[0]["gradient"].shape[1:]
        self.rows: dict[int, tuple[h5py.File, int]] = {}
        for path, file in zip(self.paths, self.files, strict=True):
            for row, image in enumerate(file["image"][:].tolist()):
                if image in self.rows:
                    raise InputError(f"{path}: image {image} is in another of the shards given too")
                self.rows[image] = (file, row)

    def __enter__(self) -> "ShardReader":
        return self

    def __exit__(self, *exception) -> None:
        for file in self.files:
            file.close()

    @property
    def images(self) -> list[int]:
        """The manifest's indices of all images held, ascending."""
        return sorted(self.rows)

    @property
    def layers(self) -> list[int]:
        """The layers with more than one position, from 0, the input."""
        shapes = [self.files[0][numbered("activity", l)].shape[1:] for l in range(len(self.layer_names))]
        return [index for index, (height, width) in enumerate(shapes) if height * width > 1]

    def gross_sum(self, layer: int, images: Sequence[int]) -> np.ndarray:
        """A^{h,l} (Eq. 14), (n,): the map's sum over positions and what has none."""
        positions = self.read(numbered("activity", layer), images).sum((1, 2), dtype=float)
        return positions + self.read("activity_elsewhere", images)[:, layer]

    def read(self, name: str, images: Sequence[int]) -> np.ndarray:
        """The rows of dataset `name` for images of the manifest, in the order asked."""
        missing = [image for image in images if image not in self.rows]
        if missing:
            raise InputError(f"{self.paths[0].parent}: its shards lack image {missing[0]} of the manifest")
        dataset = self.files[0][name]
        values = np.empty((len(images), *dataset.shape[1:]), dataset.dtype)
        for index, image in enumerate(images):
            file, row = self.rows[image]
            values[index] = file[name][row]
        return values


def _open(path: Path) -> h5py.File:
    try:
        file = open_hdf5(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such shard") from None
    except OSError as error:
        raise InputError(f"{path}: truncated, or not an HDF5 file ({error})") from None
    absent = [key for key in (*IDENTITY, "layers") if key not in file.attrs]
    absent += [name for name in (*PER_IMAGE, *GROUPS) if name not in file]
    if absent:
        raise InputError(f"{path}: not a whole attribution shard; it lacks {', '.join(absent)}")
    maps = dict.fromkeys(GROUPS, file["bias_elsewhere"].shape[1]) | {"activity": len(file.attrs["layers"])}
    for group, first in GROUPS.items():
        wanted = [numbered(group, number) for number in range(first, first + maps[group])]
        found = {f"{group}/{name}" for name in file[group]}
        absent = [name for name in wanted if name not in found]
        if absent:
            raise InputError(f"{path}: not a whole attribution shard; it lacks {', '.join(absent)}")
        if len(found) > len(wanted):
            raise InputError(
                f"{path}: not an attribution shard; it holds {len(found)} maps of {len(wanted)} in {group}"
            )
    named = len(file.attrs.get("operations", range(maps["bias"])))
    if named != maps["bias"]:
        raise InputError(f"{path}: not a whole attribution shard; it names {named} operations of {maps['bias']}")
    return file


def _structure(file: h5py.File) -> tuple[list[str], list[Operation]]:
    """The names of a shard's layers, and its biased operations in forward order.

    Shards that were made before they listed their operations have them beside the maps, whose numbers give the order.
    """
    attributes = file.attrs
    if "operations" in attributes:
        names, layers = attributes["operations"], attributes["operation_layers"]
    else:
        maps = [file[numbered("bias", number)].attrs for number in range(1, len(file["bias"]) + 1)]
        names, layers = ([found[key] for found in maps] for key in ("operation", "layer"))
    operations = [Operation(str(name), int(layer)) for name, layer in zip(names, layers, strict=True)]
    return [str(name) for name in attributes["layers"]], operations
