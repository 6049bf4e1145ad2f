"""Networks of the user's own: fine-tuned on other classes, of grey or transparent images; from file to figures."""

import shlex
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import timm
import torch
import torchvision
import yaml
from conftest import LISTING, extract, refused, remove
from small import ARGUMENTS, build, describe, randomise_vectors
from workflow_copy import copy_workflow, snakemake

import fetch_network
import list_images
import make_example_maps
import make_manifest
import plot_variants_attributions
import train_network
from explanations.cost.projection import examine
from explanations.data.pictures import as_rgb
from explanations.files.classes import read_classes
from explanations.files.descriptions import NetworkDescription, read_description
from explanations.files.hashes import file_hash
from explanations.files.hdf5 import read_attributes
from explanations.files.manifests import ManifestRow, write_manifest
from explanations.networks.channels import adapt_normalisation, count_channels
from explanations.networks.evaluation import LabelledImages
from explanations.networks.files import load_network, preprocess
from explanations.networks.outputs import check_outputs, check_training
from explanations.networks.pretrained import look_up, own_classes


def fetch(folder: Path, source: str, constructor: str, content: object, **flags) -> tuple:
    """Fetch a network with what is saved as its weights: the network and its description."""
    torch.save(content, folder / "w.pth")
    flags = {"arguments": {}, "weights": "", "url": str(folder / "w.pth"), "sha256": "", **flags}
    fetch_network.main(source=source, constructor=constructor, output=folder / "n.safetensors", **flags)
    return load_network(folder / "n.safetensors")


@pytest.fixture(scope="module")
def pairs(world, tmp_path_factory) -> dict[int, SimpleNamespace]:
    """The first two and all ten of the world's classes, by their folders, and a manifest of two images of each."""
    made = {}
    for count in (2, 10):
        root = tmp_path_factory.mktemp("classes")
        (root / "images").mkdir()
        for name in map(str, range(count)):
            (root / "images" / name).symlink_to(world.images / name)
        list_images.main("folder", root / "images", root / "test_images.csv", **LISTING)
        make_manifest.main(root / "test_images.csv", root / "manifest.csv", 2, 1, "stop", 0)
        made[count] = SimpleNamespace(
            **{"root": root, "images": root / "images", "networks": {}, "shards": {}},
            **{"test_images": root / "test_images.csv", "manifest": root / "manifest.csv"},
        )
    return made


def run_through(pair: SimpleNamespace, folder: Path) -> dict:
    """Attributions, removal and example maps of a fetched network, on two images: the attributes of the last."""
    pair.networks["own"], pair.shards["own"] = folder / "n.safetensors", folder / "shard.h5"
    extract(pair, "own", folder / "shard.h5", batch=2)
    with h5py.File(remove(pair, "own", folder / "removal.h5", method="fullgrad", grid=2)) as file:
        assert np.isfinite(file["e_minus"]).all() and file["e_minus"].shape[0] == 2
    data = {"network": folder / "n.safetensors", "manifest": pair.manifest, "images": pair.images}
    data |= {"shards": [folder / "shard.h5"], "chosen": [0, 1], "methods": ["input"], "upsampling": "bilinear"}
    make_example_maps.main(**data, output=folder / "maps.h5")
    with h5py.File(folder / "maps.h5") as file:
        return {**read_attributes(file), "rgb": file["rgb"][:]}


# --- classes -----------------------------------------------------------------------------------------------------


def test_a_ten_class_resnet18(pairs, tmp_path):
    """As Lightning saves it; its classes in a file, in the order of the folders."""
    network = randomise_vectors(torchvision.models.resnet18(num_classes=10))
    state = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    (tmp_path / "names.txt").write_text("\n".join("0123456789") + "\n")
    flags = {"classes": str(tmp_path / "names.txt"), "weights": "IMAGENET1K_V1"}
    found, description = fetch(tmp_path, "torchvision", "resnet18", {"state_dict": state, "epoch": 9}, **flags)
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(found(images), network(images))
    assert description.classes == tuple("0123456789") and description.arguments["num_classes"] == 10
    assert description.origin_hash == file_hash(tmp_path / "w.pth")
    assert 0 <= LabelledImages.read(pairs[10].test_images, pairs[10].images, description).accuracy(found) <= 1
    assert set(run_through(pairs[10], tmp_path)["target_classes"]) <= set("0123456789")


