"""HDF5 files need no locks of the file system, and are whole or not there."""

import fcntl
import os
import resource
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import refused
from kinds import KINDS
from workflow_copy import ROOT

from explanations.files.hdf5 import open_hdf5, read_attributes, set_attributes, write_dataset, write_hdf5


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


def test_texts_and_datasets_are_made_in_one_place():
    """Where their checksums are seen to."""
    for path in (ROOT / "scripts").rglob("*.py"):
        if path.name != "hdf5.py":
            assert ".attrs" not in path.read_text() and ".create_dataset(" not in path.read_text(), path


def made_before(path: Path, old: Path) -> None:
    """The same file as it was before there were checksums: HDF5's first format, texts of any length."""
    with h5py.File(path) as file, h5py.File(old, "w") as other:

        def copy(name: str, item: h5py.HLObject) -> None:
            if isinstance(item, h5py.Dataset):
                other[name] = item[()]
            else:
                other.create_group(name)
            other[name].attrs.update(read_attributes(item))

        file.visititems(copy)
        other.attrs.update(read_attributes(file))
        assert other.id.get_create_plist().get_version()[0] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_were_made_before_are_read_the_same(tmp_path, kind):
    write, read = KINDS[kind]
    write(tmp_path / "a.h5")
    made_before(tmp_path / "a.h5", tmp_path / "old.h5")
    wanted, found = read(tmp_path / "a.h5"), read(tmp_path / "old.h5")
    assert wanted.keys() == found.keys()
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_is_written_twice(tmp_path, kind):
    """Byte for byte: no time, no place."""
    for name in ("a.h5", "b.h5"):
        KINDS[kind][0](tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize("value", ["", "é", ["a", "", "bcd"], [], 3, 0.1, [1, 2], np.nan])
def test_attributes_come_back(tmp_path, value):
    with write_hdf5(tmp_path / "a.h5") as file:
        set_attributes(file, {"x": value})
    with open_hdf5(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(read_attributes(file)["x"], value)


def test_an_attribute_that_was_edited(tmp_path):
    path = tmp_path / "a.h5"
    with write_hdf5(path) as file:
        set_attributes(file, {"grid": 6})
    with h5py.File(path, "a") as file:
        file.attrs["grid"] = 7
    again = f"make it again: snakemake --cores all --force {path}"
    assert refused(open_hdf5, path) == (
        f"{path}: changed since it was written, or truncated (its attributes are others); {again}"
    )


def test_datasets_without_elements_and_scalars(tmp_path):
    with write_hdf5(tmp_path / "a.h5") as file:
        write_dataset(file, "none", np.zeros((3, 0)))
        with pytest.raises((TypeError, ValueError)):
            write_dataset(file, "one", 1.5)
    with open_hdf5(tmp_path / "a.h5") as file:
        assert file["none"].shape == (3, 0)


def test_what_the_system_refuses_is_no_changed_file(tmp_path):
    with pytest.raises(OSError, match="directory") as raised:
        open_hdf5(tmp_path)
    assert raised.value.filename == str(tmp_path)
