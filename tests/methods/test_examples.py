"""The steps behind figures 1 and 7."""

import math
from dataclasses import replace

import h5py
import numpy as np
import pytest
from conftest import refused
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import fit_linear_classifier
import make_example_maps
import plot_example_maps
from explanations.data.images import load_image
from explanations.data.masks import read_mask
from explanations.figures.examples import Examples, outline_mask
from explanations.files.framing import Framing, Picture
from explanations.files.hdf5 import read_attributes
from explanations.files.manifests import read_manifest
from explanations.files.shards import ShardReader
from explanations.methods.maps import ShardMaps
from explanations.methods.names import parse_method
from explanations.methods.saliency import saliency_maps


def test_linear_classifier_decomposes_its_scores(tmp_path):
    fit_linear_classifier.main(tmp_path / "l.h5", [3, 6, 3], 1.0, 0)
    scans = {scan.tobytes(): label for scan, label in zip(*load_digits(return_X_y=True), strict=True)}
    with h5py.File(tmp_path / "l.h5") as file:
        weights, images, attributions, scores = (
            file[key][:] for key in ("weights", "images", "attributions", "scores")
        )
        attributes = dict(file.attrs)
    assert weights.shape == (10, 8, 8) and attributions.shape == (3, 10, 8, 8)
    for k, digit in enumerate((3, 6, 3)):
        assert scans[(images[k] * 16).reshape(64).tobytes()] == digit
        assert scores[k].argmax() == digit
        for c in range(10):
            total = 0.0
            for i, j in np.ndindex(8, 8):
                assert attributions[k, c, i, j] == weights[c, i, j] * images[k, i, j]  # Eq. 4
                total += attributions[k, c, i, j]
            assert scores[k, c] == pytest.approx(total)  # Eq. 3: complete, without a bias
    assert attributes["accuracy"] > 0.9
    assert attributes["train"] + attributes["test"] == 1797


def test_linear_classifier_is_seeded(tmp_path):
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit_linear_classifier.main(tmp_path / name, [3], 300.0, seed)
        with h5py.File(tmp_path / name) as file:
            found.append(file["weights"][:])
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])


def test_example_maps(world, tmp_path):
    methods = ["input", "activity_13", "fullgrad"]
    make_example_maps.main(
        *(world.networks["vgg16"], world.manifest, world.images, [world.shards["vgg16"]], tmp_path / "m.h5"),
        *([7, 2], methods, "nearest"),
        masks=world.masks,
    )
    rows = read_manifest(world.manifest)
    with h5py.File(tmp_path / "m.h5") as file, ShardReader([world.shards["vgg16"]]) as reader:
        maps, attributes = ShardMaps(reader, [7, 2]), read_attributes(file)
        for m, method in enumerate(methods):
            assert np.array_equal(file["maps"][:, m], saliency_maps(parse_method(method), maps, "nearest").numpy())
        for k, index in enumerate((7, 2)):
            image = load_image(Picture(world.images / rows[index].path), Framing(32, 32))
            assert np.array_equal(file["rgb"][k], image.transpose(1, 2, 0))
            assert np.array_equal(file["masks"][k], read_mask(rows[index], world.masks, Framing(32, 32)))
            assert attributes["classes"][k] == rows[index].class_name
            target = reader.read("target", [index])[0]
            assert attributes["target_classes"][k] == str(target)
            check_likeliest(
                reader.read("logits", [index])[0], target, file["probabilities"][k], attributes["runners_up"][k]
            )
        assert file["image"][:].tolist() == [7, 2] and attributes["methods"] == methods


def test_objects_are_outlined_where_their_masks_are_known(tmp_path):
    """At the edge of the object, and closed where it touches the image's."""
    mask = np.zeros((1, 4, 4))
    mask[0, 0, 1:3] = 1
    shown = Examples("a", [], *3 * [np.zeros(0)], [""], [""], [], np.zeros(0), mask)
    ax = Figure().subplots()
    outline_mask(ax, shown, 0)
    (corners,) = {tuple(map(tuple, line.get_paths()[0].vertices)) for line in ax.collections}  # two lines, the same
    assert corners[0] == corners[-1]
    corners = np.array(corners)
    assert corners.min(0).tolist() == [0.5, -0.5] and corners.max(0).tolist() == [2.5, 0.5]
    outline_mask(ax, replace(shown, masks=None), 0)
    outline_mask(ax, replace(shown, masks=0 * mask), 0)  # it lies outside what the network sees
    assert len(ax.collections) == 2


@pytest.mark.parametrize(
    ("methods", "measured", "message"),
    [
        (["gradient", "activity_6"], "stages", ".1 is activity_6, which is not measured; allowed are {single}, "),
        (["activity_from_12"], "stages", ".0 is activity_from_12, which is not measured; allowed are {aggregates}, "),
        (["activity_from_13"], "all", ".0 is activity_from_13, which is not measured; allowed are activity_from_1, "),
        (["activity_99"], "all", ".0 is activity_99, which is not measured; allowed are activity_1, activity_2, "),
    ],
)
def test_maps_that_removal_does_not_measure_are_refused_where_that_is_asked(
    world, tmp_path, methods, measured, message
):
    """Layers 1 and 13 of the small VGG-16, and the last of each size between, are a stage's."""
    data = (world.networks["vgg16"], world.manifest, world.images, [world.shards["vgg16"]], tmp_path / "m.h5")
    with ShardReader(data[3]) as reader:
        sizes = reader.map_sizes()
    stages = [l for l in range(3, 13) if sizes[l] != sizes[l + 1]]  # the first stage's is its first layer
    allowed = {"single": "activity_{}", "aggregates": "activity_from_{}"}
    names = {
        key: ", ".join(text.format(l) for l in [1, *stages, 13][: 99 if key == "single" else -1])
        for key, text in allowed.items()
    }
    said = refused(make_example_maps.main, *data, [0], methods, "bilinear", measured)
    assert said.startswith(f"figures.figP.methods.vgg16{message.format(**names)}")
    assert said.endswith(f"since networks.vgg16.layers is {measured}") and not data[4].exists()
    if measured == "stages":
        make_example_maps.main(*data, [0], methods, "bilinear")
        make_example_maps.main(*data, [0], ["gradcam", "activity_1", "activity_13"], "bilinear", measured)


def test_decisions_beside_classes_and_without():
    shown = Examples("vgg16", [], *3 * [np.zeros(0)], ["cat", "cat", ""], ["cat", "ox", "ox"], [], np.zeros(0))
    said = [plot_example_maps.describe_decision(shown, row, alone=False) for row in range(3)]
    assert said == ["", "(VGG-16: ox)", "VGG-16: ox"]
    assert plot_example_maps.describe_decision(shown, 2, alone=True) == "ox"
    assert plot_example_maps.describe_decision(shown, 1, alone=True) == "(VGG-16: ox)"


def check_likeliest(logits, target, probabilities, runner_up):
    """Two probabilities, and the second class, by sums of exponentials and by sorting."""
    exponentials = [math.exp(value) for value in logits]
    order = sorted(range(len(logits)), key=lambda index: -exponentials[index])
    assert order[0] == target and str(order[1]) == runner_up
    assert probabilities.tolist() == pytest.approx([exponentials[k] / sum(exponentials) for k in order[:2]], rel=1e-5)


def test_equally_likely_classes_are_decision_and_runner_up():
    runners_up, probabilities = make_example_maps.find_runners_up(np.zeros((1, 4), np.float32), np.array([0]))
    assert runners_up.tolist() == [1] and probabilities.tolist() == [[0.25, 0.25]]
