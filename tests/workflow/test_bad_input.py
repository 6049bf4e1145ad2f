"""What a user gets wrong: one line that names the key or file and what is allowed, and no half-written result."""

import subprocess
import sys
from pathlib import Path

import h5py
import pandas as pd
import pytest
import torch
from conftest import extract, images_of, refused, remove
from PIL import Image
from safetensors.torch import save_file
from small import ARGUMENTS, build, describe

import compare_methods
import decay_biases
import fit_linear_classifier
import make_digit_images
import make_example_maps
import make_manifest
import measure_removal
import plot_decay_trials
import plot_robustness
import summarise_removal
import train_network
import zero_biases
from explanations.data.folders import list_folder
from explanations.data.images import load_image
from explanations.data.listing import list_labelled
from explanations.errors import InputError
from explanations.files.framing import Framing, Picture
from explanations.files.hdf5 import DIGEST
from explanations.files.manifests import UNLABELLED, ManifestRow, read_manifest, write_manifest
from explanations.files.measurements import read_measurements
from explanations.files.shards import ShardReader
from explanations.flags import call_with_flags
from explanations.methods.names import all_kinds
from explanations.networks.files import load_network, save_network
from explanations.networks.sources.narrow import NARROW

SCRIPTS = Path(measure_removal.__file__).parent


@pytest.fixture
def output(tmp_path) -> Path:
    """Where a result would go: alone in a folder."""
    return tmp_path / "results" / "output"


# --- figures of the zoo ------------------------------------------------------------------------------------------


def test_a_survey_without_what_gives_the_colour(tmp_path, output):
    row = {"network": "a", "biases": 3, "normalisation": "none", "classes": 10, "n": 5, "relative_change": 0.0}
    table = pd.DataFrame([{**row, "change": "scale", "value": value, "accuracy": 0.5} for value in (1.0, 2.0)])
    table.to_csv(tmp_path / "robustness.csv", index=False)
    flags = {"robustness": [tmp_path / "robustness.csv"], "pdf": output, "png": output, "dpi": 60}
    message = refused(plot_robustness.main, change="scale", **flags)
    assert message == "the tables given lack the scale 10; survey.scales must hold it"
    assert not output.parent.exists()


def test_two_records_of_the_same_decay(tmp_path, output):
    row = {"network": "a", "profile": "linear", "steps": 2, "temperature": 9.0, "n": 5, "training_steps": 0}
    row |= {"phase": 0, "factor": 1.0, "accuracy": 0.5, "brute_force_accuracy": 0.5}
    pd.DataFrame([row]).to_csv(tmp_path / "record.csv", index=False)
    paths = [tmp_path / "record.csv"] * 2
    message = refused(plot_decay_trials.main, steps=paths, temperatures=paths, pdf=output, png=output, dpi=60)
    assert message == "the records given hold a value of steps twice; each must differ in it"
    assert not output.parent.exists()


