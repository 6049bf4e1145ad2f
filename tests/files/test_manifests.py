"""Manifests: which images are drawn, and their files."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import extract, refused, remove
from small import describe

import make_example_maps
import train_network
from explanations.errors import InputError
from explanations.files.framing import Picture
from explanations.files.manifests import UNLABELLED, ManifestRow, choose_images, read_manifest, write_manifest
from explanations.networks.evaluation import LabelledImages

NAMES = "abcd"
ROWS = [
    ManifestRow(6 * label + k, f"{NAMES[label]}/{k}.png", NAMES[label], label) for label in range(4) for k in range(6)
]
UNKNOWN = [ManifestRow(row.index, row.path, "", UNLABELLED) for row in ROWS]


def choose(classes: int, per_class: int, seed: int = 0, short_classes: str = "stop", rows=ROWS) -> list[ManifestRow]:
    return choose_images(rows, classes, per_class, seed, short_classes, Path("all.csv"))


def test_choice_is_balanced_and_seeded():
    rows = choose(3, 4)
    assert [row.index for row in rows] == list(range(12))
    assert sorted(Counter(row.class_name for row in rows).values()) == [4, 4, 4]
    assert len({row.path for row in rows}) == 12
    assert rows == sorted(rows, key=lambda row: row.path)
    for row in rows:
        assert row.path.startswith(f"{row.class_name}/")
        assert NAMES[row.label] == row.class_name
    assert choose(3, 4) == rows
    assert len({tuple(row.path for row in choose(3, 4, seed)) for seed in range(5)}) > 1


def test_choosing_everything():
    assert choose(4, 6) == ROWS


def test_labels_may_have_gaps():
    """Ten of ImageNet's classes keep their places among the thousand."""
    rows = [ManifestRow(row.index, row.path, row.class_name, 100 * row.label + 7) for row in ROWS]
    assert {row.label for row in choose(4, 2, rows=rows)} == {7, 107, 207, 307}


def test_images_without_labels_are_drawn_from_all():
    rows = choose(3, 4, rows=UNKNOWN)
    assert len(rows) == len({row.path for row in rows}) == 12
    assert rows == sorted(rows, key=lambda row: row.path)
    with pytest.raises(InputError, match=r"images.classes × images.per_class is 25; all.csv holds 24 images"):
        choose(5, 5, rows=UNKNOWN)


def test_short_classes_are_left_out_or_stop(capsys):
    rows = [row for row in ROWS if row.path not in ("b/0.png", "c/1.png")]
    with pytest.raises(InputError, match=r"images.per_class is 6; all.csv: class b holds 5 images"):
        choose(4, 6, rows=rows)
    assert {row.class_name for row in choose(2, 6, short_classes="skip", rows=rows)} == {"a", "d"}
    assert "left out: class b holds 5 images; images.per_class is 6" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"images.classes is 3; all.csv holds 2 classes with 6 images or more"):
        choose(3, 6, short_classes="skip", rows=rows)


def test_choosing_more_classes_than_there_are():
    with pytest.raises(InputError, match=r"images.classes is 5; all.csv holds 4 classes"):
        choose(5, 2)


def test_manifest_round_trip(tmp_path):
    rows = [
        ManifestRow(0, "a/x, y.png", 'the "a"', 3, 6, "0123456789abcdef"),
        ManifestRow(1, "ü/1.png", "ü", UNLABELLED),
    ]
    write_manifest(tmp_path / "m.csv", rows)
    assert read_manifest(tmp_path / "m.csv") == rows
    assert (tmp_path / "m.csv").read_text().splitlines()[0] == "index,path,class,label,orientation,content"


# --- what can't be -----------------------------------------------------------------------------------------------

