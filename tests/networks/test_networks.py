"""Network files, variants without biases, and torchvision's classes at smaller widths."""

import hashlib
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from conftest import refused
from small import ARGUMENTS, SIZE, build, describe, inputs, module_biases, randomise
from torch import Tensor, nn
from torchvision.models.convnext import LayerNorm2d
from torchvision.ops import SqueezeExcitation

from explanations.decomposition.decomposition import Decomposition
from explanations.decomposition.operations import BATCH_NORMS, CONVOLUTIONS
from explanations.errors import InputError
from explanations.files.descriptions import NetworkDescription, read_description
from explanations.files.hashes import file_hash
from explanations.networks.biases import decay_factors, find_biases, scale_biases, zero_biases
from explanations.networks.files import (
    build_network,
    load_network,
    load_state,
    predict_logits,
    preprocess,
    save_network,
)
from explanations.networks.sources.narrow import NARROW

# --- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARGUMENTS)
def test_round_trip_of_narrow_networks(tmp_path, name):
    network = build(name)
    save_network(tmp_path / "n.safetensors", network, describe(name))
    loaded, description = load_network(tmp_path / "n.safetensors")
    images = inputs(dtype=torch.float32)
    assert torch.equal(loaded(images), network(images))
    assert not loaded.training
    assert description == describe(name)


def test_round_trip_of_a_torchvision_network(tmp_path):
    arguments = {"num_classes": 7}
    network = randomise(build_network("torchvision", "squeezenet1_1", arguments))
    saved = describe(
        "vgg16", source="torchvision", constructor="squeezenet1_1", arguments=arguments, classes=tuple("abcdefg")
    )
    save_network(tmp_path / "n.safetensors", network, saved)
    loaded, description = load_network(tmp_path / "n.safetensors")
    images = inputs(dtype=torch.float32)
    assert torch.equal(loaded(images), network(images))
    assert description == saved


def test_round_trip_of_channels_last_weights(tmp_path):
    network = build("vgg16")
    images = inputs(dtype=torch.float32)
    wanted = network(images)
    save_network(tmp_path / "n.safetensors", network.to(memory_format=torch.channels_last), describe("vgg16"))
    torch.testing.assert_close(load_network(tmp_path / "n.safetensors")[0](images), wanted)


def test_round_trip_of_a_description(tmp_path):
    saved = NetworkDescription(
        source="narrow",
        constructor="linear",
        arguments={"size": 4, "channels": 3, "num_classes": 2},
        classes=("ü, 1", "zwei\n"),
        size=4,
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 1 / 3),
        resize=5,
        interpolation="bicubic",
        squash=True,
        variant="decayed",
        origin="https://example.org/a b",
        origin_hash="ab" * 32,
        record={"accuracy": 0.123456789012345, "nested": {"steps": [1, 2.5, None, True]}},
    )
    save_network(tmp_path / "n.safetensors", build_network("narrow", "linear", saved.arguments), saved)
    assert read_description(tmp_path / "n.safetensors") == saved


def test_equal_networks_are_equal_files(tmp_path):
    files = [tmp_path / f"{number}.safetensors" for number in range(4)]
    for file in files:
        save_network(file, build("vgg16"), describe("vgg16"))
    assert len({file_hash(file) for file in files}) == 1


def test_variants_keep_the_rest_of_the_description():
    variant = describe("vgg16").with_variant("zeroed", "biases set to zero", "ff", {"accuracy": 0.5})
    assert (variant.variant, variant.origin, variant.origin_hash) == ("zeroed", "biases set to zero", "ff")
    assert (variant.constructor, variant.arguments, variant.size) == ("vgg16", ARGUMENTS["vgg16"], 32)


def test_file_hash(tmp_path):
    (tmp_path / "f").write_bytes(b"abc" * 100_000)
    assert file_hash(tmp_path / "f") == hashlib.sha256(b"abc" * 100_000).hexdigest()


