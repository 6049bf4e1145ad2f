"""Manifests: which images are drawn, and their files."""

from collections import Counter
from pathlib import Path

import pytest

from explanations.command import InputError
from explanations.manifests import UNLABELLED, ManifestRow, choose_images, read_manifest, write_manifest

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
