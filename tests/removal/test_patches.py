"""Single patches: scores against one pass a patch, correlations by hand and literally, the steps and their table."""

import literal
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import HERE, refused
from torch import Tensor

import correlate_patches
import make_maps
import measure_patches
from explanations.files.manifests import read_manifest
from explanations.files.patches import read_patch_correlations, read_patch_scores
from explanations.files.shards import ShardReader
from explanations.flags import call_with_flags
from explanations.methods.maps import ShardMaps
from explanations.methods.names import parse_method
from explanations.methods.saliency import saliency_maps
from explanations.networks.decisions import ExactDecisions
from explanations.removal.operators.base import Pictures
from explanations.removal.orders import noise_partners
from explanations.removal.patch_scores import rank_first, score_patches
from explanations.removal.patches import (
    PATCH_MEASURES,
    correlate_drops,
    derive_patch_measures,
    split_patches,
    sum_patches,
)
from explanations.removal.settings import OperatorSettings

FILL = 0.5
NO_PARTNERS = np.empty((1, 0), int)


# --- patches and correlations ------------------------------------------------------------------------------------


def test_patches_by_hand():
    """Four patches of a row of two pixels; the last column and the last row are in none."""
    values = np.arange(15).reshape(3, 5)
    assert split_patches(values, 2).tolist() == [[0, 1], [2, 3], [5, 6], [7, 8]]
    assert sum_patches(np.stack([values, -values]), 2).tolist() == [[1, 5, 11, 15], [-1, -5, -11, -15]]
    assert rank_first(split_patches(values, 2), 15)[1].tolist() == [2, 3, 0, 1, *range(4, 15)]


@pytest.mark.parametrize(("side", "allowed"), [(1, ">= 2"), (4, "<= 3")])
def test_a_grid_that_can_not_be(side, allowed):
    said = refused(split_patches, np.zeros((3, 5)), side)
    assert said.startswith(f"removal.patches is {side}; allowed is ") and allowed in said


def test_correlations_by_hand():
    """A map that is the drops has 1, its negative −1, one that is the same everywhere none."""
    scores = np.array([[5.0, 1.0, 4.5, 6.0, 3.0]])  # of the whole image, then without each patch
    drops = scores[:, :1] - scores[:, 1:]
    assert drops.tolist() == [[4.0, 0.5, -1.0, 2.0]]
    image = np.repeat(np.repeat(drops.reshape(1, 2, 2), 3, axis=1), 3, axis=2)  # of 6 × 6 pixels
    for saliency, wanted in ((image, 1), (-image, -1), (np.exp(image), 1), (np.full_like(image, 0.1), np.nan)):
        found = correlate_drops(scores, sum_patches(saliency, 2), NO_PARTNERS)
        np.testing.assert_allclose(found, [[wanted]])
    # the largest and the second largest change places: 1 − 6 · (1 + 1) / (4 · 15)
    swapped = correlate_drops(scores, np.array([[2.0, 0.5, -1.0, 4.0]]), NO_PARTNERS)
    assert swapped.item() == pytest.approx(0.8)
    assert np.isnan(correlate_drops(np.ones((1, 5)), sum_patches(image, 2), NO_PARTNERS)).all()


def test_noise_maps_are_those_of_partners():
    """Of three images, whose own map is the drops of each."""
    scores = np.array([[0.0, -1, -2, -3, -4], [0, -4, -3, -2, -1], [0, -1, -2, -4, -3]])
    sums = -scores[:, 1:]
    found = correlate_drops(scores, sums, np.array([[1, 2], [2, 0], [0, 1]]))
    np.testing.assert_allclose(found, [[1, -1, 0.8], [1, -0.8, -1], [1, 0.8, -0.8]])
    measures = derive_patch_measures({"logit": found, "probability": -found})
    assert set(measures) == {*PATCH_MEASURES}
    np.testing.assert_allclose(measures["patches_logit_noise"], [-0.1, -0.9, 0])
    np.testing.assert_allclose(measures["delta_patches_logit"], [1.1, 1.9, 1])
    np.testing.assert_allclose(measures["patches_probability"], [-1, -1, -1])


