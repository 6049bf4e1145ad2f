"""A download: asked for again where it broke off, begun anew once if what comes is of another file."""

import re
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path

from explanations.downloads.addresses import shown, without_secrets
from explanations.downloads.answers import PROGRESS, Interrupted, Watch, cut, describe, open_answer, undelivered
from explanations.errors import InputError
from explanations.files.writing import FULL, unwritable
from explanations.progress import ProgressBar

ATTEMPTS = 5  # at a download that breaks off without progress
MEGABYTE = 1e6
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)$")


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
                raise undelivered(self.address, problem)
            time.sleep(min(2**failures, 30) / 10)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _describe(self, error: Exception) -> str:
        return without_secrets(describe(error), self.address)

    def _restart(self, problem: str) -> None:
        """Throw away what has come, since it is of another file than what comes; InputError if that was done before."""
        if self.restarted:
            raise undelivered(self.address, problem)
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
                Watch(answer, self.address) as watch,
                ProgressBar(f"download {self.part.stem}", round((self.total or 0) / MEGABYTE), "MB") as bar,
            ):
                while chunk := watch.read():
                    file.write(chunk)
                    file.flush()  # a process that is killed leaves it
                    bar.advance(round(file.tell() / MEGABYTE) - bar.done)
                size = file.tell()
        if self.total is not None and size != self.total:
            raise Interrupted("the connection broke off")

    def _ask(self, start: int) -> HTTPResponse | None:
        """The answer to a request for the bytes from `start` on; None if these are none."""
        try:
            return open_answer(self.address, {"Range": f"bytes={start}-"} if start else {})
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and start:
                if error.headers.get("Content-Range") == f"bytes */{start}":
                    self.joined = True  # an earlier download's, whole
                    return None
                self._restart("the server has fewer bytes than have come")
            said = f"the server says {error.code} {self._describe(error)}"
            if error.code < 500:
                raise InputError(f"{shown(self.address)}: {said}") from None
            raise Interrupted(said) from None
        except InputError:
            raise
        except (InvalidURL, ValueError, OverflowError) as error:  # no later attempt would do better
            raise undelivered(self.address, self._describe(error)) from None
        except (OSError, HTTPException) as error:
            raise Interrupted(self._describe(error)) from None

    def _check_range(self, answer: HTTPResponse, start: int) -> int:
        """Where an answer's bytes start: where they were asked for, or 0 if the server knows no ranges."""
        encoding = answer.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            print(f"{self.part.stem}: the server says that it is packed as {cut(encoding)}; it is taken as it comes")
        if answer.status != 206:
            self.total, self.joined = answer.length, False
            return 0
        said = answer.headers.get("Content-Range", "")
        found = CONTENT_RANGE.match(said)
        if found is None or int(found[1]) != start:
            self._restart(f"asked for bytes from {start} on, the server sends {cut(said) or 'others'}")
        total = self.total if found[2] == "*" else int(found[2])
        if self.total not in (None, total):
            self._restart(f"the file has changed from {self.total} bytes to {total}")
        self.total, self.joined = total, start > 0
        return start

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn errors of the disk into one line; on a full one, nothing of the download is left."""
        try:
            yield
        except OSError as error:
            written = self._size()
            if error.errno in FULL:
                self.part.unlink(missing_ok=True)
            raise unwritable(self.part, error, written, self.total or 0) from None