@pytest.mark.parametrize("classes", [["cat", "dog"], 2])
def test_a_two_class_vit(pairs, tmp_path, classes):
    network = randomise_vectors(timm.create_model("test_vit", num_classes=2))
    found, description = fetch(tmp_path, "timm", "test_vit", {"model": network.state_dict()}, classes=classes)
    images = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        assert torch.equal(found(images), network(images))
    targets = set(run_through(pairs[2], tmp_path)["target_classes"])
    if classes == 2:  # named by the folders
        assert description.classes == ("class 0", "class 1") and not description.named
        assert len(LabelledImages.read(pairs[2].test_images, pairs[2].images, description)) == 4
        assert targets <= {"0", "1"}
        message = refused(LabelledImages.read, pairs[10].test_images, pairs[10].images, description)
        assert message.endswith("class 2 with label 2 is none of the network's 2 classes")
    else:
        assert description.classes == ("cat", "dog") and targets <= {"cat", "dog"}
        message = refused(LabelledImages.read, pairs[2].test_images, pairs[2].images, description)
        assert message.endswith("class 0 with label 0 is none of the network's 2 classes")


def test_a_folder_that_lacks_a_class(tmp_path):
    """All after it would be taken for the one before; labels of a larger set have gaps."""
    description = describe("vgg16", classes=tuple(f"class {k}" for k in range(10)))
    rows = [ManifestRow(k, f"{k}/a.png", f"{k}", k) for k in range(9)]
    write_manifest(tmp_path / "m.csv", rows)
    message = refused(LabelledImages.read, tmp_path / "m.csv", tmp_path, description)
    assert message.startswith(
        f"{tmp_path / 'm.csv'}: its images are of 9 classes, the network has 10, and no names of "
    )
    write_manifest(tmp_path / "m.csv", [ManifestRow(k, f"{label}/a.png", "x", label) for k, label in enumerate((0, 7))])
    assert len(LabelledImages.read(tmp_path / "m.csv", tmp_path, description)) == 2


def test_the_number_among_the_arguments_is_kept(tmp_path):
    network = randomise_vectors(timm.create_model("test_vit", num_classes=7))
    found, description = fetch(tmp_path, "timm", "test_vit", network.state_dict(), arguments={"num_classes": 7})
    assert description.classes == tuple(f"class {k}" for k in range(7)) and found.head.out_features == 7
    assert own_classes("", {"num_classes": 1000}, True) == own_classes("", {}, True) == ()


def test_own_weights_choose_what_they_were_made_from():
    assert (
        look_up("torchvision", "vit_b_16", "", {}, 2).framing
        == look_up("torchvision", "vit_b_16", "DEFAULT", {}, 2).framing
    )
    swag = look_up("torchvision", "vit_b_16", "IMAGENET1K_SWAG_E2E_V1", {}, 2)
    assert (swag.framing.size, swag.classes, swag.own) == (384, 2, True)
    small = look_up("torchvision", "vit_b_16", "IMAGENET1K_V1", {"image_size": 112}, 2).framing
    assert (small.size, small.resize) == (112, 128)
    assert look_up("timm", "vit_base_patch16_224", "mae", {}, 2).classes == 2  # which has no classes itself


