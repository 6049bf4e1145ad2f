"""Measures against masks: by pixels counted one by one, by scikit-learn, by hand; and of whole networks."""

from collections.abc import Callable
from fractions import Fraction

import h5py
import numpy as np
import pytest
import torch
from conftest import refused
from PIL import Image
from sklearn.metrics import average_precision_score

import measure_localisation
from explanations.files.made_maps import write_maps
from explanations.files.manifests import read_manifest
from explanations.files.shards import ShardReader
from explanations.files.tables import read_tables
from explanations.localisation.measures import MEASURES, average_precision, find_marked, measure_all, rank_accuracy
from explanations.methods.maps import ShardMaps
from explanations.methods.names import parse_method
from explanations.methods.saliency import saliency_maps
from explanations.methods.sources import controls

# --- literal versions, pixel by pixel, in fractions -------------------------------------------------------------------


def literal_energy(pixels: list[tuple[Fraction, bool]]) -> Fraction:
    positive = [(max(value, Fraction(0)), marked) for value, marked in pixels]
    inside = sum(value for value, marked in positive if marked)
    share = Fraction(sum(marked for _, marked in pixels), len(pixels))
    return inside / sum(value for value, _ in positive) / share


def literal_pointing(pixels: list[tuple[Fraction, bool]]) -> Fraction:
    largest = max(value for value, _ in pixels)
    hits = [marked for value, marked in pixels if value == largest]
    return Fraction(sum(hits), len(hits))


def literal_rank_accuracy(pixels: list[tuple[Fraction, bool]]) -> Fraction:
    """Places are given out from the largest value down; those of one value share what is left."""
    k = places = sum(marked for _, marked in pixels)
    found = Fraction(0)
    for value in sorted({value for value, _ in pixels}, reverse=True):
        same = [marked for other, marked in pixels if other == value]
        taken = min(places, len(same))
        found, places = found + Fraction(taken, len(same)) * sum(same), places - taken
    return found / k


def literal_precision(pixels: list[tuple[Fraction, bool]]) -> Fraction:
    """Σ (R_t − R_{t−1}) P_t over thresholds."""
    total, before, found = sum(marked for _, marked in pixels), Fraction(0), Fraction(0)
    for threshold in sorted({value for value, _ in pixels}, reverse=True):
        chosen = [marked for value, marked in pixels if value >= threshold]
        recall = Fraction(sum(chosen), total)
        found, before = found + (recall - before) * Fraction(sum(chosen), len(chosen)), recall
    return found


LITERAL: dict[str, Callable] = {
    "relative_energy": literal_energy,
    "pointing_game": literal_pointing,
    "rank_accuracy": literal_rank_accuracy,
    "average_precision": literal_precision,
}


def list_pixels(saliency: np.ndarray, mask: np.ndarray) -> list[tuple[Fraction, bool]]:
    return [(Fraction(float(saliency[place])), bool(mask[place])) for place in np.ndindex(saliency.shape)]


def test_every_measure_has_a_literal_version():
    assert LITERAL.keys() == MEASURES.keys()


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("lowest", [0, -1])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_measures_are_the_literal_ones(name, lowest, share):
    rng = np.random.default_rng(0)
    maps = (lowest + (1 - lowest) * rng.random((12, 5, 7))).astype(np.float32).round(1)  # with ties, of all ranks
    inside = rng.random(maps.shape) < share
    inside[:, 2, 3] = True
    found = MEASURES[name].function(maps, inside)
    expected = [float(LITERAL[name](list_pixels(*pair))) for pair in zip(maps, inside, strict=True)]
    assert found == pytest.approx(expected, rel=1e-12)


def test_average_precision_is_scikit_learns():
    rng = np.random.default_rng(1)
    maps, inside = rng.random((6, 9, 8)).round(1), rng.random((6, 9, 8)) < 0.4
    pairs = zip(inside.reshape(6, -1), maps.reshape(6, -1), strict=True)
    assert average_precision(maps, inside) == pytest.approx([average_precision_score(*pair) for pair in pairs])


@pytest.mark.parametrize("name", MEASURES)
def test_measures_know_only_the_order_of_sizes_and_not_of_pixels(name):
    rng = np.random.default_rng(2)
    maps, inside = rng.random((5, 6, 6)).round(1), rng.random((5, 6, 6)) < 0.4
    found, mixed = MEASURES[name].function(maps, inside), rng.permutation(36)
    turned = [values.reshape(5, 36)[:, mixed].reshape(5, 6, 6) for values in (maps, inside)]
    assert MEASURES[name].function(*turned) == pytest.approx(found, rel=1e-12)
    assert MEASURES[name].function(4 * maps, inside) == pytest.approx(found, rel=1e-12)
    assert (MEASURES[name].function(maps**3, inside) == found).all() == (name != "relative_energy")