# --- values out of range -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"grid": 1}, "removal.grid is 1; allowed is a number >= 2"),
        ({"batch": 0}, "removal.batch is 0; allowed is a number >= 1"),
        ({"shard_size": 0}, "removal.shard_size is 0; allowed is a number >= 1"),
        ({"noise_maps": 0}, "removal.noise_maps is 0; allowed is a number >= 1 and <= 9"),
        ({"noise_maps": 10}, "removal.noise_maps is 10; allowed is a number >= 1 and <= 9"),
        ({"grid": 1025}, "removal.grid is 1025; images have 1024 pixels, and each step removes at least one"),
        ({"grid_plus": [0.0, 1.0]}, "removal.grid_plus.0 is 0; allowed is a number > 0 and <= 1"),
        ({"grid_plus": [0.1, float("nan"), 1.0]}, "removal.grid_plus.1 is nan; allowed is a number > 0 and <= 1"),
        ({"grid_plus": [0.1, 0.1, 1.0]}, "removal.grid_plus.1 is 0.1; allowed is more than 0.1, before it"),
        ({"grid_plus": [0.1, 0.9]}, "removal.grid_plus ends at 0.9; allowed is an end at 1, with all pixels removed"),
        (
            {"grid_plus": [0.0004, 1.0]},
            "removal.grid_plus.0 is 0.0004, 0 of the 1024 pixels of an image, as many as the step before it; each step "
            "removes at least one",
        ),
        ({"fill": float("nan")}, "removal.fill is nan; allowed is a number >= -1e+06 and <= 1e+06"),
        ({"fill": 1e7}, "removal.fill is 1e+07; allowed is a number >= -1e+06 and <= 1e+06"),
        ({"ties": "first"}, "removal.ties is first; allowed are random, raster"),
        ({"never_flips": "zero"}, "removal.never_flips is zero; allowed are one, exclude"),
        ({"method": "all"}, f"method is all; allowed are {', '.join(map(str, all_kinds()))}"),
        ({"upsampling": "linear"}, "upsampling is linear; allowed are bilinear, nearest, bicubic"),
        ({"device": "gpu"}, "device is gpu; allowed are auto, cpu, cuda, cuda:<n>"),
        ({"threads": 0}, "--threads is 0; allowed is a number >= 1"),
        ({"shard": -1}, "--shard is -1; allowed is a number >= 0"),
    ],
)
def test_removal(world, output, flags, message):
    with pytest.raises(InputError) as raised:
        remove(world, "vgg16", output, **flags)
    assert str(raised.value) == message
    assert not output.parent.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"batch": 0}, "attributions.batch is 0; allowed is a number >= 1"),
        ({"shard_size": 0}, "attributions.shard_size is 0; allowed is a number >= 1"),
        ({"tolerance": 0.0}, "attributions.tolerance is 0; allowed is a number > 0"),
        ({"tolerance": float("nan")}, "attributions.tolerance is nan; allowed is a number > 0"),
        ({"shard": -2, "shard_size": 4}, "--shard is -2; allowed is a number >= 0"),
        ({"device": "tpu"}, "device is tpu; allowed are auto, cpu, cuda, cuda:<n>"),
    ],
)
def test_extraction(world, output, flags, message):
    with pytest.raises(InputError) as raised:
        extract(world, "vgg16", output, **flags)
    assert str(raised.value) == message
    assert not output.parent.exists()


def test_noise_maps_of_a_single_image(world, output, tmp_path):
    manifest = tmp_path / "m.csv"
    write_manifest(manifest, read_manifest(world.manifest)[:1])
    message = f"removal.noise_maps is 1; {manifest} holds 1 image, and noise maps are other images'"
    assert refused(remove, world, "vgg16", output, manifest=manifest) == message
    assert not output.parent.exists()


def test_a_shard_beyond_the_manifest(world, output):
    for step in (extract, remove):
        with pytest.raises(InputError, match=r"--shard is 5; .*manifest.csv has no images from 500 on"):
            step(world, "vgg16", output, shard=5)
    assert not output.parent.exists()


DECAY = {
    **{"profile": "exponential", "steps": 2, "floor": 0.1, "training_steps": 1, "extra_steps": 0},
    **{"temperature": 100.0, "learning_rate": 1e-4, "batch": 4, "seed": 0, "threads": 1, "name": "vgg16"},
    **{"record_images": 10, "checkpoint_seconds": 30.0, "device": "cpu", "precision": "float32"},
}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"steps": 0}, "decay.steps is 0; allowed is a number >= 1"),
        ({"profile": "cubic"}, "decay.profile is cubic; allowed are linear, exponential"),
        ({"floor": 0.0}, "decay.floor is 0; allowed is a number > 0 and <= 1"),
        ({"training_steps": 0}, "decay.training_steps is 0; allowed is a number >= 1"),
        ({"extra_steps": -1}, "decay.extra_steps is -1; allowed is a number >= 0"),
        ({"temperature": 0.0}, "decay.temperature is 0; allowed is a number >= 1e-18 and <= 1e+18"),
        ({"temperature": float("nan")}, "decay.temperature is nan; allowed is a number >= 1e-18 and <= 1e+18"),
        ({"learning_rate": 0.0}, "decay.learning_rate is 0; allowed is a number > 0"),
        ({"batch": 0}, "decay.batch is 0; allowed is a number >= 1"),
        ({"record_images": 0}, "decay.record_images is 0; allowed is a number >= 1"),
        ({"checkpoint_seconds": -1.0}, "--checkpoint-seconds is -1; allowed is a number >= 0"),
        ({"batch": 21}, "decay.batch is 21; {images} holds 20 images"),
        ({"threads": 0}, "--threads is 0; allowed is a number >= 1"),
    ],
)
def test_decay(world, output, flags, message):
    data = {"network": world.networks["vgg16"], **images_of(world)}
    data |= {"output": output, "record": output.with_suffix(".csv")}
    with pytest.raises(InputError) as raised:
        call_with_flags(decay_biases.main, {**data, **DECAY, **flags})
    assert str(raised.value) == message.format(images=world.test_images)
    assert not output.parent.exists()