def test_the_published_hash_is_not_asked_of_own_weights(tmp_path):
    network = torchvision.models.squeezenet1_1()
    names = [f"name {k}" for k in range(1000)]
    flags = {"weights": "IMAGENET1K_V1", "classes": names}
    _, description = fetch(tmp_path, "torchvision", "squeezenet1_1", network.state_dict(), **flags)
    assert description.classes == tuple(names)
    flags |= {"url": "https://example.org/w.pth"}
    message = refused(fetch, tmp_path, "torchvision", "squeezenet1_1", {}, **flags)
    assert message == "weights.sha256 is missing; no hash is published for https://example.org/w.pth"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"classes": "3", "arguments": {"num_classes": 4}}, "arguments.num_classes is 4; classes are 3"),
        ({"classes": "1"}, "classes is 1; a network needs at least two"),
        ({"classes": ["a"]}, "classes: a network needs at least two classes, not 1"),
        ({"classes": ["a", "b", "a"]}, "classes: a is there twice; the names of classes must differ"),
        ({"classes": "none.txt"}, "classes is none.txt; it can't be read as a file of names (No such file"),
        ({"classes": ["a", "b"], "url": ""}, "weights.url is missing; classes are those of weights of one's own"),
        ({"url": ""}, "weights.name is missing; only classes and weights.url"),
        ({"arguments": {"num_classes": 1}}, "classes is 1; a network needs at least two"),
        (
            {"weights": "r160_in1k", "url": "", "arguments": {"num_classes": 10}},
            "arguments.num_classes is 10; test_vit r160_in1k has 1000 classes; weights of one's own come with ",
        ),
        (
            {"classes": "3", "arguments": {"in_chans": 2}},
            "arguments.in_chans is 2; allowed are 1, 3 and 4: images are ",
        ),
    ],
)
def test_what_does_not_fit(tmp_path, flags, message):
    assert refused(fetch, tmp_path, "timm", "test_vit", {}, **flags).startswith(message)


def test_weights_of_other_classes_than_said(tmp_path):
    state = torchvision.models.resnet18(num_classes=10).state_dict()
    message = refused(fetch, tmp_path, "torchvision", "resnet18", state, classes=9)
    assert message == f"{tmp_path / 'w.pth'}: not a resnet18: fc.bias is (10,); expected (9,)"
    state = timm.create_model("test_vit", num_classes=10).state_dict()
    message = refused(fetch, tmp_path, "timm", "test_vit", state, classes=9)
    assert "not a test_vit: Error(s) in loading state_dict for VisionTransformer: size mismatch for head" in message


