"""HDF5 files: checksums of all they hold, one line for all that HDF5 says, no locks, no noise when a disk is full.

No lock is needed, and many network file systems refuse or break them: a file is written under a name of its own,
renamed when it is whole, and from then on only read.

What keeps a changed bit from being taken for a number: datasets have HDF5's own checksum (fletcher32), which it checks
on reading; so has the file's structure from format 1.10 on; texts in attributes have a fixed length, since HDF5 keeps
others in a heap without a checksum; and of all attributes of the file there is a SHA-256 among them, since HDF5 keeps
long ones apart, without a checksum too. Files that were made before have nothing of this and are read all the same.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from explanations.errors import InputError, make_again
from explanations.files.partial import DeferredFile
from explanations.files.writing import whole_file

FORMAT = "v110"  # HDF5's first whose superblock, object headers and indices of chunks all carry checksums
CHUNK = 16 * 1024  # bytes of a chunk at most, but for longer rows, since it is read for each of its rows
DIGEST = "sha256_of_attributes"
# what h5py turns HDF5's errors into, and what reading a structure that makes no sense may raise
FAULTS = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, MemoryError)


class NewFile(h5py.File):
    """A file being written, which says whether all that HDF5 wrote has reached the disk."""

    def __init__(self, target: DeferredFile):
        self.target = target
        # by itself HDF5 holds megabytes of each open dataset back; without any cache it takes a third longer
        super().__init__(target, "w", libver=FORMAT, rdcc_nbytes=CHUNK)

    def check(self) -> None:
        """Raise the first OSError of writing, if there was one: nothing written since then is on the disk."""
        self.target.check()


@contextmanager
def write_hdf5(path: Path) -> Iterator[NewFile]:
    """Give a new file to fill, which becomes `path` on success; nothing is left of it on any failure.

    OSError, as the system has it and with `path`, if it can't be written, whatever HDF5 made of that.
    """
    with whole_file(path) as temporary, DeferredFile(temporary, path) as target, NewFile(target) as file:
        yield file
        file.attrs[DIGEST] = _fixed(_digest(read_attributes(file)))


def create_dataset(
    file: h5py.Group, name: str, shape: Sequence[int], dtype: np.dtype, *, compressed: bool = False
) -> h5py.Dataset:
    """A new dataset with checksums, in chunks of some rows (one, if compressed); TypeError for a scalar.

    A dataset without elements has nothing to check, and can't have chunks.
    """
    if 0 in shape:
        return file.create_dataset(name, shape, dtype)
    row = int(np.prod(shape[1:])) * np.dtype(dtype).itemsize
    rows = 1 if compressed else max(1, CHUNK // row)
    options = {"compression": "lzf"} if compressed else {}
    # HDF5 takes the checksum of what is compressed: a changed chunk never reaches the decompression
    return file.create_dataset(
        name, shape, dtype, chunks=(min(rows, *shape[:1]), *shape[1:]), fletcher32=True, **options
    )


def write_dataset(file: h5py.Group, name: str, values: np.ndarray | Sequence) -> None:
    """Write an array of one dimension or more as a new dataset."""
    values = np.asarray(values)
    create_dataset(file, name, values.shape, values.dtype)[...] = values


def set_attributes(item: h5py.HLObject, values: Mapping) -> None:
    """Set attributes: numbers, text, lists of either."""
    for name, value in values.items():
        item.attrs[name] = _fixed(value)


def read_attributes(item: h5py.HLObject) -> dict:
    """All attributes by name: text as str, lists of text as lists of str, whether of a fixed length or not."""
    return {name: _as_text(item.attrs[name]) for name in item.attrs if name != DIGEST}


def open_hdf5(path: Path, kind: str = "file") -> h5py.File:
    """Open a file to read; InputError, one line, if it isn't there, is none, was changed, or too many are open.

    Whatever is read of it later belongs into `reading`.
    """
    with reading(path, kind):
        file = h5py.File(path, "r", locking=False)
        try:
            if DIGEST in file.attrs and _as_text(file.attrs[DIGEST]) != _digest(read_attributes(file)):
                raise changed(path, "its attributes are others")
        except BaseException:
            file.close()
            raise
        return file


@contextmanager
def reading(path: Path, kind: str = "file") -> Iterator[None]:
    """Turn what HDF5 says of a file that it can't open or read, in this context, into an InputError of one line."""
    try:
        yield
    except InputError:
        raise
    except FAULTS as error:
        code = getattr(error, "errno", None)
        if code == errno.ENOENT:
            raise InputError(f"{path}: no such {kind}") from None
        if code in (errno.EMFILE, errno.ENFILE):
            many = "as many files as the system allows are open already"
            raise InputError(f"{path}: {many}; a larger attributions.shard_size makes fewer shards") from None
        if code is not None:
            raise OSError(code, os.strerror(code), str(path)) from None
        raise changed(path, _reason(error)) from None


def read_hdf5(path: Path, kind: str, datasets: Sequence[str] = (), attributes: Sequence[str] = ()) -> tuple[dict, dict]:
    """All datasets and all attributes of a small file, by name; InputError unless those named are among them.

    `kind`: what the file should be, as "file of example maps".
    """
    with open_hdf5(path, kind) as file, reading(path):
        items = [(name, file[name]) for name in file]  # of what can't be read, file.items() has None
        arrays = {name: item[()] for name, item in items if isinstance(item, h5py.Dataset)}
        found = read_attributes(file)
    absent = [name for name in datasets if name not in arrays] + [name for name in attributes if name not in found]
    if absent:
        raise InputError(f"{path}: not a {kind}; it lacks {', '.join(absent)}")
    return arrays, found


def changed(path: Path, reason: str) -> InputError:
    """The error for a file that isn't what was written."""
    return InputError(f"{path}: changed since it was written, or truncated ({reason}); {make_again(path)}")


def _reason(error: BaseException) -> str:
    """What HDF5 says in brackets at the end of h5py's message, on one line."""
    text = " ".join(str(error).strip("'\"").split())
    inner = re.fullmatch(r"[^(]*\((.*)\)", text)
    return (inner[1] if inner else text) or type(error).__name__


def _digest(attributes: dict) -> str:
    values = {name: np.asarray(value).tolist() for name, value in attributes.items()}
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _fixed(value: object) -> object:
    """An attribute's value, with text in as many bytes as the longest needs."""
    array = np.asarray(value)
    if array.dtype.kind == "U":
        texts = [text.encode("utf-8", "surrogateescape") for text in array.ravel().tolist()]
        size = max((len(text) for text in texts), default=1) or 1
        return np.array(texts, h5py.string_dtype("utf-8", size)).reshape(array.shape)
    return value


def _as_text(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, np.ndarray) and value.dtype.kind in "SO":
        return [_as_text(text) for text in value.tolist()]
    return value