TRAINING = {
    **{"source": "narrow", "constructor": "linear", "arguments": {"size": 32, "channels": 3}, "size": 32},
    **{"epochs": 1, "batch": 4, "learning_rate": 1e-3, "weight_decay": 0.0, "seed": 0, "threads": 1},
}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"epochs": 0}, "training.epochs is 0; allowed is a number >= 1"),
        ({"batch": 1}, "training.batch is 1; allowed is a number >= 2"),
        ({"batch": 21}, "training.batch is 21; allowed is at most the number of training images, 20"),
        ({"learning_rate": 0.0}, "training.learning_rate is 0; allowed is a number > 0"),
        ({"weight_decay": -1.0}, "training.weight_decay is -1; allowed is a number >= 0"),
        ({"size": 0}, "--size is 0; allowed is a number >= 1"),
        (
            {"constructor": "inception_v3", "arguments": {"width": 0.25}},
            "images.size is 32; inception_v3 can't take it: Calculated padded input size per channel: (1 x 1). Kernel "
            "size: (3 x 3). Kernel size can't be greater than actual input size",
        ),
        (
            {"constructor": "vit", "arguments": {"hidden": 16, "size": 48}},
            "images.size is 32; vit can't take it: Wrong image height! Expected 48 but got 32!",
        ),
        ({"source": "zoo"}, "source is zoo; allowed are narrow, torchvision, timm, file"),
        ({"constructor": "vgg99"}, f"constructor is vgg99; source narrow has {', '.join(NARROW)}"),
    ],
)
def test_training(world, output, flags, message):
    data = {
        "train_images": world.test_images,
        "train": world.images,
        "test_images": world.test_images,
        "images": world.images,
    }
    with pytest.raises(InputError) as raised:
        train_network.main(**{**data, **TRAINING, "output": output, **flags})
    assert str(raised.value) == message
    assert not output.parent.exists()


def test_training_with_other_classes_to_test_on(world, output, tmp_path):
    manifest = tmp_path / "m.csv"
    write_manifest(manifest, [ManifestRow(0, "0/a.png", "0", 0), ManifestRow(1, "0/b.png", "1", 0)])
    data = {"train_images": world.test_images, "train": world.images, "test_images": manifest, "images": world.images}
    flags = {**data, **TRAINING, "output": output}
    message = f"{manifest}: class 1 has label 0, but 1 among the network's 10 classes"
    assert refused(train_network.main, **flags) == message
    write_manifest(manifest, [ManifestRow(0, "0/a.png", "", UNLABELLED)])
    assert "holds images without labels; a network that is trained" in refused(train_network.main, **flags)
    assert not output.parent.exists()


def test_training_without_an_image_of_a_class(world, output, tmp_path):
    """As where unreadable files were left out: the labels that are left wouldn't be the outputs' places."""
    manifest = tmp_path / "m.csv"
    data = {"train_images": manifest, "train": world.images, "test_images": world.test_images, "images": world.images}
    write_manifest(manifest, [ManifestRow(0, "0/a.png", "0", 0), ManifestRow(1, "2/b.png", "2", 2)])
    message = f"{manifest}: holds no image with label 1; allowed are labels 0, 1, … without a gap"
    assert refused(train_network.main, **data, **TRAINING, output=output) == message
    write_manifest(manifest, [ManifestRow(0, "0/a.png", "", UNLABELLED)])
    message = f"{manifest}: holds images without labels; a network can't be trained on them"
    assert refused(train_network.main, **data, **TRAINING, output=output) == message
    assert not output.parent.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"classes": 11}, "images.classes is 11; {manifest} holds 10 classes"),
        ({"classes": 0}, "images.classes is 0; allowed is a number >= 1"),
        ({"per_class": 3}, "images.per_class is 3; {manifest}: class 0 holds 2 images"),
        ({"per_class": 0}, "images.per_class is 0; allowed is a number >= 1"),
        ({"per_class": 3, "short_classes": "skip"}, "images.classes is 9; {manifest} holds 0 classes with 3 images or"),
    ],
)
def test_manifest(world, output, flags, message):
    flags = {"classes": 9, "per_class": 1, "short_classes": "stop", "seed": 2, **flags}
    found = refused(make_manifest.main, test_images=world.test_images, output=output, **flags)
    assert found.startswith(message.format(manifest=world.test_images))
    assert not output.parent.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"split": "test"}, "--split is test; allowed are train, val, start, tuning"),
        ({"count": 9}, "--count is 9; allowed is a number >= 10"),
        ({"size": 8}, "--size is 8; allowed is a number >= 16 and <= 256"),
        ({"scraps": -1}, "--scraps is -1; allowed is a number >= 0"),
    ],
)
def test_digits(tmp_path, flags, message):
    images, masks = tmp_path / "images", tmp_path / "masks"
    values = {"split": "val", "count": 10, "size": 32, "scraps": 1, "seed": 0, **flags}
    assert refused(make_digit_images.main, images=images, masks=masks, **values) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("digits", "regularisation", "message"),
    [
        ([3, 10], 1.0, "linear.digits is 10; allowed is a number >= 0 and <= 9"),
        ([3], 0.0, "linear.regularisation is 0; allowed is a number > 0"),
    ],
)
def test_linear(output, digits, regularisation, message):
    assert refused(fit_linear_classifier.main, output, digits, regularisation, 0) == message
    assert not output.parent.exists()


