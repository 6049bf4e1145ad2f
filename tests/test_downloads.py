"""Files from elsewhere: fetched once, gone on with after a break, known by their hash; servers are local."""

import errno
import hashlib
import multiprocessing
import os
import re
import resource
import shutil
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.error import HTTPError
from urllib.request import Request

import pytest
from conftest import refused

from explanations import downloads
from explanations.downloads import fetch_file, published_hash

CONTENT = bytes(range(256)) * 20_000  # 5 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


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


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
    served = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), served.handler) as http:
        http.handle_error = lambda *arguments: None  # who asks may go away
        Thread(target=http.serve_forever, daemon=True).start()
        served.address = f"http://127.0.0.1:{http.server_port}/weights/net-{SHA256[:8]}.pth"
        yield served
        http.shutdown()


def test_a_file_is_downloaded_once(server, tmp_path):
    path = fetch_file(server.address, SHA256[:8], tmp_path / "cache")
    assert path == tmp_path / "cache" / f"net-{SHA256[:8]}.pth" and path.read_bytes() == CONTENT
    server.status = 500
    assert fetch_file(server.address, SHA256, tmp_path / "cache") == path
    assert server.asked == [(f"/weights/net-{SHA256[:8]}.pth", None)]


def test_a_download_that_breaks_off_goes_on(server, tmp_path):
    server.break_after = [3_000_000, 1_000_000]
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=3000000-", "bytes=4000000-"]


def test_a_download_that_was_killed_goes_on(server, tmp_path):
    (tmp_path / f"net-{SHA256[:8]}.pth.part").write_bytes(CONTENT[:2_000_000])
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == ["bytes=2000000-"]
    assert not [*tmp_path.glob("*.part")]


def test_a_server_that_knows_no_ranges_sends_everything_again(server, tmp_path):
    (tmp_path / f"net-{SHA256[:8]}.pth.part").write_bytes(b"x" * 2_000_000)
    server.ranges = False
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / f"net-{SHA256[:8]}.pth.part").write_bytes(CONTENT + b"x")
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT


def test_a_part_of_another_file_is_thrown_away(server, tmp_path):
    (tmp_path / f"net-{SHA256[:8]}.pth.part").write_bytes(b"x" * 2_000_000)
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == ["bytes=2000000-", None]


def test_a_part_does_not_excuse_a_wrong_hash(server, tmp_path):
    (tmp_path / f"net-{SHA256[:8]}.pth.part").write_bytes(CONTENT[:2_000_000])
    message = refused(fetch_file, server.address, "0" * 64, tmp_path)
    assert message == f"{server.address}: its SHA-256 is {SHA256}; expected {'0' * 64}"
    assert len(server.asked) == 2 and not [*tmp_path.glob("net*")]


def test_a_file_in_the_cache_needs_no_lock(server, tmp_path, monkeypatch):
    """The cache may be another's, and only read."""
    (tmp_path / f"net-{SHA256[:8]}.pth").write_bytes(CONTENT)
    monkeypatch.setattr(downloads, "FileLock", None)
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT and not server.asked


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://127.0.0.1:1/", "names no file"),
        ("http://[1/w.pth", "no address of a file (Invalid IPv6 URL)"),
        ("http://127.0.0.1:1/a b.pth", "can't be downloaded (URL can't contain control characters"),
    ],
)
def test_what_is_no_address(server, tmp_path, address, message):
    assert refused(fetch_file, address, SHA256, tmp_path).startswith(f"{address}: {message}")


def test_a_cache_that_is_no_folder(server, tmp_path):
    (tmp_path / "cache").write_bytes(b"")
    message = refused(fetch_file, server.address, SHA256, tmp_path / "cache")
    assert message == f"{tmp_path / 'cache'}: can't be written (File exists)"
    assert not server.asked


def test_a_damaged_file_in_the_cache_is_fetched_again(server, tmp_path):
    (tmp_path / f"net-{SHA256[:8]}.pth").write_bytes(CONTENT[:-1])
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "message", "requests"),
    [(404, "the server says 404 Not Found", 1), (503, "can't be downloaded (the server says 503 Service Unavail", 5)],
)
def test_a_server_that_refuses(server, tmp_path, status, message, requests):
    server.status = status
    assert message in refused(fetch_file, server.address, SHA256, tmp_path)
    assert len(server.asked) == requests


def test_no_server(server, tmp_path):
    address = re.sub(r":\d+", ":1", server.address)
    assert refused(fetch_file, address, SHA256, tmp_path).startswith(f"{address}: can't be downloaded (")