def test_correlations_are_the_literal_ones():
    rng = np.random.default_rng(0)
    maps, scores = rng.integers(-8, 9, (6, 9, 11)) / 4, rng.integers(-8, 9, (6, 10)) / 4  # with ties
    found = correlate_drops(scores, sum_patches(maps, 3), np.empty((6, 0), int))[:, 0]
    for image in range(6):
        drops = [scores[image, 0] - value for value in scores[image, 1:]]
        assert found[image] == pytest.approx(literal.patch_correlation(maps[image].tolist(), drops, 3))


# --- scores ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy():
    """Five images of 5 × 7 pixels and a classifier of three classes."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(5, 3, 5, 7, generator=generator)
    weights = torch.randn(3, 105, generator=generator)

    def score(values: Tensor) -> Tensor:
        return 2 * torch.tanh(values.flatten(1) @ weights.T / 4)

    return score, images


def score_toy(score, images: Tensor, side: int = 2, batch: int = 64, advance=lambda _: None, **settings):
    removal = OperatorSettings(**{"fill": FILL, **settings})
    mean = torch.zeros(3)
    operator = removal.make_operator(Pictures(images, range(len(images)), mean, mean + 1, 0))
    names, targets = [f"{image}.png" for image in range(len(images))], torch.tensor([2, 0, 1, 1, 2])[: len(images)]
    return score_patches(ExactDecisions(score), images, targets, side, names, removal, operator, batch, advance)


@pytest.mark.parametrize(("side", "batch"), [(2, 64), (3, 7)])
def test_scores_are_the_literal_ones(toy, side, batch):
    """One pass a patch, image by image."""
    score, images = toy
    found = score_toy(score, images, side, batch)
    assert found["logit"].shape == found["probability"].shape == (5, 1 + side**2)
    for image, target in enumerate([2, 0, 1, 1, 2]):
        whole, without = literal.single_patches(score, images[image], side, FILL)
        logits = [whole, *without]
        np.testing.assert_allclose(found["logit"][image], [values[target] for values in logits], atol=1e-6)
        wanted = [literal.softmax(values)[target] for values in logits]
        np.testing.assert_allclose(found["probability"][image], wanted, atol=1e-6)
    assert len(np.unique(found["logit"])) == 5 * (1 + side**2)


def test_all_batches_are_full_and_passes_are_counted(toy):
    score, images = toy
    seen, passes = [], []

    def watched(values: Tensor) -> Tensor:
        seen.append(len(values))
        return score(values)

    score_toy(watched, images, batch=6, advance=passes.append)
    assert seen == [6, *[6] * 4] and passes == [6, 6, 6, 2]  # five images, twenty patches


@pytest.mark.parametrize("operator", ["mean", "blur", "road"])
def test_other_operators_remove_the_patch_alone(toy, operator):
    """Pixels outside it stay the image's; those inside are others."""
    _, images = toy
    seen = []

    def watched(values: Tensor) -> Tensor:
        seen.append(values.clone())
        return values.flatten(1)[:, :3]

    score_toy(watched, images[:1], batch=4, operator=operator, blur=0.2)
    changed = (seen[1] != images[:1]).any(1)
    inside = torch.zeros(4, 5, 7, dtype=torch.bool)
    for patch, (row, column) in enumerate([(0, 0), (0, 3), (2, 0), (2, 3)]):
        inside[patch, row : row + 2, column : column + 3] = True
    assert torch.equal(changed, inside)


def test_logits_that_overflow_are_refused_with_the_image(toy):
    score, images = toy

    def overflowing(values: Tensor) -> Tensor:
        return score(values) / (values[:, 0, 0, 0] != FILL)[:, None]

    said = refused(score_toy, overflowing, images)
    assert said.startswith("removal.fill is 0.5; the logits of 0.png with 6 pixels removed are NaN or infinite; ")


# --- the steps ---------------------------------------------------------------------------------------------------


def score_world(world, output, name="vgg16", **changes):
    """The file of patches of a network of the world."""
    flags = {"network": world.networks[name], "manifest": world.manifest, "images": world.images, "side": 4}
    flags |= {"shards": [world.shards[name]], "precision": "float32", **HERE, "output": output, **changes}
    call_with_flags(measure_patches.main, flags)
    return output


