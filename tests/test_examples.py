"""The steps behind figures 1 and 7."""

import h5py
import numpy as np
import pytest
from sklearn.datasets import load_digits

import fit_linear_classifier
import make_example_maps
from explanations.attribution_maps import ShardMaps
from explanations.framing import Framing, Picture
from explanations.hdf5 import read_attributes
from explanations.images import load_image
from explanations.manifests import read_manifest
from explanations.saliency import saliency_maps
from explanations.shards import ShardReader


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
    )
    rows = read_manifest(world.manifest)
    with h5py.File(tmp_path / "m.h5") as file, ShardReader([world.shards["vgg16"]]) as reader:
        maps, attributes = ShardMaps(reader, [7, 2]), read_attributes(file)
        for m, method in enumerate(methods):
            assert np.array_equal(file["maps"][:, m], saliency_maps(method, maps, "nearest").numpy())
        for k, index in enumerate((7, 2)):
            image = load_image(Picture(world.images / rows[index].path), Framing(32, 32))
            assert np.array_equal(file["rgb"][k], image.transpose(1, 2, 0))
            assert attributes["classes"][k] == rows[index].class_name
            assert attributes["target_classes"][k] == str(reader.read("target", [index])[0])
        assert file["image"][:].tolist() == [7, 2] and attributes["methods"] == methods
