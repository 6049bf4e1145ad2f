"""Result files and the measures derived from them (Eqs 18–20, Suppl. F)."""

import h5py
import numpy as np
import pytest
from conftest import refused

from explanations.errors import InputError
from explanations.files.measurements import (
    MEASURES,
    NEVER,
    SETTINGS,
    STORED,
    derive_measure,
    read_measurements,
    write_measurements,
)

SET = {**dict.fromkeys(SETTINGS, "x"), "orders": ["minus", "plus"]}


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


def test_files_of_methods_that_a_network_has_no_maps_of(tmp_path):
    """As biases of a network without: they say nothing, and two are not one file twice."""
    for name, methods in (("a", []), ("b", ["m", "n"]), ("c", [])):
        write_measurements(tmp_path / name, methods, arrays([0, 1], len(methods)), SET)
    read = read_measurements([tmp_path / name for name in "abc"])
    assert read.methods == ["m", "n"] and read.values["e_minus"].shape == (2, 2)
    read = read_measurements([tmp_path / name for name in "ac"])
    assert read.methods == [] and read.values["e_minus"].shape == (2, 0)


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


def test_one_order_of_removal(tmp_path):
    """Methods measured in it stand beside others; what they lack is refused by name."""
    both, minus = arrays([0, 1], 2), {key: v for key, v in arrays([0, 1], 1, seed=1).items() if "plus" not in key}
    minus |= {"flip_minus": np.full((2, 1), 3), "flip_minus_noise": np.full((2, 1, 2), 4)}
    both |= {"flip_minus": np.full((2, 2), 3), "flip_minus_noise": np.full((2, 2, 2), 4)}
    both |= {"flip_plus": np.full((2, 2), 1), "flip_plus_noise": np.full((2, 2, 2), 2)}
    settings = {**SET, "grid": 9}
    write_measurements(tmp_path / "a", ["m", "n"], both, settings)
    write_measurements(tmp_path / "b", ["o"], minus, {**settings, "orders": ["minus"]})
    for names in ("ab", "ba"):
        found = read_measurements([tmp_path / name for name in names])
        assert np.array_equal(found.measure("delta_e_minus", "o"), (minus["e_minus"] - minus["e_minus_noise"])[:, 0])
        assert [name for name in MEASURES if found.has(name, "o")] == ["e_minus", "e_minus_noise", "delta_e_minus"]
        assert all(found.has(name, "m") for name in MEASURES) and not found.has("e_minus", "p")
        column = found.methods.index("o")
        assert np.isnan(found.values["e_plus"][:, column]).all()
        assert (found.values["flip_plus_noise"][:, column] == NEVER).all()
        for name in ("e_plus", "e_delta", "delta_e_delta"):
            assert refused(found.measure, name, "o") == f"measure is {name}; of o the order minus was measured"
    alone = read_measurements([tmp_path / "b"])
    assert not alone.has("e_plus", "o") and alone.has("e_minus", "o")
    message = refused(write_measurements, tmp_path / "c", ["o"], minus, {**settings, "orders": ["plus", "minus"]})
    assert message == f"{tmp_path / 'c'}: orders is plus minus; allowed are minus, plus, or both"
    write_measurements(tmp_path / "d", ["m", "n"], {**minus, "image": both["image"]} | both, settings)
    with h5py.File(tmp_path / "d", "a") as file:
        del file["e_plus"]
    assert refused(read_measurements, [tmp_path / "d"]).endswith("not a file of removal results; it lacks e_plus")


# --- values that can't be ----------------------------------------------------------------------------------------


def flipped(steps: list[list[int]], e: list[list[float]]) -> dict[str, np.ndarray]:
    """Two images and two methods whose decisions flip at the same place in either order, with the one noise map too."""
    found = {"image": np.array([4, 5]), "label": np.array([0, 1]), **dict.fromkeys(STORED, np.array(e))}
    found |= {name.replace("e_", "flip_", 1): np.array(steps) for name in STORED[:2]}
    return found | {name.replace("e_", "flip_", 1): np.array(steps)[..., None] for name in STORED[2:]}