def test_a_wrong_hash(server, tmp_path):
    message = refused(fetch_file, server.address, "0" * 64, tmp_path)
    assert message == f"{server.address}: its SHA-256 is {SHA256}; expected {'0' * 64}"
    assert not [*tmp_path.glob("net*")]
    (tmp_path / "local.pth").write_bytes(CONTENT)
    assert refused(fetch_file, str(tmp_path / "local.pth"), "00", tmp_path).endswith("; expected 00…")
    assert (tmp_path / "local.pth").exists()  # it's the user's


def test_local_files_are_read_where_they_lie(tmp_path):
    path = tmp_path / "my weights%20.pth"
    path.write_bytes(CONTENT)
    for address in (str(path), path.as_uri(), path.as_uri().replace("file://", "file://localhost")):
        assert fetch_file(address, SHA256, tmp_path / "cache") == path
    assert refused(fetch_file, str(tmp_path / "none.pth"), SHA256, tmp_path).endswith("none.pth: no such file")
    assert not (tmp_path / "cache").exists()


def test_processes_that_ask_together_download_once(server, tmp_path):
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as pool:
        found = pool.starmap(fetch_file, [(server.address, SHA256, tmp_path)] * 4)
    assert {path.read_bytes() for path in found} == {CONTENT} and len(server.asked) == 1


# --- servers that go wrong ---------------------------------------------------------------------------------------


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


def test_a_trickle_ends_and_is_gone_on_with(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 0.3)
    server.answers = [whole(body=CONTENT[:5000], interval=0.002)]
    message = refused(fetch_file, server.address, SHA256, tmp_path)
    slow = "too slow (fewer than 60 kB in 0.3 s); what has come is kept, the next run goes on from there"
    assert message == f"{server.address}: {slow}" and len(server.asked) == 1
    came = (tmp_path / f"net-{SHA256[:8]}.pth.part").stat().st_size
    assert 0 < came < 5000
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert server.asked[1][1] == f"bytes={came}-"


def test_a_server_that_sends_a_little_of_each_answer_ends(server, tmp_path):
    server.break_after = [1000] * 99
    assert "can't be downloaded (the connection broke off)" in refused(fetch_file, server.address, SHA256, tmp_path)
    assert [wanted for _, wanted in server.asked] == [None, *(f"bytes={k}000-" for k in (1, 2, 3, 4))]


def test_what_came_of_a_block_before_a_stall_is_kept(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.3)
    server.answers = [whole(body=CONTENT[:300_001], pause=1)]
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=300001-"]