def test_names_in_a_file(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffCafé au lait\r\nno\r\n\r\n".encode())
    assert read_classes(str(path)) == ("Café au lait", "no")
    path.write_text("a\n\nb\n")
    assert refused(read_classes, str(path)) == f"{path}: name 2 is empty; there must be one for each class"


def test_lists_as_flags():
    assert fetch_network.names_or_path("['a', 'b c']") == ["a", "b c"]
    assert fetch_network.names_or_path("names.txt") == "names.txt"
    assert read_classes(fetch_network.names_or_path("12")) == tuple(f"class {k}" for k in range(12))


def test_what_own_networks_cost():
    entry = {"source": "timm", "constructor": "test_vit", "arguments": {"in_chans": 1}, "classes": ["a", "b"]}
    entry |= {"weights": {"url": "w.pth"}}
    facts = examine(entry, 0, 0, explained=True)
    network = timm.create_model("test_vit", num_classes=2, in_chans=1)
    assert facts.weights == sum(4 * tensor.numel() for tensor in network.state_dict().values())


# --- planned -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workflow(tmp_path_factory) -> Path:
    """A copy of the workflow beside a file of weights and one of names."""
    folder = copy_workflow(tmp_path_factory.mktemp("workflow"))
    (folder / "w.pth").write_bytes(b"")
    (folder / "names.txt").write_text("a\nb\n")
    (folder / "one.txt").write_text("a\n")
    return folder


OWN = {"source": "timm", "constructor": "test_vit", "arguments": {}, "weights": {"url": "w.pth"}}
TRAINED = {"training": {"epochs": 1, "batch": 2, "learning_rate": 0.1, "weight_decay": 0}}


def plan(folder: Path, network: dict, home: Path | None = None) -> str:
    (folder / "own.yaml").write_text(yaml.safe_dump({"networks": {"own": network}}))
    target = "results/embedded/models/own/original.safetensors"
    arguments = ("--dry-run", "--printshellcmds", target, "--configfile", "own.yaml")
    return snakemake(folder, *arguments, check=False).stdout


@pytest.mark.parametrize("classes", [["a", "-b c", 3], 7, "names.txt"])
def test_own_networks_are_planned(workflow, classes):
    said = plan(workflow, {**OWN, "classes": classes})
    assert f"--classes={shlex.quote(str(classes))}" in said
    inputs = next(line for line in said.splitlines() if line.strip().startswith("input: "))
    assert "w.pth" in inputs and ("names.txt" in inputs) == (classes == "names.txt")


def test_published_weights_are_asked_for_with_flags_that_say_nothing(workflow):
    """Each has a value, if an empty one: without, the command would take the next flag for it."""
    said = plan(workflow, {**OWN, "weights": {"name": "r160_in1k"}})
    command = next(line for line in said.splitlines() if "scripts/fetch_network.py" in line and "--source=" in line)
    flags = shlex.split(command.partition("fetch_network.py")[2].partition(">")[0])
    values = dict(flag.split("=") for flag in flags)
    expected = {"--classes": "", "--weights": "r160_in1k", "--key": "", "--url": "", "--sha256": ""}
    assert expected.items() <= values.items()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "networks.own.weights.name is missing; only weights of your own, with classes, do without"),
        ({"classes": ["a"]}, "networks.own.classes is ['a']; allowed is a list of two or more different names, a file"),
        (
            {"source": "narrow", "constructor": "alexnet", "classes": 2},
            "networks.own.source is narrow, of which there are no weights; allowed is training",
        ),
        ({"classes": "1"}, "networks.own.classes is 1; allowed is a number of at least 2"),
        ({"classes": 1}, "networks.own.classes is 1; allowed is a list of two or more different names"),
        (
            {"classes": ["a", False]},
            "networks.own.classes.1 is False; allowed is a name; one like no, null or 1.5 in qu",
        ),
        (
            {"classes": "x.txt"},
            "networks.own.classes is x.txt; allowed is a text file that can be read, a list or a num",
        ),
        ({"classes": "one.txt"}, "networks.own.classes is one.txt; it holds 1 names; allowed are two or more"),
        ({"classes": 2, "weights": {"name": "x"}}, "networks.own.weights.url is missing; classes are those of weights"),
        (
            {"classes": 2, "weights": {"url": "~/none.pth"}},
            "networks.own.weights.url is ~/none.pth; there is no such file",
        ),
        (
            {"classes": 2, "weights": {"url": "{network}.pth"}},
            "networks.own.weights.url is {network}.pth; allowed is a path without { and }",
        ),
        ({"classes": "{a}.txt"}, "networks.own.classes is {a}.txt; allowed is a path without { and }"),
        (
            {"classes": "names.txt", "arguments": {"num_classes": 3}},
            "networks.own.arguments.num_classes is 3; networks.own.classes are 2",
        ),
        ({"arguments": {"num_classes": 1}}, "networks.own.arguments.num_classes is 1; allowed is a whole number of at"),
        (
            {"arguments": {"in_chans": 2}},
            "networks.own.arguments.in_chans is 2; allowed is 1, 3 or 4: images are grey,",
        ),
        ({"classes": 2, "weights": None, **TRAINED}, "networks.own.classes goes with weights; of what is trained here"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(workflow, changes, message):
    network = {key: value for key, value in {**OWN, **changes}.items() if value is not None}
    assert f"configuration: {message}" in plan(workflow, network)


def test_a_home_folder(workflow, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "w.pth").write_bytes(b"")
    (tmp_path / "names.txt").write_text("a\nb\n")
    said = plan(workflow, {**OWN, "weights": {"url": "~/w.pth"}, "classes": "~/names.txt"})
    assert f"input: {tmp_path}/w.pth, {tmp_path}/names.txt" in said


def test_a_file_of_weights_that_changes_is_read_again(workflow):
    network = {**OWN, "classes": "names.txt", "weights": {"url": "changing.pth"}}
    (workflow / "own.yaml").write_text(yaml.safe_dump({"networks": {"own": network}}))
    target = Path("results/embedded/models/own/original.safetensors")
    arguments = ("--cores", "1", str(target), "--configfile", "own.yaml")
    (workflow / "names.txt").write_text("no\nyes\n")
    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save(timm.create_model("test_vit", num_classes=2).state_dict(), workflow / "changing.pth")
        snakemake(workflow, *arguments)
        description = read_description(workflow / target)
        assert description.origin_hash == file_hash(workflow / "changing.pth") and description.classes == ("no", "yes")
    assert "Nothing to be done" in snakemake(workflow, *arguments).stdout


# --- channels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 4])
def test_own_weights_of_other_images(pairs, tmp_path, channels):
    """From the file to removal and figures."""
    arguments = {"in_chans": channels}
    network = randomise_vectors(timm.create_model("test_resnet", num_classes=2, **arguments))
    flags = {"classes": ["0", "1"], "arguments": arguments}
    found, description = fetch(tmp_path, "timm", "test_resnet", network.state_dict(), **flags)
    images = torch.randn(2, channels, 160, 160)
    with torch.no_grad():
        assert torch.equal(found(images), network(images))
    assert description.framing.channels == len(description.std) == channels
    maps = run_through(pairs[2], tmp_path)
    assert maps["rgb"].shape == (2, 160, 160, 3) and maps["rgb"].dtype == np.uint8
    assert np.ptp(maps["rgb"], 3).any() == (channels == 4)
    flags = {"networks": [tmp_path / "n.safetensors"] * 2, "shards": [tmp_path / "shard.h5"] * 2, "dpi": 60, "image": 0}
    flags |= {"manifest": pairs[2].manifest, "images": pairs[2].images}
    plot_variants_attributions.main(**flags, pdf=tmp_path / "a.pdf", png=tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size


@pytest.mark.parametrize("channels", [1, 4])
def test_published_weights_read_other_images(tmp_path, channels):
    """As timm itself makes them fit: a grey image is read as the same in all three colours."""
    network = randomise_vectors(timm.create_model("test_resnet"))
    flags = {"weights": "r160_in1k", "arguments": {"in_chans": channels}}
    torch.save(network.state_dict(), tmp_path / "w.pth")
    flags |= {"sha256": file_hash(tmp_path / "w.pth")}
    found, description = fetch(tmp_path, "timm", "test_resnet", network.state_dict(), **flags)
    images = torch.randn(2, channels, 160, 160)
    wanted = timm.create_model(
        "test_resnet.r160_in1k", True, pretrained_cfg_overlay={"file": str(tmp_path / "w.pth")}, in_chans=channels
    )
    with torch.no_grad():
        assert torch.equal(found(images), wanted.eval()(images))
    if channels == 1:
        assert (description.mean, description.std) == ((0.5,), (0.5,))
    else:
        assert (description.mean, description.std) == ((0.5, 0.5, 0.5, 1.0), (0.5, 0.5, 0.5, 0.25))


def test_channels_are_normalised_each_by_its_own():
    images = torch.randint(0, 256, (2, 4, 5, 5), dtype=torch.uint8)
    values = images / 255
    mean, std = adapt_normalisation((0.1, 0.2, 0.3), (0.5, 0.25, 2.0), 4)
    found = preprocess(images, describe("vgg16", mean=mean, std=std))
    torch.testing.assert_close(found[1, 2], (values[1, 2] - 0.3) / 2)
    assert (found[:, 3] == (values[:, 3] - 1) / 0.25).all()  # 0 where an image is opaque
    grey = preprocess(images[:, :1], describe("vgg16", mean=(0.2,), std=(0.5,)))
    torch.testing.assert_close(grey, (values[:, :1] - 0.2) / 0.5)


def test_grey_is_normalised_by_the_mean_of_rgbs():
    mean, std = adapt_normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1)
    assert (*mean, *std) == pytest.approx((0.449, 0.226))


def test_pictures_of_any_channels():
    grey = np.array([[[0, 128]]], np.uint8)
    assert as_rgb(grey).tolist() == [[[0, 0, 0], [128, 128, 128]]]
    rgb = np.arange(6, dtype=np.uint8).reshape(3, 1, 2)
    assert np.array_equal(as_rgb(rgb[None]), rgb.transpose(1, 2, 0)[None])
    rgba = np.concatenate([rgb, np.array([[[255, 0]]], np.uint8)])
    assert as_rgb(rgba).tolist() == [[[0, 2, 4], [255, 255, 255]]]


@pytest.mark.parametrize(
    ("source", "constructor", "arguments"),
    [
        ("timm", "test_resnet", {"in_chans": 1}),
        ("timm", "test_vit", {"in_chans": 4, "img_size": 32}),
        ("narrow", "linear", {"size": 32, "channels": 1}),
    ],
)
def test_training_on_other_images(world, tmp_path, source, constructor, arguments):
    train(world, tmp_path, source=source, constructor=constructor, arguments=arguments)
    _, description = load_network(tmp_path / "n.safetensors")
    channels = count_channels(source, arguments)
    assert description.mean == ((0.5,) if channels == 1 else (0.5, 0.5, 0.5, 1.0))
    assert description.std == (0.25,) * channels


def test_a_number_of_channels_that_is_not_the_networks():
    message = refused(check_outputs, build("vgg16"), "vgg16", 1, 32, 10, "images.size")
    assert message == "arguments of vgg16: vgg16 takes images of 3 channels, not of 1"


# --- training ----------------------------------------------------------------------------------------------------


def train(world, folder: Path, **flags) -> Path:
    data = {"train_images": world.test_images, "train": world.images}
    data |= {"test_images": world.test_images, "images": world.images}
    data |= {"source": "narrow", "constructor": "linear", "arguments": {"size": 32, "channels": 3}, "size": 32}
    data |= {"epochs": 1, "batch": 10, "learning_rate": 1e-3, "weight_decay": 0.0, "seed": 0, "threads": 1}
    train_network.main(**{**data, "output": folder / "n.safetensors", **flags})
    return folder / "n.safetensors"


@pytest.mark.parametrize(("constructor", "size"), [("googlenet", 32), ("inception_v3", 75)])
def test_inceptions_are_trained_without_auxiliary_heads(world, tmp_path, constructor, size):
    network, description = load_network(
        train(world, tmp_path, source="torchvision", constructor=constructor, arguments={}, size=size)
    )
    assert description.arguments["aux_logits"] is False and description.arguments["num_classes"] == 10
    assert not any(name.lower().startswith("aux") for name, _ in network.named_parameters())
    flags = {"source": "torchvision", "constructor": constructor, "arguments": {"aux_logits": True}}
    message = refused(train, world, tmp_path, **flags)
    assert message == "arguments.aux_logits is true; networks are trained here without auxiliary heads"


def test_what_gives_more_than_logits(world, tmp_path):
    said = "it must be logits alone, without those of auxiliary heads"
    flags = {"source": "timm", "constructor": "inception_v3", "arguments": {"aux_logits": True}, "size": 299}
    assert refused(train, world, tmp_path, **flags) == f"inception_v3's output is a tuple; {said}"
    flags |= {"constructor": "test_resnet", "arguments": {"features_only": True}, "size": 64}
    assert refused(train, world, tmp_path, **flags) == f"test_resnet's output is a list; {said}"
    distilled = timm.create_model("deit_tiny_distilled_patch16_224", img_size=32, num_classes=10, depth=1)
    check_training(distilled, "deit", 3, 32, 10)
    distilled.set_distilled_training()
    message = refused(check_training, distilled, "deit", 3, 32, 10)
    assert message == f"deit's output in training is a tuple; {said}"


def test_the_check_before_training_changes_nothing(world, tmp_path, monkeypatch):
    """Neither random draws nor statistics: a network with dropout and batch normalisation trains as without it."""
    flags = {"constructor": "vgg16_bn", "arguments": {**ARGUMENTS["vgg16"]}}
    checked = file_hash(train(world, tmp_path, **flags))
    monkeypatch.setattr(train_network, "check_training", lambda *args: None)
    assert file_hash(train(world, tmp_path, **flags)) == checked


@pytest.mark.parametrize(("asked", "classes"), [(None, 1), (5, 2)])
def test_training_on_too_few_classes(pairs, tmp_path, asked, classes):
    folder = tmp_path / "train"
    folder.mkdir()
    for name in map(str, range(classes)):
        (folder / name).symlink_to(pairs[2].images / name)
    arguments = {"size": 32, "channels": 3} | ({"num_classes": asked} if asked else {})
    listed = tmp_path / "train_images.csv"
    list_images.main("folder", folder, listed, **LISTING)
    flags = {"train_images": listed, "train": folder, "arguments": arguments, "batch": 2}
    message = refused(train, pairs[2], tmp_path, **flags)
    wanted = f"{folder}: holds one class, 0; a network needs 2 or more to decide between"
    assert message == (f"arguments.num_classes is 5; {folder} holds 2 classes" if asked else wanted)


def test_a_network_of_one_class_is_not_described(tmp_path):
    arguments = {"size": 4, "channels": 3, "num_classes": 1}
    message = refused(NetworkDescription, "narrow", "linear", arguments, ("a",), 4, (0.5,) * 3, (0.5,) * 3, 4)
    assert message == "classes is ('a',); allowed is 2 names or more, each of them text"
