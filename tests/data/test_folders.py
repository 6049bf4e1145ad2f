"""Which files of a folder are images, and how one learns that they have changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LISTING, refused
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

import list_images
from explanations.data import fingerprints
from explanations.data.fingerprints import Note, fingerprint, read_note, write_note
from explanations.data.folders import ENDINGS, check_names, holds_images, list_folder
from explanations.files.hashes import hash_content
from explanations.files.manifests import read_manifest

SCRIPTS = Path(list_images.__file__).parent


def fill(folder: Path, *names: str) -> Path:
    """Small images in a folder, each another."""
    for index, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image = Image.linear_gradient("L").resize((8, 8)).point(lambda value, index=index: value // (index + 1))
        image.convert("RGB").save(folder / name, "JPEG" if name.lower().endswith("jfif") else None)
    return folder


def paths(folder: Path) -> list[str]:
    return [file.path for file in list_folder(folder)[0]]


# --- what is an image --------------------------------------------------------------------------------------------


def test_what_torchvision_takes_is_taken(tmp_path):
    """And two more endings, in capitals as well; in the order of torchvision's ImageFolder."""
    assert set(ENDINGS) == {*IMG_EXTENSIONS, ".gif", ".jfif"}
    names = [f"{folder}/x{ending}" for folder in ("b", "a", "a-b", "B") for ending in IMG_EXTENSIONS]
    fill(tmp_path, *names, "a/Y.JPG", "b/z.Png")
    assert paths(tmp_path) == [str(Path(path).relative_to(tmp_path)) for path, _ in ImageFolder(tmp_path).samples]
    fill(tmp_path, "a/x.gif", "a/x.jfif", "a/Z.GIF")
    assert len(paths(tmp_path)) == len(names) + 2 + 3


def test_what_is_no_image_is_passed_over_and_counted(tmp_path, capsys):
    fill(tmp_path, "a/1.png", "b/deep/2.png", "stray.png")
    for name in ("a/notes.txt", "a/more.TXT", "a/README", "b/x.npy", "top.md"):
        (tmp_path / name).write_text("no image")
    list_images.main("folder", tmp_path, tmp_path / "t.csv", **LISTING)
    assert [row.path for row in read_manifest(tmp_path / "t.csv")] == ["a/1.png", "b/deep/2.png"]
    said = capsys.readouterr().out.splitlines()
    assert said[:5] == [
        *("passed over: 1 ending in .md", "passed over: 1 ending in .npy", "passed over: 2 ending in .txt"),
        *("passed over: 1 without an ending", "passed over: 1 images that are in no class folder"),
    ]


def test_what_systems_leave_is_no_class_and_no_image(tmp_path, capsys):
    fill(tmp_path, "a/1.png", "b/2.png", "__MACOSX/a/1.png", "a/._1.png", ".ipynb_checkpoints/1.png", "@eaDir/1.png")
    fill(tmp_path, "a/.ipynb_checkpoints/1.png", "b/__MACOSX/2.png", ".hidden/1.png", "$RECYCLE.BIN/1.png")
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini"):
        (tmp_path / "a" / name).write_text("")
    list_images.main("folder", tmp_path, tmp_path / "t.csv", **LISTING)
    assert [(row.path, row.class_name) for row in read_manifest(tmp_path / "t.csv")] == [
        ("a/1.png", "a"),
        ("b/2.png", "b"),
    ]
    assert "passed over: 11 hidden, or left by a system\n" in capsys.readouterr().out


def test_a_folder_with_a_link_to_itself(tmp_path, capsys):
    """Each image once, whatever leads back; a link that leads nowhere is an image that can't be read."""
    images = fill(tmp_path / "val", "a/1.png", "b/2.png")
    (images / "a/self").symlink_to(images / "a")
    (images / "b/all").symlink_to("..")
    (images / "loop").symlink_to(images)
    (images / "above").symlink_to(tmp_path)
    (images / "a/ring").symlink_to("ring")
    assert paths(images) == ["a/1.png", "b/2.png"]
    list_images.main("folder", images, tmp_path / "t.csv", **LISTING)
    assert {row.class_name for row in read_manifest(tmp_path / "t.csv")} == {"a", "b"}
    assert "passed over: 4 links to folders that are listed already\n" in capsys.readouterr().out
    (images / "a/lost.png").symlink_to("nowhere.png")
    message = refused(list_images.main, "folder", images, tmp_path / "t.csv", **LISTING)
    assert message.startswith(f"{images / 'a/lost.png'}: no such image")


