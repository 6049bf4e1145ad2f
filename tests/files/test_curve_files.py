"""Files of curves: blocks of images and methods as one, what can't be is refused."""

import numpy as np
import pytest
from conftest import refused

from explanations.files.curves import read_curves, write_curves

GRID = 3
SETTINGS = {
    **{"experiment": "e", "network": "n", "variant": "original", "weights": "w", "upsampling": "bilinear"},
    **{"grid": GRID, "noise_maps": 1, "fill": 0.0, "ties": "random", "never_flips": "one", "precision": "float32"},
}


def arrays(images: list[int], methods: int) -> dict[str, np.ndarray]:
    """Curves that tell the image and the method."""
    shape = (len(images), methods, 2, 2)
    place = np.array(images)[:, None] + np.arange(methods) / 10
    logit = np.broadcast_to(place[..., None, None, None], (*shape, GRID + 1)).astype(np.float32)
    return {
        **{"image": np.array(images), "label": np.array(images) % 2},
        **{"logit": logit, "probability": np.full_like(logit, 0.5)},
        **{"flip": np.ones(shape, int), "e": np.full(shape, 0.1)},
    }


def write(path, images=(0, 1), methods=("a", "b"), settings=SETTINGS, **changes):
    write_curves(path, methods, {**arrays(list(images), len(methods)), **changes}, settings)
    return path


def test_blocks_and_methods_are_put_together(tmp_path):
    paths = [
        write(tmp_path / "ab1.h5", [2, 3]),
        write(tmp_path / "c0.h5", [0, 1], ["c"]),
        write(tmp_path / "ab0.h5"),
        write(tmp_path / "c1.h5", [2, 3], ["c"]),
        write(tmp_path / "none.h5", methods=[]),  # a method that can't explain the network
    ]
    curves = read_curves(paths)
    assert curves.image.tolist() == [0, 1, 2, 3] and curves.label.tolist() == [0, 1, 0, 1]
    assert {method: values["logit"].shape for method, values in curves.values.items()} == dict.fromkeys(
        "abc", (4, 2, 2, GRID + 1)
    )
    assert curves.values["b"]["logit"][:, 0, 0, 0] == pytest.approx([0.1, 1.1, 2.1, 3.1])
    assert curves.settings["grid"] == GRID and curves.settings["network"] == "n"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"logit": np.full((2, 2, 2, 2, 4), np.nan)}, "logit holds NaN or infinite values; all must be finite"),
        ({"probability": np.full((2, 2, 2, 2, 4), 1.5)}, "probability is 1.5 to 1.5; allowed are 0 to 1"),
        ({"probability": np.full((2, 2, 2, 2, 4), np.nan)}, "probability is nan to nan; allowed are 0 to 1"),
        ({"flip": np.full((2, 2, 2, 2), 4)}, "flip is 4 to 4; allowed are -1 to 3"),
        ({"flip": np.zeros((2, 2, 2), int)}, "flip is of 2 × 2 × 2; allowed is 2 × 2 × 2 × 2"),
        ({"logit": np.zeros((2, 2, 2, 2, 3))}, "logit is of 2 × 2 × 2 × 2 × 3; allowed is 2 × 2 × 2 × 2 × 4"),
    ],
)
def test_values_that_can_not_be(tmp_path, changes, said):
    assert refused(write, tmp_path / "c.h5", **changes) == f"{tmp_path / 'c.h5'}: {said}"
    assert not [*tmp_path.iterdir()]


def test_files_that_do_not_belong_together(tmp_path):
    first = write(tmp_path / "0.h5")
    other = write(tmp_path / "1.h5", [2, 3], settings={**SETTINGS, "precision": "bfloat16"})
    assert refused(read_curves, [first, other]) == f"{other}: precision is bfloat16; {first} has float32"
    assert refused(read_curves, [first, first]).endswith("the files of curves given hold an image twice")
    elsewhere = write(tmp_path / "2.h5", [4, 5], ["c"])
    assert refused(read_curves, [first, elsewhere]).endswith("hold other images of c than of others")
    assert refused(read_curves, [write(tmp_path / "3.h5", methods=[])]).endswith("hold no method")