def test_a_chunked_answer_that_breaks_off_is_gone_on_with(server, tmp_path):
    chunks = b"186a0\r\n" + CONTENT[:100_000] + b"\r\n186a0\r\n" + CONTENT[100_000:150_000]
    server.answers = [send("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=chunks)]
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=150000-"]


FALSE_RANGES = {
    "Content-Range: bytes 0-1999999/5120000": "bytes 0-1999999/5120000",
    "Content-Range: bytes 2000001-5119999/5120000": "bytes 2000001-5119999/5120000",
    "Content-Range: items 7": "items 7",
    "X-Nothing: 1": "others",
}


@pytest.mark.parametrize("header", FALSE_RANGES)
def test_a_false_range_begins_anew_once(server, tmp_path, header):
    part = tmp_path / f"net-{SHA256[:8]}.pth.part"
    part.write_bytes(CONTENT[:2_000_000])
    server.answers = [partial(header, CONTENT[2_000_000:])]
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == ["bytes=2000000-", None]
    (tmp_path / f"net-{SHA256[:8]}.pth").unlink()
    part.write_bytes(CONTENT[:2_000_000])
    server.answers = [partial(header, b""), whole(body=CONTENT[:2_000_000]), partial(header, b"")]
    message = refused(fetch_file, server.address, SHA256, tmp_path)
    said = f"asked for bytes from 2000000 on, the server sends {FALSE_RANGES[header]}"
    assert message == f"{server.address}: can't be downloaded ({said})"


def test_another_size_between_two_answers_begins_anew(server, tmp_path):
    server.answers = [whole(body=b"x" * 2_000_000, length=9_000_000)]
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=2000000-", None]


def test_another_content_of_the_same_size_begins_anew_once(server, tmp_path):
    server.answers = [whole(body=b"x" * 2_000_000)]
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=2000000-", None]
    (tmp_path / f"net-{SHA256[:8]}.pth").unlink()
    server.asked, server.answers = [], [whole(body=b"x" * 2_000_000), None, whole(body=b"x" * 2_000_000)]
    assert f"{server.address}: its SHA-256 is " in refused(fetch_file, server.address, SHA256, tmp_path)
    assert len(server.asked) == 4 and not [*tmp_path.glob("net*")]


def test_a_part_that_is_whole_is_asked_for_and_not_sent_again(server, tmp_path):
    (tmp_path / f"net-{SHA256[:8]}.pth.part").write_bytes(CONTENT)
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    (tmp_path / f"net-{SHA256[:8]}.pth").unlink()
    (tmp_path / f"net-{SHA256[:8]}.pth.part").write_bytes(CONTENT[::-1])
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [*["bytes=5120000-"] * 2, None]


def test_a_server_that_always_refuses_a_range(server, tmp_path):
    (tmp_path / f"net-{SHA256[:8]}.pth.part").write_bytes(CONTENT[:-1])
    server.status = 416
    message = refused(fetch_file, server.address, SHA256, tmp_path)
    assert message == f"{server.address}: the server says 416 Requested Range Not Satisfiable"


def test_more_bytes_than_announced_are_left(server, tmp_path):
    server.answers = [whole(body=CONTENT + b"more")]
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("length", ["-1", "many", "5120000, 5120000"])
def test_a_length_that_is_none_is_not_believed(server, tmp_path, length):
    server.answers = [whole(length=length)]
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("body", [b"", b"<html>sign in</html>"])
def test_an_empty_file_or_a_page_is_another_file(server, tmp_path, body):
    server.content = body
    assert "its SHA-256 is " in refused(fetch_file, server.address, SHA256, tmp_path)
    assert len(server.asked) == 1 and not [*tmp_path.glob("net*")]


def test_a_packed_answer_is_named(server, tmp_path, capsys):
    """Some servers say so of files that are archives themselves: the hash decides."""
    server.answers = [whole("Content-Encoding: gzip"), whole("Content-Encoding: gzip", body=b"xy", length=2)]
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    (tmp_path / f"net-{SHA256[:8]}.pth").unlink()
    assert "its SHA-256 is " in refused(fetch_file, server.address, SHA256, tmp_path)
    assert capsys.readouterr().out.count("the server says that it is packed as gzip; it is taken as it comes\n") == 2


def redirect(target: str) -> Callable:
    return send("HTTP/1.1 302 Found", f"Location: {target}", "Content-Length: 0")


def test_a_redirection_is_followed(server, tmp_path):
    server.answers = [redirect("/elsewhere"), None]
    assert fetch_file(server.address, SHA256, tmp_path).name == f"net-{SHA256[:8]}.pth"
    assert server.asked[1][0] == "/elsewhere"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            "/weights/here",
            "the server says 302 The HTTP server returned a redirect error that would lead to an",
        ),
        ("file:///etc/passwd", "the server says 302 Found - Redirection to url 'file:///etc/passwd' is not allowed"),
        ("ftp://127.0.0.1/w.pth", "the server says 302 Found, a redirection from http to ftp, which is not followed"),
        ("http://127.0.0.1:99999/w.pth", "can't be downloaded ("),
        ("http://127.0.0.1:x/w.pth", "can't be downloaded ("),
        ("http://[1/w.pth", "can't be downloaded ("),
    ],
)
def test_a_redirection_that_leads_nowhere(server, tmp_path, target, said):
    server.answers = [redirect(target)] * 99
    message = refused(fetch_file, server.address, SHA256, tmp_path)
    assert message.startswith(f"{server.address}: {said}")


