"""FullGrad as its authors' code rescales it: against their algorithm by hooks, and a version that loops over values."""

import copy
import math

import numpy as np
import pytest
import torch
from small import Small, build, inputs, randomise_vectors
from torch import Tensor, nn
from torch.nn import functional as F

from explanations.decomposition.decomposition import Decomposition
from explanations.methods.sources import fullgrad
from explanations.methods.sources.base import make_maps
from explanations.methods.sources.registry import NORMALISED_BY, complete_settings
from explanations.methods.transform import rescale

TARGETS = torch.tensor([1, 7, 1])


def prepare(network: nn.Module, normalise: str):
    settings = complete_settings({"source": "fullgrad", "normalise": normalise})
    return fullgrad.prepare(settings, network, (32, 32), [])


def make(network: nn.Module, images: Tensor, normalise: str, batch: int = 3) -> Tensor:
    count = len(images)
    return make_maps(prepare(network, normalise), images, TARGETS[:count], list(range(count)), 0, batch)


# --- the authors' algorithm --------------------------------------------------------------------------------------


def post_process(values: Tensor, normalise: str) -> Tensor:
    """Their rescaling: since the middle of 2020 by image, before by the whole batch, and without an epsilon."""
    values = abs(values)
    if normalise == "batch":
        values = values - values.min()
        return values / values.max()
    shape = (-1, *[1] * (values.dim() - 1))
    values = values - values.flatten(1).min(1).values.view(shape)
    return values / (values.flatten(1).max(1).values.view(shape) + 1e-6)


def bias_of(module: nn.Module) -> Tensor | None:
    """Of convolutions and batch normalisations, one value for each channel."""
    if isinstance(module, nn.BatchNorm2d):
        return module.bias - module.running_mean * module.weight / torch.sqrt(module.running_var + module.eps)
    return module.bias if isinstance(module, nn.Conv2d) else None


def authors_maps(network: nn.Module, images: Tensor, normalise: str) -> Tensor:
    """Conv and batch-norm biases by hooks; input term and bias terms as their `saliency` adds them up."""
    network, terms = copy.deepcopy(network), []
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
        if (bias := bias_of(module)) is not None:

            def keep(module: nn.Module, given: object, output: Tensor, bias: Tensor = bias) -> None:
                output.register_hook(lambda gradient: terms.append(gradient * bias.view(1, -1, 1, 1)))

            module.register_forward_hook(keep)
    images = images.clone().requires_grad_()
    score = network(images).gather(1, TARGETS[: len(images), None]).sum()
    (gradient,) = torch.autograd.grad(score, images)
    total = post_process(gradient * images, normalise).sum(1, keepdim=True)
    for term in terms:
        enlarged = F.interpolate(
            post_process(term, normalise), size=images.shape[2:], mode="bilinear", align_corners=True
        )
        total = total + enlarged.sum(1, keepdim=True)
    return total[:, 0].detach()


@pytest.mark.parametrize("normalise", NORMALISED_BY)
@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_maps_are_those_of_the_authors_algorithm(name, normalise):
    network, images = build(name, seed=3).double(), inputs(3)
    wanted = authors_maps(network, images, normalise)
    found = make(network.requires_grad_(False), images, normalise)
    torch.testing.assert_close(found, wanted.float(), rtol=1e-5, atol=1e-5 * float(wanted.max()))
    other = authors_maps(network, images, NORMALISED_BY[normalise == "image"])
    assert (wanted - other).abs().max() > 0.01 * wanted.max()


# --- all biases, literally ---------------------------------------------------------------------------------------


def literal_sum(terms: np.ndarray, normalise: str) -> np.ndarray:
    """Terms (n, C, h, w), value by value, to (n, h, w)."""
    n, channels, height, width = terms.shape
    total = np.zeros((n, height, width))
    for k in range(n):
        pool = terms[k : k + 1] if normalise == "image" else terms
        low, high = min(abs(v) for v in pool.flat), max(abs(v) for v in pool.flat)
        for c, i, j in np.ndindex(channels, height, width):
            total[k, i, j] += (abs(terms[k, c, i, j]) - low) / (high - low + (1e-6 if normalise == "image" else 0))
    return total


