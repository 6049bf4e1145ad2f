"""Planted evidence: the patch alone says the class; all else is drawn without regard to it."""

from itertools import product

import numpy as np
import pytest
from PIL import Image
from scipy.stats import chi2_contingency

import make_digit_images
from explanations.data.planted import PATTERNS, plant
from make_digit_images import CLASSES, PATCH, Material, paint_digit, paint_images

SIZE, SIDES = 32, (0.3, 0.5)


@pytest.fixture(scope="module")
def material() -> Material:
    return Material.of_split("val", 0, planted=True)


def shape(cells: np.ndarray) -> tuple:
    """Which cells of (4, 4) are marked, wherever they lie."""
    places = np.argwhere(cells)
    return tuple(map(tuple, places - places.min(0)))


@pytest.mark.parametrize("cells", [PATTERNS, ~PATTERNS], ids=["white", "black"])
def test_patterns_differ_in_how_cells_lie_alone(cells):
    """By the white and by the black ones, so that a patch can be told apart on black and on white."""
    assert cells.shape == (CLASSES, 4, 4) and (cells.sum((1, 2)) == 8).all()
    assert len({shape(pattern) for pattern in cells}) == CLASSES


@pytest.mark.parametrize("seed", range(5))
def test_a_patch_is_its_patterns_cells_over_the_scene(seed):
    """Pixel by pixel: cell (4y // side, 4x // side) of the pattern, in black and white."""
    rng = np.random.default_rng(seed)
    scene, pattern = rng.uniform(1, 254, (SIZE, SIZE, 3)), PATTERNS[seed]
    before = scene.copy()
    planted, shown = plant(scene, pattern, rng, SIDES)
    assert np.array_equal(scene, before)
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    side = len(rows)
    assert len(columns) == side and shown.sum() == side**2 and 0.3 * SIZE - 0.5 <= side <= 0.5 * SIZE + 0.5
    for y, x in product(range(SIZE), repeat=2):
        if shown[y, x]:
            cell = pattern[4 * (y - rows[0]) // side, 4 * (x - columns[0]) // side]
            assert (planted[y, x] == 255 * cell).all()
        else:
            assert (planted[y, x] == scene[y, x]).all()


def test_patches_lie_anywhere():
    rng, scene = np.random.default_rng(0), np.zeros((20, 20, 3))
    shown = [plant(scene, PATTERNS[0], rng, (0.5, 0.5))[1] for _ in range(3000)]
    corners = np.array([np.argwhere(mask)[0] for mask in shown])
    counts = np.histogram2d(*corners.T, bins=(np.arange(12), np.arange(12)))[0]
    assert counts.sum() == 3000 and counts.min() > 5  # of 25 expected at each of 11² places


@pytest.mark.parametrize("seed", range(4))
def test_another_classes_patch_is_the_other_classes_image(material, seed):
    """The same draws and another class give the same image but for the pattern: nothing else knows the class."""
    images = []
    for label in range(CLASSES):
        rng = np.random.default_rng(seed)
        scene, _ = paint_digit(material, int(rng.integers(CLASSES)), rng, SIZE, 2)
        images.append((*plant(scene, PATTERNS[label], rng, SIDES), rng.random()))
    first, shown, later = images[0]
    for label, (image, mask, after) in enumerate(images):
        assert np.array_equal(mask, shown) and after == later
        assert np.array_equal(image[~shown], first[~shown])
        replaced = first.copy()
        cells = np.arange(round(np.sqrt(shown.sum()))) * 4 // round(np.sqrt(shown.sum()))
        replaced[shown] = 255.0 * np.repeat(PATTERNS[label][np.ix_(cells, cells)].ravel()[:, None], 3, 1)
        assert np.array_equal(image, replaced)


def test_labels_are_of_the_patch_and_not_of_the_digit(material, monkeypatch):
    """Of a thousand images each label's digits are any; the patch at the mask is the label's."""
    digits = []

    def draw(material, digit, rng, size, scraps):
        digits.append(digit)
        return rng.uniform(1, 254, (size, size, 3)), None

    monkeypatch.setattr(make_digit_images, "paint_digit", draw)
    labels = []
    for label, image, mask in paint_images(material, range(1000), (0, 1), 96, 2):
        labels.append(label)
        top, left = np.argwhere(mask)[0]
        side = round(np.sqrt((mask > 0).sum()))
        assert set(np.unique(mask)) == {0, 255} and PATCH[0] * 96 - 0.5 <= side <= PATCH[1] * 96 + 0.5
        middles = ((np.arange(4) + 0.5) * side / 4).astype(int)
        assert np.array_equal(image[top:, left:][np.ix_(middles, middles)][..., 0] == 255, PATTERNS[label])
    table = np.histogram2d(labels, digits, bins=(range(11), range(11)))[0]
    assert table.sum() == 1000 and (table.sum(1) == 100).all() and table.sum(0).min() > 60
    assert chi2_contingency(table).pvalue > 0.01


def test_a_folder_of_planted_images(tmp_path):
    """The class is its folder; masks mark squares; patches are large in split start, digits aren't."""
    shares = {}
    for split in ("val", "start"):
        images, masks = tmp_path / split, tmp_path / f"{split}_masks"
        make_digit_images.main(split, images, masks, 20, 96, 2, 0, planted=True)
        names = sorted(path.relative_to(images) for path in images.rglob("*.png"))
        assert [name.parts[0] for name in names] == [str(label) for label in range(10) for _ in range(2)]
        assert names == sorted(path.relative_to(masks) for path in masks.rglob("*.png"))
        shares[split] = [np.sqrt((np.asarray(Image.open(masks / name)) > 0).mean()) for name in names]
    assert 0.12 < min(shares["val"]) <= max(shares["val"]) < 0.18 < 0.29 < min(shares["start"])
    assert Material.of_split("start", 0, planted=True).heights == make_digit_images.DIGIT
