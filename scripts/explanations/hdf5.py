"""HDF5 files, opened without locks, which many network file systems refuse or break.

No lock is needed: a file is written under a name of its own, renamed when it is whole, and from then on only read.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from explanations.command import InputError
from explanations.writing import whole_file


@contextmanager
def write_hdf5(path: Path) -> Iterator[h5py.File]:
    """Give a new file to fill, which becomes `path` on success; nothing is left of it on any failure."""
    with whole_file(path) as temporary, h5py.File(temporary, "w", locking=False) as file:
        yield file


def open_hdf5(path: Path) -> h5py.File:
    """Open a file to read; OSError, as h5py has it, if it is none; InputError if the system has too many open."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        many = "as many files as the system allows are open already"
        raise InputError(f"{path}: {many}; a larger attributions.shard_size makes fewer shards") from None