@pytest.mark.parametrize(
    ("source", "constructor", "arguments", "message"),
    [
        ("caffe", "vgg16", {}, "source is caffe; allowed are narrow, torchvision, timm"),
        ("narrow", "vgg13", {}, f"constructor is vgg13; source narrow has {', '.join(NARROW)}"),
        (
            "narrow",
            "resnet18",
            {"width": 0.01, "num_classes": 9},
            "width is 0.01; a layer of 64 channels would have 0.64",
        ),
        ("narrow", "resnet18", {"width": 2, "num_classes": 9}, "width is 2; allowed is a number > 0 and <= 1"),
        ("narrow", "resnet18", {"depth": 2}, "arguments of resnet18: "),
        (
            "narrow",
            "alexnet",
            {"width": 0.25, "size": 32, "num_classes": 9},
            "size is 32; the poolings of alexnet leave",
        ),
        ("torchvision", "vgg17", {}, "constructor is vgg17; source torchvision has alexnet, "),
        ("narrow", "vgg16", {"wide": 1}, "arguments of vgg16: "),
        ("narrow", "vgg16", {**ARGUMENTS["vgg16"], "size": 16}, "size is 16; allowed is a number >= 32"),
        ("narrow", "efficientnet", {"width": 2, "num_classes": 9}, "width is 2; allowed is a number > 0 and <= 1"),
        ("narrow", "convnext", {"width": 0, "num_classes": 9}, "width is 0; allowed is a number > 0 and <= 1"),
        (
            "narrow",
            "convnext",
            {"width": 0.3, "num_classes": 9},
            "width is 0.3; a layer of 128 channels would have 38.4",
        ),
        ("narrow", "vit", {**ARGUMENTS["vit"], "hidden": 18}, "hidden is 18; allowed is a multiple of 4"),
        ("narrow", "vit", {**ARGUMENTS["vit"], "hidden": 0}, "hidden is 0; allowed is a multiple of 4"),
        ("narrow", "vit", {**ARGUMENTS["vit"], "size": 36}, "size is 36; allowed is a multiple of 8"),
        ("narrow", "vit", {"width": 0.5, "num_classes": 9}, "arguments of vit: "),
    ],
)
def test_unknown_networks(source, constructor, arguments, message):
    with pytest.raises(InputError) as raised:
        build_network(source, constructor, arguments)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


# --- architectures -----------------------------------------------------------------------------------------------


def widths(network: nn.Module) -> list[tuple[int, int]]:
    return [(m.out_channels, m.stride[0]) for m in network.modules() if isinstance(m, nn.Conv2d)]


def test_narrow_vgg_has_torchvisions_convolutions():
    narrow = widths(build_network("narrow", "vgg16", {**ARGUMENTS["vgg16"], "width": 0.125}))
    with torch.device("meta"):
        wide = widths(build_network("torchvision", "vgg16", {}))
    assert narrow == [(channels // 8, stride) for channels, stride in wide]


def test_narrow_resnet_of_full_width_is_torchvisions():
    with torch.device("meta"):
        arguments = {"width": 1.0, "stem_kernel": 7, "stem_stride": 2, "num_classes": 1000}
        narrow, wide = build_network("narrow", "resnet50", arguments), build_network("torchvision", "resnet50", {})
    assert widths(narrow) == widths(wide)
    shapes = [{name: t.shape for name, t in network.state_dict().items()} for network in (narrow, wide)]
    assert shapes[0] == shapes[1]


# how many layers have maps of a half, a quarter and an eighth of the image's side, and none: those that are read
# through a layer normalisation alone, or whose patches are not read at all
MAPS = {"efficientnet": {2: 3, 4: 4, 8: 5}, "convnext": {4: 1, 8: 3, None: 1}, "vit": {2: 2, 4: 2, 8: 4, None: 3}}


@pytest.mark.parametrize("size", [32, 48])
@pytest.mark.parametrize("name", MAPS)
def test_later_families_keep_maps_to_the_top(name, size):
    arguments = ARGUMENTS[name] | ({"size": size} if name == "vit" else {})
    network = build_network("narrow", name, arguments)
    assert network(inputs(2, size, torch.float32)).shape == (2, arguments["num_classes"])
    *below, output = Decomposition(network, torch.zeros(1, 3, size, size)).layers
    assert Counter(layer.layout.size for layer in below) == {
        (size // share, size // share) if share else (1, 1): count for share, count in MAPS[name].items()
    }
    assert output.layout.size == (1, 1)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("efficientnet", {nn.BatchNorm2d, nn.SiLU, SqueezeExcitation}),
        ("convnext", {nn.LayerNorm, LayerNorm2d, nn.GELU}),
        ("vit", {nn.LayerNorm, nn.MultiheadAttention, nn.GELU, nn.ReLU}),
    ],
)
def test_later_families_have_their_operations(name, kinds):
    assert kinds <= {type(module) for module in build(name).modules()}
    assert find_biases(build(name), describe(name)).normalisation == ("batch" if nn.BatchNorm2d in kinds else "layer")


@pytest.mark.parametrize("variant", ["vgg16", "resnet50"])
def test_scaling_the_input_of_a_zero_bias_network(variant):
    """Without biases a network of ReLUs is homogeneous, with batch normalisation in evaluation mode too."""
    network = build(variant, "zeroed").double()
    images = inputs()
    with torch.no_grad():
        torch.testing.assert_close(network(3.5 * images), 3.5 * network(images), rtol=1e-9, atol=1e-12)
        biased = build(variant).double()
        assert not torch.allclose(biased(3.5 * images), 3.5 * biased(images), rtol=1e-3)


def test_the_linear_classifier_is_linear():
    network = build("linear").double()
    images = inputs()
    torch.testing.assert_close(network(images[:1] + images[1:]), network(images).sum(0, keepdim=True))


# --- biases ------------------------------------------------------------------------------------------------------


def biases_by_type(network: nn.Module) -> set[str]:
    found = set()
    for name, module in network.named_modules():
        if isinstance(module, BATCH_NORMS):
            found |= {f"{name}.bias", f"{name}.running_mean"}
        elif isinstance(module, (*CONVOLUTIONS, nn.Linear)) and module.bias is not None:
            found.add(f"{name}.bias")
    return found


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_zeroing_sets_biases_and_nothing_else(name):
    network = build(name)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    biases = biases_by_type(network)
    assert set(find_biases(network, describe(name)).biases) == biases
    assert all(before[key].any() for key in biases)
    zero_biases(network, biases)
    for key, tensor in network.state_dict().items():
        if key in biases:
            assert not tensor.any(), key
        else:
            assert torch.equal(tensor, before[key]), key
    assert any("running_var" in key for key in before) == (name == "resnet50")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Tensor.to_sparse, "is sparse, quantised or without values; allowed are plain tensors"),
        (lambda tensor: tensor.to("meta"), "is sparse, quantised or without values; allowed are plain tensors"),
        (lambda tensor: tensor.to(torch.complex64), "is of torch.complex64; expected torch.float32"),
    ],
)
def test_weights_that_are_no_plain_numbers(change, message):
    network = build("vgg16")
    state = {**network.state_dict(), "classifier.6.bias": change(network.classifier[6].bias.detach())}
    assert refused(load_state, network, state, Path("w.pth"), "vgg16") == f"w.pth: classifier.6.bias {message}"


