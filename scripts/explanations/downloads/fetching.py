"""Files from elsewhere: found where they lie or fetched once per machine, and checked by their hash."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.request import url2pathname

from filelock import FileLock

from explanations.downloads.addresses import is_remote, shown, split_address
from explanations.downloads.transfer import Download
from explanations.errors import InputError
from explanations.files.hashes import file_hash
from explanations.files.writing import unwritable

HASHES = {"sha256": "SHA-256", "md5": "MD5"}
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.\w+$")  # as torch.hub has it: vgg16-397923af.pth


def fetch_file(address: str, digits: str, cache: Path, algorithm: str = "sha256") -> Path:
    """The file at an address, once its hash, SHA-256 if not by another algorithm, is seen to start with `digits`.

    A path or file:// address is read where it lies. What http serves is kept in `cache` under its own name; if it is
    there already, nothing is asked of the server. Several processes may ask for the same file. InputError, naming the
    address, if it can't be had, or is another file.
    """
    parts = split_address(address)
    if not is_remote(address):
        path = Path(url2pathname(parts.path) if parts.scheme == "file" else address).expanduser()
        if not path.is_file():
            raise InputError(f"{shown(address)}: no such file")
        _check_hash(path, digits, address, algorithm)
        return path
    path = cache / Path(parts.path).name
    if path.name in ("", "..") or "\0" in parts.path or path == cache:
        raise InputError(f"{shown(address)}: names no file")
    return fetch_once(path, digits, partial(_fetch, address, path, digits, algorithm), algorithm)


def fetch_once(path: Path, digits: str, fetch: Callable[[], None], algorithm: str = "sha256") -> Path:
    """A file in a cache, whose hash starts with `digits`: `fetch` makes it, by one process, unless it is there."""
    if not _is_cached(path, digits, algorithm):  # a cache that is only read needs no lock
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path.with_name(f".{path.name}.lock")).acquire()
        except OSError as error:
            raise unwritable(path.parent, error) from None
        with lock:
            if not _is_cached(path, digits, algorithm):  # by the process that had the lock
                fetch()
    return path


def _is_cached(path: Path, digits: str, algorithm: str) -> bool:
    return path.is_file() and file_hash(path, algorithm).startswith(digits)


def _fetch(address: str, path: Path, digits: str, algorithm: str) -> None:
    """Download a file; once more from its start, if it is another one and its parts came in several answers.

    What an earlier download left there may be of another file, and a file may change between two answers.
    """
    part, restarted = path.with_name(f"{path.name}.part"), False
    while True:
        download = Download(address, part, restarted)
        download.run()
        try:
            _check_hash(part, digits, address, algorithm)
        except InputError:
            part.unlink()
            if download.restarted or not download.joined:
                raise
            restarted = True
        else:
            part.replace(path)
            return


def published_hash(address: str) -> str:
    """The first digits of a file's SHA-256, if its name ends in them; nothing otherwise."""
    found = HASH_IN_NAME.search(split_address(address).path)
    return found[1] if found else ""


def _check_hash(path: Path, digits: str, address: str, algorithm: str) -> None:
    found = file_hash(path, algorithm)
    if not found.startswith(digits):
        shortened = "…" if len(digits) < len(found) else ""
        raise InputError(f"{shown(address)}: its {HASHES[algorithm]} is {found}; expected {digits}{shortened}")