GOOD = {
    "one": flipped([[1, 6], [-1, 3]], [[0.0, 1.0], [1.0, 0.5]]),
    "exclude": flipped([[1, 6], [-1, 3]], [[0.0, 1.0], [np.nan, 0.5]]),
}
NUMBER = "allowed is a number from 0 to 1"
WRONG = [
    ("one", "e_minus", (0, 0), np.nan, f"image 4, m: e_minus is nan; {NUMBER}"),
    ("one", "e_plus", (1, 1), np.inf, f"image 5, n: e_plus is inf; {NUMBER}"),
    ("one", "e_plus_noise", (0, 1), -1e-9, f"image 4, n: e_plus_noise is -1e-09; {NUMBER}"),
    ("one", "e_minus", (0, 0), 1.5, f"image 4, m: e_minus is 1.5; {NUMBER}"),
    ("one", "e_minus", (1, 0), 0.5, "image 5, m: e_minus is 0.5; allowed is 1, since its decision never flips"),
    ("one", "e_plus_noise", (1, 0), np.nan, "image 5, m: e_plus_noise is nan; allowed is 1, since its decision"),
    ("one", "flip_minus", (0, 1), 7, "image 4, n: flip_minus is 7; allowed are 1 to 6, or -1"),
    ("one", "flip_plus_noise", (0, 1, 0), 0, "image 4, n: flip_plus_noise is 0; allowed are 1 to 6, or -1"),
    ("one", "flip_plus", (1, 1), -2, "image 5, n: flip_plus is -2; allowed are 1 to 6, or -1"),
    ("exclude", "e_minus", (0, 0), np.nan, f"image 4, m: e_minus is nan; {NUMBER}"),
    ("exclude", "e_minus", (1, 0), 1.0, "image 5, m: e_minus is 1; allowed is NaN, since its decision never flips"),
]


def settings_of(never_flips: str) -> dict:
    return SET | {"grid": 6, "never_flips": never_flips}


@pytest.mark.parametrize("never_flips", GOOD)
def test_values_that_can_be(tmp_path, never_flips):
    write_measurements(tmp_path / "a", ["m", "n"], GOOD[never_flips], settings_of(never_flips))
    found = read_measurements([tmp_path / "a"])
    for name in STORED:
        np.testing.assert_array_equal(found.values[name], GOOD[never_flips][name])


@pytest.mark.parametrize(("never_flips", "name", "place", "value", "message"), WRONG)
def test_values_that_cannot_be(tmp_path, never_flips, name, place, value, message):
    """They are neither written nor read."""
    path, arrays = tmp_path / "a", {key: values.copy() for key, values in GOOD[never_flips].items()}
    write_measurements(path, ["m", "n"], arrays, settings_of(never_flips))
    with h5py.File(path, "a") as file:
        file[name][place] = value
    found = refused(read_measurements, [path])
    assert found.startswith(f"{path}: {message}")
    assert found.endswith(f"; make it again: snakemake --cores all --force {path}")
    arrays[name][place] = value
    other = tmp_path / "b"
    assert refused(write_measurements, other, ["m", "n"], arrays, settings_of(never_flips)).startswith(
        f"{other}: {message}"
    )
    assert not other.exists()


def test_noise_maps_are_excluded_if_one_never_flips_and_1_if_all_never_do(tmp_path):
    """Their e is a mean."""
    arrays = {key: values.copy() for key, values in GOOD["one"].items()}
    arrays["flip_minus_noise"] = np.array([[[1, -1], [2, 2]], [[-1, -1], [3, -1]]])
    write_measurements(tmp_path / "a", ["m", "n"], arrays, settings_of("one"))
    arrays["e_minus"][1, 0] = arrays["e_plus"][1, 0] = arrays["e_plus_noise"][1, 0] = np.nan
    arrays["e_minus_noise"] = np.array([[np.nan, 1.0], [np.nan, np.nan]])
    write_measurements(tmp_path / "b", ["m", "n"], arrays, settings_of("exclude"))
    assert np.isnan(read_measurements([tmp_path / "b"]).values["e_minus_noise"]).sum() == 3


def test_files_of_other_labels(tmp_path):
    first, second = arrays([0, 1], 2), arrays([0, 1], 1)
    second["label"] = np.array([0, 2])
    write_measurements(tmp_path / "a", ["m", "n"], first, SET)
    write_measurements(tmp_path / "b", ["o"], second, SET)
    with pytest.raises(InputError, match="hold different labels of the same images"):
        read_measurements([tmp_path / "a", tmp_path / "b"])
