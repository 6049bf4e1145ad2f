"""Images that networks are tested on: drawn by seed, with labels or without, in bounded memory."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import refused
from PIL import Image
from small import build, describe
from workflow_copy import ROOT

from explanations.data.images import load_images
from explanations.errors import InputError
from explanations.files.manifests import UNLABELLED, ManifestRow, read_manifest, write_manifest
from explanations.networks.evaluation import LabelledImages, check_classes
from explanations.networks.files import predict_logits


def read(world, **changes) -> LabelledImages:
    return LabelledImages.read(world.test_images, world.images, describe("vgg16", **changes))


def unlabelled(world, folder, every: int = 1) -> LabelledImages:
    """The world's images without the labels of every so-manieth."""
    rows = [
        ManifestRow(row.index, row.path, "", UNLABELLED) if row.index % every == 0 else row
        for row in read_manifest(world.test_images)
    ]
    write_manifest(folder / "m.csv", rows)
    return LabelledImages.read(folder / "m.csv", world.images, describe("vgg16"))


@pytest.mark.parametrize("threads", [1, 2])
def test_accuracy_is_the_share_of_right_decisions(world, threads):
    network, test = build("vgg16"), LabelledImages.read(world.test_images, world.images, describe("vgg16"), threads)
    pixels = torch.from_numpy(load_images(test.pictures, describe("vgg16").framing))
    decisions = predict_logits(network, pixels, describe("vgg16")).argmax(1).numpy()
    assert test.decisions(network).tolist() == decisions.tolist()
    labels = [int(picture.path.parent.name) for picture in test.pictures]
    assert test.accuracy(network) == pytest.approx(np.mean(decisions == labels))
    assert test.record_accuracy(network) == {"accuracy": test.accuracy(network), "test_images": 20}


def test_some_are_drawn_by_seed(world):
    test = read(world)
    assert test.draw(7, 0).pictures == test.draw(7, 0).pictures != test.draw(7, 1).pictures
    assert len(test.draw(7, 0)) == 7 and test.draw(20, 0) is test
    drawn = test.draw(7, 0)
    assert [int(picture.path.parent.name) for picture in drawn.pictures] == drawn.labels.tolist()


@pytest.mark.parametrize("every", [1, 3])
def test_without_labels_accuracy_is_agreement_with_a_networks_decisions(world, tmp_path, capsys, every):
    network, other, test = build("vgg16"), build("vgg16", seed=5), unlabelled(world, tmp_path, every)
    known = test.with_decisions(network)
    assert "images without labels: accuracy is agreement with the decisions" in capsys.readouterr().out
    assert (known.labels >= 0).all()
    replaced = test.labels == UNLABELLED
    assert known.labels[replaced].tolist() == test.decisions(network)[replaced].tolist()
    assert known.labels[~replaced].tolist() == test.labels[~replaced].tolist()
    if every == 1:
        assert known.accuracy(network) == 1
        assert known.accuracy(other) == np.mean(test.decisions(network) == test.decisions(other))


def test_classes_must_be_the_networks(world):
    """Ten of ImageNet's classes are a classifier's of a thousand by place and name; others are not."""
    thousand = tuple(f"other {k}" for k in range(3)) + tuple("3456789")
    with pytest.raises(InputError, match=r"test_images.csv: class 0 with label 0 is none of the network's 10 classes"):
        read(world, classes=thousand)
    assert len(read(world, classes=(*"0123456789", "ten", "eleven"))) == 20
    with pytest.raises(
        InputError, match=r"class 0 has label 0, but 1 among the network's 11 classes: .* lack class a$"
    ):
        read(world, classes=("a", *"0123456789"))


def test_a_class_that_the_test_images_lack_is_named(tmp_path):
    """Of the classes a, b, c the folder of test images has a and c, which is then the second."""
    rows = [ManifestRow(k, f"{name}/{k}.png", name, label) for k, (name, label) in enumerate([("a", 0), ("c", 1)])]
    message = refused(check_classes, rows, ("a", "b", "c"), tmp_path / "m.csv")
    assert message.startswith(f"{tmp_path / 'm.csv'}: class c has label 1, but 2 among the network's 3 classes: ")
    assert message.endswith(": the test images lack class b")
    rows = [ManifestRow(0, "d/0.png", "d", 1)]
    assert refused(check_classes, rows, ("a", "b"), tmp_path / "m.csv").endswith(
        "class d with label 1 is none of the network's 2 classes"
    )
    check_classes([ManifestRow(0, "0.png", "", UNLABELLED)], ("a", "b"), tmp_path)
    cranes = [ManifestRow(k, f"{k}.png", "crane", k) for k in range(2)]  # as among ImageNet's classes
    check_classes(cranes, ("crane", "crane"), tmp_path)


MEMORY = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import numpy as np
from explanations.files.descriptions import NetworkDescription
from explanations.networks.evaluation import LabelledImages
from explanations.files.framing import Picture
count = int(sys.argv[3])
description = NetworkDescription("narrow", "vgg16", {}, ("a", "b"), 224, (0.5,) * 3, (0.5,) * 3, 256)
test = LabelledImages([""] * count, [Picture(Path(sys.argv[2]))] * count, np.zeros(count), description, threads=2)
assert sum(len(pixels) for _, pixels in test.batches(16)) == count
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    """A thousand images more, 150 MB, leave the peak where it is."""
    Image.effect_noise((300, 256), 50).convert("RGB").save(tmp_path / "x.jpg")
    command = [sys.executable, "-W", "ignore", "-c", MEMORY, ROOT / "scripts", tmp_path / "x.jpg"]
    few, many = (
        int(subprocess.run([*command, str(count)], text=True, capture_output=True, check=True).stdout)
        for count in (64, 1064)
    )
    assert many - few < 30_000  # kB
