"""Files of patches and of their correlations: blocks of images as one, what can't be is refused."""

import numpy as np
import pytest
from conftest import refused

from explanations.files.patches import (
    read_patch_correlations,
    read_patch_scores,
    write_patch_correlations,
    write_patch_scores,
)

SETTINGS = {
    **{"experiment": "e", "network": "n", "variant": "original", "weights": "w"},
    **{"side": 2, "precision": "float32", "fill": 0.0},
}


def write(path, images=(0, 1), settings=SETTINGS, **changes):
    logit = np.array(images, np.float32)[:, None] + np.arange(5, dtype=np.float32) / 10
    arrays = {"image": np.array(images), "label": np.array(images) % 2, "logit": logit}
    write_patch_scores(path, {**arrays, "probability": np.full_like(logit, 0.5), **changes}, settings)
    return path


def test_blocks_are_put_together(tmp_path):
    scores = read_patch_scores([write(tmp_path / "1.h5", [2, 3]), write(tmp_path / "0.h5")])
    assert scores.image.tolist() == [0, 1, 2, 3] and scores.label.tolist() == [0, 1, 0, 1]
    assert scores.values["logit"][:, 1] == pytest.approx([0.1, 1.1, 2.1, 3.1])
    assert (scores.settings["side"], scores.settings["operator"], scores.settings["setting"]) == (2, "fill", 0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"logit": np.full((2, 5), np.inf)}, "logit holds NaN or infinite values; all must be finite"),
        ({"probability": np.full((2, 5), 1.5)}, "probability is 1.5 to 1.5; allowed are 0 to 1"),
        ({"probability": np.full((2, 5), np.nan)}, "probability is nan to nan; allowed are 0 to 1"),
        ({"logit": np.zeros((2, 4))}, "logit is of 2 × 4; allowed is 2 × 5"),
    ],
)
def test_values_that_can_not_be(tmp_path, changes, said):
    assert refused(write, tmp_path / "p.h5", **changes) == f"{tmp_path / 'p.h5'}: {said}"
    assert not [*tmp_path.iterdir()]


def test_files_that_do_not_belong_together(tmp_path):
    first = write(tmp_path / "0.h5")
    for key, value in (("precision", "bfloat16"), ("weights", "v"), ("operator", "mean")):
        other = write(tmp_path / "1.h5", [2, 3], {**SETTINGS, key: value})
        held = SETTINGS.get(key, "fill")
        assert refused(read_patch_scores, [first, other]) == f"{other}: {key} is {value}; {first} has {held}"
    assert refused(read_patch_scores, [first, first]).endswith("the files of patches given hold an image twice")


def test_correlations(tmp_path):
    scores, path = read_patch_scores([write(tmp_path / "0.h5")]), tmp_path / "c.h5"
    about = {"noise_maps": 1, "upsampling": "bilinear"}
    found = {"a": np.array([[0.5, np.nan], [1, -1]]), "b": np.zeros((2, 2))}
    write_patch_correlations(path, scores, {m: {"logit": v, "probability": -v} for m, v in found.items()}, about)
    read = read_patch_correlations(path)
    assert read.image.tolist() == [0, 1] and list(read.values) == ["a", "b"] and read.settings["network"] == "n"
    np.testing.assert_array_equal(read.values["a"]["logit"], found["a"])
    np.testing.assert_array_equal(read.values["a"]["probability"], -found["a"])
    wrong = {"a": {"logit": np.full((2, 2), 1.5), "probability": np.zeros((2, 2))}}
    write_patch_correlations(path, scores, wrong, about)
    assert refused(read_patch_correlations, path).startswith(f"{path}: logit is 1.5; allowed are -1 to 1; ")
    write_patch_correlations(path, scores, wrong, {**about, "noise_maps": 2})
    said = refused(read_patch_correlations, path)
    assert said.startswith(f"{path}: logit is of 2 × 1 × 2; allowed is 2 × 1 × 3; ")