def test_statistics(world, results, output):
    files, shard = [results["activity"]], world.shards["vgg16"]
    message = "statistics.resamples is 99; allowed is a number >= 100"
    assert refused(summarise_removal.main, files, output, 99, 0) == message
    assert refused(compare_methods.main, files, [], shard, output, ["noise"], 99, 0) == message
    message = refused(compare_methods.main, files, [], shard, output, ["everything"], 100, 0)
    assert message.startswith("family is everything; allowed are bias, gradient, ")
    for families, against in ((["variant"], []), (["gradient"], files), (["variant", "gradient"], files)):
        message = refused(compare_methods.main, files, against, shard, output, families, 100, 0)
        assert message.startswith(f"--families is {' '.join(families)}; variant, ")
        assert message.endswith(" go with --against, alone")
    assert not output.parent.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"chosen": [0, 10]}, "--chosen is 10; {manifest} has images 0 to 9"),
        ({"chosen": [-1]}, "--chosen is -1; {manifest} has images 0 to 9"),
        ({"methods": ["input", "lime"]}, "method is lime; allowed are gradient, "),
        ({"methods": ["bias_0"]}, "method is bias_0; layer 0 has no biases"),
        ({"upsampling": "linear"}, "upsampling is linear; allowed are "),
    ],
)
def test_example_maps(world, output, flags, message):
    values = {"network": world.networks["vgg16"], "manifest": world.manifest, "images": world.images}
    values |= {"shards": [world.shards["vgg16"]], "chosen": [0], "methods": ["activity_9"], "upsampling": "bilinear"}
    with pytest.raises(InputError) as raised:
        make_example_maps.main(**{**values, "output": output, **flags})
    assert str(raised.value).startswith(message.format(manifest=world.manifest))
    assert not output.parent.exists()


# --- images ------------------------------------------------------------------------------------------------------


