"""A bit that changed in an HDF5 file: what is read is what was written, or the file is refused in one line.

Each kind of file that steps write, a bit flipped in one byte after the other, all is read in a process of its own:
HDF5 might crash. `python tests/test_flipped_bits.py KIND FILE STRIDE` does it by hand.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent.parent / "scripts"))

import fit_linear_classifier
from explanations.command import InputError
from explanations.hdf5 import read_hdf5, set_attributes, write_dataset, write_hdf5
from explanations.measurements import SETTINGS, STORED, read_measurements, write_measurements
from explanations.shards import GROUPS, IDENTITY, PER_IMAGE, Operation, ShardReader, ShardWriter, numbered
from plot_example_maps import read_examples
from plot_linear_classifier import ARRAYS

RNG = np.random.default_rng(0)
IMAGES = 3


def write_shard(path: Path, operations: int = 3) -> None:
    """Three images in two batches, two layers; names as long as those of timm's networks."""
    layers = ["input", "top"]
    named = [Operation(f"stages.{k}.blocks.{k}.mlp.pwconv1 of this network", 1) for k in range(operations)]
    with write_hdf5(path) as file:
        writer = ShardWriter(file, IMAGES, dict.fromkeys(IDENTITY, "some"), layers, named, {"torch": "2"})
        for images in ([0, 1], [2]):
            n = len(images)
            logits = RNG.standard_normal((n, 5)).astype("f4")
            decided = {"logits": logits, "target": logits.argmax(1), "score": logits.max(1).astype(float)}
            groups = {"activity": 2, "bias": operations, "fullgrad_feature": operations}
            # every second map is of one value, and gets smaller by compression; the others don't
            maps = {
                name: [RNG.standard_normal((n, 3, 4)).astype("f4") * (k % 2) for k in range(count)]
                for name, count in groups.items()
            }
            sums = {"activity_elsewhere": np.ones((n, 2)), "bias_elsewhere": np.ones((n, operations))}
            gradients = {name: RNG.standard_normal((n, 3, 4)).astype("f4") for name in ("gradient", "gradcam")}
            writer.append({"image": np.array(images), "label": np.array(images), **decided, **sums, **gradients, **maps})


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
    values = RNG.random((IMAGES, 2))
    arrays = {"image": np.arange(IMAGES), "label": np.arange(IMAGES), **dict.fromkeys(STORED, values)}
    flips = {name.replace("e_", "flip_", 1): np.full((IMAGES, 2), 3) for name in STORED[:2]}
    flips |= {name.replace("e_", "flip_", 1): np.full((IMAGES, 2, 1), 3) for name in STORED[2:]}
    write_measurements(path, ["input", "activity_1"], arrays | flips, dict.fromkeys(SETTINGS, "x") | {"grid": 6})


def read_results(path: Path) -> dict:
    found = read_measurements([path])
    return found.values | {"image": found.image, "label": found.label, "methods": found.methods, **found.settings}


def write_examples(path: Path) -> None:
    with write_hdf5(path) as file:
        write_dataset(file, "image", [0, 1])
        write_dataset(file, "rgb", RNG.integers(0, 256, (2, 5, 5, 3), np.uint8))
        write_dataset(file, "maps", RNG.random((2, 1, 5, 5)))
        set_attributes(file, {"methods": ["input"], "classes": ["a", "é"], "target_classes": ["", "a"], "network": "n"})


def read_linear(path: Path) -> dict:
    arrays, found = read_hdf5(path, "a linear classifier's file", ARRAYS, ("accuracy", "test"))
    return arrays | found


KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], dict]]] = {
    "shard": (write_shard, read_shard),
    "shard of many operations": (lambda path: write_shard(path, 130), read_shard),
    "results": (write_results, read_results),
    "examples": (write_examples, lambda path: vars(read_examples(path))),
    "linear": (lambda path: fit_linear_classifier.main(path, [3], 1.0, 0), read_linear),
}
STRIDES = {"shard": 17, "shard of many operations": 1301, "results": 7, "examples": 7, "linear": 23}


def flip_bits(kind: str, path: Path, stride: int) -> tuple[int, int]:
    """How many flips of a bit were refused and how many changed nothing; AssertionError if one did anything else."""
    _, read = KINDS[kind]
    wanted, whole = read(path), bytearray(path.read_bytes())
    refused = 0
    for number, place in enumerate(range(0, len(whole), stride)):
        whole[place] ^= 1 << number % 8
        path.write_bytes(whole)
        whole[place] ^= 1 << number % 8
        try:
            found = read(path)
        except InputError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error), str(error)
            refused += 1
            continue
        except BaseException as error:
            raise AssertionError(f"bit {number % 8} of byte {place}") from error
        assert found.keys() == wanted.keys(), place
        for name, values in wanted.items():
            np.testing.assert_array_equal(found[name], values, err_msg=f"{name}: bit {number % 8} of byte {place}")
    path.write_bytes(whole)
    return refused, number + 1 - refused


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_changes_nothing_or_is_refused(tmp_path, kind):
    path = tmp_path / "a.h5"
    KINDS[kind][0](path)
    command = [sys.executable, __file__, kind, str(path), str(STRIDES[kind])]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr[-3000:]
    refused, harmless = map(int, ran.stdout.split())
    assert refused > 100
    assert refused > harmless / 4  # the rest is space that HDF5 left between its parts


@pytest.mark.parametrize("kind", KINDS)
def test_all_values_have_checksums(tmp_path, kind):
    KINDS[kind][0](tmp_path / "a.h5")
    found = []
    with h5py.File(tmp_path / "a.h5") as file:
        file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
        assert found and all(dataset.fletcher32 for dataset in found)
        assert file.id.get_create_plist().get_version()[0] == 3  # the superblock's
        items = [file, *found]
        kinds = [item.attrs.get_id(name).dtype for item in items for name in item.attrs]
        assert all(h5py.check_string_dtype(kind) is None or h5py.check_string_dtype(kind).length for kind in kinds)


if __name__ == "__main__":
    print(*flip_bits(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
