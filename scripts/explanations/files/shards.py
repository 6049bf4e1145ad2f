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

from explanations.errors import InputError, make_again
from explanations.files.hdf5 import NewFile, create_dataset, open_hdf5, read_attributes, reading, set_attributes
from explanations.files.manifests import ManifestRow
from explanations.files.writing import unwritable

NON_SPATIAL = ("activity_elsewhere", "bias_elsewhere")  # (n, L+2), (n, K): what has no position, a class token's share
PER_IMAGE = ("image", "target", "label", "score", "logits", "gradient", "gradcam", *NON_SPATIAL)
IDENTITY = ("experiment", "network", "variant", "weights")
DECISION = ("image", "target", "score", "logits")
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
        file: NewFile,
        count: int,
        identity: dict[str, str],
        layers: Sequence[str],
        operations: Sequence[Operation],
        extra: dict,
    ):
        """`layers`: names for l = 0…L+1; `operations` in forward order; `extra`: further attributes."""
        self.file, self.count, self.done, self.operations = file, count, 0, operations
        self.datasets: dict[str, h5py.Dataset] = {}  # to open one anew for each batch would take a third of the time
        self.maps = dict.fromkeys(GROUPS, len(operations)) | {"activity": len(layers)}
        names, owners = [operation.name for operation in operations], [operation.layer for operation in operations]
        structure = {"layers": np.array(layers, str), "operations": np.array(names, str)}
        structure["operation_layers"] = np.array(owners, np.int64)
        set_attributes(file, {key: identity[key] for key in IDENTITY} | structure | extra)

    def append(self, batch: dict[str, np.ndarray | Sequence[np.ndarray]]) -> None:
        """Write n more images; a sequence of arrays, one for each layer or operation, becomes a group of maps.

        ValueError if a sequence has another length; InputError for a target, score or logits that can't be, and if what
        was written didn't reach the disk, as far as HDF5 wrote it yet: it holds some kB of each dataset back.
        """
        size = len(batch["image"])
        if fault := find_fault(*(batch[name] for name in DECISION)):
            raise InputError(f"{self.file.target.result}: {fault}")
        for name, values in batch.items():
            if name in PER_IMAGE:
                self._write(name, values)
                continue
            self.file.require_group(name)  # a network may have no biases at all
            for index, values_k in zip(range(self.maps[name]), values, strict=True):
                dataset = self._write(numbered(name, index + GROUPS[name]), values_k)
                if name != "activity" and self.done == 0:
                    operation = self.operations[index]
                    set_attributes(dataset, {"operation": operation.name, "layer": operation.layer})
        self.done += size
        try:
            self.file.check()
        except OSError as error:
            needed = sum(dataset.nbytes for dataset in self.datasets.values())
            raise unwritable(self.file.target.result, error, needed=needed) from None

    def _write(self, name: str, values: np.ndarray) -> h5py.Dataset:
        if name not in self.datasets:
            shape = (self.count, *values.shape[1:])
            self.datasets[name] = create_dataset(self.file, name, shape, values.dtype, compressed=values.ndim == 3)
        dataset = self.datasets[name]
        dataset[self.done : self.done + len(values)] = values
        return dataset