def truncated(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return path


def test_a_missing_image(tmp_path):
    assert refused(load_image, Picture(tmp_path / "x.png"), Framing(8, 8)) == f"{tmp_path / 'x.png'}: no such image"


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif"])
def test_a_truncated_image(tmp_path, suffix, share):
    path = tmp_path / f"x.{suffix}"
    Image.effect_noise((40, 40), 50).convert("RGB").save(path)
    message = refused(load_image, Picture(truncated(path, share)), Framing(32, 32))
    assert message.startswith(f"{path}: can't be read as an image (")


@pytest.mark.parametrize("content", [b"no image", b"\x89PNG\r\n\x1a\n" + bytes(100), b"BM" + b"\xff" * 200])
def test_what_is_no_image(tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    assert "x.png: can't be read as an image (" in refused(load_image, Picture(tmp_path / "x.png"), Framing(32, 32))


def test_an_image_missing_half_way_leaves_no_shard(world, output, tmp_path):
    manifest = tmp_path / "m.csv"
    lines = world.manifest.read_text().splitlines()
    lines[6] = lines[6].replace(".png", "-gone.png")
    manifest.write_text("\n".join(lines) + "\n")
    for step in (extract, remove):
        message = refused(step, world, "vgg16", output, manifest=manifest, batch=2)
        assert message.endswith("-gone.png: no such image")
        assert not output.parent.exists() or not [*output.parent.iterdir()]


def test_folders_without_images(tmp_path):
    root = tmp_path / "images"
    assert refused(list_folder, root).startswith(f"images.folder: {root} is no folder; expected ")
    root.mkdir()
    message = f"images.folder: {root} holds no images; allowed are files ending in .jpg .jpeg .png "
    assert refused(list_folder, root).startswith(message)
    (root / "stray.png").write_bytes(b"")
    files, _ = list_folder(root)
    message = f"images.folder: {root} holds no class folders; expected images, as <class>/<file>"
    assert refused(list_labelled, root, files, "folders") == message
    (root / "a").mkdir()
    (root / "a" / "notes.txt").write_text("")
    message = f"images.folder: {root / 'a'} holds no images; allowed are files ending in .jpg .jpeg .png "
    assert refused(list_labelled, root, files, "folders").startswith(message)


HEADING = "index,path,class,label,orientation,content"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a manifest; its columns must be index, path, class, label, orientation, content"),
        ("index,path,class,label\n0,a/1.png,a,0\n", "not a manifest; its columns must be index, path, class, label, "),
        (f"{HEADING}\n", "its rows must be numbered 0, 1, … and be at least one"),
        (f"{HEADING}\n0,a/1.png,a,0,1,\n2,a/2.png,a,0,1,\n", "its rows must be numbered 0, 1, …"),
        (f"{HEADING}\n0,a/1.png,a\n", "not a manifest (not enough values"),
        (f"{HEADING}\n0,a/1.png,a,0,1,,9\n", "not a manifest (too many values"),
        (f"{HEADING}\nx,a/1.png,a,0,1,\n", "not a manifest (invalid literal"),
        (f"{HEADING}\n0,a/1.png,a,0,9,\n", "orientation 9 of a/1.png; allowed are 1 to 8"),
        (f"{HEADING}\n0," + 200_000 * "a" + ",a,0,1,\n", "not a manifest (field larger than field limit"),
        (f"{HEADING}\n0,".encode() + b"\xff\xfe,a,0,1,\n", "not a manifest ('utf-8' codec"),
    ],
)
def test_a_malformed_manifest(tmp_path, text, message):
    path = tmp_path / "m.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = refused(read_manifest, path)
    assert found.startswith(f"{path}: ") and message in found


def test_a_missing_manifest(tmp_path):
    assert refused(read_manifest, tmp_path / "m.csv") == f"{tmp_path / 'm.csv'}: no such manifest"


# --- networks ----------------------------------------------------------------------------------------------------


def with_nan(path: Path) -> None:
    network = build("vgg16")
    with torch.no_grad():
        network.features[5].weight[0, 0, 0, 0] = float("nan")
    save_network(path, network, describe("vgg16"))


BROKEN_NETWORKS = {
    "missing": (lambda path: None, "no such network file"),
    "empty": (lambda path: path.write_bytes(b""), "truncated, or not a safetensors file ("),
    "truncated": (
        lambda path: (save_network(path, build("linear"), describe("linear")), truncated(path, 0.7)),
        "truncated, or not a safetensors file (",
    ),
    "pickle": (lambda path: torch.save({"a": torch.ones(2)}, path), "truncated, or not a safetensors file ("),
    "no metadata": (
        lambda path: save_file({"a": torch.ones(2)}, path),
        "not a file of this workflow; its metadata must name format explanations-network-3",
    ),
    "other architecture": (
        lambda path: save_network(path, build("vgg16"), describe("resnet50")),
        "not a resnet50: bn1.bias is absent; expected (4,)",
    ),
    "other widths": (
        lambda path: save_network(
            path, build("vgg16"), describe("vgg16", arguments={**ARGUMENTS["vgg16"], "hidden": 9})
        ),
        "not a vgg16: classifier.0.bias is (24,); expected (9,)",
    ),
    "unknown constructor": (
        lambda path: save_network(path, build("vgg16"), describe("vgg16", constructor="vgg99")),
        f"constructor is vgg99; source narrow has {', '.join(NARROW)}",
    ),
    "unknown argument": (
        lambda path: save_network(path, build("vgg16"), describe("vgg16", arguments={"depth": 3})),
        "arguments of vgg16: ",
    ),
    "NaN": (with_nan, "features.5.weight holds NaN or infinite values; all weights must be finite"),
}


