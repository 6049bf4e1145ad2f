"""A server of one file that can break off, know no ranges, fail, or answer in any way at all."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

from explanations.downloads import transfer

CONTENT = bytes(range(256)) * 20_000  # 5 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = f"net-{SHA256[:8]}.pth"


class Server:
    """A server of one file that can break off, know no ranges, or fail; `asked` is what came: path, Range."""

    def __init__(self, content: bytes = CONTENT):
        self.content, self.asked = content, []
        self.break_after: list[int] = []  # bytes of the answers to come that are cut
        self.ranges, self.status = True, 0
        self.answers: list[Callable | None] = []  # what answers the requests to come, if not this

    @cached_property
    def handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                wanted = self.headers.get("Range")
                server.asked.append((self.path, wanted))
                answer = server.answers.pop(0) if server.answers else None
                if answer:
                    self.close_connection = True
                    return answer(self)
                if server.status:
                    return self.send_error(server.status)
                start = int(re.match(r"bytes=(\d+)-", wanted)[1]) if wanted and server.ranges else 0
                if start and start >= len(server.content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(server.content)}")
                    return self.end_headers()
                body = server.content[start:]
                self.send_response(206 if start else 200)
                if start:
                    size = len(server.content)
                    self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: server.break_after.pop(0)] if server.break_after else body)
                self.close_connection = True
                return None

            def log_message(self, *arguments):
                pass

        return Handler


@contextmanager
def serve_content(monkeypatch) -> Iterator[Server]:
    """A server at work, whose failures are not waited for."""
    monkeypatch.setattr(transfer.time, "sleep", lambda seconds: None)
    served = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), served.handler) as http:
        http.handle_error = lambda *arguments: None  # who asks may go away
        Thread(target=http.serve_forever, daemon=True).start()
        served.address = f"http://127.0.0.1:{http.server_port}/weights/{NAME}"
        yield served
        http.shutdown()


# --- answers -----------------------------------------------------------------------------------------------------


def send(*lines: str, body: bytes = b"", interval: float = 0, pause: float = 0) -> Callable:
    """An answer of these head lines and a body, byte by byte at an interval, or whole and then nothing for a while."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write("\r\n".join([*lines, "", ""]).encode())
        for part in [body[k : k + 1] for k in range(len(body))] if interval else [body]:
            handler.wfile.write(part)
            handler.wfile.flush()
            Event().wait(interval)
        Event().wait(pause)

    return answer


def whole(*headers: str, body: bytes = CONTENT, length: int = len(CONTENT), **options) -> Callable:
    return send("HTTP/1.1 200 OK", f"Content-Length: {length}", *headers, body=body, **options)


def partial(content_range: str, body: bytes) -> Callable:
    return send("HTTP/1.1 206 Partial", content_range, f"Content-Length: {len(body)}", body=body)