class ShardReader:
    """Shards of one network and variant, read together: image i of the manifest, wherever it lies."""

    def __init__(self, paths: Iterable[Path], weights: str | None = None):
        """`weights`: the hash that the shards must have been made with, if it matters.

        Raises InputError, naming the file, for a missing, truncated or changed shard or one of another network.
        """
        self.paths = [Path(path) for path in paths]
        self.files: list[h5py.File] = []
        self.rows: dict[int, tuple[int, int]] = {}  # of an image: which of the files, and where in it
        self.labels: dict[int, int] = {}
        self.checked: set[int] = set()  # images whose decision was looked at
        try:
            self._open(weights)
        except InputError:
            self.close()
            raise

    def _open(self, weights: str | None) -> None:
        attributes, structures = [], []
        for path in self.paths:
            self.files.append(open_hdf5(path, "shard"))
            with reading(path):
                attributes.append(_check_parts(path, self.files[-1]))
                structures.append(_structure(self.files[-1], attributes[-1]))
        self.identity = {key: str(attributes[0][key]) for key in IDENTITY}
        self.layer_names, self.operations = structures[0]
        for path, found in zip(self.paths, attributes, strict=True):
            for key, first in self.identity.items():
                if found[key] != first:
                    raise InputError(f"{path}: {key} is {found[key]}; {self.paths[0]} has {first}")
            if weights is not None and found["weights"] != weights:
                raise InputError(
                    f"{path}: belongs to a network whose file's SHA-256 is {found['weights'][:12]}…; "
                    f"the network given has {weights[:12]}…"
                )
        for path, structure in zip(self.paths, structures, strict=True):
            if structure != structures[0]:
                raise InputError(f"{path}: has other layers or biased operations than {self.paths[0]}; make both again")
        with reading(self.paths[0]):
            self.size: tuple[int, int] = self.files[0]["gradient"].shape[1:]
        for number, (path, file) in enumerate(zip(self.paths, self.files, strict=True)):
            with reading(path):
                images, labels = file["image"][:].tolist(), file["label"][:].tolist()
            for row, image in enumerate(images):
                if image in self.rows:
                    raise InputError(f"{path}: image {image} is in another of the shards given too")
                self.rows[image] = (number, row)
            self.labels |= zip(images, labels, strict=True)

    def __enter__(self) -> "ShardReader":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; nothing can be read any more."""
        for file in self.files:
            file.close()

    def check_manifest(self, rows: Sequence[ManifestRow], manifest: Path) -> None:
        """InputError unless all images are the manifest's, with its labels."""
        for image, label in self.labels.items():
            path = self.paths[self.rows[image][0]]
            if not 0 <= image < len(rows):
                raise InputError(f"{path}: holds image {image}; {manifest} has images 0 to {len(rows) - 1}")
            if label != rows[image].label:
                raise InputError(
                    f"{path}: label of image {image} is {label}; {manifest} has {rows[image].label}; {make_again(path)}"
                )

    @property
    def images(self) -> list[int]:
        """The manifest's indices of all images held, ascending."""
        return sorted(self.rows)

    @property
    def layers(self) -> list[int]:
        """The layers with more than one position, from 0, the input."""
        return list(self.map_sizes())

    def map_sizes(self) -> dict[int, tuple[int, int]]:
        """The height and width of the maps of each of `layers`."""
        with reading(self.paths[0]):
            shapes = [self.files[0][numbered("activity", l)].shape[1:] for l in range(len(self.layer_names))]
        return {layer: (height, width) for layer, (height, width) in enumerate(shapes) if height * width > 1}

    def gross_sum(self, layer: int, images: Sequence[int]) -> np.ndarray:
        """A^{h,l} (Eq. 14), (n,): the map's sum over positions and what has none."""
        return self._sum("activity", layer, images)

    def bias_sum(self, layer: int, images: Sequence[int]) -> np.ndarray:
        """A^{b,l} (Eq. 14), (n,): as gross_sum, over the layer's biased operations; 0 if it has none."""
        sums = [self._sum("bias", number, images) for number in self.biased(layer)]
        return np.sum(sums, 0) if sums else np.zeros(len(images))

    def bias_maps(self, layer: int, images: Sequence[int]) -> list[np.ndarray]:
        """The maps (n, H, W) of a layer's biased operations, each of its own size; none if the layer has no biases."""
        return [self.read(numbered("bias", number), images) for number in self.biased(layer)]

    def biased(self, layer: int) -> list[int]:
        """The numbers of a layer's biased operations, from 1."""
        return [number for number, found in enumerate(self.operations, start=1) if found.layer == layer]

    def _sum(self, group: str, number: int, images: Sequence[int]) -> np.ndarray:
        """The sum of a map over its positions, and what has no position, (n,)."""
        positions = self.read(numbered(group, number), images).sum((1, 2), dtype=float)
        return positions + self.read(f"{group}_elsewhere", images)[:, number - GROUPS[group]]

    def read(self, name: str, images: Sequence[int]) -> np.ndarray:
        """The rows of dataset `name` for images of the manifest, in the order asked.

        InputError if one was changed since it was written, is not finite, or its image's decision can't be.
        """
        missing = [image for image in images if image not in self.rows]
        if missing:
            raise InputError(f"{self.paths[0].parent}: its shards lack image {missing[0]} of the manifest")
        self._check_decisions([image for image in dict.fromkeys(images) if image not in self.checked])
        return self._read(name, images)

    def _read(self, name: str, images: Sequence[int]) -> np.ndarray:
        with reading(self.paths[0]):
            dataset = self.files[0][name]
            values = np.empty((len(images), *dataset.shape[1:]), dataset.dtype)
        for index, image in enumerate(images):
            number, row = self.rows[image]
            with reading(self.paths[number]):
                values[index] = self.files[number][name][row]
        finite = np.isfinite(values.reshape(len(images), -1)).all(1)
        if not finite.all():
            image = images[int(finite.argmin())]
            path = self.paths[self.rows[image][0]]
            raise InputError(
                f"{path}: {name} of image {image} holds NaN or infinite values; all must be finite; {make_again(path)}"
            )
        return values

    def _check_decisions(self, images: Sequence[int]) -> None:
        if images and (fault := find_fault(np.array(images), *(self._read(name, images) for name in DECISION[1:]))):
            image = int(fault.removeprefix("image ").partition(":")[0])
            path = self.paths[self.rows[image][0]]
            raise InputError(f"{path}: {fault}; {make_again(path)}")
        self.checked.update(images)


