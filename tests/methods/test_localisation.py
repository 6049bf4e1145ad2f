"""How much of a map lies inside a mask: against pixels counted one by one, and of whole networks."""

import numpy as np
import pytest
from PIL import Image

import measure_localisation
from explanations.data.masks import read_mask
from explanations.errors import InputError
from explanations.files.manifests import read_manifest
from explanations.files.shards import ShardReader
from explanations.files.tables import read_tables
from explanations.methods.maps import ShardMaps
from explanations.methods.names import parse_method
from explanations.methods.saliency import saliency_maps


def literal_measures(image: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Relative energy and pointing game of one map, pixel by pixel."""
    inside = total = pixels = marked = 0.0
    largest, maxima, hits = -np.inf, 0, 0
    for i, j in np.ndindex(image.shape):
        value = float(image[i, j])
        total, pixels = total + value, pixels + 1
        if mask[i, j]:
            inside, marked = inside + value, marked + 1
        if value > largest:
            largest, maxima, hits = value, 0, 0
        if value == largest:
            maxima, hits = maxima + 1, hits + bool(mask[i, j])
    return inside / total / (marked / pixels), hits / maxima


def test_measures_are_the_literal_ones():
    rng = np.random.default_rng(0)
    maps = rng.random((6, 5, 7)).astype(np.float32).round(1)  # with ties, also of the maximum
    inside = rng.random(maps.shape) < 0.3
    expected = [literal_measures(*pair) for pair in zip(maps, inside, strict=True)]
    energy, hits = np.transpose(expected)
    assert measure_localisation.relative_energy(maps, inside) == pytest.approx(energy)
    assert measure_localisation.pointing_game(maps, inside) == pytest.approx(hits)


def test_maps_that_say_nothing_and_everything():
    inside = np.zeros((3, 4, 4), bool)
    inside[:, 1:3, 1:3] = True  # a quarter of the image
    maps = np.stack([np.ones((4, 4)), inside[0].astype(float), np.zeros((4, 4))])
    energy = measure_localisation.relative_energy(maps, inside)
    assert energy[:2].tolist() == [1, 4] and np.isnan(energy[2])
    assert measure_localisation.pointing_game(maps, inside).tolist() == [0.25, 1, 0.25]


def test_a_network_is_measured(world, tmp_path):
    masks = world.masks
    measure_localisation.main(
        *([world.shards["vgg16"]], world.manifest, masks, tmp_path / "l.csv"),
        *(["gradient", "activity", "activity_from"], "nearest", 100, 0),
    )
    table = read_tables([tmp_path / "l.csv"]).set_index(["measure", "method"])
    assert set(table.network) == {"vgg16"} and set(table.variant) == {"original"}
    methods = ["gradient", *(f"activity_{k}" for k in range(1, 14)), *(f"activity_from_{k}" for k in range(1, 13))]
    assert list(table.loc["pointing_game"].index) == methods
    rows = read_manifest(world.manifest)
    inside = [np.asarray(Image.open(masks / row.path)) > 127 for row in rows]
    with ShardReader([world.shards["vgg16"]]) as reader:
        maps = saliency_maps(
            parse_method("activity_8"), ShardMaps(reader, [row.index for row in rows]), "nearest"
        ).numpy()
    energy, hits = np.transpose([literal_measures(*pair) for pair in zip(maps, inside, strict=True)])
    row = table.loc["relative_energy", "activity_8"]
    assert (row.n, row.chance) == (10, 1)
    assert (row["median"], row["mean"]) == pytest.approx((np.median(energy), np.mean(energy)))
    row = table.loc["pointing_game", "activity_8"]
    assert (row["mean"], row.chance) == pytest.approx((np.mean(hits), np.mean(inside)))


def test_masks_that_are_none(world, tmp_path):
    row = read_manifest(world.manifest)[0]
    path = tmp_path / row.path
    with pytest.raises(InputError, match=r"png: can't be read as a mask .*; allowed is a grey image"):
        read_mask(row, tmp_path, (48, 48))
    path.parent.mkdir(parents=True)
    Image.new("L", (48, 48)).save(path)
    with pytest.raises(InputError, match="marks no pixel; allowed is a mask with values of 128 and above"):
        read_mask(row, tmp_path, (48, 48))
    with pytest.raises(InputError, match="is 48 × 48; saliency maps are 24 × 48"):
        read_mask(row, tmp_path, (24, 48))
