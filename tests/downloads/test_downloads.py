"""Files from elsewhere: fetched once, gone on with after a break, known by their hash; servers are local."""

import errno
import multiprocessing
import os
import re
import resource
import signal
import subprocess
from collections.abc import Iterator
from threading import Event

import pytest
from conftest import refused
from servers import CONTENT, NAME, SHA256, Server, serve_content, whole

from explanations.downloads import fetching, transfer
from explanations.downloads.fetching import fetch_file, published_hash


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    with serve_content(monkeypatch) as served:
        yield served


def test_a_file_is_downloaded_once(server, tmp_path):
    path = fetch_file(server.address, SHA256[:8], tmp_path / "cache")
    assert path == tmp_path / "cache" / NAME and path.read_bytes() == CONTENT
    server.status = 500
    assert fetch_file(server.address, SHA256, tmp_path / "cache") == path
    assert server.asked == [(f"/weights/net-{SHA256[:8]}.pth", None)]


def test_a_download_that_breaks_off_goes_on(server, tmp_path):
    server.break_after = [3_000_000, 1_000_000]
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=3000000-", "bytes=4000000-"]


def test_a_download_that_was_killed_goes_on(server, tmp_path):
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:2_000_000])
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == ["bytes=2000000-"]
    assert not [*tmp_path.glob("*.part")]


def test_a_server_that_knows_no_ranges_sends_everything_again(server, tmp_path):
    (tmp_path / f"{NAME}.part").write_bytes(b"x" * 2_000_000)
    server.ranges = False
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT + b"x")
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT


def test_a_part_of_another_file_is_thrown_away(server, tmp_path):
    (tmp_path / f"{NAME}.part").write_bytes(b"x" * 2_000_000)
    assert fetch_file(server.address, SHA256, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == ["bytes=2000000-", None]


def test_a_part_does_not_excuse_a_wrong_hash(server, tmp_path):
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:2_000_000])
    message = refused(fetch_file, server.address, "0" * 64, tmp_path)
    assert message == f"{server.address}: its SHA-256 is {SHA256}; expected {'0' * 64}"
    assert len(server.asked) == 2 and not [*tmp_path.glob("net*")]


def test_a_file_in_the_cache_needs_no_lock(server, tmp_path, monkeypatch):
    """The cache may be another's, and only read."""
    (tmp_path / NAME).write_bytes(CONTENT)
    monkeypatch.setattr(fetching, "FileLock", None)
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
    (tmp_path / NAME).write_bytes(CONTENT[:-1])
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


# --- disks and processes -----------------------------------------------------------------------------------------


def fetch_limited(address: str, folder, limit: int) -> str:
    """What a fetch says in a process whose files can't be longer than so many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return refused(fetch_file, address, SHA256, folder)


def test_a_full_disk_is_one_line_and_leaves_nothing(server, tmp_path):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        message = pool.apply(fetch_limited, (server.address, tmp_path, 3_000_000))
    size = "file too large, 3.0 MB of it had been written, needed about 5.1 MB"
    assert message == f"no space left on the disk of {tmp_path}: {NAME}.part: {size}"
    assert not [*tmp_path.glob("net*")] and len(server.asked) == 1


def test_other_errors_of_the_disk_keep_what_came(server, tmp_path, monkeypatch):
    part = tmp_path / f"{NAME}.part"
    part.write_bytes(CONTENT[:2_000_000])

    def fail(*arguments):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(transfer, "open", fail, raising=False)
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
    part = tmp_path / f"{NAME}.part"
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


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "digits"),
    [("vgg16-397923af.pth", "397923af"), ("a/b-0123456789ab.th?x=1", "0123456789ab"), ("net.pth", ""), ("v-1.pth", "")],
)
def test_hashes_in_names(name, digits):
    assert published_hash(f"https://example.org/{name}") == digits