def test_a_redirection_keeps_to_https():
    followed = downloads.Redirects()
    for source, target, allowed in (("https", "https", True), ("http", "https", True), ("https", "http", False)):
        request = Request(f"{source}://example.org/w.pth")

        def follow(request=request, target=target):
            return followed.redirect_request(request, None, 302, "Found", {}, f"{target}://example.org/v.pth")

        if allowed:
            assert follow().full_url == f"{target}://example.org/v.pth"
        else:
            with pytest.raises(HTTPError, match="Found, a redirection from https to http, which is not followed"):
                follow()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["rubbish \x1b[31m\x07"], "rubbish ?[31m?"),
        (["HTTP/1.1 2OO fine"], "HTTP/1.1 2OO fine"),
        (["HTTP/1.1 200 OK", *(f"X-{k}: 1" for k in range(101))], "got more than 100 headers"),
        (["HTTP/1.1 200 OK", f"X: {'y' * 70_000}"], "got more than 65536 bytes when reading header line"),
        (["x" * 60_000], f"{'x' * 300} …"),
        ([], "Remote end closed connection without response"),
    ],
)
def test_rubbish_for_an_answer(server, tmp_path, lines, said):
    server.answers = [send(*lines) if lines else lambda handler: None] * 99
    assert refused(fetch_file, server.address, SHA256, tmp_path) == f"{server.address}: can't be downloaded ({said})"
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://127.0.0.1:99999/w.pth", "no address of a file (Port out of range 0-65535)"),
        ("http://127.0.0.1:x/w.pth", "no address of a file (Port could not be cast to integer value as 'x')"),
        ("http://nowhere.invalid/w.pth", "can't be downloaded ([Errno -"),
        (f"http://{'a' * 70}.example/w.pth", "can't be downloaded ("),
        ("http://127.0.0.1:1/ü.pth", "can't be downloaded (ordinal not in range(128))"),
        ("http://127.0.0.1:1/a/..", "names no file"),
        ("http://127.0.0.1:1/a\0.pth", "names no file"),
    ],
)
def test_what_leads_nowhere(server, tmp_path, address, message):
    assert refused(fetch_file, address, SHA256, tmp_path).startswith(f"{address}: {message}")
    assert not [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")]


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a certificate with")
def test_a_certificate_that_is_nobodys(server, tmp_path):
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "k.pem", "-out", tmp_path / "c.pem"]
    made = ["openssl", "req", "-x509", *key, "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), server.handler) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        http.handle_error = lambda *arguments: None
        Thread(target=http.serve_forever, daemon=True).start()
        address = f"https://127.0.0.1:{http.server_port}/w.pth"
        message = refused(fetch_file, address, SHA256, tmp_path)
        http.shutdown()
    assert "certificate verify failed" in message and message.startswith(f"{address}: can't be downloaded (")
    assert not server.asked


# --- disks and processes -----------------------------------------------------------------------------------------


def fetch_limited(address: str, folder, limit: int) -> str:
    """What a fetch says in a process whose files can't be longer than so many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return refused(fetch_file, address, SHA256, folder)


def test_a_full_disk_is_one_line_and_leaves_nothing(server, tmp_path):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        message = pool.apply(fetch_limited, (server.address, tmp_path, 3_000_000))
    assert message == f"{server.address}: no space left in {tmp_path}; it takes 5 MB"
    assert not [*tmp_path.glob("net*")] and len(server.asked) == 1


def test_other_errors_of_the_disk_keep_what_came(server, tmp_path, monkeypatch):
    part = tmp_path / f"net-{SHA256[:8]}.pth.part"
    part.write_bytes(CONTENT[:2_000_000])

    def fail(*arguments):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(downloads, "open", fail, raising=False)
    message = refused(fetch_file, server.address, SHA256, tmp_path)
    assert message == f"{part}: can't be written (Read-only file system)"
    assert part.stat().st_size == 2_000_000


def test_a_cache_on_a_disk_that_is_read_only(server, tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        message = refused(fetch_file, server.address, SHA256, folder)
    finally:
        subprocess.run(["umount", folder], check=True)
    assert message == f"{folder}: can't be written (Read-only file system)"
    assert not server.asked


def test_a_killed_process_gives_its_lock_and_its_part_to_the_next(server, tmp_path):
    server.answers = [whole(body=CONTENT[:3_000_001], pause=2)]
    context = multiprocessing.get_context("fork")
    first, second = (context.Process(target=fetch_file, args=(server.address, SHA256, tmp_path)) for _ in range(2))
    first.start()
    part = tmp_path / f"net-{SHA256[:8]}.pth.part"
    while not part.exists() or part.stat().st_size < 3_000_001:
        Event().wait(0.01)
    second.start()
    Event().wait(0.2)
    assert len(server.asked) == 1  # it waits for the lock
    os.kill(first.pid, signal.SIGKILL)
    second.join(20)
    assert second.exitcode == 0 and (tmp_path / part.stem).read_bytes() == CONTENT and not part.exists()
    assert [wanted for _, wanted in server.asked] == [None, "bytes=3000001-"]
    first.join()


@pytest.mark.parametrize(
    ("name", "digits"),
    [("vgg16-397923af.pth", "397923af"), ("a/b-0123456789ab.th?x=1", "0123456789ab"), ("net.pth", ""), ("v-1.pth", "")],
)
def test_hashes_in_names(name, digits):
    assert published_hash(f"https://example.org/{name}") == digits
