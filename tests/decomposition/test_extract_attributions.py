"""The extraction step: a shard holds what the decomposition gives, and its gate stops what doesn't add up."""

import dataclasses
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from conftest import extract
from PIL import Image
from small import SIZE, build, describe

import explanations.decomposition.layers
import extract_attributions
from explanations.data.folders import list_folder
from explanations.data.images import load_images
from explanations.data.listing import list_labelled
from explanations.decomposition.decomposition import Decomposition
from explanations.errors import InputError
from explanations.files.hashes import file_hash
from explanations.files.hdf5 import open_hdf5, read_attributes
from explanations.files.manifests import read_manifest, write_manifest
from explanations.files.shards import PER_IMAGE, ShardReader
from explanations.methods.maps import ShardMaps
from explanations.networks.files import load_network, preprocess, save_network

GROUPS = ("activity", "bias", "fullgrad_feature")


def read_all(paths) -> dict[str, np.ndarray]:
    """Every dataset of shards, stacked in the order of the manifest."""
    found = {}
    with ShardReader(paths) as reader:
        names = list(PER_IMAGE)
        for group in GROUPS:
            names += [f"{group}/{key}" for key in reader.files[0][group]]
        for name in names:
            found[name] = reader.read(name, reader.images)
    return found


@pytest.fixture(scope="module")
def noise(world, tmp_path_factory) -> SimpleNamespace:
    """The world with images of noise: where colours are flat, maximum pooling has ties that rounding decides."""
    root = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    for k in range(6):
        (root / f"class{k % 2}").mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)).save(root / f"class{k % 2}" / f"{k}.png")
    write_manifest(root / "manifest.csv", list_labelled(root, list_folder(root)[0], "folders"))
    return SimpleNamespace(**{**vars(world), "images": root, "manifest": root / "manifest.csv"})


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_a_shard_holds_the_decomposition(noise, tmp_path, name):
    network, description = load_network(noise.networks[name])
    rows = read_manifest(noise.manifest)
    loaded = load_images([row.picture(noise.images, noise.manifest) for row in rows], description.framing)
    images = preprocess(torch.from_numpy(loaded), description)
    decomposition = Decomposition(network.double(), images[:1].double())
    wanted = decomposition(images.double())
    found = read_all([extract(noise, name, tmp_path / "s.h5", batch=4)])
    assert found["image"].tolist() == list(range(len(rows)))
    assert found["label"].tolist() == [row.label for row in rows]
    assert found["target"].tolist() == wanted.target.tolist()
    pairs = {key: (found[key], getattr(wanted, key)) for key in ("score", "logits", "gradient", "gradcam")}
    for group, first in (("activity", 0), ("bias", 1), ("fullgrad_feature", 1)):
        maps = getattr(wanted, group)
        assert len([key for key in found if key.startswith(f"{group}/")]) == len(maps)
        for index, values in enumerate(maps, first):
            pairs[f"{group}/{index:02d}"] = found[f"{group}/{index:02d}"], values
    for key, (stored, values) in pairs.items():
        for image in range(len(rows)):
            a, b = stored[image], values[image].numpy()
            assert np.linalg.norm(a - b) <= 0.01 * np.linalg.norm(b), (key, image)


def test_a_shards_layout(world):
    with h5py.File(world.shards["vgg16"]) as file:
        assert {file[key].dtype for key in ("image", "target", "label")} == {np.dtype("int64")}
        assert file["score"].dtype == np.dtype("f8")
        assert {file[key].dtype for key in ("logits", "gradient", "gradcam", "activity/03", "bias/03")} == {
            np.dtype("f4")
        }
        assert file["activity/00"].shape == file["gradient"].shape == (10, 32, 32)
        assert file["activity/13"].shape == file["gradcam"].shape == (10, 2, 2)
        assert file["activity/14"].shape == (10, 1, 1)
        assert sorted(file["activity"]) == [f"{l:02d}" for l in range(17)]
        assert sorted(file["bias"]) == sorted(file["fullgrad_feature"]) == [f"{k:02d}" for k in range(1, 17)]
        assert read_attributes(file["bias/03"]) == {"operation": "features.5", "layer": 3}
        attributes = read_attributes(file)
        wanted = {"experiment": "tests", "network": "vgg16", "variant": "original"}
        wanted |= {"weights": file_hash(world.networks["vgg16"]), "torch": torch.__version__}
        assert {key: attributes[key] for key in wanted} == wanted
        assert list(attributes["layers"])[:2] == ["input", "features.1"]


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_batches_agree_to_rounding(noise, tmp_path, name):
    ones, eights = (read_all([extract(noise, name, tmp_path / f"{batch}.h5", batch=batch)]) for batch in (1, 8))
    for key, values in eights.items():
        for image, (a, b) in enumerate(zip(ones[key], values, strict=True)):
            assert np.linalg.norm(a - b) <= 0.01 * np.linalg.norm(b), (key, image)


def test_shards_agree(world, tmp_path):
    whole = read_all([extract(world, "vgg16", tmp_path / "whole.h5", batch=5)])
    paths = [extract(world, "vgg16", tmp_path / f"{k}.h5", shard=k, shard_size=5, batch=5) for k in (1, 0)]
    parts = read_all(paths)
    assert whole.keys() == parts.keys()
    for key, values in whole.items():
        assert np.array_equal(parts[key], values), key


