"""Data sets as they lie on disk, and what is done about files that can't be used."""

import hashlib
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import numpy as np
import pytest
from conftest import LISTING
from photographs import write_photographs
from PIL import Image
from scipy import io
from torchvision.datasets import Imagenette
from torchvision.datasets import imagenet as torchvision_imagenet

import list_images
from explanations.data import imagenet, obtaining
from explanations.data.folders import list_folder
from explanations.data.images import load_images
from explanations.data.listing import check_files, list_labelled
from explanations.data.obtaining import obtain
from explanations.data.sets import DATA_SETS, Archive
from explanations.downloads.fetching import fetch_file
from explanations.errors import InputError
from explanations.files.framing import Framing, Picture
from explanations.files.manifests import UNLABELLED, ManifestRow, read_manifest

LISTING = {**LISTING, "labels": "imagenet", "threads": 2}
SYNSETS = ["n03888257", "n01440764", "n02979186"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Four photographs of each of three classes of ImageNet, in its layout."""
    return write_photographs(tmp_path_factory.mktemp("imagenet") / "val", SYNSETS, 4)


def labelled(images: Path, labels: str) -> list[ManifestRow]:
    return list_labelled(images, list_folder(images)[0], labels)


# --- classes -----------------------------------------------------------------------------------------------------


def test_imagenets_classes():
    assert len(imagenet.synsets()) == len(set(imagenet.synsets())) == 1000
    assert len(imagenet.class_names()) == len(set(imagenet.class_names())) == 1000
    assert list(imagenet.synsets()) == sorted(imagenet.synsets())  # as class folders are listed
    assert (imagenet.synsets()[0], imagenet.class_names()[0]) == ("n01440764", "tench")
    assert [imagenet.find_class(name) for name in ("n01440764", "999", "gazelle", "toilet tissue")] == [
        0,
        999,
        353,
        999,
    ]


@pytest.mark.parametrize("name", ["n00000001", "1000", "-1", "Tench", ""])
def test_a_folder_that_is_no_class_of_imagenet(name):
    with pytest.raises(InputError, match=f"images.folder: {name} is no class of ImageNet; allowed is a synset such as"):
        imagenet.find_class(name)


def test_imagenettes_classes_are_imagenets():
    for synset, (name, *others) in Imagenette._WNID_TO_CLASS.items():
        assert imagenet.class_names()[imagenet.find_class(synset)] in (name, *others)


@pytest.mark.parametrize(
    ("folders", "labels"),
    [(SYNSETS, [0, 482, 701]), (["701", "0", "482"], [0, 482, 701]), (["tench", "parachute"], [0, 701])],
)
def test_labels_are_places_among_a_classifiers_outputs(tmp_path, folders, labels):
    rows = labelled(write_photographs(tmp_path / "val", folders, 2), "imagenet")
    assert [row.label for row in rows] == [label for label in labels for _ in range(2)]
    assert [row.index for row in rows] == list(range(len(rows)))
    assert {row.class_name for row in rows} <= {"tench", "cassette player", "parachute"}


def test_labels_of_any_classes_and_of_none(photographs):
    rows = labelled(photographs, "folders")
    assert [row.label for row in rows] == [0] * 4 + [1] * 4 + [2] * 4
    assert {row.class_name for row in rows} == set(SYNSETS)
    rows = labelled(photographs.parent, "none")
    assert len(rows) == 12 and {(row.class_name, row.label) for row in rows} == {("", UNLABELLED)}
    assert rows[0].path.startswith("val/n01440764/")


# --- files -------------------------------------------------------------------------------------------------------


def test_a_listing_reads_what_imagenet_holds(photographs, tmp_path, capsys):
    """Sizes, formats and modes are mixed; what isn't RGB is named and converted."""
    list_images.main("imagenet", photographs, tmp_path / "t.csv", **LISTING)
    rows = read_manifest(tmp_path / "t.csv")
    pixels = load_images([row.picture(photographs, tmp_path / "t.csv") for row in rows], Framing(224, 256))
    assert pixels.shape == (12, 3, 224, 224)
    said = capsys.readouterr().out
    assert said.count("converted: ") == said.count("its pixels are L, not RGB") + said.count("CMYK, not RGB") == 4
    assert "12 images of 3 classes" in said


@pytest.mark.parametrize("value", ["skip", "stop"])
def test_other_modes(photographs, tmp_path, capsys, value):
    flags = {**LISTING, "other_modes": value}
    if value == "stop":
        with pytest.raises(InputError, match=r"its pixels are (L|CMYK), not RGB; images.other_modes: convert or skip"):
            list_images.main("imagenet", photographs, tmp_path / "t.csv", **flags)
        assert not (tmp_path / "t.csv").exists()
        return
    list_images.main("imagenet", photographs, tmp_path / "t.csv", **flags)
    assert len(read_manifest(tmp_path / "t.csv")) == 8
    assert capsys.readouterr().out.count("left out: ") == 4


@pytest.mark.parametrize("value", ["skip", "stop"])
def test_corrupt_files(photographs, tmp_path, capsys, value):
    folder = shutil.copytree(photographs, tmp_path / "val")
    broken = sorted((folder / "n01440764").iterdir())[1]
    broken.write_bytes(broken.read_bytes()[:-2000])
    (folder / "n02979186" / "empty.JPEG").touch()
    flags = {**LISTING, "unreadable": value}
    if value == "stop":
        with pytest.raises(InputError) as raised:
            list_images.main("imagenet", folder, tmp_path / "t.csv", **flags)
        assert str(raised.value).startswith(f"{broken}: can't be read as an image (")
        assert str(raised.value).endswith("; images.unreadable: skip leaves such files out")
        assert not (tmp_path / "t.csv").exists()
        return
    list_images.main("imagenet", folder, tmp_path / "t.csv", **flags)
    rows = read_manifest(tmp_path / "t.csv")
    assert len(rows) == 11 and broken.name not in {row.path.rpartition("/")[2] for row in rows}
    said = capsys.readouterr().out
    assert f"left out: {broken}: " in said and "empty.JPEG: can't be read" in said


@pytest.fixture
def odd(tmp_path) -> Path:
    """Images that need a word: floats, deep grey, one colour, two pages, one held sideways, among plain ones."""
    folder = write_photographs(tmp_path / "val", SYNSETS[:2], 2)
    place, ramp = folder / SYNSETS[0], np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(ramp.astype(np.float32)).save(place / "floats.tif")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(place / "deep.png")
    Image.new("RGB", (16, 16), (3, 4, 5)).save(place / "flat.png")
    pages = [Image.fromarray(np.dstack([values] * 3)) for values in (ramp, 255 - ramp)]
    pages[0].save(place / "pages.tif", save_all=True, append_images=pages[1:])
    exif = Image.Exif()
    exif[274] = 6
    pages[0].save(place / "sideways.jpg", exif=exif)
    return folder


def test_images_that_need_a_word(odd, tmp_path, capsys):
    """Floats have no range to scale by; the rest is used, and named."""
    place = odd / SYNSETS[0]
    message = f"{place / 'floats.tif'}: its pixels are floats (F), whose range isn't known; allowed are images of 8 or"
    with pytest.raises(InputError) as raised:
        list_images.main("folder", odd, tmp_path / "t.csv", **LISTING)
    assert str(raised.value) == f"{message} 16 bits; images.unreadable: skip leaves such files out"
    with pytest.raises(InputError, match=r"; images.other_modes: (skip leaves|convert or skip allows) such files"):
        list_images.main("folder", odd, tmp_path / "t.csv", **{**LISTING, "unreadable": "skip", "other_modes": "stop"})
    capsys.readouterr()
    assert not (tmp_path / "t.csv").exists()
    list_images.main("folder", odd, tmp_path / "t.csv", **{**LISTING, "unreadable": "skip"})
    rows = read_manifest(tmp_path / "t.csv")
    names = {Path(row.path).name for row in rows}
    assert names >= {"deep.png", "flat.png", "pages.tif", "sideways.jpg"} and "floats.tif" not in names
    assert {row.orientation for row in rows} == {1}
    said = capsys.readouterr().out
    for line in (
        f"left out: {message} 16 bits",
        f"converted: {place / 'deep.png'}: its pixels are I;16, not RGB",
        f"one colour: {place / 'flat.png'}",
        f"first of 2 pages or frames: {place / 'pages.tif'}",
        "1 images have an EXIF orientation other than as stored, and are used as stored; images.orientation: apply",
    ):
        assert said.count(line) == 1, line
    list_images.main("folder", odd, tmp_path / "t.csv", **{**LISTING, "other_modes": "skip"})
    assert not {"floats.tif", "deep.png"} & {Path(row.path).name for row in read_manifest(tmp_path / "t.csv")}


def test_an_orientation_is_applied_by_the_list(odd, tmp_path, capsys):
    """The list says how each image is turned, and whatever reads the list turns it."""
    flags = {**LISTING, "unreadable": "skip", "orientation": "apply"}
    list_images.main("folder", odd, tmp_path / "t.csv", **flags)
    [row] = [row for row in read_manifest(tmp_path / "t.csv") if row.path.endswith("sideways.jpg")]
    assert row.orientation == 6
    assert "1 images have an EXIF orientation other than as stored, and are turned so" in capsys.readouterr().out
    stored, turned = (
        load_images([picture], Framing(16, 16))
        for picture in (Picture(odd / row.path), row.picture(odd, tmp_path / "t.csv"))
    )
    assert np.array_equal(turned[0], np.rot90(stored[0], -1, (1, 2))) and not np.array_equal(turned, stored)


def test_a_class_of_which_nothing_is_left_is_named(photographs, tmp_path, capsys):
    folder = shutil.copytree(photographs, tmp_path / "val")
    for path in (folder / SYNSETS[0]).iterdir():
        path.write_bytes(b"")
    list_images.main("folder", folder, tmp_path / "t.csv", **{**LISTING, "unreadable": "skip"})
    assert {row.label for row in read_manifest(tmp_path / "t.csv")} == {0, 482}
    assert "left out: class parachute, none of whose images can be used" in capsys.readouterr().out


def test_a_list_holds_a_hash_of_each_image(photographs, tmp_path):
    list_images.main("imagenet", photographs, tmp_path / "t.csv", **LISTING)
    for row in read_manifest(tmp_path / "t.csv"):
        assert row.content == hashlib.sha256((photographs / row.path).read_bytes()).hexdigest()[:16]


def test_nothing_is_left(tmp_path):
    (tmp_path / "val" / "a").mkdir(parents=True)
    (tmp_path / "val" / "a" / "x.png").touch()
    with pytest.raises(InputError, match="holds no image that can be used"):
        check_files(labelled(tmp_path / "val", "folders"), tmp_path / "val", "skip", "convert", "ignore", 1)


def test_unknown_choices(photographs):
    for call, message in (
        (
            lambda: obtain({"source": "cifar"}, photographs),
            "images.source is cifar; allowed are digits, folder, ",
        ),
        (lambda: labelled(photographs, "all"), "images.labels is all; allowed are folders, imagenet, none"),
        (
            lambda: check_files([], photographs, "no", "skip", "ignore", 1),
            "images.unreadable is no; allowed are stop, skip",
        ),
        (
            lambda: check_files([], photographs, "skip", "no", "ignore", 1),
            "images.other_modes is no; allowed are convert, skip",
        ),
        (
            lambda: check_files([], photographs, "skip", "skip", "no", 1),
            "images.orientation is no; allowed are ignore, apply",
        ),
    ):
        with pytest.raises(InputError) as raised:
            call()
        assert str(raised.value).startswith(message)


# --- archives ----------------------------------------------------------------------------------------------------


def md5(path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def archives(photographs, tmp_path, monkeypatch):
    """The validation set's archive and its development kit, as ImageNet publishes them, of twelve photographs."""
    root = tmp_path / "imagenet"
    data = root / "ILSVRC2012_devkit_t12" / "data"
    data.mkdir(parents=True)
    files = sorted(photographs.glob("*/*"), key=lambda file: file.name)
    synsets = np.array(
        [(k + 1, synset, f"{synset}, x", 0) for k, synset in enumerate(SYNSETS)],
        dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")],
    )
    io.savemat(data / "meta.mat", {"synsets": with_gloss(synsets)})
    truth = "".join(f"{SYNSETS.index(file.parent.name) + 1}\n" for file in files)
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text(truth)
    with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as archive:
        archive.add(root / "ILSVRC2012_devkit_t12", "ILSVRC2012_devkit_t12")
    shutil.rmtree(root / "ILSVRC2012_devkit_t12")
    with tarfile.open(root / "ILSVRC2012_img_val.tar", "w") as archive:
        for file in files:
            archive.add(file, file.name)
    published = {
        "val": ("ILSVRC2012_img_val.tar", md5(root / "ILSVRC2012_img_val.tar")),
        "devkit": ("ILSVRC2012_devkit_t12.tar.gz", md5(root / "ILSVRC2012_devkit_t12.tar.gz")),
    }
    monkeypatch.setattr(torchvision_imagenet, "ARCHIVE_META", published)
    return root


def with_gloss(synsets: np.ndarray) -> np.ndarray:
    """ImageNet's table has the number of children fifth, after a gloss."""
    table = np.empty(
        len(synsets), [(name, "O") for name in ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children")]
    )
    for key in synsets.dtype.names:
        table[key] = synsets[key]
    table["gloss"] = "a thing"
    return table


def test_the_original_archives_are_unpacked(archives, photographs, tmp_path):
    list_images.main("imagenet", archives / "val", tmp_path / "t.csv", **LISTING)
    list_images.main("imagenet", photographs, tmp_path / "wanted.csv", **LISTING)
    assert (tmp_path / "t.csv").read_text() == (tmp_path / "wanted.csv").read_text()
    assert sorted(path.name for path in archives.iterdir()) == [
        *("ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_img_val.tar", "val")
    ]


def test_damaged_archives_leave_nothing(archives, tmp_path):
    content = (archives / "ILSVRC2012_img_val.tar").read_bytes()
    (archives / "ILSVRC2012_img_val.tar").write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"images.source is imagenet; .*ILSVRC2012_img_val.tar"):
        list_images.main("imagenet", archives / "val", tmp_path / "t.csv", **LISTING)
    assert sorted(path.name for path in archives.iterdir()) == [
        *("ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_img_val.tar")
    ]


def test_imagenet_is_not_there(tmp_path):
    with pytest.raises(InputError) as raised:
        obtain({"source": "imagenet"}, tmp_path / "val")
    assert str(raised.value) == (
        f"images.folder: {tmp_path} holds neither val/<synset>/<file> nor "
        "ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz"
    )


def publish(monkeypatch, name: str, *archive: str) -> None:
    """Let a data set be at an address, of a hash."""
    monkeypatch.setitem(DATA_SETS, name, replace(DATA_SETS[name], archive=Archive(*archive)))


def packed(folder, tmp_path, name: str, mode: str):
    """An archive that holds a folder under a name, and its address."""
    path = tmp_path / f"{name}.tgz"
    with tarfile.open(path, mode) as archive:
        archive.add(folder, name)
    return path


def test_imagenette_downloads_itself(photographs, tmp_path, monkeypatch, serve):
    for split in ("train", "val"):
        shutil.copytree(photographs, tmp_path / "packed" / split)
    path = packed(tmp_path / "packed", tmp_path, "imagenette2-320", "w:gz")
    publish(monkeypatch, "imagenette", serve(path), md5(path), "md5")
    images = tmp_path / "data" / "imagenette2-320" / "val"
    list_images.main("imagenette", images, tmp_path / "t.csv", **LISTING)
    assert {row.label for row in read_manifest(tmp_path / "t.csv")} == {0, 482, 701}
    assert (images.parent / "train" / "n01440764").is_dir()
    assert [path.name for path in (tmp_path / "data").iterdir() if path.suffix != ".lock"] == ["imagenette2-320"]


@pytest.mark.parametrize("name", ["none.tgz", "wrong.tgz"])
def test_a_broken_download_leaves_nothing(tmp_path, monkeypatch, serve, name):
    (tmp_path / "wrong.tgz").write_bytes(b"another file")
    publish(monkeypatch, "imagenette", serve(tmp_path / name), "0" * 32, "md5")
    with pytest.raises(InputError, match=rf"http://.*{name}: (the server says 404|its MD5 is .*; expected 0000)"):
        obtain({"source": "imagenette"}, tmp_path / "data" / "imagenette2-320" / "val")
    assert {path.name for path in (tmp_path / "data").iterdir()} == {f".{name}.lock", ".imagenette2-320.lock"}


def test_experiments_that_want_a_data_set_together_get_it(tmp_path, monkeypatch, serve):
    """Each of them removes the archive when it has unpacked it."""
    name = "imagenetv2-matched-frequency-format-val"
    archive = packed(write_photographs(tmp_path / "made", ["0", "482"], 20), tmp_path, name, "w")
    publish(monkeypatch, "imagenet_v2", serve(archive), hashlib.sha256(archive.read_bytes()).hexdigest())
    images, fetched = tmp_path / "data" / name, Barrier(2)

    def fetch_together(*arguments):
        found = fetch_file(*arguments)
        with suppress(BrokenBarrierError):
            fetched.wait(1)
        return found

    monkeypatch.setattr(obtaining, "fetch_file", fetch_together)
    with ThreadPoolExecutor(2) as pool:
        for made in [pool.submit(obtain, {"source": "imagenet_v2"}, images) for _ in range(2)]:
            made.result()
    assert len([*images.rglob("*.jpg"), *images.rglob("*.JPEG")]) == 40
    assert [path.name for path in (tmp_path / "data").iterdir() if not path.name.startswith(".")] == [name]


def test_imagenet_v2_downloads_itself(tmp_path, monkeypatch, serve):
    """Its classes are numbers, its archive a plain one whatever its name says."""
    name = "imagenetv2-matched-frequency-format-val"
    archive = packed(write_photographs(tmp_path / "made", ["0", "482", "999"], 2), tmp_path, name, "w")
    publish(monkeypatch, "imagenet_v2", serve(archive), hashlib.sha256(archive.read_bytes()).hexdigest())
    images = tmp_path / "data" / name
    list_images.main("imagenet_v2", images, tmp_path / "t.csv", **LISTING)
    rows = read_manifest(tmp_path / "t.csv")
    assert [row.label for row in rows] == [0, 0, 482, 482, 999, 999] and rows[-1].class_name == "toilet tissue"
    assert [path.name for path in (tmp_path / "data").iterdir() if not path.name.startswith(".")] == [name]
    publish(monkeypatch, "imagenet_v2", DATA_SETS["imagenet_v2"].archive.address, "0" * 64)
    with pytest.raises(InputError, match=r"its SHA-256 is .*; expected 0000"):
        obtain({"source": "imagenet_v2"}, tmp_path / "other" / name)
