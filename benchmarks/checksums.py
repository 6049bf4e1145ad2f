"""What checksums cost: writing and reading a shard as it is written, against the same without any.

Prints, for each network at 224 pixels, CPU time for each image, measured in turns within one run: writing and reading
all that a shard holds without checksums (HDF5's first format, no look at the values, HDF5's own way to the disk), and
as ratios to it with them, and writing as it was before, when each dataset was opened anew for each batch. Then what
they add as a share of an extraction (decomposing a batch here, and writing it) and of a removal (reading the image's
own maps and those of a noise map; forward passes here: the fewest that a scan takes, times two orders and two maps for
each layer). On a GPU the passes are faster and the shares larger: `--speed 50` shows those of a device on which passes
take a fiftieth of the time.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import h5py
import numpy as np
import torch
import torchvision

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from explanations.decomposition.decomposition import Decomposition
from explanations.files import shards
from explanations.files.hdf5 import write_hdf5
from explanations.files.shards import IDENTITY, Operation, ShardReader, ShardWriter

SHARD = 4  # batches
PASSES = 10  # of a scan on a grid of 100: few decisions hold that short


class PlainFile(h5py.File):
    """A new file as steps wrote them without checksums."""

    def check(self) -> None:
        """Nothing is known."""


def plain_dataset(file, name: str, shape: tuple, dtype: np.dtype, *, compressed: bool = False) -> h5py.Dataset:
    options = {"chunks": (1, *shape[1:]), "compression": "lzf"} if compressed else {}
    return file.create_dataset(name, shape, dtype, **options)


class WriterBefore(ShardWriter):
    """Opens each dataset anew for each batch."""

    def _write(self, name: str, values: np.ndarray) -> h5py.Dataset:
        dataset = super()._write(name, values)
        self.datasets = Reopened(self.file)
        return dataset


class Reopened(dict):
    """The datasets of a file, opened when they are asked for."""

    def __init__(self, file: h5py.File):
        self.file = file

    def __contains__(self, name: str) -> bool:
        return name in self.file

    def __getitem__(self, name: str) -> h5py.Dataset:
        return self.file[name]


def main(networks: list[str], batch: int, repeats: int, threads: int, speed: float) -> None:
    torch.set_num_threads(threads)
    print(f"batches of {batch} images, {threads} threads, passes {speed:g} times as fast; medians of {repeats}")
    print(
        f"{'network':14}{'MB':>6}{'write':>10}{'with':>7}{'before':>8}{'read':>10}{'with':>7}{'extraction':>12}{'removal':>10}"
    )
    for name in networks:
        torch.manual_seed(0)
        network = torchvision.models.get_model(name, weights=None).eval().requires_grad_(False)
        images = torch.randn(batch, 3, 224, 224)
        decomposition = Decomposition(network, images[:1])
        start = time.process_time()
        found = decomposition(images)
        explained = (time.process_time() - start) / batch / speed
        start = time.process_time()
        with torch.no_grad():
            network(images)
        forward = (time.process_time() - start) / batch / speed
        layers = ["input", *(layer.name for layer in decomposition.layers)]
        operations = [Operation(operation.name, operation.layer) for operation in decomposition.operations]
        arrays = {"image": np.arange(batch), "label": np.zeros(batch, int), **found.to_arrays()}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "shard.h5"
            times = measure(calls(path, arrays, layers, operations), repeats)
            size = path.stat().st_size / batch / SHARD / 1e6
        seconds = {key: statistics.median(values) / batch / SHARD for key, values in times.items()}
        writing, reading = (
            statistics.median(a / b for a, b in zip(times[key], times[f"plain {key}"], strict=True))
            for key in ("write", "read")
        )
        before = statistics.median(a / b for a, b in zip(times["before"], times["plain write"], strict=True))
        written, read = seconds["plain write"], seconds["plain read"]
        extraction = written * (writing - 1) / (explained + written)
        removal = 2 * read * (reading - 1) / (2 * read + forward * PASSES * 4 * len(layers))
        print(
            f"{name:14}{size:6.1f}{written * 1e3:8.1f}ms{writing:7.2f}{before:8.2f}{read * 1e3:8.1f}ms{reading:7.2f}"
            f"{extraction:12.2%}{removal:10.3%}",
            flush=True,
        )


def calls(path: Path, arrays: dict, layers: list[str], operations: list[Operation]) -> dict[str, Callable]:
    """What is timed, by name; a file is read as it was written last."""

    count = len(arrays["image"])

    def append(file: h5py.File, kind: type[ShardWriter] = ShardWriter) -> None:
        writer = kind(file, SHARD * count, dict.fromkeys(IDENTITY, "some"), layers, operations, {})
        for batch in range(SHARD):
            writer.append(arrays | {"image": arrays["image"] + batch * count})

    def write() -> None:
        with write_hdf5(path) as file:
            append(file)

    def write_plain(kind: type[ShardWriter] = ShardWriter) -> None:
        plain = patch.object(shards, "create_dataset", plain_dataset), patch.object(shards, "find_fault", unchecked)
        with plain[0], plain[1], PlainFile(path, "w", locking=False) as file:
            append(file, kind)

    def read() -> None:
        with ShardReader([path]) as reader:
            for group, numbers in shards.GROUPS.items():
                count = len(reader.layer_names if group == "activity" else reader.operations)
                for number in range(numbers, numbers + count):
                    reader.read(shards.numbered(group, number), reader.images)

    def read_plain() -> None:
        with patch.object(ShardReader, "_check_decisions", lambda *_: None):
            read()

    before = partial(write_plain, WriterBefore)
    return {"before": before, "plain write": write_plain, "plain read": read_plain, "write": write, "read": read}


def unchecked(*arrays: np.ndarray) -> None:
    return None


def measure(timed: dict[str, Callable], repeats: int) -> dict[str, list[float]]:
    """CPU seconds of each call, in turns; the first turn warms up."""
    times: dict[str, list[float]] = {key: [] for key in timed}
    for turn in range(repeats + 1):
        for key, call in timed.items():
            start = time.process_time()
            call()
            if turn:
                times[key].append(time.process_time() - start)
    return times


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["vgg16", "resnet50"], help="classifiers of torchvision")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--speed", type=float, default=1, help="of passes, as a multiple of this machine's")
    main(**vars(parser.parse_args()))