def test_links_lead_to_classes_that_lie_elsewhere(tmp_path):
    """Real folders come first, then the topmost links: a link within a class takes nothing from another class."""
    store = fill(tmp_path / "store", "x/1.png", "y/2.png")
    images = fill(tmp_path / "val", "b/3.png", "c/4.png")
    (images / "a").symlink_to(store / "x")
    (images / "b/more").symlink_to(store / "x")
    (images / "b/other").symlink_to(images / "c")
    (images / "c/more").symlink_to(store / "y")
    assert paths(images) == ["a/1.png", "b/3.png", "c/4.png", "c/more/2.png"]
    (tmp_path / "link").symlink_to(images)
    assert paths(tmp_path / "link") == paths(images)


def test_whether_a_folder_holds_images(tmp_path):
    assert not holds_images(tmp_path / "none") and not holds_images(tmp_path)
    fill(tmp_path, "__MACOSX/1.png")
    (tmp_path / "archive.tar.gz").touch()
    assert not holds_images(tmp_path)
    fill(tmp_path, "a/b/1.PNG")
    assert holds_images(tmp_path)


# --- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"caf\xe9.png", r"'a/caf\udce9.png'"), (b"a\nb.png", r"'a/a\nb.png'"), (b"a\rb.png", r"'a/a\rb.png'")],
)
def test_names_that_tables_cannot_hold(tmp_path, name, shown):
    """They are named before any file is looked at: the one that isn't an image comes first."""
    images = fill(tmp_path / "val", "a/good.png", "a/x.png")
    (images / "a/0.png").write_text("no image")
    os.rename(images / "a/x.png", os.path.join(os.fsencode(images / "a"), name))
    message = (
        f"images.folder: {images} holds {shown}; allowed are names in UTF-8, without line breaks and other control"
    )
    assert refused(list_images.main, "folder", images, tmp_path / "t.csv", **LISTING) == f"{message} characters"
    command = [sys.executable, "-W", "ignore", list_images.__file__, "--images", images, "--output", tmp_path / "t.csv"]
    said = subprocess.run(command, text=True, capture_output=True)
    assert (said.returncode, said.stderr) == (1, f"list_images.py: error: {message} characters\n")
    assert fingerprint(images, tmp_path / "note") == fingerprint(images, tmp_path / "note")


def test_other_names_are_text(tmp_path):
    check_names(tmp_path, list_folder(fill(tmp_path, "ü/ß, “x” 日本.png", "b/a b'\"#%.png"))[0])


def test_the_ending_of_a_name_that_is_not_text(tmp_path, capsys):
    images = fill(tmp_path / "val", "a/1.png")
    (Path(os.fsdecode(os.fsencode(images / "a") + b"/x.\xe9"))).touch()
    list_images.main("folder", images, tmp_path / "t.csv", **LISTING)
    assert r"passed over: 1 ending in .\udce9" in capsys.readouterr().out


# --- whether they have changed -----------------------------------------------------------------------------------


@pytest.fixture
def noted(tmp_path) -> tuple[Path, Path, str]:
    """A folder that was listed, the listing's note, and what the plan said of the folder before."""
    images, note = fill(tmp_path / "val", "a/1.png", "a/2.png", "b/3.png", "stray.png"), tmp_path / "notes/n.txt"
    (images / "b/broken.png").write_text("no image")
    known = fingerprint(images, note)
    flags = {**LISTING, "unreadable": "skip", "note": note, "fingerprint": known}
    list_images.main("folder", images, tmp_path / "t.csv", **flags)
    return images, note, known


def touch(path: Path) -> None:
    os.utime(path, (1e9, 1e9))


def test_a_fingerprint_stays_while_images_do(noted, monkeypatch):
    images, note, known = noted
    monkeypatch.setattr(fingerprints, "hash_content", lambda path: pytest.fail("no file need be read"))
    assert fingerprint(images, note) == known


