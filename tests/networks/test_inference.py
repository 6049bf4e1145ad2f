"""The network that removal runs on gives the network's own outputs."""

import copy

import pytest
import torch
import torchvision
from small import build, inputs, randomise
from timm.layers import Conv2dSame
from torch import Tensor, fx, nn
from torch.nn import functional as F

from explanations.networks import inference
from explanations.networks.files import build_network
from explanations.networks.inference import InParts, PointwiseConvolution, optimise_for_inference

CPU = torch.device("cpu")


def assert_same_outputs(network: nn.Module, images: torch.Tensor) -> nn.Module:
    wanted = network(images).detach()
    fast = optimise_for_inference(network, CPU)
    with torch.no_grad():
        torch.testing.assert_close(fast(images), wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max().item())
    return fast


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_the_papers_networks(name):
    network = build(name)
    fast = assert_same_outputs(network, inputs(3, dtype=torch.float32))
    assert any(isinstance(module, PointwiseConvolution) for module in fast.modules())
    assert not any(isinstance(module, PointwiseConvolution) for module in network.modules())


@pytest.mark.parametrize("name", ["mobilenet_v2", "densenet121", "googlenet", "resnet18"])
def test_other_networks(name):
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    network = torchvision.models.get_model(name, weights=None, num_classes=10, **options).eval()
    randomise(network)
    assert_same_outputs(network, torch.randn(2, 3, 64, 64))


def called_batch_norms(module: nn.Module) -> int:
    graphs = [part.graph for part in module.modules() if isinstance(part, fx.GraphModule)]
    assert graphs
    return sum(node.target is F.batch_norm for graph in graphs for node in graph.nodes)


@pytest.mark.parametrize("size", [64, 65])  # of padding that differs
@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "test_byobnet"])
def test_timms_batch_normalisation_is_folded(name, size):
    network = randomise(build_network("timm", name, {"num_classes": 10}))
    images = torch.randn(2, 3, size, size)
    wanted = network(images).detach()
    fast = assert_same_outputs(network, images)
    assert called_batch_norms(fast) == 0
    left = {type(module) for module in fast.modules()}
    assert not left & {nn.Conv2d, Conv2dSame, nn.ReLU6, nn.Identity}
    assert torch.equal(network(images), wanted)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_padding_at_the_start_gives_tensorflows_outputs(kernel, stride):
    for size in range(7, 12):
        for dilation in (1, 2):
            convolution = Conv2dSame(2, 16, kernel, stride, dilation=dilation).requires_grad_(False)
            fast, images = PointwiseConvolution(convolution), torch.randn(2, 2, size, size + 1)
            torch.testing.assert_close(fast(images), convolution(images), rtol=1e-4, atol=1e-5)


def test_weights_are_reordered_once_and_copies_do_it_again():
    convolution = nn.Conv2d(3, 16, 3, padding=1).requires_grad_(False)
    fast, images = PointwiseConvolution(convolution, nn.ReLU6()), 9 * torch.randn(5, 3, 8, 8)
    wanted = F.relu6(convolution(images))
    assert wanted.max() == 6 and wanted.min() == 0
    torch.testing.assert_close(fast(images), wanted)
    kept = fast.reordered
    torch.testing.assert_close(fast(images[:1]), wanted[:1])
    assert fast.reordered is kept
    half = copy.deepcopy(fast).to(torch.bfloat16)
    assert half.reordered is None
    torch.testing.assert_close(half(images.bfloat16()).float(), wanted, rtol=0.02, atol=0.1)
    torch.testing.assert_close(fast(images), wanted)


class ByCall(nn.Module):
    """F.batch_norm of a convolution that is used again, by statistics that are computed, and by the batch's own."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(3, 3, 1) for _ in range(3))
        self.norm, self.own, self.fc = nn.BatchNorm2d(3), nn.BatchNorm2d(3), nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        norm, own = self.norm, self.own
        x = self.first(x)
        x = x + F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        x = F.batch_norm(self.second(x), x.mean((0, 2, 3)), norm.running_var, norm.weight, norm.bias)
        x = F.batch_norm(self.third(x), own.running_mean, own.running_var, own.weight, own.bias, training=True)
        return self.fc(x.relu().mean((2, 3)))


def test_called_batch_normalisation_that_cannot_be_folded_is_left_alone():
    fast = assert_same_outputs(randomise(ByCall()).requires_grad_(False), torch.randn(2, 3, 8, 8))
    assert called_batch_norms(fast) == 3


class Sizes(nn.Module):
    """A 1×1 convolution to 4 channels and its mean, which notes how many images come at a time."""

    def __init__(self):
        super().__init__()
        self.convolution, self.seen = nn.Conv2d(3, 4, 1), []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        y = self.convolution(x).mean((2, 3))
        x.zero_()
        return y


@pytest.mark.parametrize(("floats", "seen"), [(3 * 4 * 64, [1, 3, 3, 1]), (1, [1] * 8), (7 * 4 * 64, [1, 7])])
def test_parts_are_as_large_as_memory_allows(monkeypatch, floats, seen):
    """The largest output is the convolution's, 4 × 8 × 8 floats for each image."""
    monkeypatch.setattr(inference, "LARGEST", 4 * floats)
    network, images = Sizes().eval(), torch.randn(7, 3, 8, 8)
    wanted = torch.cat([network(image[None].clone()) for image in images])
    network.seen.clear()
    parts = InParts(network)
    with torch.no_grad():
        torch.testing.assert_close(parts(images.clone()), wanted)
        assert network.seen == seen
        torch.testing.assert_close(parts(images[:1].clone()), wanted[:1])
        assert network.seen == [*seen, 1]  # memory is looked at once


class SharedConvolution(nn.Module):
    """One convolution called twice, under two batch norms: folding either into it would be wrong."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.fc = nn.Linear(3, 4)

    def forward(self, x):
        x = self.first(self.convolution(x)).relu()
        x = self.second(self.convolution(x)).relu()
        return self.fc(x.mean((2, 3)))


def test_a_shared_convolution_is_left_alone():
    network = SharedConvolution().eval()
    randomise(network)
    assert_same_outputs(network, torch.randn(2, 3, 8, 8))


class Untraceable(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, x):
        x = x.mean((2, 3))
        return self.fc(x) if x.sum() > 0 else self.fc(-x)


def test_a_network_that_cannot_be_traced_is_taken_as_it_is():
    assert_same_outputs(Untraceable().eval(), torch.randn(2, 3, 8, 8))
