"""A disk that is full while an HDF5 file is written: the step ends with the first error, and nothing is left.

In a process of its own, since HDF5 used to crash; by hand: `python tests/files/test_full_disk.py KIND FILE LIMIT…`.
"""

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.extend(str(Path(__file__).parents[2] / folder) for folder in ("scripts", "tests"))

from conftest import refused
from faults import full_disk
from kinds import KINDS

from explanations.errors import InputError
from explanations.files.hdf5 import write_hdf5
from explanations.files.shards import IDENTITY, ShardWriter

LIMITS = 6  # sizes at which each kind of file is stopped


def write_stopped(kind: str, path: Path, limit: int | None) -> str:
    """What becomes of writing where no file may get longer than `limit` bytes, or of any length."""
    if limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        KINDS[kind][0](path)
    except InputError as error:
        return f"{str(error).partition(f': {path.name}: ')[0]} {len(os.listdir(path.parent))}"
    return "written"


def stop(kind: str, path: Path, limits: list[int] | None) -> list[str]:
    """What becomes of writing for each limit; nothing else is said."""
    command = [sys.executable, __file__, kind, str(path), *map(str, limits or ())]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (ran.returncode, ran.stderr) == (0, "")
    return [line for line in ran.stdout.splitlines() if not line.startswith("accuracy")]


def size(kind: str, folder: Path) -> int:
    """Bytes of a file of a kind."""
    KINDS[kind][0](folder / "whole.h5")
    return (folder / "whole.h5").stat().st_size


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_may_get_that_long(tmp_path, kind):
    whole = size(kind, tmp_path)
    (tmp_path / "small").mkdir()
    path = tmp_path / "small/a.h5"
    limits = [0, 1, *(whole * k // LIMITS for k in range(1, LIMITS)), whole - 1]
    stopped = f"no space left on the disk of {path.parent} 0"
    assert stop(kind, path, [*limits, whole]) == [stopped] * len(limits) + ["written"]


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of a quarter of a megabyte."""
    with full_disk(tmp_path / "disk", "256k") as folder:
        yield folder


@pytest.mark.parametrize("kind", KINDS)
def test_the_disk_is_full(tmp_path, small_disk, kind):
    whole = size(kind, tmp_path)
    (small_disk / "results").mkdir()
    path = small_disk / "results/a.h5"
    page = os.sysconf("SC_PAGE_SIZE")
    free = os.statvfs(small_disk).f_bavail * page
    (small_disk / "full").write_bytes(bytes(free - (whole - 1) // page * page))  # a page less than the file needs
    assert stop(kind, path, None) == [f"no space left on the disk of {path.parent} 0"]
    os.truncate(small_disk / "full", 0)
    assert stop(kind, path, None) == ["written"]


def test_the_batch_that_does_not_reach_the_disk_is_the_last(tmp_path, monkeypatch):
    """The error is not kept for the end of an extraction of hours."""
    arrays = {"image": np.arange(1), "target": np.zeros(1, int), "score": np.ones(1), "logits": np.ones((1, 1))}
    arrays |= {"gradient": np.random.default_rng(0).random((1, 64, 64))}
    path = tmp_path / "a.h5"

    def full(*_) -> int:
        raise OSError(errno.ENOSPC, "full")

    def write() -> None:
        with write_hdf5(path) as file:
            writer = ShardWriter(file, 3, dict.fromkeys(IDENTITY, "some"), ["input"], [], {})
            writer.append(arrays)
            monkeypatch.setattr(os, "pwrite", full)
            try:
                writer.append(arrays)
            finally:
                assert writer.done == 2

    message = refused(write)
    assert message.startswith(f"no space left on the disk of {tmp_path}: a.h5: ") and "needed about " in message
    assert not list(tmp_path.iterdir())


if __name__ == "__main__":
    _, kind, path, *limits = sys.argv
    for limit in limits:
        if child := os.fork():
            status = os.waitpid(child, 0)[1]
            assert status == 0, f"limit {limit}: ended with {os.waitstatus_to_exitcode(status)}"
        else:
            print(write_stopped(kind, Path(path), int(limit)), flush=True)
            os._exit(0)
    if not limits:
        print(write_stopped(kind, Path(path), None))
