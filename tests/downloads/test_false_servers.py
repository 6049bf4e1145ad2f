"""Servers that are slow, break off or say what is not so: gone on with, begun anew once, or refused in one line."""

import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from threading import Event, Thread
from urllib.error import HTTPError
from urllib.request import Request

import pytest
from conftest import refused
from servers import CONTENT, NAME, SHA256, Server, partial, send, serve_content, whole

from explanations.downloads import answers
from explanations.downloads.fetching import fetch_file


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    with serve_content(monkeypatch) as served:
        yield served


def test_a_trickle_ends_and_is_gone_on_with(server, tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "PATIENCE", 0.3)
    server.answers = [whole(body=CONTENT[:5000], interval=0.002)]
    message = refused(fetch_file, server.address, SHA256, tmp_path)
    slow = "too slow (fewer than 60 kB in 0.3 s); what has come is kept, the next run goes on from there"
    assert message == f"{server.address}: {slow}" and len(server.asked) == 1
    came = (tmp_path / f"{NAME}.part").stat().st_size
    assert 0 < came < 5000
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert server.asked[1][1] == f"bytes={came}-"


def test_a_trickle_of_a_head_ends(server, tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "PATIENCE", 0.3)
    server.answers = [trickle_head]
    message = refused(fetch_file, server.address, SHA256, tmp_path)
    assert message == f"{server.address}: can't be downloaded (no whole answer's head within 0.3 s)"
    assert len(server.asked) == 1


def test_a_trickle_between_chunks_ends(server, tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "PATIENCE", 0.3)
    server.answers = [trickle_chunks(CONTENT[:100_000], b"", b"1")]
    message = refused(fetch_file, server.address, SHA256, tmp_path)
    assert "too slow (fewer than 60 kB in 0.3 s)" in message and len(server.asked) == 1
    assert (tmp_path / f"{NAME}.part").stat().st_size == 100_000


def test_a_trickle_after_the_last_chunk_ends(server, tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "PATIENCE", 0.3)
    server.answers = [trickle_chunks(CONTENT, b"0\r\n", b"a: b\r\n")]
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT


def trickle_chunks(body: bytes, then: bytes, again: bytes) -> Callable:
    """An answer in chunks of which nothing more comes, but the same bytes again and again."""

    def answer(handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        handler.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n" + then)
        for _ in range(500):
            handler.wfile.write(again)
            Event().wait(0.02)

    return answer


def trickle_head(handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(100):
        handler.wfile.write(b"y")
        Event().wait(0.01)


def test_a_server_that_is_silent_is_asked_again(server, tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "TIMEOUT", 0.3)
    server.answers = [lambda handler: Event().wait(1)]
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, None]


def test_a_server_that_sends_a_little_of_each_answer_ends(server, tmp_path):
    server.break_after = [1000] * 99
    assert "can't be downloaded (the connection broke off)" in refused(fetch_file, server.address, SHA256, tmp_path)
    assert [wanted for _, wanted in server.asked] == [None, *(f"bytes={k}000-" for k in (1, 2, 3, 4))]


def test_what_came_of_a_block_before_a_stall_is_kept(server, tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "TIMEOUT", 0.3)
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
    part = tmp_path / f"{NAME}.part"
    part.write_bytes(CONTENT[:2_000_000])
    server.answers = [partial(header, CONTENT[2_000_000:])]
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == ["bytes=2000000-", None]
    (tmp_path / NAME).unlink()
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
    (tmp_path / NAME).unlink()
    server.asked, server.answers = [], [whole(body=b"x" * 2_000_000), None, whole(body=b"x" * 2_000_000)]
    assert f"{server.address}: its SHA-256 is " in refused(fetch_file, server.address, SHA256, tmp_path)
    assert len(server.asked) == 4 and not [*tmp_path.glob("net*")]


def test_a_part_that_is_whole_is_asked_for_and_not_sent_again(server, tmp_path):
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT)
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    (tmp_path / NAME).unlink()
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[::-1])
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [*["bytes=5120000-"] * 2, None]


def test_a_server_that_always_refuses_a_range(server, tmp_path):
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:-1])
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
    (tmp_path / NAME).unlink()
    assert "its SHA-256 is " in refused(fetch_file, server.address, SHA256, tmp_path)
    assert capsys.readouterr().out.count("the server says that it is packed as gzip; it is taken as it comes\n") == 2


def redirect(target: str) -> Callable:
    return send("HTTP/1.1 302 Found", f"Location: {target}", "Content-Length: 0")


def test_a_redirection_is_followed(server, tmp_path):
    server.answers = [redirect("/elsewhere"), None]
    assert fetch_file(server.address, SHA256, tmp_path).name == NAME
    assert server.asked[1][0] == "/elsewhere"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            "/weights/here",
            "the server says 302 The HTTP server returned a redirect error that would lead to an infinite loop.",
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
    followed = answers.Redirects()
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