# --- by hand ----------------------------------------------------------------------------------------------------------

MASK = np.zeros((4, 4), bool)
MASK[1:3, 1:3] = True  # a quarter of the image
RING = np.where(MASK, 2.0, 1.0)
SOME = np.array([[3, 0, 0, 0], [0, 2, 1, 0], [0, 1, 0, 0], [0, 0, 0, 2]])  # K = 4: 3, both 2, and one of the two 1
BY_HAND = [  # relative energy, pointing game, rank accuracy, average precision
    ("the mask itself", MASK, MASK, 4, 1, 1, 1),
    ("the mask, over all else", RING, MASK, 4 * 8 / 20, 1, 1, 1),
    ("its complement", ~MASK, MASK, 0, 0, 0, 1 / 4),  # all of the mask is tied, and passes with the whole image
    ("its complement, graded", np.where(MASK, -np.arange(16.0).reshape(4, 4), 1), MASK, 0, 0, 0, None),
    ("a constant map", np.ones((4, 4)), MASK, 1, 1 / 4, 1 / 4, 1 / 4),
    ("a map of zeros", np.zeros((4, 4)), MASK, np.nan, 1 / 4, 1 / 4, 1 / 4),
    ("a mask that covers all", SOME, np.ones((4, 4), bool), 1, 1, 1, 1),
    ("the complement of more than half", MASK, ~MASK, 0, 0, 8 / 12, 12 / 16),  # of 12 places, 4 outside, 8 shared
    ("a map with ties", SOME, MASK, 4 * 4 / 9, 0, (1 + 2 * 1 / 2) / 4, (1 / 3 + 2 * 3 / 5 + 4 / 16) / 4),
]


@pytest.mark.parametrize(("saliency", "mask", "expected"), [(s, m, e) for _, s, m, *e in BY_HAND])
def test_cases_by_hand(saliency, mask, expected):
    found = measure_all(saliency[None].astype(np.float32), mask[None])
    for name, value in zip(MEASURES, expected, strict=True):
        if value is not None:
            assert found[name] == pytest.approx([value], nan_ok=True), name


def test_a_complement_without_ties_has_the_least_average_precision():
    """Ranks 13 to 16 of 16 are the mask's: (1/13 + 2/14 + 3/15 + 4/16) / 4."""
    graded = np.where(MASK, -np.arange(16.0).reshape(4, 4), 1)
    assert average_precision(graded[None], MASK[None]) == pytest.approx([(1 / 13 + 2 / 14 + 3 / 15 + 4 / 16) / 4])


def test_the_mask_itself_is_the_best_and_a_constant_map_is_chance():
    rng = np.random.default_rng(3)
    inside = rng.random((8, 6, 5)) < rng.uniform(0.1, 0.5, (8, 1, 1))
    inside[:, 0, 0] = True
    best, constant = (measure_all(maps, inside) for maps in (inside.astype(float), np.full(inside.shape, 0.7)))
    for name, measure in MEASURES.items():
        share = inside.mean((1, 2))
        assert best[name] == pytest.approx(1 / share if measure.relative else np.ones(8)), name
        assert constant[name] == pytest.approx(np.ones(8) if measure.relative else share), name
        assert measure.chance(inside) == pytest.approx(constant[name].mean()), name


def test_an_image_of_one_colour_has_edges_nowhere():
    """Its map is 0 everywhere: no energy, and all else as by chance."""
    images = torch.full((1, 3, 8, 8), 0.5)
    sobel = controls.prepare({"source": "controls", "name": "sobel"}, torch.nn.Identity(), (8, 8), ["a"])
    maps = sobel.make(images, torch.zeros(1, dtype=torch.long), [0]).numpy()
    inside = np.zeros((1, 8, 8), bool)
    inside[0, :2] = True
    found = measure_all(maps, inside)
    assert not maps.any() and np.isnan(found.pop("relative_energy"))
    assert all(value == pytest.approx([0.25]) for value in found.values())


def test_images_whose_objects_are_not_seen_are_left_out():
    inside = np.stack([MASK, np.zeros((4, 4), bool), MASK])
    maps = np.stack([RING, RING, SOME]).astype(np.float32)
    found = measure_all(maps, inside)
    for name, values in found.items():
        assert np.isnan(values[1]) and not np.isnan(values[[0, 2]]).any()
        assert (values[[0, 2]] == MEASURES[name].function(maps[[0, 2]], inside[[0, 2]])).all()
    assert find_marked(inside).tolist() == [True, False, True]
    message = "no mask marks a pixel of what the network sees of its image; allowed are masks, one at least"
    assert refused(find_marked, inside[1:2]) == message


