"""Files from elsewhere: checked by their hash, fetched once per machine, a broken download gone on with."""

import os
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from threading import Event, Thread

from filelock import FileLock

from explanations.addresses import ask, is_remote, shown, split_address, without_secrets
from explanations.command import InputError, ProgressBar
from explanations.descriptions import file_hash
from explanations.writing import FULL

CHUNK = 2**20  # bytes
ATTEMPTS = 5  # at a download that breaks off without progress
TIMEOUT = 30.0  # seconds without an answer
PATIENCE = 60.0  # seconds within which a download makes progress, or ends
PROGRESS = 60_000  # bytes; a line of 1 kB/s is slow, and one of less is none
LONGEST = 300  # letters of what a server says
MEGABYTE = 1e6
HASHES = {"sha256": "SHA-256", "md5": "MD5"}
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)$")
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.\w+$")  # as torch.hub has it: vgg16-397923af.pth


def fetch_file(address: str, digits: str, cache: Path, algorithm: str = "sha256") -> Path:
    """The file at an address, once its hash, SHA-256 if not by another algorithm, is seen to start with `digits`.

    A path or file:// address is read where it lies. What http serves is kept in `cache` under its own name; if it is
    there already, nothing is asked of the server. Several processes may ask for the same file. InputError, naming the
    address, if it can't be had, or is another file.
    """
    parts = split_address(address)
    if not is_remote(address):
        path = Path(urllib.request.url2pathname(parts.path) if parts.scheme == "file" else address).expanduser()
        if not path.is_file():
            raise InputError(f"{shown(address)}: no such file")
        _check_hash(path, digits, address, algorithm)
        return path
    path = cache / Path(parts.path).name
    if path.name in ("", "..") or "\0" in parts.path or path == cache:
        raise InputError(f"{shown(address)}: names no file")
    if not _is_cached(path, digits, algorithm):  # a cache that is only read needs no lock
        try:
            cache.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path.with_name(f".{path.name}.lock")).acquire()
        except OSError as error:
            raise InputError(f"{cache}: can't be written ({error.strerror})") from None
        with lock:
            if not _is_cached(path, digits, algorithm):  # by whoever had the lock
                _fetch(address, path, digits, algorithm)
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


