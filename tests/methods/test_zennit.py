"""LRP by zennit's composites: against the library called directly, and complete where there are no biases."""

import pytest
import torch
from conftest import HERE
from small import CLASSES, SIZE, Disordered, Gated, build, inputs, randomise, randomise_vectors, vary
from torch import nn
from torch.nn import functional as F

import make_maps as step
from explanations.files.hashes import file_hash
from explanations.files.made_maps import MadeMaps
from explanations.methods.sources.base import NotApplicableError, Untouched, make_maps
from explanations.methods.sources.registry import ZENNIT, complete_settings, count_passes
from explanations.networks.files import build_network

pytest.importorskip("zennit", reason="an extra")

from zennit import composites, rules
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.core import Composite
from zennit.torchvision import ResNetCanonizer
from zennit.types import Convolution

from explanations.methods.sources.zennit import prepare

TARGETS = torch.tensor([1, 7, 1])
BOUNDS = torch.tensor([-2.0, 3.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
LAYERS = (Convolution, nn.Linear)


def images(count=3, size=SIZE):
    return inputs(count, size, torch.float32)


def ready(network, name, size=SIZE, **settings):
    complete = complete_settings({"source": "zennit", "name": name, **settings})
    return prepare(complete, network.eval().requires_grad_(False), (size, size), [], BOUNDS)


def directly(name, network) -> Composite:
    """The library's composite with the canonizer that it has for a network."""
    canonizers = [ResNetCanonizer() if hasattr(network, "layer1") else SequentialMergeBatchNorm()]
    everywhere = {
        "Epsilon": rules.Epsilon(),
        "Gamma": rules.Gamma(gamma=0.25),
        "ZPlus": rules.ZPlus(),
        "AlphaBeta": rules.AlphaBeta(alpha=2, beta=1),
    }
    if name in everywhere:
        last = [child for child, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
        named = [((last,), rules.Epsilon())] if name == "Gamma" else []
        layers = [*composites.layer_map_base(), (LAYERS, everywhere[name])]
        return composites.NameLayerMapComposite(named, layers, canonizers=canonizers)
    box = {"low": BOUNDS[:1], "high": BOUNDS[1:]} if name == "EpsilonGammaBox" else {}
    return getattr(composites, name)(**box, canonizers=canonizers)


DEEP = ("Gamma", "EpsilonPlusFlat", "EpsilonGammaBox")


@pytest.mark.parametrize(
    ("name", "network_name"), [*((name, "vgg16") for name in ZENNIT), *((name, "resnet50") for name in DEEP)]
)
def test_maps_are_the_librarys(name, network_name):
    """Of an image by itself, whatever the batch; the network is as before."""
    network = build(network_name, seed=3)
    prepared, before = ready(network, name), Untouched(network)
    made = make_maps(prepared, images(), TARGETS, [0, 1, 2], 0, 2)
    before.check()
    assert made.shape == (3, SIZE, SIZE)
    image, target = images()[1:2], int(TARGETS[1])
    score = network(image)[0, target]
    start = torch.eye(CLASSES)[[target]] * score
    with Gradient(build(network_name, seed=3), directly(name, network)) as attributor:
        wanted = attributor(image, start)[1].detach()[0]
    scale = float(wanted.sum(0).abs().max())
    assert scale > 0 and torch.allclose(made[1], wanted.sum(0).abs(), rtol=2e-3, atol=1e-3 * scale)
    gap = torch.cat(prepared.gaps)[1]
    assert float(gap) == pytest.approx(float((wanted.sum() - score).abs() / score.abs()), rel=0.02, abs=1e-2)


def narrow(name, **arguments):
    torch.manual_seed(0)
    return randomise(build_network("narrow", name, {**arguments, "num_classes": CLASSES}))


OTHERS = {
    "alexnet": {"width": 0.0625, "size": 64, "stem_stride": 4},
    "vgg16_bn": {"width": 0.0625, "hidden": 24, "size": 64},  # batch normalisation after biases
    "squeezenet1_1": {"width": 0.25, "stem_stride": 2},  # joined branches
    "googlenet": {"width": 0.125},
    "resnet18": {"width": 0.125, "stem_stride": 2},
    "densenet121": {"width": 0.125},  # functional ReLUs, batch normalisation before convolutions
    "mobilenet_v2": {"width": 0.25},
    "shufflenet_v2_x0_5": {"width": 1},
    "mnasnet1_0": {"width": 0.25},
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_networks_give_maps_that_are_complete_without_biases(name):
    """Branches, whatever joins them, lose no relevance: so rules reach every operation."""
    network = vary(narrow(name, **OTHERS[name]), "zeroed")
    prepared = ready(network.double(), "Epsilon", 64, epsilon=1e-12)
    batch = images(2, 64).double()
    made = make_maps(prepared, batch, network(batch).argmax(1), [0, 1], 0, 2)
    assert made.isfinite().all() and float(made.std()) > 0
    assert float(torch.cat(prepared.gaps).max()) < 1e-4


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (lambda: build("efficientnet"), "zennit has no rule for features.1.0.block.1.mul, a product of two computed"),
        (lambda: build("convnext"), "zennit has no rule for features.0.1.layer_norm, a normalisation of each image"),
        (lambda: build("vit"), "zennit has no rule for encoder.layers.encoder_layer_0.ln_1, a normalisation of each"),
        (Gated, "zennit has no rule for mul, a product of two computed values"),
    ],
)
def test_operations_without_a_rule_are_named(network, reason):
    with pytest.raises(NotApplicableError, match=f"^{reason}"):
        ready(network(), "EpsilonPlus")


class Functional(nn.Module):
    """What a network may write without modules: ReLU, pooling, a mean, a difference to a constant."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.top = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, CLASSES)

    def forward(self, x):
        x = F.avg_pool2d(F.relu(self.first(x * 2)), 2)
        return self.top(torch.relu(self.second(x)).mean((2, 3)))


class Modules(nn.Module):
    """The same as modules."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.top = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, CLASSES)
        self.relu, self.pool, self.mean = nn.ReLU(), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        x = self.pool(self.relu(self.first(x)))
        return self.top(self.mean(self.relu(self.second(x))).flatten(1))


def test_functions_have_the_rules_of_their_modules():
    functional, modules = randomise_vectors(Functional()), Modules()
    modules.load_state_dict(functional.state_dict())
    wanted = make_maps(ready(modules, "EpsilonPlus"), 2 * images(), TARGETS, [0, 1, 2], 0, 3)
    made = make_maps(ready(functional, "EpsilonPlus"), images(), TARGETS, [0, 1, 2], 0, 3)
    assert torch.allclose(made, wanted, rtol=1e-4, atol=1e-6 * float(wanted.max()))


def test_order_of_calls_counts_not_of_modules():
    """One ReLU for all, a branch, and modules that are registered in another order: the first is the first called."""
    network = randomise_vectors(Disordered())
    prepared = ready(network, "Epsilon", epsilon=1e-9)
    x, target = images(1).requires_grad_(), 1
    first = F.batch_norm(
        network.first(x), network.norm.running_mean, network.norm.running_var, network.norm.weight, network.norm.bias
    )
    hidden = first.relu()
    second, branch = network.second(hidden), network.branch(x)
    top = (second + branch).relu()
    logit = network.top(top.mean((2, 3)))[0, target]
    # the ε-rule of a network of ReLUs, ε → 0, is the gradient times the input
    (gradient,) = torch.autograd.grad(logit, x)
    wanted = (gradient * x)[0].sum(0).detach()
    made = make_maps(prepared, images(1), torch.tensor([target]), [0], 0, 1)
    assert torch.allclose(made[0], wanted.abs(), rtol=1e-2, atol=1e-3 * float(wanted.abs().max()))


def test_passes_and_settings():
    assert {count_passes({"source": "zennit", "name": name}, SIZE) for name in ZENNIT} == {3}
    network = build("vgg16", seed=3)
    maps = [
        make_maps(ready(network, "Gamma", **settings), images(1), TARGETS[:1], [0], 0, 1)
        for settings in ({}, {"gamma": 0.25}, {"gamma": 1}, {"channels": "sum"})
    ]
    assert torch.equal(maps[0], maps[1]) and not torch.allclose(maps[0], maps[2])
    assert torch.equal(maps[3].abs(), maps[0]) and float(maps[3].min()) < 0


def test_the_step_knows_the_range_of_pixels(world, tmp_path):
    """EpsilonGammaBox is told what black and white are for the network."""
    flags = {"network": world.networks["vgg16"], "manifest": world.manifest, "images": world.images}
    flags |= {"shards": [world.shards["vgg16"]], "method": "lrp", "output": tmp_path / "maps.h5", "seed": 0, **HERE}
    flags |= {"shard": 0, "shard_size": 100, "batch": 4}
    step.main(**flags, settings={"source": "zennit", "name": "EpsilonGammaBox"})
    maps = MadeMaps([tmp_path / "maps.h5"], file_hash(world.networks["vgg16"]))
    assert maps.not_applicable == "" and len(maps.maps) == 10