def test_touched_images_are_the_same(noted, monkeypatch):
    """Those that can't be read too. They are read once: the note gets their new times."""
    images, note, known = noted
    for path in images.rglob("*.*"):
        touch(path)
    touch(images / "a")
    assert fingerprint(images, note) == known
    monkeypatch.setattr(fingerprints, "hash_content", lambda path: pytest.fail("no file need be read"))
    assert fingerprint(images, note) == known


def swap(images: Path) -> None:
    """Another image of the same size in bytes."""
    content = bytearray((images / "a/1.png").read_bytes())
    content[-20] ^= 1
    (images / "a/1.png").write_bytes(content)


CHANGES = {
    "added": lambda images: fill(images, "b/4.png"),
    "deleted": lambda images: (images / "a/2.png").unlink(),
    "renamed": lambda images: (images / "a/2.png").rename(images / "a/4.png"),
    "moved": lambda images: (images / "a/2.png").rename(images / "b/2.png"),
    "replaced": lambda images: Image.new("RGB", (90, 90)).save(images / "a/1.png"),
    "swapped": swap,
    "mended": lambda images: fill(images, "b/broken.png"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_images_are_not(noted, change):
    images, note, known = noted
    CHANGES[change](images)
    changed = fingerprint(images, note)
    assert changed != known and changed == fingerprint(images, note)


def test_images_that_are_changed_back(noted, tmp_path):
    images, note, known = noted
    content = (images / "a/1.png").read_bytes()
    (images / "a/1.png").unlink()
    assert fingerprint(images, note) != known
    (images / "a/1.png").write_bytes(content)
    assert fingerprint(images, note) == known


def test_a_folder_that_comes_and_goes(tmp_path):
    """One that the listing unpacks or downloads is not changed by that, and one that is put away neither."""
    note, images = tmp_path / "note", tmp_path / "val"
    before = fingerprint(images, note)
    files = list_folder(fill(images, "a/1.png"))[0]
    write_note(note, Note(before, str(images), files, [hash_content(images / "a/1.png")]))
    assert fingerprint(images, note) == before
    images.rename(tmp_path / "away")
    assert fingerprint(images, note) == before
    images.mkdir()
    assert "holds no images" in fingerprint(images, note)


@pytest.mark.parametrize("text", ["", "x", "x\ny\nz", "x\ny\nz\n- a b c"])
def test_a_damaged_note_is_none(noted, text):
    images, note, known = noted
    note.write_text(text)
    assert fingerprint(images, note) == known  # of the same sizes and times
    touch(images / "a/1.png")
    assert fingerprint(images, note) != known


def test_a_flipped_bit_in_a_note_is_no_error(noted):
    """At the worst, the images are listed again; bytes that are no text are among what comes of it."""
    images, note, _ = noted
    content = note.read_bytes()
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        note.write_bytes(changed)
        assert fingerprint(images, note)
        read_note(note)


def test_a_note_that_cant_be_read_is_none(noted):
    images, note, _ = noted
    note.unlink()
    note.mkdir()
    assert fingerprint(images, note)
    assert read_note(note) is None


def test_another_folder_that_is_not_there(noted):
    """A folder that is gone can't have changed; one that was never listed is another."""
    images, note, known = noted
    images.rename(images.with_name("away"))
    assert fingerprint(images, note) == known
    assert fingerprint(images.with_name("other"), note) == f"{images.with_name('other')} isn't there yet"
    assert fingerprint(images.with_name("away"), note) == known  # the same images


def test_a_pipe_is_no_image(tmp_path):
    images = fill(tmp_path / "val", "a/1.png")
    os.mkfifo(images / "a/2.png")
    assert [file.path for file in list_folder(images)[0]] == ["a/1.png"]


def test_a_note_is_read_back(noted):
    images, note, known = noted
    found = read_note(note)
    assert found.fingerprint == known and found.files == list_folder(images)[0]
    assert found.contents == [hash_content(images / file.path) for file in found.files]


@pytest.mark.parametrize("module", ["data.fingerprints", "data.sets", "networks.sources.registry"])
def test_a_plan_needs_the_standard_library_alone(module):
    """Snakemake's own environment need hold nothing else."""
    code = f"import sys; import explanations.{module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); {code}"]
    said = subprocess.run(command, text=True, capture_output=True, check=True).stdout
    assert set(said.split()) - {"__main__", "explanations"} <= sys.stdlib_module_names | {"__mp_main__"}