class Interrupted(Exception):  # noqa: N818 (no error yet: the download goes on)
    """An answer ended before its time; the message says why."""


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows an address to http and https alone, and from https to https: what comes stays what was asked for."""

    def redirect_request(self, request, answer, code, reason, headers, target):
        """The request that a server's answer leads to; HTTPError for one that isn't followed."""
        scheme = urllib.parse.urlsplit(target).scheme
        if scheme != "https" and (scheme, request.type) != ("http", "http"):
            reason = f"{reason}, a redirection from {request.type} to {scheme}, which is not followed"
            raise urllib.error.HTTPError(target, code, reason, headers, answer)
        return super().redirect_request(request, answer, code, reason, headers, target)


class Download:
    """What an address serves, on its way into the file `part`, from where that ends on.

    `joined`: whether its bytes came in several answers. `restarted`: whether it has begun anew, which it does once if
    what the server sends is not what was asked for.
    """

    def __init__(self, address: str, part: Path, restarted: bool = False):
        self.address, self.part, self.restarted = address, part, restarted
        self.joined = False
        self.total: int | None = None  # bytes, as far as the server says

    def run(self) -> None:
        """Ask until all is there, again and again as long as there is progress; InputError, naming the address."""
        failures = 0
        while True:
            before = self._size()
            try:
                self._receive(before)
                return
            except Interrupted as interruption:
                problem = str(interruption)
            failures = 0 if self._size() - before >= PROGRESS else failures + 1
            if failures == ATTEMPTS:
                raise self._error(problem)
            time.sleep(min(2**failures, 30) / 10)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _describe(self, error: Exception) -> str:
        return without_secrets(_describe(error), self.address)

    def _error(self, problem: str) -> InputError:
        return InputError(f"{shown(self.address)}: can't be downloaded ({problem})")

    def _restart(self, problem: str) -> None:
        """Throw away what has come, since it is of another file than what comes; InputError if that was done before."""
        if self.restarted:
            raise self._error(problem)
        self.part.unlink(missing_ok=True)
        self.restarted, self.total = True, None
        raise Interrupted(problem)

    def _receive(self, start: int) -> None:
        """Ask for the bytes from `start` on and append them. Interrupted if not all come."""
        answer = self._ask(start)
        if answer is None:
            return
        with answer:
            start = self._check_range(answer, start)
            with (
                self._writing(),
                open(self.part, "ab" if start else "wb") as file,
                Watch(answer, self._check_progress) as watch,
            ):
                megabytes = round((self.total or 0) / MEGABYTE)
                with ProgressBar(f"download {self.part.stem}", megabytes, "MB") as bar:
                    seen, since = start, time.monotonic()
                    while chunk := watch.read():
                        file.write(chunk)
                        file.flush()  # a process that is killed leaves it
                        bar.advance(round(file.tell() / MEGABYTE) - bar.done)
                        if time.monotonic() - since >= PATIENCE:
                            self._check_progress(file.tell() - seen)
                            seen, since = file.tell(), time.monotonic()
                    size = file.tell()
        if self.total is not None and size != self.total:
            raise Interrupted("the connection broke off")

    def _ask(self, start: int) -> HTTPResponse | None:
        """The answer to a request for the bytes from `start` on; None if these are none."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        asked = _open(self.address, headers)
        if not asked.done():
            raise self._error(f"no whole answer's head within {PATIENCE:g} s")
        try:
            return asked.result()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and start:
                if error.headers.get("Content-Range") == f"bytes */{start}":
                    self.joined = True  # an earlier download's, whole
                    return None
                self._restart("the server has fewer bytes than have come")
            if error.code < 500:
                raise InputError(
                    f"{shown(self.address)}: the server says {error.code} {self._describe(error)}"
                ) from None
            raise Interrupted(f"the server says {error.code} {self._describe(error)}") from None
        except InputError:
            raise
        except (InvalidURL, ValueError, OverflowError) as error:  # no later attempt would do better
            raise self._error(self._describe(error)) from None
        except (OSError, HTTPException) as error:
            raise Interrupted(self._describe(error)) from None

    def _check_range(self, answer: HTTPResponse, start: int) -> int:
        """Where an answer's bytes start: where they were asked for, or 0 if the server knows no ranges."""
        encoding = answer.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            print(f"{self.part.stem}: the server says that it is packed as {_cut(encoding)}; it is taken as it comes")
        if answer.status != 206:
            self.total, self.joined = answer.length, False
            return 0
        said = answer.headers.get("Content-Range", "")
        found = CONTENT_RANGE.match(said)
        if found is None or int(found[1]) != start:
            self._restart(f"asked for bytes from {start} on, the server sends {_cut(said) or 'others'}")
        total = self.total if found[2] == "*" else int(found[2])
        if self.total not in (None, total):
            self._restart(f"the file has changed from {self.total} bytes to {total}")
        self.total, self.joined = total, start > 0
        return start

    def _check_progress(self, gained: int) -> None:
        if gained < PROGRESS:
            slow = f"fewer than {PROGRESS / 1000:g} kB in {PATIENCE:g} s"
            kept = "what has come is kept, the next run goes on from there"
            raise InputError(f"{shown(self.address)}: too slow ({slow}); {kept}")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn errors of the disk into one line; on a full one, nothing of the download is left."""
        try:
            yield
        except OSError as error:
            if error.errno not in FULL:
                raise InputError(f"{self.part}: can't be written ({error.strerror})") from None
            self.part.unlink(missing_ok=True)
            needed = f"; it takes {self.total / MEGABYTE:.0f} MB" if self.total else ""
            raise InputError(f"{shown(self.address)}: no space left in {self.part.parent}{needed}") from None


def _open(address: str, headers: dict[str, str]) -> Future[HTTPResponse]:
    """The answer to a request, once its head is there; not done if that isn't there in time.

    TIMEOUT is each byte's, but a head can come byte by byte: a thread waits for it, and is left behind if it must be.
    """
    answer: Future[HTTPResponse] = Future()

    def wait() -> None:
        try:
            request = ask(address, headers)
            answer.set_result(urllib.request.build_opener(Redirects).open(request, timeout=TIMEOUT))
        except Exception as error:  # raised again where the answer is asked for
            answer.set_exception(error)

    thread = Thread(target=wait, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return answer


class Watch:
    """Reads an answer, whose connection it ends if nothing of its content comes in time.

    TIMEOUT is each byte's, but lengths of chunks, and what follows the last one, can come byte by byte without an end.
    `refuse` is called, with 0, if the content isn't whole then.
    """

    def __init__(self, answer: HTTPResponse, refuse: Callable[[int], None]):
        self.answer, self.refuse, self.since = answer, refuse, time.monotonic()
        self.stalled, self.ended = False, Event()

    def __enter__(self) -> "Watch":
        if not self.answer.isclosed():  # as one without content is at once
            connection = socket.socket(fileno=os.dup(self.answer.fileno()))
            Thread(target=self._watch, args=(connection,), daemon=True).start()
        return self

    def __exit__(self, *exception) -> None:
        self.ended.set()

    def _watch(self, connection: socket.socket) -> None:
        with connection:
            while not self.ended.wait(max(0, self.since + PATIENCE - time.monotonic())):
                if time.monotonic() - self.since >= PATIENCE:
                    self.stalled = True
                    with suppress(OSError):  # the server has ended it already
                        connection.shutdown(socket.SHUT_RDWR)
                    break

    def read(self) -> bytes:
        """What has come, a chunk at most; nothing at the end. Interrupted if the connection breaks, or was ended."""
        try:
            chunk = self.answer.read1(CHUNK)
        except (OSError, HTTPException, ValueError) as error:
            if self.stalled:
                self.refuse(0)
            raise Interrupted(_describe(error)) from None
        self.since = time.monotonic()
        return chunk


def _describe(error: Exception) -> str:
    """What an error says, in one line; servers' own words are among it."""
    return _cut(str(getattr(error, "reason", "") or error)) or type(error).__name__


def _cut(text: str) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
