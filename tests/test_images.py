"""Folders of images and manifests."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from explanations.command import InputError
from explanations.framing import Framing
from explanations.images import (
    ManifestRow,
    choose_images,
    frame,
    list_images,
    load_image,
    load_images,
    read_manifest,
    write_manifest,
)


@pytest.fixture
def folder(tmp_path):
    """Four classes of six one-colour images, beside files that are none."""
    root = tmp_path / "images"
    for label, name in enumerate(("b", "a", "d", "c")):
        (root / name).mkdir(parents=True)
        for k in range(6):
            Image.new("RGB", (8, 8), (10 * label, 20 * k, 0)).save(root / name / f"{k}.png")
        (root / name / "notes.txt").write_text("no image")
    (root / ".cache").mkdir()
    (root / "readme.md").write_text("no class")
    return root


def test_listing_is_sorted(folder):
    classes, paths, labels = list_images(folder)
    assert classes == ["a", "b", "c", "d"]
    assert [path.relative_to(folder).as_posix() for path in paths] == [f"{c}/{k}.png" for c in "abcd" for k in range(6)]
    assert labels.tolist() == [label for label in range(4) for _ in range(6)]


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".webp", ".tif"])
def test_other_kinds_of_images(folder, suffix):
    Image.new("RGB", (8, 8)).save(folder / "a" / f"z{suffix}")
    assert len(list_images(folder)[1]) == 25


def test_choice_is_balanced_and_seeded(folder):
    rows = choose_images(folder, 3, 4, 0)
    assert [row.index for row in rows] == list(range(12))
    assert sorted(Counter(row.class_name for row in rows).values()) == [4, 4, 4]
    assert len({row.path for row in rows}) == 12
    assert rows == sorted(rows, key=lambda row: row.path)
    for row in rows:
        assert row.path.startswith(f"{row.class_name}/") and (folder / row.path).exists()
        assert "abcd"[row.label] == row.class_name
    assert choose_images(folder, 3, 4, 0) == rows
    assert len({tuple(row.path for row in choose_images(folder, 3, 4, seed)) for seed in range(5)}) > 1


def test_choosing_everything(folder):
    assert len(choose_images(folder, 4, 6, 0)) == 24


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((5, 2), "images.classes is 5; .*images holds 4 classes"),
        ((4, 7), "images.per_class is 7; .*images/a holds 6 images"),
    ],
)
def test_choosing_more_than_there_are(folder, flags, message):
    with pytest.raises(InputError, match=message):
        choose_images(folder, *flags, 0)


def test_manifest_round_trip(tmp_path):
    rows = [ManifestRow(0, "a/x, y.png", 'the "a"', 3), ManifestRow(1, "ü/1.png", "ü", 0)]
    write_manifest(tmp_path / "m.csv", rows)
    assert read_manifest(tmp_path / "m.csv") == rows
    assert (tmp_path / "m.csv").read_text().splitlines()[0] == "index,path,class,label"


def test_an_image_of_the_right_size_is_read_as_it_is(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "i.png")
    found = load_image(tmp_path / "i.png", Framing(32, 32))
    assert np.array_equal(found, values.transpose(2, 0, 1))


def test_an_oblong_image_loses_its_ends(tmp_path):
    values = np.zeros((8, 24, 3), np.uint8)
    values[:, :8, 0], values[:, 8:16, 1], values[:, 16:, 2] = 200, 200, 200
    for name, array in (("wide", values), ("tall", values.transpose(1, 0, 2))):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
        found = load_image(tmp_path / f"{name}.png", Framing(8, 8))
        assert (found[1] == 200).all() and not found[[0, 2]].any()


@pytest.mark.parametrize("shape", [(64, 64), (65, 97), (33, 200), (7, 5)])
def test_every_image_is_brought_to_size(tmp_path, shape):
    Image.new("RGB", shape[::-1], (1, 2, 3)).save(tmp_path / "i.png")
    found = load_image(tmp_path / "i.png", Framing(32, 32))
    assert found.shape == (3, 32, 32) and found.dtype == np.uint8
    assert [np.unique(channel).tolist() for channel in found] == [[1], [2], [3]]


@pytest.mark.parametrize("shape", [(64, 64), (65, 97), (33, 200), (97, 65), (224, 224), (256, 300)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_framing_is_torchvisions(shape, interpolation):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))
    steps = [v2.Resize(73, v2.InterpolationMode(interpolation)), v2.CenterCrop(64)]
    assert np.array_equal(frame(image, Framing(64, 73, interpolation)), v2.Compose(steps)(image))


def test_squashing_keeps_an_image_whole(tmp_path):
    values = np.zeros((40, 80, 3), np.uint8)
    values[:, 40:] = 200
    found = np.asarray(frame(Image.fromarray(values), Framing(20, 20, squash=True)))
    assert not found[:, :9].any() and (found[:, 11:] == 200).all()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_other_modes_become_rgb(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(tmp_path / f"i.{suffix}")
    assert (load_image(tmp_path / f"i.{suffix}", Framing(8, 8)) >= 254).all()


def test_images_are_stacked_in_the_order_given(folder):
    paths = [folder / "b" / "3.png", folder / "d" / "0.png"]
    found = load_images(paths, Framing(8, 8))
    assert found[:, :, 0, 0].tolist() == [[0, 60, 0], [20, 0, 0]]
