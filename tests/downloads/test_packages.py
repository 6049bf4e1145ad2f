"""Packages as data: fetched once by their hash from the index that pip has, unpacked, never imported."""

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import refused
from package_index import ask_index, build_wheel, serve_index

from explanations.downloads import fetching, packages
from explanations.downloads.packages import fetch_package, find_members, unpack_below, unpack_file
from explanations.files.packages import Package

FILES = {
    "photos/data/cats/a.jpg": b"cat",
    "photos/data/cats/b.jpg": b"another",
    "photos/data/dogs/a.jpg": b"dog",
    "photos/data/dogs/a_mask.png": b"mask",
    "photos/models/net.pth": b"weights" * 1000,
}


@pytest.fixture
def index(tmp_path, monkeypatch):
    package = build_wheel(tmp_path / "index", "my-photos", "1.2", FILES)
    with serve_index(tmp_path / "index", monkeypatch) as asked:
        yield package, asked


def test_a_package_is_fetched_once(index, tmp_path):
    package, asked = index
    path = fetch_package(package, tmp_path / "cache")
    assert path == tmp_path / "cache" / f"my_photos-1.2-{package.sha256[:8]}.whl"
    before = len(asked)
    assert before and fetch_package(package, tmp_path / "cache") == path and len(asked) == before


