"""What a server answers: asked for and read with patience, but not without end, and its words in one line."""

import os
import socket
import time
import urllib.error
import urllib.request
from concurrent.futures import Future
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from threading import Event, Thread

from explanations.downloads.addresses import ask, shown
from explanations.errors import InputError

CHUNK = 2**20  # bytes
TIMEOUT = 30.0  # seconds without an answer
PATIENCE = 60.0  # seconds within which a download makes progress, or ends
PROGRESS = 60_000  # bytes; a line of 1 kB/s is slow, and one of less is none
LONGEST = 300  # letters of what a server says


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


def open_answer(address: str, headers: dict[str, str]) -> HTTPResponse:
    """The answer to a request, once its head is there; what urllib raises, or InputError if it isn't there in time.

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
    if not answer.done():
        raise undelivered(address, f"no whole answer's head within {PATIENCE:g} s")
    return answer.result()


class Watch:
    """Reads an answer as long as it makes progress, and ends its connection if nothing of its content comes in time.

    TIMEOUT is each byte's, but lengths of chunks, and what follows the last one, can come byte by byte without an end.
    """

    def __init__(self, answer: HTTPResponse, address: str):
        self.answer, self.address, self.since = answer, address, time.monotonic()
        self.stalled, self.ended = False, Event()
        self.counted, self.gained = self.since, 0  # bytes that came, and from when on

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
        """What has come, a chunk at most; nothing at the end.

        Interrupted if the connection breaks; InputError if it makes no progress, or was ended before its content was
        whole.
        """
        if time.monotonic() - self.counted >= PATIENCE:
            if self.gained < PROGRESS:
                raise self._slow()
            self.counted, self.gained = time.monotonic(), 0
        try:
            chunk = self.answer.read1(CHUNK)
        except (OSError, HTTPException, ValueError) as error:
            raise self._slow() if self.stalled else Interrupted(describe(error)) from None
        self.since = time.monotonic()
        self.gained += len(chunk)
        return chunk

    def _slow(self) -> InputError:
        slow = f"fewer than {PROGRESS / 1000:g} kB in {PATIENCE:g} s"
        kept = "what has come is kept, the next run goes on from there"
        return InputError(f"{shown(self.address)}: too slow ({slow}); {kept}")


def undelivered(address: str, problem: str) -> InputError:
    """The error of an address whose file can't be had."""
    return InputError(f"{shown(address)}: can't be downloaded ({problem})")


def describe(error: Exception) -> str:
    """What an error says, in one line; servers' own words are among it."""
    return cut(str(getattr(error, "reason", "") or error)) or type(error).__name__


def cut(text: str) -> str:
    """A server's words without control characters, in one line that isn't long."""
    text = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
