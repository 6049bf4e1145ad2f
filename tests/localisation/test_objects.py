"""Whether objects decide: against networks that look at one place, and image by image."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import refused
from PIL import Image
from scipy.stats import beta

import measure_objects
from explanations.files.descriptions import read_description
from explanations.files.manifests import read_manifest
from explanations.files.tables import read_tables
from explanations.localisation.objects import ALONE, REMOVED, WHOLE, view_objects
from explanations.networks.files import load_network


def measure(world, output, masks=None, test_images=None, fill=0.25):
    network, masks, images = world.networks["vgg16"], masks or world.masks, test_images or world.test_images
    measure_objects.main(network, "vgg16", images, world.images, masks, output, fill, "cpu", 1)
    return read_tables([output], ("network", "variant", "image", "n", "accuracy")).set_index("image")


def test_what_is_filled_by_hand():
    inputs = torch.arange(8.0).view(1, 2, 2, 2)
    inside = torch.tensor([[[True, False], [False, True]]])
    views = view_objects(inputs, inside, -1.0)
    assert views[WHOLE].equal(inputs)
    assert views[REMOVED].tolist() == [[[[-1, 1], [2, -1]], [[-1, 5], [6, -1]]]]
    assert views[ALONE].tolist() == [[[[0, -1], [-1, 3]], [[4, -1], [-1, 7]]]]


def test_accuracies_are_those_of_images_one_by_one(world, tmp_path):
    network, description = load_network(world.networks["vgg16"])
    right = dict.fromkeys((WHOLE, REMOVED, ALONE), 0)
    for row in read_manifest(world.test_images):
        pixels = np.asarray(Image.open(world.images / row.path)).transpose(2, 0, 1) / 255
        image = ((pixels - 0.5) / 0.25).astype(np.float32)
        mask = np.asarray(Image.open(world.masks / row.path)) >= 128
        removed, alone = image.copy(), np.full_like(image, 0.25)
        removed[:, mask], alone[:, mask] = 0.25, image[:, mask]
        for view, shown in ((WHOLE, image), (REMOVED, removed), (ALONE, alone)):
            right[view] += int(network(torch.from_numpy(shown)[None]).argmax()) == row.label
    table = measure(world, tmp_path / "o.csv")
    assert list(table.index) == [WHOLE, REMOVED, ALONE]
    assert table.accuracy.to_dict() == pytest.approx({view: count / 20 for view, count in right.items()})
    assert set(table.n) == {20} and set(table.chance) == {1 / len(description.classes)}
    assert set(table.network) == {"vgg16"} and set(table.variant) == {"original"}


@pytest.mark.parametrize(("count", "of"), [(0, 10), (3, 10), (10, 10), (97, 1000)])
def test_intervals_are_clopper_and_pearsons(count, of):
    """Quantiles of beta distributions, as the textbook has them."""
    low = beta.ppf(0.025, count, of - count + 1) if count else 0
    high = beta.ppf(0.975, count + 1, of - count) if count < of else 1
    assert measure_objects.bound_share(count, of) == pytest.approx({"ci_low": low, "ci_high": high})


def test_images_whose_object_is_not_seen_are_left_out(world, tmp_path, monkeypatch, capsys):
    first = read_manifest(world.test_images)[0]
    read = measure_objects.read_mask

    def lost(row, masks, framing):
        return read(row, masks, framing) & (row.path != first.path)

    monkeypatch.setattr(measure_objects, "read_mask", lost)
    assert set(measure(world, tmp_path / "o.csv").n) == {19}
    assert f"left out: {first.path}, whose object lies outside what the network sees\n" in capsys.readouterr().out
    monkeypatch.setattr(measure_objects, "read_mask", lambda *_: np.zeros((32, 32), bool))
    message = refused(measure, world, tmp_path / "o.csv")
    assert message == f"{world.masks}: marks nothing that the network sees of any image of {world.test_images}"


def test_accuracy_needs_labels(world, tmp_path):
    table = pd.read_csv(world.test_images, dtype=str)
    unlabelled = tmp_path / "test_images.csv"
    table.assign(**{"class": "", "label": "-1"}).to_csv(unlabelled, index=False)
    message = refused(measure, world, tmp_path / "o.csv", test_images=unlabelled)
    assert message == f"{unlabelled}: holds images without labels; accuracy needs them"
    assert read_description(world.networks["vgg16"]).variant == "original"