def test_a_last_shard_may_be_short(world, tmp_path):
    with h5py.File(extract(world, "vgg16", tmp_path / "last.h5", shard=1, shard_size=7)) as file:
        assert file["image"][:].tolist() == [7, 8, 9]


def test_maps_are_read_in_the_order_asked(world):
    with ShardReader([world.shards["vgg16"]]) as reader, open_hdf5(world.shards["vgg16"]) as file:
        maps = ShardMaps(reader, [7, 2, 2])
        assert torch.equal(maps.activity(3), torch.from_numpy(file["activity/03"][:][[7, 2, 2]]))
        assert torch.equal(maps.bias(0), torch.from_numpy(file["bias/01"][:][[7, 2, 2]]))
        assert torch.equal(maps.fullgrad_feature(4), torch.from_numpy(file["fullgrad_feature/05"][:][[7, 2, 2]]))
        assert torch.equal(maps.gradient(), torch.from_numpy(file["gradient"][:][[7, 2, 2]]))
        assert maps.layers == list(range(14))  # those with positions
        assert maps.operation_layers == list(range(1, 17))
        with pytest.raises(InputError, match="lack image 99 of the manifest"):
            ShardMaps(reader, [0, 99]).gradient()


def test_a_network_without_any_bias_has_an_empty_group(world, tmp_path):
    path = tmp_path / "linear.safetensors"
    save_network(path, build("linear"), describe("linear"))
    shard = extract(world, "vgg16", tmp_path / "linear.h5", network=path)
    with ShardReader([shard], file_hash(path)) as reader:
        assert reader.operations == []
        a = reader.read("activity/00", reader.images)
        np.testing.assert_allclose(a.sum((1, 2)), reader.read("score", reader.images), rtol=1e-4, atol=1e-5)


# --- the gate ----------------------------------------------------------------------------------------------------


def stopped(world, output, **changes) -> str:
    with pytest.raises(InputError) as raised:
        extract(world, "vgg16", output, **changes)
    assert list(output.parent.iterdir()) == []
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_tampered_bias_stops_at_its_image_and_layer(world, tmp_path, monkeypatch):
    closed_form = explanations.decomposition.layers.channel_bias

    def tampered(module, node):
        bias = closed_form(module, node)
        return (lambda: 1.5 * bias()) if str(node.target) == "features.5" else bias  # of layer 3

    monkeypatch.setattr(explanations.decomposition.layers, "channel_bias", tampered)
    message = stopped(world, tmp_path / "s.h5")
    row = read_manifest(world.manifest)[0]
    with h5py.File(world.shards["vgg16"]) as file:
        score = file["score"][0]
        wrong = score + 0.5 * file["bias/03"][0].sum(dtype=float)
    start = f"{tmp_path / 's.h5'}: image 0 ({row.path}), layer 0: the decomposition sums to "
    assert message.startswith(start)
    numbers = message.removeprefix(start).replace(",", "").replace(";", "").split()
    assert float(numbers[0]) == pytest.approx(wrong, rel=1e-3, abs=1e-3)
    assert float(numbers[4]) == pytest.approx(score, rel=1e-4)


def test_the_gate_names_the_first_bad_image_and_layer(world, tmp_path, monkeypatch):
    original = Decomposition.__call__

    def tampered(self, images, targets=None):
        found = original(self, images, targets)
        activity = list(found.activity)
        activity[6] = activity[6].clone()
        activity[6][1] += 1.0  # the second image of every batch
        return dataclasses.replace(found, activity=tuple(activity))

    monkeypatch.setattr(Decomposition, "__call__", tampered)
    row = read_manifest(world.manifest)[1]
    assert f"image 1 ({row.path}), layer 6: " in stopped(world, tmp_path / "s.h5")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["logits", "activity", "bias", "fullgrad_feature", "gradient", "gradcam"])
def test_what_is_not_finite_stops(world, tmp_path, monkeypatch, part, value):
    original = Decomposition.__call__

    def tampered(self, images, targets=None):
        found = original(self, images, targets)
        values = getattr(found, part)
        broken = values[2] if isinstance(values, tuple) else values
        broken.view(len(images), -1)[1, -1] = value
        return found

    monkeypatch.setattr(Decomposition, "__call__", tampered)
    message = stopped(world, tmp_path / "s.h5", batch=4)
    index = 2 if part in GROUPS else 0
    assert f"image 1 ({read_manifest(world.manifest)[1].path}): {part} {index} holds NaN or infinite" in message


def test_a_failure_in_a_later_batch_leaves_no_file(world, tmp_path, monkeypatch):
    check, seen = extract_attributions.check_attributions, []

    def later(*args):
        seen.append(args)
        if len(seen) == 3:
            raise InputError("third")
        check(*args)

    monkeypatch.setattr(extract_attributions, "check_attributions", later)
    assert stopped(world, tmp_path / "s.h5", batch=4) == "third"


def test_a_failed_run_keeps_the_former_shard(world, tmp_path):
    output = extract(world, "vgg16", tmp_path / "s.h5")
    before = output.read_bytes()
    with pytest.raises(InputError):
        extract(world, "vgg16", output, tolerance=1e-30)
    assert output.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["s.h5"]