def test_scaling_is_of_the_reference():
    network = build("resnet50")
    reference = {key: tensor.clone() for key, tensor in module_biases(network).items()}
    scale_biases(network, 0.5, reference)
    scale_biases(network, 0.25, reference)
    for key, tensor in module_biases(network).items():
        torch.testing.assert_close(tensor.detach(), 0.25 * reference[key])


def test_linear_decay():
    assert decay_factors("linear", 4, 0.1) == [0.75, 0.5, 0.25, 0.0]


def test_exponential_decay():
    assert decay_factors("exponential", 4, 0.0001) == pytest.approx([0.1, 0.01, 0.001, 0.0])


@pytest.mark.parametrize("steps", [1, 2, 7, 200])
@pytest.mark.parametrize("profile", ["linear", "exponential"])
def test_decay_ends_at_zero(profile, steps):
    factors = decay_factors(profile, steps, 0.01)
    assert len(factors) == steps and factors[-1] == 0
    assert all(1 > a > b for a, b in pairwise(factors))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("cubic", 4, 0.1), "decay.profile is cubic; allowed are linear, exponential"),
        (("linear", 0, 0.1), "decay.steps is 0; allowed is a number >= 1"),
        (("exponential", 4, 0), "decay.floor is 0; allowed is a number > 0 and <= 1"),
        (("exponential", 4, 2), "decay.floor is 2; allowed is a number > 0 and <= 1"),
    ],
)
def test_bad_decay(flags, message):
    with pytest.raises(InputError) as raised:
        decay_factors(*flags)
    assert str(raised.value) == message


# --- images to inputs --------------------------------------------------------------------------------------------


def test_preprocessing():
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    description = describe("vgg16", mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    found = preprocess(images, description)
    for image, channel, i, j in [(0, 0, 0, 0), (1, 2, 3, 1), (0, 1, 2, 2)]:
        value = images[image, channel, i, j].item() / 255
        wanted = (value - description.mean[channel]) / description.std[channel]
        assert found[image, channel, i, j].item() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_logits_in_batches(batch):
    network, description = build("vgg16"), describe("vgg16")
    images = torch.randint(0, 256, (3, 3, SIZE, SIZE), dtype=torch.uint8)
    wanted = network(preprocess(images, description)).detach()
    torch.testing.assert_close(predict_logits(network, images, description, batch), wanted)


@pytest.mark.parametrize("size", [32, 48, 64])
def test_every_position_of_the_top_map_reaches_the_score(size):
    network = build_network("narrow", "vgg16", {**ARGUMENTS["vgg16"], "size": size})
    decomposition = Decomposition(network, torch.zeros(1, 3, size, size))
    top = decomposition(torch.randn(32, 3, size, size)).activity[13]
    assert top.shape[1:] == (size // 16, size // 16)
    assert (top != 0).any(0).all()