def test_half_of_the_tied_places():
    """Two places, one above all, one shared by three pixels of which one lies inside."""
    saliency, mask = np.array([[[5.0, 1, 1, 1, 0]]]), np.array([[[False, True, False, False, True]]])
    assert rank_accuracy(saliency, mask) == pytest.approx([(0 + 1 / 3) / 2])


# --- of a network -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(world, tmp_path_factory):
    """The table of the small VGG, with a method that has files of maps, and one that is not applicable."""
    folder = tmp_path_factory.mktemp("localisation")
    rows = read_manifest(world.manifest)
    with ShardReader([world.shards["vgg16"]]) as reader:
        about = {**reader.identity, "settings": "{}", "seconds_per_image": 1.0}
    made = np.random.default_rng(4).standard_normal((10, 32, 32)).astype(np.float32).round(1)
    files = [folder / f"{name}.h5" for name in ("mine-0", "mine-1", "yours-0")]
    gaps = np.zeros(0)
    for path, block in zip(files, (range(6), range(6, 10)), strict=False):
        targets = np.zeros(len(block), np.int64)
        write_maps(path, block, targets, made[list(block)], gaps, {**about, "method": "mine", "not_applicable": ""})
    empty = {**about, "method": "yours", "not_applicable": "it has no ReLU"}
    write_maps(files[2], [], np.zeros(0, np.int64), made[:0], gaps, empty)
    inside = np.stack([np.asarray(Image.open(world.masks / row.path)) > 127 for row in rows])
    return measure(world, folder / "l.csv", files), made, inside, files


def measure(world, output, maps):
    measure_localisation.main(
        *(world.networks["vgg16"], [world.shards["vgg16"]], maps, world.manifest, world.masks, output),
        *(["gradient", "activity"], "nearest", 100, 0),
    )
    return read_tables([output]).set_index(["measure", "method"])


def test_a_network_is_measured(world, measured):
    table, made, inside, _ = measured
    assert set(table.network) == {"vgg16"} and set(table.variant) == {"original"}
    methods = ["gradient", *(f"activity_{k}" for k in range(1, 14))]
    images = [row.index for row in read_manifest(world.manifest)]
    with ShardReader([world.shards["vgg16"]]) as reader:
        maps = saliency_maps(parse_method("activity_8"), ShardMaps(reader, images), "nearest").numpy()
    for name in MEASURES:
        assert list(table.loc[name].index) == [*methods, "mine"]
        for method, values in (("activity_8", maps), ("mine", made)):
            expected = [float(LITERAL[name](list_pixels(*pair))) for pair in zip(values, inside, strict=True)]
            row = table.loc[name, method]
            assert (row.n, row.chance) == (10, pytest.approx(1 if name == "relative_energy" else np.mean(inside)))
            found = (row["q25"], row["median"], row["q75"], row["mean"])
            assert found == pytest.approx((*np.percentile(expected, [25, 50, 75]), np.mean(expected)))
            assert row.ci_low <= row["median"] <= row.ci_high


def test_methods_with_maps_of_their_own_change_no_other_row(world, measured, tmp_path):
    """Nor do measures that came later: the first two draw their intervals one after the other, as before."""
    table, *_ = measured
    alone = measure(world, tmp_path / "alone.csv", [])
    assert table.drop(index="mine", level="method").equals(alone)


def test_a_method_that_is_not_applicable_is_left_out_by_name(world, measured, tmp_path, capsys):
    measure(world, tmp_path / "l.csv", measured[3])
    assert "left out: yours is not applicable, because it has no ReLU\n" in capsys.readouterr().out


def test_files_of_maps_that_do_not_fit(world, measured, tmp_path):
    files = measured[3]
    message = refused(measure, world, tmp_path / "l.csv", files[:1])
    assert message == f"{files[0].parent}: its files of maps lack image 6 of the manifest"
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["a"] = 1
    message = refused(measure, world, tmp_path / "l.csv", [tmp_path / "other.h5"])
    assert message == f"{tmp_path / 'other.h5'}: not a file of maps; it lacks method"
    message = refused(
        measure_localisation.main,
        *(world.networks["resnet50"], [world.shards["vgg16"]], [], world.manifest, world.masks, tmp_path / "l.csv"),
        *(["gradient"], "nearest", 100, 0),
    )
    assert "belongs to a network whose file's SHA-256 is" in message
