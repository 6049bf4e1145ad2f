"""The zoo: torchvision's classes at smaller widths, Inception-v1 as published, and what counts as a bias in each."""

import pytest
import torch
import torchvision
import yaml
from small import describe, randomise
from torch import nn
from workflow_copy import ROOT

from explanations.decomposition.operations import BATCH_NORMS
from explanations.networks.additions import Additions, find_additions
from explanations.networks.biases import count_biases, zero_biases
from explanations.networks.files import build_network, load_network, save_network
from explanations.networks.sources.narrow import NARROW, inception_v1

EMBEDDED = yaml.safe_load((ROOT / "config/config.yaml").read_text())
ZOO, SIZE = EMBEDDED["networks"], EMBEDDED["images"]["size"]
WITHOUT = {"alexnet", "vgg11", "vgg16", "vgg16_strides", "vgg19", "squeezenet", "inception_v1"}
LAYER_NORM = {"convnext", "vit"}
OWN_FLAGS = {"alexnet", "vgg11", "vgg16", "vgg19", "vgg16_bn", "resnet50"}  # made to fit small images
FULL = (NARROW.keys() & set(torchvision.models.list_models())) - OWN_FLAGS


def build_zoo(name: str) -> nn.Module:
    torch.manual_seed(0)
    settings = ZOO[name]
    arguments = {**settings["arguments"], "num_classes": 10}
    return randomise(build_network(settings["source"], settings["constructor"], arguments))


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def find(network: nn.Module) -> Additions:
    return find_additions(network, (3, SIZE, SIZE))


def test_the_zoo_can_answer_the_papers_question():
    assert len(ZOO) >= 12
    kinds = {name: find(build_zoo(name)).normalisation for name in ZOO}
    assert {name for name, kind in kinds.items() if kind == "none"} == WITHOUT
    assert {name for name, kind in kinds.items() if kind == "layer"} == LAYER_NORM


@pytest.mark.parametrize("name", ZOO)
def test_zeroed_networks_survive_saving(tmp_path, name):
    """Every network goes through zero_biases and back through saving and loading with the same logits."""
    network = build_zoo(name)
    usual = network(images())
    settings = ZOO[name]
    arguments = {**settings["arguments"], "num_classes": 10}
    description = describe("vgg16", constructor=settings["constructor"], arguments=arguments, size=SIZE, resize=SIZE)
    zero_biases(network, find(network).biases)
    wanted = network(images())
    assert not torch.equal(wanted, usual)
    save_network(tmp_path / "n.safetensors", network, description)
    loaded, found = load_network(tmp_path / "n.safetensors")
    assert torch.equal(loaded(images()), wanted)
    assert found == description