def test_a_damaged_wheel_is_fetched_again(index, tmp_path):
    package, _ = index
    path = fetch_package(package, tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    assert zipfile.is_zipfile(fetch_package(package, tmp_path))


def test_a_wheel_in_the_cache_needs_no_lock(index, tmp_path, monkeypatch):
    fetch_package(index[0], tmp_path)
    monkeypatch.setattr(fetching, "FileLock", None)
    assert fetch_package(index[0], tmp_path).exists()


def test_another_hash(index, tmp_path):
    package, _ = index
    message = refused(fetch_package, replace(package, sha256="0" * 64), tmp_path / "cache")
    assert message == (
        f"package my-photos 1.2: its SHA-256 is {package.sha256} where pip finds it; expected {'0' * 64}"
    )
    assert not [path for path in (tmp_path / "cache").iterdir() if not path.name.endswith(".lock")]


@pytest.mark.parametrize(("name", "version"), [("my-photos", "9"), ("nobodys-photos", "1.2")])
def test_what_the_index_has_not(index, tmp_path, name, version):
    message = refused(fetch_package, Package(name, version, "0" * 64), tmp_path)
    assert message.startswith(f"package {name} {version}: pip can't download it from its index (")
    assert f"{name}=={version}" in message and "\n" not in message


def test_source_distributions_are_not_built(index, tmp_path):
    """Their building would run code of theirs."""
    folder = tmp_path / "index" / "my-source"
    folder.mkdir()
    (folder / "my-source-1.0.tar.gz").write_bytes(b"")
    (folder / "index.html").write_text('<a href="my-source-1.0.tar.gz">my-source-1.0.tar.gz</a>')
    message = refused(fetch_package, Package("my-source", "1.0", "0" * 64), tmp_path)
    assert "Could not find a version that satisfies the requirement my-source==1.0 (from versions: none)" in message


def test_no_index(tmp_path, monkeypatch):
    ask_index("http://me:s3cret@127.0.0.1:1", monkeypatch)
    message = refused(fetch_package, Package("my-photos", "1.2", "0" * 64), tmp_path)
    assert message.startswith("package my-photos 1.2: pip can't download it from its index (")
    assert "s3cret" not in message and "\n" not in message


def test_no_pip(tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr(packages.sys, "executable", str(python))
    message = refused(fetch_package, Package("my-photos", "1.2", "0" * 64), tmp_path)
    assert message == f"package my-photos 1.2: needs pip, which {python} hasn't got"


def test_files_are_found_by_patterns(index, tmp_path):
    package, _ = index
    wheel = fetch_package(package, tmp_path)
    assert find_members(wheel, ["photos/data/*.jpg"], package) == [name for name in FILES if name.endswith(".jpg")]
    assert find_members(wheel, ["*/[ab].jpg", "*.pth"], package) == [n for n in FILES if not n.endswith(".png")]
    message = refused(find_members, wheel, ["photos/data/*.jpg", "photos/*.tif"], package)
    assert message == "package my-photos 1.2: holds no file photos/*.tif"


def test_files_are_unpacked_below_what_holds_them_all(index, tmp_path):
    package, _ = index
    wheel = fetch_package(package, tmp_path)
    unpack_below(wheel, ["photos/data/*.jpg"], package, tmp_path / "all")
    found = {path.relative_to(tmp_path / "all").as_posix(): path.read_bytes() for path in tmp_path.rglob("all/*/*")}
    assert found == {"cats/a.jpg": b"cat", "cats/b.jpg": b"another", "dogs/a.jpg": b"dog"}
    unpack_below(wheel, ["photos/data/cats/*"], package, tmp_path / "cats")
    assert sorted(path.name for path in (tmp_path / "cats").iterdir()) == ["a.jpg", "b.jpg"]


def test_class_folders_stay_where_a_split_has_one_class(index, tmp_path):
    """Or the other split's folders would be other classes."""
    package, _ = index
    wheel = fetch_package(package, tmp_path)
    for pattern, names in (
        ("photos/data/*.jpg", ["cats/a.jpg", "cats/b.jpg", "dogs/a.jpg"]),
        ("photos/data/do*.jpg", ["dogs/a.jpg"]),
    ):
        folder = tmp_path / f"{len(names)}"
        unpack_below(wheel, [pattern], package, folder)
        assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")) == names


def test_one_file_is_unpacked_and_mended(index, tmp_path):
    package, _ = index
    wheel = fetch_package(package, tmp_path)
    (tmp_path / "net.pth").write_bytes(b"somebody else's")
    path = unpack_file(wheel, "photos/models/net.pth", package)
    assert path == wheel.with_suffix("") / "net.pth" and path.read_bytes() == FILES["photos/models/net.pth"]
    assert (tmp_path / "net.pth").read_bytes() == b"somebody else's"
    before = path.stat().st_mtime_ns
    assert unpack_file(wheel, "photos/models/net.pth", package).stat().st_mtime_ns == before
    path.write_bytes(path.read_bytes().replace(b"weights", b"changed", 1))
    assert unpack_file(wheel, "photos/models/net.pth", package).read_bytes() == FILES["photos/models/net.pth"]


def test_a_file_is_named_not_described(tmp_path):
    package = build_wheel(tmp_path / "index", "my-nets", "1", {"nets/a[1].pth": b"x", "nets/b.pth": b"y"})
    wheel = next((tmp_path / "index").rglob("*.whl"))
    assert unpack_file(wheel, "nets/a[1].pth", package).read_bytes() == b"x"
    for name in ("nets/*.pth", "nets", "nets/"):
        assert refused(unpack_file, wheel, name, package) == f"package my-nets 1: holds no file {name}"


def test_a_damaged_member(tmp_path):
    package = build_wheel(tmp_path / "index", "my-nets", "1", {"nets/b.pth": b"y" * 1000})
    wheel = next((tmp_path / "index").rglob("*.whl"))
    wheel.write_bytes(wheel.read_bytes().replace(b"y" * 100, b"z" * 100, 1))
    assert "can't be read as a wheel (Bad CRC-32" in refused(unpack_file, wheel, "nets/b.pth", package)
    assert "can't be read as a wheel (Bad CRC-32" in refused(unpack_below, wheel, ["nets/*"], package, tmp_path / "all")
    assert not [*tmp_path.rglob("b.pth")] or (tmp_path / "all").exists()


@pytest.mark.parametrize("name", ["photos/../../outside.jpg", "/outside.jpg"])
def test_nothing_is_unpacked_elsewhere(tmp_path, name):
    wheel, package = tmp_path / "bad.whl", Package("bad", "1", "0" * 64)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(name, b"x")
    for unpack in (
        lambda: unpack_below(wheel, ["*.jpg"], package, tmp_path / "in"),
        lambda: find_members(wheel, [name], package),
    ):
        assert refused(unpack) == f"package bad 1: {name!r} is no path below a folder"
    assert not [*tmp_path.rglob("outside.jpg")]


def test_what_is_no_wheel(tmp_path):
    wheel = tmp_path / "bad.whl"
    wheel.write_bytes(b"no archive")
    message = refused(find_members, wheel, ["*"], Package("bad", "1", "0" * 64))
    assert re.fullmatch(rf"package bad 1: {re.escape(str(wheel))} can't be read as a wheel \(.*\)", message)


def test_names_of_wheels_differ():
    names = {Package(*each).file_name for each in [("a", "1", "0" * 64), ("a", "2", "0" * 64), ("a", "1", "1" * 64)]}
    assert len(names) == 3 and all(Path(name).name == name for name in names)