def literal_enlarge(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, corners on corners: (h, w) to (H, W)."""
    h, w = values.shape
    found = np.zeros((height, width))
    for i, j in np.ndindex(height, width):
        y, x = i * (h - 1) / (height - 1), j * (w - 1) / (width - 1)
        top, left = min(math.floor(y), h - 2), min(math.floor(x), w - 2)
        for a, b in np.ndindex(2, 2):
            weight = (1 - abs(y - top - a)) * (1 - abs(x - left - b))
            found[i, j] += weight * values[top + a, left + b]
    return found


@pytest.mark.parametrize("normalise", NORMALISED_BY)
def test_implicit_biases_count(normalise):
    """What a GELU adds by itself, g(u) − u g'(u), is a bias as that of a convolution."""
    network, images = randomise_vectors(Small(nn.GELU())).double(), inputs(3, size=8)
    targets = torch.tensor([1, 4, 0])
    x = images.clone().requires_grad_()
    first = network.first(x)
    a = F.gelu(first)
    second = network.second(a)
    b = F.gelu(second)
    score = network.top(b.mean((2, 3))).gather(1, targets[:, None]).sum()
    gradients = torch.autograd.grad(score, [x, first, a, second, b])

    def remainder(u: Tensor) -> Tensor:
        u = u.detach().requires_grad_()
        (slope,) = torch.autograd.grad(F.gelu(u).sum(), u)
        return (F.gelu(u) - u * slope).detach()

    channels = (1, -1, 1, 1)
    biases = [images, network.first.bias.view(channels), remainder(first), network.second.bias.view(channels)]
    biases.append(remainder(second))
    wanted = np.zeros((3, 8, 8))
    for bias, gradient in zip(biases, gradients, strict=True):
        summed = literal_sum((bias.detach() * gradient).numpy(), normalise)
        wanted += np.stack([literal_enlarge(each, 8, 8) for each in summed])
    method = prepare(network.requires_grad_(False), normalise)
    found = make_maps(method, images, targets, [0, 1, 2], 0, 3)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_network_without_biases_has_the_inputs_term_alone():
    network, images = build("vgg16", "zeroed").double(), inputs(1)
    x = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(x)[0, TARGETS[0]], x)
    wanted = literal_sum((x * gradient).detach().numpy(), "batch")
    np.testing.assert_allclose(make(network.requires_grad_(False), images, "batch", 1), wanted, rtol=1e-5)


def test_terms_that_are_all_equal_add_nothing():
    for normalise in NORMALISED_BY:
        assert not fullgrad.add_rescaled(torch.full((2, 3, 4), -0.3), normalise).any()
    terms = torch.tensor([[[0.0, -1.0], [3.0, 2.0]]])  # one image, two positions of two features
    assert fullgrad.add_rescaled(terms, "batch").tolist() == [[pytest.approx(1 / 3), pytest.approx(5 / 3)]]


# --- batches -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network():
    return build("vgg16", seed=3).requires_grad_(False)


def test_by_image_the_batch_does_not_matter(network):
    images = inputs(3, dtype=torch.float32)
    together = make(network, images, "image")
    for index in range(3):
        method = prepare(network, "image")
        alone = make_maps(method, images[index : index + 1], TARGETS[index : index + 1], [index], 0, 1)
        torch.testing.assert_close(alone[0], together[index], rtol=1e-4, atol=1e-4)


def test_by_batch_it_does_but_its_filling_up_does_not(network):
    images = inputs(3, dtype=torch.float32)
    images[0] *= 10
    together, filled = make(network, images, "batch"), make(network, images, "batch", batch=7)
    torch.testing.assert_close(filled, together, rtol=1e-4, atol=1e-4)
    alone = make_maps(prepare(network, "batch"), images[1:], TARGETS[1:], [1, 2], 0, 2)
    assert (alone - together[1:]).abs().max() > 0.1 * together[1:].max()


def test_of_one_image_both_are_the_same(network):
    """But for the epsilon."""
    images = inputs(1, dtype=torch.float32)
    by_image, by_batch = (make(network, images, normalise, 1) for normalise in NORMALISED_BY)
    torch.testing.assert_close(by_image, by_batch, rtol=1e-2, atol=1e-2 * float(by_batch.max()))


def test_it_is_none_of_the_papers_two(network):
    """They rescale each feature's map, or each layer's sum; one minimum and maximum for all is a third form."""
    images = inputs(1, dtype=torch.float32)
    attributions = Decomposition(network, images)(images, TARGETS[:1])
    by_feature = sum(F.interpolate(m[:, None], (32, 32), mode="bilinear")[:, 0] for m in attributions.fullgrad_feature)
    by_feature = by_feature + rescale(attributions.activity[0].abs())
    found = make(network, images, "image", 1)
    ranks = torch.stack([found.flatten().argsort().argsort(), by_feature.flatten().argsort().argsort()]).double()
    assert 0.2 < torch.corrcoef(ranks)[0, 1] < 0.999