@pytest.mark.parametrize("name", ZOO)
def test_biases_are_all_that_is_named_so(name):
    """In these networks biases are exactly the state named bias, in_proj_bias or running_mean; nothing else changes."""
    network = build_zoo(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    wanted = {key for key in before if key.endswith((".bias", ".in_proj_bias", ".running_mean"))}
    assert set(find(network).biases) == wanted
    assert count_biases(network, wanted) == sum(before[key].numel() for key in wanted)
    zero_biases(network, wanted)
    for key, value in network.state_dict().items():
        assert not value.any() if key in wanted else torch.equal(value, before[key]), key


@pytest.mark.parametrize(
    ("constructor", "plain", "channels"),
    [("vgg16", 13416, 0), ("vgg19", 14696, 0), ("resnet50", 1000, 26560)],
)
def test_biases_of_published_networks(constructor, plain, channels):
    """As counted in other implementations' files; batch normalisation has two for each channel."""
    with torch.device("meta"):  # initialisation takes longer than the test
        network = build_network("torchvision", constructor, {})
    network.to_empty(device="cpu")
    assert count_biases(network, find_additions(network, (3, 64, 64)).biases) == plain + 2 * channels


@pytest.mark.parametrize("name", sorted(FULL - {"googlenet", "inception_v3"}))
def test_narrow_networks_of_full_width_are_torchvisions(name):
    with torch.device("meta"):
        wide = build_network("torchvision", name, {})
        narrow = NARROW[name](width=1, num_classes=1000)
    assert {k: v.shape for k, v in narrow.state_dict().items()} == {k: v.shape for k, v in wide.state_dict().items()}
    assert [m.stride for m in narrow.modules() if isinstance(m, nn.Conv2d)] == [
        m.stride for m in wide.modules() if isinstance(m, nn.Conv2d)
    ]


@pytest.mark.parametrize("name", sorted(FULL))
def test_narrow_networks_have_a_share_of_the_channels(name):
    share = 0.5
    with torch.device("meta"):
        wide, narrow = (NARROW[name](width=width, num_classes=10).eval() for width in (1, share))
    convolutions = [[m for m in network.modules() if isinstance(m, nn.Conv2d)] for network in (wide, narrow)]
    for place, (large, small) in enumerate(zip(*convolutions, strict=True)):
        last = large.out_channels == 10
        assert small.out_channels == large.out_channels * (1 if last else share)
        assert small.in_channels == (3 if place == 0 else large.in_channels * share)
        assert small.groups == (1 if large.groups == 1 else large.groups * share)
        assert (small.bias is None) == (large.bias is None)


def test_batch_statistics_follow_a_short_training():
    """torchvision's MNASNet would take 3000 batches to forget half of what its statistics start from."""
    momenta = {m.momentum for m in build_zoo("mnasnet").modules() if isinstance(m, BATCH_NORMS)}
    assert momenta == {0.1}


# --- Inception-v1 as published -----------------------------------------------------------------------------------


def test_published_inception_has_the_published_size():
    """8280 biases are in the Caffe file of the same network, 6,998,552 parameters without the auxiliary heads."""
    network = inception_v1(1000)
    assert sum(p.numel() for p in network.parameters()) == 6_998_552
    found = find_additions(network, (3, 64, 64))
    assert count_biases(network, found.biases) == 8280
    assert found.normalisation == "none"
    assert sum(m.kernel_size == (5, 5) for m in network.modules() if isinstance(m, nn.Conv2d)) == 9


def test_published_inception_normalises_twice():
    order = [
        type(m) for m in inception_v1(10).modules() if isinstance(m, (nn.Conv2d, nn.LocalResponseNorm, nn.MaxPool2d))
    ]
    marks = {nn.Conv2d: "c", nn.LocalResponseNorm: "n", nn.MaxPool2d: "p"}
    assert "".join(marks[kind] for kind in order).startswith("cpnccnp")


def test_local_response_normalisation():
    """x / (b + a Σ x²)^β over a window of 2d + 1 channels (Suppl. Eq. 8), with Google's constants."""
    norm = next(m for m in inception_v1(10).modules() if isinstance(m, nn.LocalResponseNorm))
    x = 30 * torch.randn(1, 14, 2, 2, dtype=torch.float64)
    found = norm(x)
    for channel in range(14):
        for i, j in ((0, 0), (1, 0)):
            window = [x[0, k, i, j].item() for k in range(max(0, channel - 5), min(14, channel + 6))]
            wanted = x[0, channel, i, j].item() / (2 + 1e-4 * sum(value**2 for value in window)) ** 0.5
            assert found[0, channel, i, j].item() == pytest.approx(wanted)


@pytest.mark.parametrize("name", ZOO)
def test_gradients_reach_the_first_layer(name):
    """Fresh weights are neither dead nor exploding."""
    network = build_network("narrow", ZOO[name]["constructor"], {**ZOO[name]["arguments"], "num_classes": 10}).train()
    loss = nn.functional.cross_entropy(network(images(16)), torch.arange(16) % 10)
    loss.backward()
    gradients = [p.grad for p in network.parameters()]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert gradients[0].flatten(1).any(1).all()
