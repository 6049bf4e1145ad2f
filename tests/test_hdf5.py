"""HDF5 files need no locks of the file system, and are whole or not there."""

import fcntl
import os
import resource
from contextlib import suppress

import h5py
import pytest
from conftest import refused
from workflow_copy import ROOT

from explanations.hdf5 import open_hdf5, write_hdf5


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A file that somebody else holds a lock of."""
    monkeypatch.delenv("HDF5_USE_FILE_LOCKING", raising=False)
    path = tmp_path / "locked.h5"
    with write_hdf5(path) as file:
        file["x"] = [1.5]
    with open(path) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield path


def test_locks_hinder_nothing(locked):
    with pytest.raises(OSError, match="lock"):
        h5py.File(locked, "r")
    with open_hdf5(locked) as file:
        assert file["x"][:] == [1.5]
    with write_hdf5(locked) as file:
        file["x"] = [2.5]
    with open_hdf5(locked) as file:
        assert file["x"][:] == [2.5]


def test_nothing_is_left_of_a_failure(tmp_path):
    with pytest.raises(TypeError), write_hdf5(tmp_path / "a.h5") as file:
        file["x"] = object()
    assert not list(tmp_path.iterdir())


def test_every_file_is_opened_without_locks():
    opening = [path.name for path in (ROOT / "scripts").rglob("*.py") if "h5py.File(" in path.read_text()]
    assert opening == ["hdf5.py"]


def test_more_files_than_may_be_open(tmp_path):
    path = tmp_path / "a.h5"
    with write_hdf5(path):
        pass
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
    held = []
    try:
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        message = refused(open_hdf5, path)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    many = "as many files as the system allows are open already"
    assert message == f"{path}: {many}; a larger attributions.shard_size makes fewer shards"
