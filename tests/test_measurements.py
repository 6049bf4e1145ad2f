"""Result files and the measures derived from them (Eqs 18–20, Suppl. F)."""

import numpy as np
import pytest

from explanations.command import InputError
from explanations.measurements import MEASURES, SETTINGS, STORED, derive_measure, read_measurements, write_measurements

SET = dict.fromkeys(SETTINGS, "x")


def arrays(images: list[int], methods: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = {name: rng.random((len(images), methods)) for name in STORED}
    return {**found, "image": np.array(images), "label": np.array(images) % 3}


def test_measures_one_by_one():
    stored = {name: np.random.default_rng(0).random(5) for name in STORED}
    stored = {name: values * (1 + place) for place, (name, values) in enumerate(stored.items())}
    found = {name: derive_measure(name, stored) for name in MEASURES}
    for i in range(5):
        minus, plus = stored["e_minus"][i], stored["e_plus"][i]
        minus_noise, plus_noise = stored["e_minus_noise"][i], stored["e_plus_noise"][i]
        wanted = {
            **{"e_minus": minus, "e_plus": plus, "e_minus_noise": minus_noise, "e_plus_noise": plus_noise},
            **{"e_delta": minus - plus, "e_delta_noise": minus_noise - plus_noise},
            **{"delta_e_minus": minus - minus_noise, "delta_e_plus": plus - plus_noise},
            "delta_e_delta": (minus - plus) - (minus_noise - plus_noise),
        }
        assert {name: values[i] for name, values in found.items()} == pytest.approx(wanted)


def test_unknown_measure():
    with pytest.raises(InputError, match="measure is e; allowed are e_minus, "):
        derive_measure("e", {})


def test_blocks_are_stacked_in_the_order_of_images(tmp_path):
    whole = arrays([0, 1, 2, 3], 2)
    for name, rows in (("a", [2, 0]), ("b", [3, 1])):
        write_measurements(tmp_path / name, ["m", "n"], {key: v[rows] for key, v in whole.items()}, SET)
    found = read_measurements([tmp_path / "a", tmp_path / "b"])
    assert found.image.tolist() == [0, 1, 2, 3]
    assert found.label.tolist() == [0, 1, 2, 0]
    for name in STORED:
        assert np.array_equal(found.values[name], whole[name])
        assert np.array_equal(found.measure(name, "n"), whole[name][:, 1])


def test_families_are_set_side_by_side(tmp_path):
    first, second = arrays([0, 1], 2, 0), arrays([0, 1], 1, 1)
    write_measurements(tmp_path / "a", ["m", "n"], first, SET)
    write_measurements(tmp_path / "b", ["o"], second, SET)
    found = read_measurements([tmp_path / "a", tmp_path / "b"])
    assert found.methods == ["m", "n", "o"]
    assert np.array_equal(found.measure("e_plus", "o"), second["e_plus"][:, 0])


@pytest.mark.parametrize(
    ("second", "settings", "message"),
    [
        (arrays([0, 1], 1), {"grid": "y"}, "grid is y; .*a has x"),
        (arrays([0, 1], 1), {"never_flips": "y"}, "never_flips is y; .*a has x"),
        (arrays([0, 2], 1), {}, "hold different images"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path, second, settings, message):
    write_measurements(tmp_path / "a", ["m", "n"], arrays([0, 1], 2), SET)
    write_measurements(tmp_path / "b", ["o"], second, {**SET, **settings})
    with pytest.raises(InputError, match=message):
        read_measurements([tmp_path / "a", tmp_path / "b"])


def test_an_image_must_not_be_given_twice(tmp_path):
    write_measurements(tmp_path / "a", ["m"], arrays([0, 1], 1), SET)
    with pytest.raises(InputError, match="hold an image twice"):
        read_measurements([tmp_path / "a", tmp_path / "a"])


def test_unmeasured_method(tmp_path):
    write_measurements(tmp_path / "a", ["m", "n"], arrays([0], 2), SET)
    with pytest.raises(InputError, match="method is o; measured are m, n"):
        read_measurements([tmp_path / "a"]).measure("e_minus", "o")
