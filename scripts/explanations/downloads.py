"""Files from elsewhere: checked by their hash, fetched once per machine, a broken download gone on with."""

import re
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock

from explanations.addresses import ask, is_remote, shown, split_address, without_secrets
from explanations.command import InputError, ProgressBar
from explanations.descriptions import file_hash

CHUNK = 2**20  # bytes
ATTEMPTS = 5  # at a download that breaks off without a byte more
TIMEOUT = 30.0  # seconds without an answer
MEGABYTE = 1e6
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.\w+$")  # as torch.hub has it: vgg16-397923af.pth


def fetch_file(address: str, sha256: str, cache: Path) -> Path:
    """The file at an address, once its SHA-256 is seen to start with `sha256`.

    A path or file:// address is read where it lies. What http serves is kept in `cache` under its own name; if it is
    there already, nothing is asked of the server. Several processes may ask for the same file. InputError, naming the
    address, if it can't be had, or is another file.
    """
    parts = split_address(address)
    if not is_remote(address):
        path = Path(urllib.request.url2pathname(parts.path) if parts.scheme == "file" else address).expanduser()
        if not path.is_file():
            raise InputError(f"{shown(address)}: no such file")
        _check_hash(path, sha256, address)
        return path
    path = cache / Path(parts.path).name
    if path == cache:
        raise InputError(f"{shown(address)}: names no file")
    if not _is_cached(path, sha256):  # a cache that is only read needs no lock
        try:
            cache.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path.with_name(f".{path.name}.lock")).acquire()
        except OSError as error:
            raise InputError(f"{cache}: can't be written ({error.strerror})") from None
        with lock:
            if not _is_cached(path, sha256):  # by whoever had the lock
                _fetch(address, path, sha256)
    return path


def _is_cached(path: Path, sha256: str) -> bool:
    return path.is_file() and file_hash(path).startswith(sha256)


def _fetch(address: str, path: Path, sha256: str) -> None:
    """Download a file; once more from its start, if what an earlier download left there was of another file."""
    part = path.with_name(f"{path.name}.part")
    resumed = part.exists()
    _download(address, part)
    try:
        _check_hash(part, sha256, address)
    except InputError:
        part.unlink()
        if not resumed:
            raise
        _fetch(address, path, sha256)
    else:
        part.replace(path)


def published_hash(address: str) -> str:
    """The first digits of a file's SHA-256, if its name ends in them; nothing otherwise."""
    found = HASH_IN_NAME.search(split_address(address).path)
    return found[1] if found else ""


def _check_hash(path: Path, sha256: str, address: str) -> None:
    found = file_hash(path)
    if not found.startswith(sha256):
        expected = f"{sha256}{'…' if len(sha256) < 64 else ''}"
        raise InputError(f"{shown(address)}: its SHA-256 is {found}; expected {expected}")


def _download(address: str, part: Path) -> None:
    """Write what an address serves to a file, from where the file ends on; try again when the connection breaks."""
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _receive(address, part, before):
                return
            problem = "the connection broke off"
        except urllib.error.HTTPError as error:
            if error.code == 416 and before:  # more than there is: of another file
                part.unlink()
                continue
            if error.code < 500:
                raise InputError(f"{shown(address)}: the server says {error.code} {error.reason}") from None
            problem = f"the server says {error.code} {error.reason}"
        except (OSError, HTTPException) as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
        failures = 0 if part.exists() and part.stat().st_size > before else failures + 1
        if failures == ATTEMPTS:
            raise InputError(f"{shown(address)}: can't be downloaded ({without_secrets(problem, address)})")
        time.sleep(min(2**failures, 30) / 10)


def _receive(address: str, part: Path, start: int) -> bool:
    """Ask for the bytes from `start` on and append them; whether all have come."""
    request = ask(address, {"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        if response.status != 206:  # the server knows no ranges and sends everything
            start = 0
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        with (
            open(part, "ab" if start else "wb") as file,
            ProgressBar(f"download {part.stem}", round((total or 0) / MEGABYTE), "MB") as bar,
        ):
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.advance(round(file.tell() / MEGABYTE) - bar.done)
            return total is None or file.tell() == total