def find_fault(images: np.ndarray, target: np.ndarray, score: np.ndarray, logits: np.ndarray) -> str | None:
    """What is wrong with the first decision, of n images, that can't be: logits (n, C), target and score (n,).

    All are finite; the target is the largest logit's (one of them, if there are several), the score is that logit.
    """
    for image, t, s, row in zip(images.tolist(), target.tolist(), score, logits, strict=True):
        if not (np.isfinite(row).all() and np.isfinite(s)):
            return f"image {image}: its logits or score hold NaN or infinite values; all must be finite"
        if not 0 <= t < len(row) or row[t] != row.max():
            return f"image {image}: target is {t}; its largest logit is that of {int(row.argmax())}"
        if row.dtype.type(s) != row[t]:
            return f"image {image}: score is {s:.9g}; its target's logit is {row[t]:.9g}"
    return None


def _check_parts(path: Path, file: h5py.File) -> dict:
    """A shard's attributes; InputError unless it has all its parts."""
    attributes = read_attributes(file)
    absent = [key for key in (*IDENTITY, "layers") if key not in attributes]
    absent += [name for name in (*PER_IMAGE, *GROUPS) if name not in file]
    if absent:
        raise InputError(f"{path}: not a whole attribution shard; it lacks {', '.join(absent)}")
    maps = dict.fromkeys(GROUPS, file["bias_elsewhere"].shape[1]) | {"activity": len(attributes["layers"])}
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
    named = len(attributes.get("operations", range(maps["bias"])))
    if named != maps["bias"]:
        raise InputError(f"{path}: not a whole attribution shard; it names {named} operations of {maps['bias']}")
    return attributes


def _structure(file: h5py.File, attributes: dict) -> tuple[list[str], list[Operation]]:
    """The names of a shard's layers, and its biased operations in forward order.

    Shards that were made before they listed their operations have them beside the maps, whose numbers give the order.
    """
    if "operations" in attributes:
        names, layers = attributes["operations"], attributes["operation_layers"]
    else:
        maps = [read_attributes(file[numbered("bias", number)]) for number in range(1, len(file["bias"]) + 1)]
        names, layers = ([found[key] for found in maps] for key in ("operation", "layer"))
    operations = [Operation(str(name), int(layer)) for name, layer in zip(names, layers, strict=True)]
    return [str(name) for name in attributes["layers"]], operations
