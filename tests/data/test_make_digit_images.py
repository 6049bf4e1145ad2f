"""The generated digits: deterministic, balanced, with scans of one split alone and masks where the digits are."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import make_digit_images
from explanations.data.folders import list_folder
from make_digit_images import CONTRAST, LUMINANCE, contrasting_colour, crop, split_photograph, split_scans


def generate(root, split="val", count=20, size=32, scraps=2, seed=0, **more) -> dict[str, bytes]:
    make_digit_images.main(split, root / "images", root / "masks", count, size, scraps, seed, **more)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.png"))}


def test_the_generator_is_deterministic(tmp_path):
    first, second = generate(tmp_path / "a"), generate(tmp_path / "b")
    assert first == second
    assert generate(tmp_path / "a") == first  # over the former images
    other = generate(tmp_path / "c", seed=1)
    assert other.keys() == first.keys() and other != first
    assert generate(tmp_path / "d", split="train") != first


def test_images_depend_on_their_number_alone(tmp_path, monkeypatch):
    """Not on how many there are, nor on who paints them."""
    monkeypatch.setattr(make_digit_images, "IN_A_TASK", 7)
    few = generate(tmp_path / "few")
    many = generate(tmp_path / "many", count=30, threads=2)
    assert few.items() <= many.items() and len(many) == 60
    assert not few.items() & generate(tmp_path / "other", "tuning").items()


@pytest.mark.parametrize(("split", "least", "most"), [("val", 0.3, 0.7), ("start", 0.75, 0.9)])
def test_digits_are_as_high_as_is_said(tmp_path, split, least, most):
    generate(tmp_path, split, count=40, size=96)
    heights = [np.asarray(Image.open(path)).any(1).sum() / 96 for path in (tmp_path / "masks").rglob("*.png")]
    # a turned digit may be higher by a little, and some scans have empty rows
    assert 0.6 * least < min(heights) < most and least < np.median(heights) < max(heights) < 1.15 * most


def test_backgrounds_have_all_hues(tmp_path):
    material = make_digit_images.Material.of_split("val", 0)
    assert len(material.photographs) == 3
    rng = np.random.default_rng(0)
    crops = [crop(material.photographs[k % 3], 64, rng) for k in range(60)]
    assert {found.shape for found in crops} == {(64, 64, 3)} and all(
        0 <= found.min() <= found.max() <= 255 for found in crops
    )
    largest = [found.mean((0, 1)).argmax() for found in crops]
    assert min(largest.count(channel) for channel in range(3)) > 5


def test_classes_are_balanced(tmp_path):
    generate(tmp_path, count=30)
    classes = [file.path.split("/")[0] for file in list_folder(tmp_path / "images")[0]]
    assert classes == [str(digit) for digit in range(10) for _ in range(3)]


def test_a_smaller_count_leaves_no_former_images(tmp_path):
    generate(tmp_path, count=40)
    assert len(generate(tmp_path, count=10)) == 20  # images and masks


@pytest.mark.parametrize("seed", [0, 1, 17])
def test_no_scan_is_in_both_splits(seed):
    train, train_labels = split_scans("train", seed)
    val, val_labels = split_scans("val", seed)
    assert not {scan.tobytes() for scan in train} & {scan.tobytes() for scan in val}
    assert len(train) + len(val) == len(load_digits().images)
    assert set(train_labels) == set(val_labels) == set(range(10))
    assert len(val) / (len(train) + len(val)) == pytest.approx(0.2, abs=0.01)


def test_no_photographs_column_is_in_both_splits():
    photograph = np.arange(50)[None, :, None] * np.ones((4, 1, 3))
    train, val = (split_photograph(photograph, split) for split in ("train", "val"))
    assert not set(train[0, :, 0]) & set(val[0, :, 0])
    assert train.shape[1] + val.shape[1] == 50


def test_masks_are_where_the_digit_covers_the_photograph(tmp_path, monkeypatch):
    painted = []
    paint = make_digit_images.paint

    def recorded(*args):
        painted.append(paint(*args))
        return painted[-1]

    monkeypatch.setattr(make_digit_images, "paint", recorded)
    generate(tmp_path, count=10, scraps=2)
    names, masks = ([file.path for file in list_folder(tmp_path / split)[0]] for split in ("images", "masks"))
    assert names == masks
    for name, (canvas, alpha) in zip(names, painted[2::3], strict=True):  # the digit comes after two scraps
        assert np.array_equal(np.asarray(Image.open(tmp_path / "images" / name)), canvas.round())
        assert np.array_equal(np.asarray(Image.open(tmp_path / "masks" / name)), np.where(alpha > 0.5, 255, 0))
        assert 0.01 < (alpha > 0.5).mean() < 0.4


@pytest.mark.parametrize("seed", range(5))
def test_a_digit_is_one_colour_in_contrast_at_the_height_asked(seed):
    rng = np.random.default_rng(seed)
    canvas = rng.uniform(100, 140, (40, 40, 3))
    scan = np.ones((8, 8))
    found, alpha = make_digit_images.paint(canvas, scan, rng, (0.7, 0.9))
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    assert 28 <= len(rows) <= 36 and len(rows) == len(columns) == rows[-1] - rows[0] + 1
    assert np.array_equal(found[alpha == 0], canvas[alpha == 0])
    colours = np.unique(found[alpha == 1], axis=0)
    assert len(colours) == 1
    luminance = canvas[alpha > 0].mean(0) @ LUMINANCE
    assert abs(colours[0] @ LUMINANCE - luminance) >= CONTRAST


@pytest.mark.parametrize("seed", range(4))
def test_a_scrap_lacks_one_half_of_its_scan(seed):
    scan = np.ones((8, 8))
    found = make_digit_images.scrap(scan, np.random.default_rng(seed))
    halves = [found[:4], found[4:], found[:, :4], found[:, 4:]]
    assert sum(not half.any() for half in halves) == 1 and found.sum() == 32
    assert scan.all()  # the scan itself is left


@pytest.mark.parametrize("luminance", [0.0, 100.0, 128.0, 255.0])
def test_colours_are_in_contrast(luminance):
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert abs(contrasting_colour(luminance, rng) @ LUMINANCE - luminance) >= CONTRAST