def correlate(world, folder, patches, name="vgg16", **changes):
    """The correlations and the table of the world's maps by some methods."""
    flags = {"network": world.networks[name], "shards": [world.shards[name]], "manifest": world.manifest, "maps": []}
    flags |= {"methods": ["gradient", "activity"], "layers": "stages", "upsampling": "bilinear", "noise_maps": 2}
    flags |= {"correlations": folder / "c.h5", "output": folder / "patches.csv", "resamples": 100, "seed": 0}
    correlate_patches.main(patches=patches, **{**flags, **changes})
    return read_patch_correlations(folder / "c.h5"), pd.read_csv(folder / "patches.csv")


@pytest.fixture(scope="module")
def scored(world, tmp_path_factory):
    """The world's VGG-16, in blocks of images, the last first."""
    folder = tmp_path_factory.mktemp("patches")
    return [score_world(world, folder / f"{shard}.h5", shard=shard, shard_size=4) for shard in (2, 0, 1)]


def test_blocks_do_not_change_a_digit(world, scored, tmp_path):
    whole = read_patch_scores([score_world(world, tmp_path / "whole.h5")])
    parts = read_patch_scores(scored)
    assert parts.image.tolist() == whole.image.tolist() == list(range(10))
    assert parts.label.tolist() == whole.label.tolist() == [row.label for row in read_manifest(world.manifest)]
    for score, values in whole.values.items():
        assert np.array_equal(parts.values[score], values), score
    with ShardReader([world.shards["vgg16"]]) as reader:
        np.testing.assert_allclose(whole.values["logit"][:, 0], reader.read("score", list(range(10))), rtol=1e-4)


def test_a_networks_maps_are_correlated(world, scored, tmp_path):
    """As literally, image by image, by own maps and by partners'; and the table has their quartiles."""
    maps = tmp_path / "random.h5"
    given = {"network": world.networks["vgg16"], "manifest": world.manifest, "images": world.images, **HERE}
    given |= {"shards": [world.shards["vgg16"]], "output": maps, "method": "mine", "batch": 4, "seed": 0, "of": []}
    given |= {"settings": {"source": "controls", "name": "random"}, "shard": 0, "shard_size": 100}
    make_maps.main(**given)
    found, table = correlate(world, tmp_path, scored, maps=[maps])
    assert list(found.values)[:1] == ["gradient"] and list(found.values)[-1] == "mine"
    partners, scores = noise_partners(10, 2, 0), read_patch_scores(scored).values["probability"]
    with ShardReader([world.shards["vgg16"]]) as reader:
        maps = saliency_maps(parse_method("gradient"), ShardMaps(reader, list(range(10))), "bilinear").tolist()
    for image in range(10):
        drops = [float(scores[image, 0]) - float(value) for value in scores[image, 1:]]
        wanted = [literal.patch_correlation(maps[source], drops, 4) for source in (image, *partners[image])]
        assert found.values["gradient"]["probability"][image] == pytest.approx(wanted)
    assert len(table) == len(found.values) * len(PATCH_MEASURES) and (table.n == 10).all()
    for method, values in found.values.items():
        measures = derive_patch_measures(values)
        for row in table[table.method == method].itertuples():
            assert (row.q25, row.median, row.q75) == pytest.approx(np.percentile(measures[row.measure], [25, 50, 75]))
    assert table.columns.tolist()[:6] == ["experiment", "network", "variant", "upsampling", "method", "measure"]


def test_files_that_do_not_belong_together(world, scored, tmp_path):
    said = refused(correlate, world, tmp_path, scored[:2])
    assert said == f"{scored[0]}: the files of patches given lack image 4 of the manifest"
    said = refused(correlate, world, tmp_path, scored, "resnet50")
    assert said.startswith(f"{scored[0]}: was made of another network than the one given; ")
    said = refused(correlate, world, tmp_path, scored, methods=[])
    assert said == f"{world.networks['vgg16']}: no method given can explain it"
    assert not [*tmp_path.iterdir()]


def test_a_precision_that_is_chosen_by_speed_is_refused(world, tmp_path):
    said = refused(score_world, world, tmp_path / "p.h5", precision="auto")
    assert said == "precision is auto; allowed are float32, tf32, bfloat16, float16"