HEADER = "index,path,class,label,orientation,content"
INSIDE = "allowed are paths inside the folder of images"
LABELS = "allowed are -1, not known, to 2147483647"
WRONG = {
    "0,a/x.png,a,99999999999999999999,1,": f"label 99999999999999999999 of a/x.png; {LABELS}",
    f"0,a/x.png,a,{'9' * 4000},1,": f"label {'9' * 20}… of a/x.png; {LABELS}",
    f"0,a/x.png,a,{'9' * 5000},1,": "not a manifest (",
    "0,a/x.png,a,2147483648,1,": f"label 2147483648 of a/x.png; {LABELS}",
    "0,a/x.png,a,-2,1,": f"label -2 of a/x.png; {LABELS}",
    "0,a/x.png,a,1.0,1,": "not a manifest (",
    "99999999999999999999,a/x.png,a,0,1,": "its rows must be numbered 0, 1, … and be at least one",
    "-1,a/x.png,a,0,1,": "its rows must be numbered 0, 1, … and be at least one",
    "0,a/x.png,a,0,99999999999999999999,": "orientation 99999999999999999999 of a/x.png; allowed are 1 to 8",
    "0,../x.png,a,0,1,": f"image 0 is ../x.png; {INSIDE}",
    "0,a/../../x.png,a,0,1,": f"image 0 is a/../../x.png; {INSIDE}",
    "0,/etc/passwd,a,0,1,": f"image 0 is /etc/passwd; {INSIDE}",
    "0,,a,0,1,": f"image 0 is empty; {INSIDE}",
    "0,a/\0.png,a,0,1,": "image 0 is 'a/\\x00.png' of class 'a'; allowed is printable text",
    '0,"a/\n.png",a,0,1,': "image 0 is 'a/\\n.png' of class 'a'; allowed is printable text",
    '0,a/x.png,"a\r\nb",0,1,': "image 0 is 'a/x.png' of class 'a\\r\\nb'; allowed is printable text",
    f"0,{'a' * 200_000},a,0,1,": "not a manifest (field larger than field limit",
    "0,a/x.png,a,0": "not a manifest (",
    "0,a/x.png,a,0,1,\n1,a/x.png,a,0,1,": "a/x.png is there twice; each image counts once",
    "0,a/\udcff.png,a,0,1,": "not a manifest (",
}


@pytest.mark.parametrize("rows", WRONG, ids=range(len(WRONG)))
def test_a_manifest_of_what_can_not_be(tmp_path, rows):
    path = tmp_path / "m.csv"
    path.write_text(f"{HEADER}\n{rows}\n", newline="", errors="surrogateescape")
    assert refused(read_manifest, path).startswith(f"{path}: {WRONG[rows]}")


def test_the_list_that_an_image_stands_in(tmp_path):
    """Of a manifest, the list that it was drawn from: made again, the manifest alone would keep what it says."""
    row = ManifestRow(0, "a/x.png", "a", 0, 3, "0123456789abcdef")
    found = row.picture(Path("images"), Path("results/e/manifest.csv"))
    assert found == Picture(Path("images/a/x.png"), 3, "0123456789abcdef", Path("results/e/test_images.csv"))
    assert row.picture(Path("images"), Path("results/e/train_images.csv")).listing.name == "train_images.csv"


def test_labels_beyond_a_networks_classes(world, tmp_path):
    """In every step that has both: nothing is written."""
    rows = [replace(row, label=row.label + 1000) for row in read_manifest(world.manifest)]
    manifest, output = tmp_path / "manifest.csv", tmp_path / "results" / "output"
    write_manifest(manifest, rows)
    message = f"{manifest}: label {rows[0].label} of {rows[0].path}; the network has 10 classes"
    for step in (extract, remove):
        assert refused(step, world, "vgg16", output, manifest=manifest) == message
    network, shards = world.networks["vgg16"], [world.shards["vgg16"]]
    flags = (network, manifest, world.images, shards, output, [0], ["gradient"], "bilinear")
    assert refused(make_example_maps.main, *flags) == message
    said = f"{manifest}: class {rows[0].class_name} has label {rows[0].label}, but {rows[0].class_name} among"
    assert refused(LabelledImages.read, manifest, world.images, describe("vgg16")).startswith(said)
    assert not output.parent.exists()


def test_training_on_a_label_far_beyond_the_others_takes_no_memory():
    rows = [ManifestRow(0, "a/x.png", "a", 0), ManifestRow(1, "b/x.png", "b", 2**31 - 1)]
    message = "m.csv: holds no image with label 1; allowed are labels 0, 1, … without a gap"
    assert refused(train_network.name_classes, rows, Path("m.csv")) == message
