"""Every classifier of torchvision decomposes completely, at the input and at every layer that is found.

What the decomposition finds makes maps by every method, and removal's faster copy of the network decides the same.
"""

import inspect
from contextlib import contextmanager

import pytest
import torch
from complete import FoundMaps, assert_complete, assert_same_logits_for_inference, bias_layers, explain
from small import module_biases, randomise
from torch import nn
from torchvision import models

from explanations.decomposition.decomposition import completeness_gap
from explanations.methods.names import all_kinds
from explanations.methods.saliency import list_methods, saliency_maps
from explanations.networks.additions import find_additions

NAMES = models.list_models(module=models)
WITHOUT_HEADS = {"googlenet": {"init_weights": False}, "inception_v3": {"init_weights": False}}
SIZES = {"alexnet": 64, "inception_v3": 75}


def shorten(setting):
    """One block in each stage of a network's settings."""
    for stage in setting:
        stage.num_layers = 1
    return setting


def one_block(block_params):
    block_params.depths = [1] * len(block_params.depths)
    return block_params


# the functions that build a family, and the argument that says how many blocks: the giants are built with fewer
FEWER_BLOCKS = {
    models.vision_transformer: ("_vision_transformer", "num_layers", lambda layers: 2),
    models.convnext: ("_convnext", "block_setting", shorten),
    models.efficientnet: ("_efficientnet", "inverted_residual_setting", shorten),
    models.swin_transformer: ("_swin_transformer", "depths", lambda depths: [2] * len(depths)),
    models.regnet: ("_regnet", "block_params", one_block),
    models.resnet: ("_resnet", "layers", lambda layers: [1] * 4 if sum(layers) > 16 else layers),
    models.densenet: ("_densenet", "block_config", lambda blocks: (2, 2, 2, 2)),
    models.maxvit: ("_maxvit", "block_layers", lambda layers: [1] * len(layers)),
}


@contextmanager
def fewer_blocks(monkeypatch):
    with monkeypatch.context() as patch:
        for module, (name, argument, change) in FEWER_BLOCKS.items():
            build = getattr(module, name)

            def shorter(*args, _build=build, _argument=argument, _change=change, **kwargs):
                bound = inspect.signature(_build).bind(*args, **kwargs)
                bound.arguments[_argument] = _change(bound.arguments[_argument])
                return _build(*bound.args, **bound.kwargs)

            patch.setattr(module, name, shorter)
        yield


def build(name: str, monkeypatch) -> tuple[nn.Module, int]:
    """A network of random weights, no term of which is 0 or 1, and the size of its images."""
    size, arguments = SIZES.get(name, 64), dict(WITHOUT_HEADS.get(name, {}))
    if name.startswith("vit"):
        size = 3 * (32 if name.endswith("32") else 14 if name.endswith("14") else 16)
        arguments["image_size"] = size
    if name == "maxvit_t":
        size = 224  # four halvings, each into windows of 7
    # initialisation takes longer than the test; RegNet computes its widths with tensors
    with fewer_blocks(monkeypatch), torch.device("cpu" if name.startswith("regnet") else "meta"):
        network = models.get_model(name, weights=None, num_classes=10, **arguments)
    buffers = dict(real_buffers(name, arguments, monkeypatch))
    network = network.to_empty(device="cpu").eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        fan = parameter[0].numel() if parameter.dim() > 1 else 1
        parameter.uniform_(-1, 1, generator=generator).mul_((6 / fan) ** 0.5 if parameter.dim() > 1 else 0.3)
        if parameter.dim() == 1:
            parameter.add_(1)  # γ; biases are drawn anew below
    for key, value in buffers.items():
        network.get_buffer(key).copy_(value)
    return randomise(network.double()), size


def real_buffers(name, arguments, monkeypatch):
    """Indices that a network computes when it is built, which the meta device leaves empty."""
    if not name.startswith(("swin", "maxvit")):
        return
    with fewer_blocks(monkeypatch):
        yield from models.get_model(name, weights=None, num_classes=10, **arguments).named_buffers()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_classifier_decomposes(name, monkeypatch):
    network, size = build(name, monkeypatch)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    decomposition, found = assert_complete(network, images, 1e-8)
    assert max(values.shape[1] * values.shape[2] for values in found.activity[1:]) > 1  # layers with positions
    assert_maps_by_every_method(FoundMaps(found, bias_layers(decomposition)))
    additions = find_additions(network, (3, size, size))
    never_run = {key for key in module_biases(network) if key.startswith(("aux", "Aux"))}
    assert set(additions.biases) == module_biases(network).keys() - never_run - set(additions.by_position)
    assert_same_logits_for_inference(network, images, found.logits)


def assert_maps_by_every_method(maps: FoundMaps) -> None:
    for kind in all_kinds():
        for method in list_methods(kind, maps):
            values = saliency_maps(method, maps, "bilinear")
            assert values.shape == (2, *maps.size) and torch.isfinite(values).all(), method
            if str(method).startswith(("activity", "fullgrad", "input", "gradient")):
                assert (values.amax((1, 2)) > values.amin((1, 2))).all(), method


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "convnext_tiny", "swin_t"])
def test_float32_gaps_stay_within_the_gate(name, monkeypatch):
    network, size = build(name, monkeypatch)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    decomposition, found = explain(network.float(), images)
    gap, size_of_terms = completeness_gap(found, bias_layers(decomposition))
    assert (gap.abs() <= 1e-5 * size_of_terms).all()
