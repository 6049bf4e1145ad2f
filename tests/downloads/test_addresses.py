"""Addresses as they are shown: no user, no password, no query's values; a server's login comes from ~/.netrc."""

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace

import pytest
import yaml
from conftest import refused
from test_safety import SAMPLE
from workflow_copy import copy_workflow, snakemake

from explanations.downloads.addresses import ask, shown, split_address, without_secrets
from explanations.downloads.fetching import fetch_file
from explanations.networks.places import Place
from explanations.networks.pretrained import fetch_weights, look_up

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://me:s3cret@h.org:80/x/w.pth?token=s3cret&raw#s3cret", "https://h.org:80/x/w.pth?token=…&…#…"),
        ("HTTPS://s3cret@h.org/w.pth", "HTTPS://h.org/w.pth"),
        ("https://me:s3/cret?@h.org/w.pth", "https://h.org/w.pth"),
        ("https://me:s3@cret@h.org/w.pth", "https://h.org/w.pth"),
        ("ftp://me:s3cret@h.org/w.pth", "ftp://h.org/w.pth"),
        ("http:me:s3cret@h.org", "http:h.org"),
        ("https://[::1]:80/a@b", "https://[::1]:80/a@b"),
        ("https://h.org/a@b", "https://h.org/a@b"),
        *((path, path) for path in ("/a?b=c#d", "~/a@b", "file:///a?b=c", "a:b?c", "", "C:\\a")),
    ],
)
def test_what_is_shown_of_an_address(address, expected):
    assert shown(address) == expected
    if "s3" in address:
        assert refused(split_address, address).startswith(f"{expected}: holds a user or password, which logs would ")


def test_what_a_library_says_of_an_address():
    address = "https://h.org/w.pth?token=s3cret"
    said = without_secrets(f"can't open {address} /w.pth?token=s3cret is wrong", address)
    assert said == "can't open https://h.org/w.pth?token=… /w.pth?… is wrong"
    assert without_secrets("404 at https://me:s3cret@h.org/w (no file)") == "404 at https://h.org/w (no file)"


@pytest.fixture
def server() -> Iterator[SimpleNamespace]:
    """A server of one file for who knows the password, which may lead to another server."""
    served = SimpleNamespace(asked=[], leads_to="")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.asked.append(self.headers.get("Authorization"))
            known = served.asked[-1] == "Basic bWU6czNjcmV0"
            self.send_response((302 if served.leads_to else 200) if known else 401)
            self.send_header("Location", served.leads_to)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        served.address = f"http://127.0.0.1:{http.server_port}/w.pth"
        yield served
        http.shutdown()


def test_a_login_comes_from_netrc(server, tmp_path, monkeypatch):
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    asked = f"{server.address}?token=s3cret"
    message = refused(fetch_file, asked, SHA256, tmp_path / "cache")
    assert message == f"{server.address}?token=…: the server says 401 Unauthorized"
    (tmp_path / "netrc").write_text("default login you password other\n")
    assert "401" in refused(fetch_file, asked, SHA256, tmp_path / "cache")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    assert fetch_file(asked, SHA256, tmp_path / "cache").read_bytes() == CONTENT
    (tmp_path / "netrc").write_text("machine\n")
    assert refused(ask, asked, {}).startswith(f"{tmp_path / 'netrc'}: can't be read (")


def test_a_login_does_not_follow_to_another_server(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.leads_to = server.address.replace("127.0.0.1", "localhost")
    assert "401" in refused(fetch_file, server.address, SHA256, tmp_path / "cache")
    assert server.asked == ["Basic bWU6czNjcmV0", None]


def test_no_error_of_a_fetch_tells_a_secret(server, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr("explanations.downloads.transfer.time.sleep", lambda seconds: None)
    published = look_up("torchvision", "squeezenet1_1", "IMAGENET1K_V1", {}, 2)
    hosts = (
        server.address,
        "http://127.0.0.1:1/w.pth",
        "http://127.0.0.1:99999/w.pth",
        "http://127.0.0.1/",
        "http://a b/w",
    )
    for address in hosts:
        for sha256 in ("", 64 * "0"):
            message = refused(fetch_weights, published, Place(f"{address}?token=s3cret", sha256))
            assert "s3cret" not in message and f"{address}?token=…" in message
            assert "s3cret" not in refused(
                fetch_weights, published, Place(address.replace("://", "://me:s3cret@"), sha256)
            )


@pytest.mark.workflow
def test_a_password_is_refused_when_planned(tmp_path):
    folder = copy_workflow(tmp_path)
    for address in ("https://me:s3cret@h.org/w.pth", "ftp://me:s3cret@h.org/w.pth", "https://me:s3cret@h.org/w\n"):
        mine = {**SAMPLE["networks"]["mine"], "weights": {"url": address}}
        (folder / "given.yaml").write_text(yaml.safe_dump({"networks": {"mine": mine}}))
        said = snakemake(folder, "mine", "--cores", "1", "--configfile", "given.yaml", check=False).stdout
        assert "s3cret" not in said and "configuration: networks.mine.weights.url is " in said
    assert not [
        path for path in (folder / ".snakemake").rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()
    ]
