"""Attributions against Captum's, an independent implementation by hooks."""

import pytest
import torch
from captum.attr import InputXGradient, LayerGradCam, LayerGradientXActivation, Saliency
from small import build, inputs
from torch import nn

from explanations.decomposition.decomposition import Attributions, Decomposition

VGG_LAYERS = {1: "features.1", 4: "features.8", 10: "features.22", 13: "features.29", 15: "classifier.4"}
RESNET_LAYERS = {1: "relu", 2: "layer1.0", 5: "layer2.0", 10: "layer3.1", 16: "layer4.1", 17: "layer4.2"}
CASES = [("vgg16", *item) for item in VGG_LAYERS.items()] + [("resnet50", *item) for item in RESNET_LAYERS.items()]
TOP = {"vgg16": VGG_LAYERS[13], "resnet50": RESNET_LAYERS[17]}


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    return {name: build(name).double() for name in TOP}


@pytest.fixture(scope="module")
def found(networks) -> dict[str, Attributions]:
    return {name: Decomposition(network, inputs(1))(inputs()) for name, network in networks.items()}


@pytest.mark.parametrize(("name", "layer", "module"), CASES)
def test_activity(networks, found, name, layer, module):
    method = LayerGradientXActivation(networks[name], networks[name].get_submodule(module))
    captum = method.attribute(inputs(), target=found[name].target)
    summed = captum.sum(1) if captum.dim() == 4 else captum.sum(1)[:, None, None]
    torch.testing.assert_close(found[name].activity[layer], summed.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", TOP)
def test_input(networks, found, name):
    captum = InputXGradient(networks[name]).attribute(inputs().requires_grad_(), target=found[name].target)
    torch.testing.assert_close(found[name].activity[0], captum.sum(1).detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", TOP)
def test_gradient(networks, found, name):
    captum = Saliency(networks[name]).attribute(inputs().requires_grad_(), target=found[name].target, abs=True)
    torch.testing.assert_close(found[name].gradient, captum.sum(1).detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", TOP)
def test_gradcam(networks, found, name):
    method = LayerGradCam(networks[name], networks[name].get_submodule(TOP[name]))
    captum = method.attribute(inputs(), target=found[name].target, relu_attributions=True)
    assert captum.any()
    torch.testing.assert_close(found[name].gradcam, captum[:, 0].detach(), rtol=1e-9, atol=1e-12)
