"""Every kind of HDF5 file that steps write, small: how one is written, and how all of it is read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

import fit_linear_classifier
from explanations.figures.examples import read_examples
from explanations.files.hdf5 import read_hdf5, set_attributes, write_dataset, write_hdf5
from explanations.files.measurements import SETTINGS, STORED, read_measurements, write_measurements
from explanations.files.shards import GROUPS, IDENTITY, PER_IMAGE, Operation, ShardReader, ShardWriter, numbered
from plot_linear_classifier import ARRAYS

IMAGES = 3


def write_shard(path: Path, operations: int = 3) -> None:
    """Three images in two batches, two layers; names as long as those of timm's networks."""
    rng, layers = np.random.default_rng(0), ["input", "top"]
    named = [Operation(f"stages.{k}.blocks.{k}.mlp.pwconv1 of this network", 1) for k in range(operations)]
    with write_hdf5(path) as file:
        writer = ShardWriter(file, IMAGES, dict.fromkeys(IDENTITY, "some"), layers, named, {"torch": "2"})
        for images in ([0, 1], [2]):
            n = len(images)
            logits = rng.standard_normal((n, 5)).astype("f4")
            decided = {"logits": logits, "target": logits.argmax(1), "score": logits.max(1).astype(float)}
            groups = {"activity": 2, "bias": operations, "fullgrad_feature": operations}
            # every second map is of one value, and gets smaller by compression; the others don't
            maps = {
                name: [rng.standard_normal((n, 3, 4)).astype("f4") * (k % 2) for k in range(count)]
                for name, count in groups.items()
            }
            sums = {"activity_elsewhere": np.ones((n, 2)), "bias_elsewhere": np.ones((n, operations))}
            gradients = {name: rng.standard_normal((n, 3, 4)).astype("f4") for name in ("gradient", "gradcam")}
            writer.append(
                {"image": np.array(images), "label": np.array(images), **decided, **sums, **gradients, **maps}
            )


def read_shard(path: Path) -> dict:
    with ShardReader([path]) as reader:
        count = len(reader.operations)
        groups = {"activity": len(reader.layer_names), "bias": count, "fullgrad_feature": count}
        names = [numbered(group, k + first) for group, first in GROUPS.items() for k in range(groups[group])]
        arrays = {name: reader.read(name, reader.images) for name in (*PER_IMAGE, *names)}
        whole = {"images": reader.images, "labels": list(reader.labels.values()), "sizes": list(reader.map_sizes())}
        texts = [*reader.identity.values(), *reader.layer_names, *(o.name for o in reader.operations)]
        return arrays | whole | {"texts": texts, "owners": [operation.layer for operation in reader.operations]}


def write_results(path: Path) -> None:
    values = np.random.default_rng(0).random((IMAGES, 2))
    arrays = {"image": np.arange(IMAGES), "label": np.arange(IMAGES), **dict.fromkeys(STORED, values)}
    flips = {name.replace("e_", "flip_", 1): np.full((IMAGES, 2), 3) for name in STORED[:2]}
    flips |= {name.replace("e_", "flip_", 1): np.full((IMAGES, 2, 1), 3) for name in STORED[2:]}
    settings = dict.fromkeys(SETTINGS, "x") | {"grid": 6, "orders": ["minus", "plus"]}
    write_measurements(path, ["input", "activity_1"], arrays | flips, settings)


def read_results(path: Path) -> dict:
    found = read_measurements([path])
    return found.values | {"image": found.image, "label": found.label, "methods": found.methods, **found.settings}


def write_examples(path: Path) -> None:
    rng = np.random.default_rng(0)
    with write_hdf5(path) as file:
        write_dataset(file, "image", [0, 1])
        write_dataset(file, "rgb", rng.integers(0, 256, (2, 5, 5, 3), np.uint8))
        write_dataset(file, "maps", rng.random((2, 1, 5, 5)))
        write_dataset(file, "probabilities", rng.random((2, 2)))
        texts = {"classes": ["a", "é"], "target_classes": ["", "a"], "runners_up": ["é", ""]}
        set_attributes(file, {"methods": ["input"], "network": "n", **texts})


def read_linear(path: Path) -> dict:
    arrays, found = read_hdf5(path, "file of a linear classifier", ARRAYS, ("accuracy", "test"))
    return arrays | found


KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], dict]]] = {
    "shard": (write_shard, read_shard),
    "shard of many operations": (lambda path: write_shard(path, 130), read_shard),
    "results": (write_results, read_results),
    "examples": (write_examples, lambda path: vars(read_examples(path))),
    "linear": (lambda path: fit_linear_classifier.main(path, [3], 1.0, 0), read_linear),
}
