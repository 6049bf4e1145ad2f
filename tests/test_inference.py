"""The network that removal runs on gives the network's own outputs."""

import pytest
import torch
import torchvision
from small import build, inputs, randomise
from torch import nn

from explanations.inference import PointwiseConvolution, optimise_for_inference

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
