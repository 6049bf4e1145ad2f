"""A file that HDF5 writes through, which keeps a full disk from it."""

import os
from pathlib import Path

from explanations.errors import InputError


class DeferredFile:
    """A new file whose first failure to write is remembered, not raised; from then on nothing is written any more.

    HDF5 can't do anything about an error when it closes a file: it tries again for each part, and may crash. So it is
    told that all went well, and `check` tells the truth: whoever writes asks after each part and at the end.
    """

    def __init__(self, path: Path, result: Path):
        """`path`: the file to make; `result`: the one that errors name, for which it is made."""
        self.result, self.error, self.place, self.size = result, None, 0, 0
        try:
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._named(error) from None

    def __enter__(self) -> "DeferredFile":
        return self

    def __exit__(self, kind: type | None, *exception) -> None:
        try:
            os.close(self.descriptor)  # where network file systems tell of a quota
        except OSError as error:
            self._remember(error)
        if kind is None or not issubclass(kind, InputError):  # which says it already; HDF5's own would hide it
            self.check()

    def check(self) -> None:
        """Raise the first error, if there was one."""
        if self.error is not None:
            raise self.error from None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; the end is that of what was given, written or not."""
        self.place = offset + (0 if whence == os.SEEK_SET else self.size if whence == os.SEEK_END else self.place)
        return self.place

    def tell(self) -> int:
        """The place."""
        return self.place

    def read(self, size: int = -1) -> bytes:
        """What was written; zeros for what never reached the disk."""
        wanted = self.size - self.place if size < 0 else size
        found = b""
        try:
            while part := os.pread(self.descriptor, wanted - len(found), self.place + len(found)):
                found += part
        except OSError as error:
            self._remember(error)
        self.place += wanted
        return found.ljust(wanted, b"\0")

    def readinto(self, buffer) -> int:
        """Fill a buffer as `read` does."""
        view = memoryview(buffer).cast("B")
        view[:] = self.read(len(view))
        return len(view)

    def write(self, data) -> int:
        """Write all of the data, or remember why not."""
        size, written = len(data), 0
        if self.error is None:
            try:
                while written < size:  # once, but for the last bytes of a disk
                    part = memoryview(data)[written:] if written else data
                    written += os.pwrite(self.descriptor, part, self.place + written)
            except OSError as error:
                self._remember(error)
        self.place += size
        self.size = max(self.size, self.place)
        return size

    def truncate(self, size: int) -> int:
        """Make it so long, or remember why not."""
        if self.error is None:
            try:
                os.ftruncate(self.descriptor, size)
            except OSError as error:
                self._remember(error)
        self.size = size
        return size

    def flush(self) -> None:
        """Nothing is held back."""

    def _remember(self, error: OSError) -> None:
        self.error = self.error or self._named(error)

    def _named(self, error: OSError) -> OSError:
        return OSError(error.errno, os.strerror(error.errno), str(self.result))