@pytest.mark.parametrize("fault", BROKEN_NETWORKS)
def test_a_broken_network_file(tmp_path, fault):
    path = tmp_path / "n.safetensors"
    make, message = BROKEN_NETWORKS[fault]
    make(path)
    assert refused(load_network, path).startswith(f"{path}: {message}")


def test_a_broken_network_file_leaves_no_result(world, output, tmp_path):
    path = tmp_path / "n.safetensors"
    with_nan(path)
    for step in (extract, remove):
        assert "features.5.weight holds NaN" in refused(step, world, "vgg16", output, network=path)
    assert "features.5.weight holds NaN" in refused(zero_biases.main, path, output)
    assert not output.parent.exists()


# --- shards and results ------------------------------------------------------------------------------------------


@pytest.fixture
def shard(world, tmp_path) -> Path:
    """A copy of a shard, to be broken."""
    path = tmp_path / "shard.h5"
    path.write_bytes(world.shards["vgg16"].read_bytes())
    return path


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_shard(shard, share):
    message = refused(ShardReader, [truncated(shard, share)])
    assert message.startswith(f"{shard}: changed since it was written, or truncated (")
    assert message.endswith(f"); make it again: snakemake --cores all --force {shard}")


def test_a_missing_shard(tmp_path):
    assert refused(ShardReader, [tmp_path / "s.h5"]) == f"{tmp_path / 's.h5'}: no such shard"


@pytest.mark.parametrize(
    "part", ["score", "gradient", "gradcam", "activity", "activity/05", "bias", "fullgrad_feature"]
)
def test_a_shard_that_lacks_a_part(shard, part):
    with h5py.File(shard, "a") as file:
        del file[part]
    message = refused(ShardReader, [shard])
    assert message.startswith(f"{shard}: not a whole attribution shard; it lacks {part}")


@pytest.mark.parametrize("attribute", ["weights", "variant", "layers"])
def test_a_shard_that_lacks_an_attribute(shard, attribute):
    with h5py.File(shard, "a") as file:
        del file.attrs[attribute], file.attrs[DIGEST]
    message = refused(ShardReader, [shard])
    assert message == f"{shard}: not a whole attribution shard; it lacks {attribute}"


def test_shards_of_two_networks(world):
    one, other = world.shards["vgg16"], world.shards["resnet50"]
    assert refused(ShardReader, [one, other]) == f"{other}: network is resnet50; {one} has vgg16"


def test_a_shard_of_another_network(world, output):
    found = refused(remove, world, "vgg16", output, shards=[world.shards["resnet50"]])
    assert found.startswith(f"{world.shards['resnet50']}: belongs to a network whose file's SHA-256 is ")
    assert not output.parent.exists()


def test_shards_that_lack_an_image(world, output, tmp_path):
    half = extract(world, "vgg16", tmp_path / "half" / "s.h5", shard_size=5)
    found = refused(remove, world, "vgg16", output, shards=[half])
    assert found.startswith(f"{tmp_path / 'half'}: its shards lack image ")
    assert not output.parent.exists()


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_truncated_result(results, tmp_path, share):
    path = tmp_path / "r.h5"
    path.write_bytes(results["activity"].read_bytes())
    found = refused(read_measurements, [truncated(path, share)])
    assert found.startswith(f"{path}: changed since it was written, or truncated (")


def test_what_is_no_result(world, tmp_path):
    path = world.shards["vgg16"]
    found = refused(read_measurements, [path])
    assert found.startswith(f"{path}: not a file of removal results; it lacks methods, orders, ")
    assert refused(read_measurements, [tmp_path / "r.h5"]) == f"{tmp_path / 'r.h5'}: no such file of removal results"


# --- as a user sees it -------------------------------------------------------------------------------------------


def run_script(name: str, *flags: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPTS / name), *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_scripts_print_one_line_and_exit_with_1(world, output):
    cases = [
        (
            ("make_manifest.py", "--test-images", world.test_images, "--classes", 99, "--per-class", 1),
            f"make_manifest.py: error: images.classes is 99; {world.test_images} holds 10 classes\n",
        ),
        (
            ("summarise_removal.py", "--measurements", world.manifest),
            f"summarise_removal.py: error: {world.manifest}: changed since it was written, or truncated (file sig",
        ),
    ]
    for flags, message in cases:
        found = run_script(*flags, "--output", output)
        assert found.returncode == 1
        assert found.stderr.startswith(message)
        assert found.stderr.count("\n") == 1 and found.stdout == ""
        assert not output.parent.exists()
