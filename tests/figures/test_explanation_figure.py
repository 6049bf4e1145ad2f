"""The figure of one explained image: of few layers and many, names of any length, a target that isn't the decision."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from names import AWKWARD
from small import describe

from explanations.explaining.explanation import ClassScore, ExplainedLayer, Explanation, MeasuredMap
from explanations.figures.decomposition import arrange
from explanations.figures.explanation import PANEL, SHOWN, board, choose_layers, draw_explanation, format_share
from explanations.figures.page import DOUBLE_COLUMN
from explanations.files.measurements import NEVER, STORED

SIDE = 32
METHODS = ("gradient", "input", "gradcam", "fullgrad", "activity_1", "activity_with_input", "bias_1", "activity_from_1")


def made(sizes: list[int], methods=METHODS, names=("cat",) * 6, target: int = 0, flip: int = 3) -> Explanation:
    """An explanation of made-up numbers: layers of the heights `sizes`, those of odd number with biases."""
    rng = np.random.default_rng(0)
    top = tuple(ClassScore(k, names[k], 5.0 - k, 0.5 / (k + 1)) for k in range(5))
    layers = tuple(
        ExplainedLayer(
            name=f"layer {l}",
            activity=rng.normal(size=(size, size)),
            bias=rng.normal(size=(size, size)) if l % 2 else None,
            activity_sum=100.0 + l,
            bias_sum=-200.0 - l,
            above=7.0,
            gap=0.0,
            relative_gap=0.0,
        )
        for l, size in enumerate(sizes)
    )
    e = dict(zip(STORED, (0.8, 0.3, 0.6, 0.4), strict=True))
    maps = tuple(MeasuredMap(name, rng.random((SIDE, SIDE)), e, flip, flip) for name in methods)
    score = (*top, ClassScore(5, names[5], -1.0, 0.0001))[target]
    pixels = rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    removed = None if flip == NEVER else rng.random((SIDE, SIDE)) < 0.5
    return Explanation("x.png", "", describe("vgg16"), pixels, top, score, layers, maps, ("a", "b"), removed)


def draw(folder: Path, found: Explanation) -> None:
    draw_explanation(folder / "f.pdf", folder / "f.png", 50, found, "Network")


@pytest.mark.parametrize(
    "sizes", [[32, 1], [32, 16, 8, 1], [64] * 10 + [32] * 10 + [1], [64, 63, 62, 61, 32, 31, 16, 8, 7, 6, 4, 2, 1]]
)
def test_layers_that_are_shown(sizes):
    """No more than there is room for; the input, the top and, if there is room, the last of each size among them."""
    shapes = [(size, size) for size in sizes]
    chosen, maps = choose_layers(shapes), [l for l, size in enumerate(sizes) if size > 1]
    assert chosen == sorted(set(chosen)) and len(chosen) == min(SHOWN, len(maps))
    assert chosen[0] == 0 and chosen[-1] == maps[-1]
    ends = {l for l in maps if l == maps[-1] or sizes[l + 1] != sizes[l]}
    assert len(ends) >= SHOWN or ends <= set(chosen)
    (row,) = arrange(shapes, chosen, 0.0, PANEL)
    right = row.lefts + row.sides
    assert right[-1] <= DOUBLE_COLUMN and (row.lefts[1:] > right[:-1]).all()


def test_many_layers_of_one_size_are_shown_evenly():
    gaps = np.diff(choose_layers([(14, 14)] * 61))
    assert gaps.max() <= 2 * gaps.min() + 1  # the widest gap is halved until there are enough


def test_sums_and_measures_are_stated(texts, tmp_path):
    draw(tmp_path, made([32, 16, 8, 1]))
    assert {"100", "101", "102", "−201", "0.80", "+0.20", "0.30", "−0.10"} <= set(texts)
    assert "103" not in texts  # a layer without positions has no map
    assert sum(text == "0.80" for text in texts) == len(METHODS)
    assert any("maps of 2 other images" in text and "never" not in text for text in texts)
    assert not any("coloured class" in text for text in texts)


def test_a_target_that_is_not_the_decision_is_said(texts, tmp_path):
    draw(tmp_path, made([32, 8, 1], target=2))
    assert any("coloured class" in text for text in texts) and "< 0.1%" not in texts
    draw(tmp_path, made([32, 8, 1], target=5))
    assert any("coloured class" in text for text in texts) and "< 0.1%" in texts


def test_what_never_flips_is_said(texts, tmp_path):
    draw(tmp_path, made([32, 8, 1], flip=NEVER))
    assert any("as the least salient pixels go first" in text for text in texts) and "0.80*" in texts
    left_out = made([32, 8, 1], flip=NEVER)
    none = [replace(each, stored=dict.fromkeys(STORED, float("nan"))) for each in left_out.maps]
    draw(tmp_path, replace(left_out, maps=tuple(none)))
    assert "–" in texts and not any("nan" in text for text in texts)


@pytest.mark.parametrize(("sizes", "count"), [([64] * 30 + [16] * 30 + [1], 8), ([32, 1], 19)])
def test_figures_are_drawn(tmp_path, sizes, count):
    """Of sixty layers, of more methods than a row has room for; names that a formula could stumble over."""
    methods = (METHODS + tuple(f"activity_{k}" for k in range(2, 20)))[:count]
    draw(tmp_path, made(sizes, methods=methods, names=AWKWARD[:6], target=5))
    assert (tmp_path / "f.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_removed_pixels_are_a_board():
    squares = board(56)
    assert squares.shape == (56, 56, 3) and set(np.unique(squares)) == {214, 255}
    assert (squares[0, 0] != squares[0, 2]).all() and (squares[0, 0] == squares[2, 2]).all()


def test_shares_in_words():
    assert [format_share(p) for p in (0.954, 0.0951, 0.004, 0.0001, 0.0)] == ["95%", "9.5%", "0.4%", "< 0.1%", "< 0.1%"]
