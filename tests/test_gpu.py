"""What a GPU computes against what a CPU does: full-size networks, 224×224 pixels, random weights."""

import numpy as np
import pytest
import torch
import torchvision
from small import randomise
from torch import nn

from explanations.decomposition import Decomposition, completeness_gap
from explanations.devices import compute_in, place_network, use_device
from explanations.inference import decide_in
from explanations.removal import Scan, find_flips, rank_pixels, tie_orders

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")]
NAMES = ["vgg16", "resnet50"]
CPU = torch.device("cpu")


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    built = torchvision.models.get_model(name, weights=None).eval().requires_grad_(False)
    randomise(built)
    return built


def images(count: int) -> torch.Tensor:
    """Noise of several scales, so that decisions differ."""
    torch.manual_seed(1)
    coarse = nn.functional.interpolate(torch.randn(count, 3, 14, 14), 224, mode="bilinear")
    return coarse + 0.3 * torch.randn(count, 3, 224, 224)


@pytest.mark.parametrize("name", NAMES)
def test_attributions_are_those_of_the_cpu(name):
    gpu, inputs = use_device("auto", 2), images(2)
    found = {}
    for place in (CPU, gpu):
        decomposition = Decomposition(place_network(network(name), place), inputs[:1].to(place))
        found[place.type] = decomposition(inputs.to(place))
        gap, size = completeness_gap(found[place.type], [operation.layer for operation in decomposition.operations])
        assert (gap.abs() <= 1e-5 * size).all()
    wanted, here = found["cpu"].to_arrays(), found["cuda"].to_arrays()
    np.testing.assert_array_equal(here["target"], wanted["target"])
    np.testing.assert_allclose(here["logits"], wanted["logits"], rtol=1e-3, atol=1e-4 * np.abs(wanted["logits"]).max())
    for here_map, wanted_map in zip(here["activity"], wanted["activity"], strict=True):
        # where two inputs of a max pooling are almost equal, rounding decides which gets the gradient
        close = np.isclose(here_map, wanted_map, rtol=1e-2, atol=1e-3 * np.abs(wanted_map).max())
        assert close.mean() > 0.99


def flips(name: str, place: torch.device, precision: str) -> dict:
    """{scan: step} of two images by random maps, most and least salient first."""
    inputs = images(2).to(place)
    decide = decide_in(precision, network(name), place)
    with torch.no_grad():
        targets = decide_in("float32", network(name), place)(inputs).argmax(1)
    order = tie_orders(range(2), 224 * 224, 0, "random").to(place)
    torch.manual_seed(2)
    maps = nn.functional.interpolate(torch.rand(2, 1, 28, 28), 224, mode="bilinear")[:, 0].to(place)
    ranks = rank_pixels(maps, order)
    scans = [Scan((k, o), k, rank if o else 224 * 224 - 1 - rank) for k, rank in enumerate(ranks) for o in (0, 1)]
    return {flip.key: flip.step for flip in find_flips(decide, inputs, targets, scans, 20, batch=4)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_flips_are_those_of_the_cpu(name, precision):
    assert flips(name, use_device("auto", 2), precision) == flips(name, CPU, "float32")


def test_float32_is_not_tf32():
    gpu = use_device("auto", 1)
    a, b = torch.randn(2, 512, 512)
    exact = a.double() @ b.double()
    error = ((a.to(gpu) @ b.to(gpu)).cpu() - exact).abs().max()
    with compute_in("tf32", gpu):
        rough = ((a.to(gpu) @ b.to(gpu)).cpu() - exact).abs().max()
    assert error < 1e-3 < rough
