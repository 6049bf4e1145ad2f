"""Results that appear only when they are whole, each written by one process under a name that is its alone.

Needs the standard library alone: the workflow's plan uses it too.
"""

import errno
import filecmp
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from explanations.errors import InputError
from explanations.files.locks import STEPS_LOCK, take_lock

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # errors of a disk, a quota or a limit that is used up
LOCK = ".lock"
STARTED = time.time_ns()  # of this process, but for its first imports
SKEW = 10 * 10**9  # ns by which the clocks of two machines may differ
MADE: dict[Path, tuple | None] = {}  # what this process has made, as it was then
TIMESTAMP = ".snakemake_timestamp"  # which Snakemake puts into folders that jobs have made


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what is written there becomes `path` on success, and is removed otherwise.

    What killed processes have left there of the same file is removed too. If another process has made `path`
    meanwhile, that is left as it is: said on standard output if both are the same, otherwise an InputError.
    InputError, too, if `path` is gone meanwhile, if the disk is full or `path` can't be written.
    """
    with _own_folder(Path(path)) as temporary:
        yield temporary / Path(path).name


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """As whole_file, of a folder: give an empty one, in which a folder named as `path` is to be made."""
    with _own_folder(Path(path)) as temporary:
        yield temporary


@contextmanager
def _own_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` for this process alone, locked while it is used; what has path's name in it is moved."""
    try:
        before = None if _is_anothers(path) else _state(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        folder, lock = _make_folder(path)
    except OSError as error:
        raise unwritable(path, error) from None
    try:
        yield folder
        _publish(folder / path.name, path, before)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise unwritable(path, error, _size(folder)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            lock.close()


def _make_folder(path: Path) -> tuple[Path, IO[str] | None]:
    """A new folder beside `path` and the lock on it; none where the file system has no locks."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        try:
            lock = take_lock(folder / LOCK)
        except FileNotFoundError:  # another process has taken it for a leftover, just before it was locked
            continue
        except OSError as error:
            if error.errno in FULL:
                folder.rmdir()
                raise
            return folder, None
        if lock is not None and (folder / LOCK).exists():
            return folder, lock


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes have left of `path`: folders that nobody has locked."""
    for found in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError):  # without locks nobody knows whether its process lives: it stays
            lock = take_lock(found / LOCK)
            if lock is not None:
                with lock:
                    shutil.rmtree(found, ignore_errors=True)


def _publish(made: Path, path: Path, before: tuple | None) -> None:
    """Move a whole file or folder to `path`, unless that isn't any more what it was `before`."""
    if _state(path) == before:
        if made.is_dir() and path.exists():
            path.rename(made.parent / "replaced")
        os.replace(made, path)
        MADE[path.absolute()] = _state(path)
    elif not path.exists():
        raise InputError(
            f"{path}: it was removed while it was made anew; a run of other settings or code may be making it. If none "
            "is, run this again"
        )
    elif _is_same(made, path):
        print(f"{path}: another process has made the same meanwhile; it is left as it is")
    else:
        raise InputError(
            f"{path}: another process has made it meanwhile, with another content; it is left as it is. If that "
            "process is of other settings or code, delete it and run this again"
        )


def _is_anothers(path: Path) -> bool:
    """Whether another process has made `path` since this one started, a step of a run: at its start there was none."""
    state = _state(path)
    if state is None or STEPS_LOCK not in os.environ or MADE.get(path.absolute()) == state:
        return False
    return state[1] > STARTED + SKEW


def _state(path: Path) -> tuple | None:
    """What tells a file or folder from another that takes its place, its time second; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.st_ino, status.st_mtime_ns, None if path.is_dir() else status.st_size)


def _is_same(first: Path, second: Path) -> bool:
    """Whether two files, or all of two folders, hold the same bytes."""
    if not first.is_dir():
        return second.is_file() and filecmp.cmp(first, second, shallow=False)
    if not second.is_dir():
        return False
    names, others = ({entry.name for entry in folder.iterdir()} - {TIMESTAMP} for folder in (first, second))
    return names == others and all(_is_same(first / name, second / name) for name in names)


def check_writable(folder: Path) -> None:
    """InputError, naming the folder, unless files can be written there; it need not be there, and isn't made."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise unwritable(folder, error) from None


# --- a disk that is full, a folder that can't be written ---------------------------------------------------------


def unwritable(path: Path, error: OSError, written: int = 0, needed: int = 0) -> InputError:
    """The error of a file that can't be written; bytes that were `written` of it, and are `needed` in all, if known."""
    if error.errno not in FULL:
        return InputError(f"{path}: can't be written ({error.strerror or error})")
    free = f"{describe_size(free_space(path))} free" if error.errno == errno.ENOSPC else error.strerror.lower()
    parts = [free, f"{describe_size(written)} of it had been written" if written else ""]
    parts.append(f"needed about {describe_size(needed)}" if needed else "")
    return InputError(f"no space left on the disk of {path.parent}: {path.name}: {', '.join(filter(None, parts))}")


def free_space(path: Path) -> int:
    """Bytes that are free where a file is to be written, its folders made or not."""
    folder = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())
    return shutil.disk_usage(folder).free


def describe_size(size: float) -> str:
    """Bytes as people read them."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def _size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
