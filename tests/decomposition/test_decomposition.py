"""The complete decomposition: Eq. 13 at every layer of many networks, and Eqs 5, 11, 12 against literal versions."""

from types import SimpleNamespace

import literal
import numpy as np
import pytest
import torch
import torchvision
from complete import assert_complete, explain
from small import (
    SIZE,
    AddedParameter,
    ByFunction,
    ByShape,
    ChannelsLast,
    Disordered,
    Gated,
    Repeated,
    Small,
    build,
    inputs,
    randomise,
    vary,
)
from torch import nn
from torch.nn import functional as F

from explanations.decomposition.closed_forms import batch_norm_bias
from explanations.decomposition.decomposition import Decomposition, completeness_gap, grad_cam
from explanations.decomposition.layouts import Layout, channels_first
from explanations.errors import InputError

NARROW = ("vgg16", "resnet50")
LATER = ("efficientnet", "convnext", "vit")
VARIANTS = ("original", "zeroed", "halved")
HAND_MADE = {
    "relu6": lambda: Small(nn.ReLU6(inplace=True)),
    "silu": lambda: Small(nn.SiLU(inplace=True)),
    "gelu": lambda: Small(nn.GELU()),
    "leaky relu": lambda: Small(nn.LeakyReLU(0.1, inplace=True)),
    "hard swish by function": lambda: Small(F.hardswish),
    "layer norm": lambda: Small(nn.ReLU(), nn.LayerNorm([4, 6, 6])),
    "group norm": lambda: Small(nn.ReLU(), nn.GroupNorm(2, 4)),
    "batch norm": lambda: Small(nn.ReLU(), nn.BatchNorm2d(4)),
    "sigmoid gate": Gated,
    "channels last": ChannelsLast,
    "added parameter": AddedParameter,
    "sizes as values": ByShape,
    "computed kernel": ByFunction,
    "disordered": Disordered,
    "repeated": Repeated,
}
TORCHVISION = {
    "mobilenet_v2": ({}, 32),
    "squeezenet1_1": ({}, 48),
    "googlenet": ({"init_weights": True, "aux_logits": False}, 48),
    "densenet121": ({}, 32),
    "shufflenet_v2_x0_5": ({}, 32),
}


# --- Eq. 13 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", NARROW)
def test_scores_decompose_at_every_layer(name, variant):
    _, found = assert_complete(build(name, variant).double(), inputs(), 1e-10)
    assert len(found.activity) == {"vgg16": 17, "resnet50": 19}[name]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", LATER)
def test_scores_of_later_families_decompose_at_every_layer(name, variant):
    assert_complete(build(name, variant).double(), inputs(), 1e-8)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("constructor", "size"), [("vgg16", 32), ("resnet50", 64)])
def test_full_size_scores_decompose_at_every_layer(constructor, size, variant, full_size):
    assert_complete(vary(randomise(full_size[constructor]), variant), inputs(1, size), 1e-10)


@pytest.fixture(scope="module")
def full_size() -> dict[str, nn.Module]:
    with torch.device("meta"):  # drawing 138 million weights as torchvision does takes longer than the test
        vgg = torchvision.models.vgg16(init_weights=False)
    vgg = vgg.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in vgg.parameters():
            if parameter.dim() > 1:
                parameter.uniform_(-1, 1).mul_((6 / parameter[0].numel()) ** 0.5)
    networks = {"vgg16": vgg.double(), "resnet50": torchvision.models.resnet50().double()}
    return {name: network.requires_grad_(False).eval() for name, network in networks.items()}


@pytest.mark.parametrize("name", NARROW)
def test_without_biases_every_layer_sums_to_the_score(name):
    _, found = explain(build(name, "zeroed").double(), inputs())
    gross = torch.stack([a.sum((1, 2)) for a in found.activity], 1)
    torch.testing.assert_close(gross, found.score[:, None].expand_as(gross), rtol=1e-10, atol=0)
    assert all(not bias.any() for bias in found.bias)


@pytest.mark.parametrize("name", NARROW)
def test_with_biases_the_input_attributions_do_not_sum_to_the_score(name):
    _, found = explain(build(name).double(), inputs())
    assert ((found.activity[0].sum((1, 2)) - found.score).abs() > 1e-3 * found.score.abs()).all()


@pytest.mark.parametrize("name", HAND_MADE)
def test_any_operation_decomposes(name):
    network = randomise(HAND_MADE[name]().double())
    assert_complete(network, inputs(3, 8), 1e-8)


def test_group_normalisation_of_channels_last_images():
    """torch can't differentiate it forward in this order of memory, the one that preprocessing gives."""
    network = randomise(Small(F.relu, nn.GroupNorm(2, 4)).double())
    assert_complete(network, inputs(2, 8).contiguous(memory_format=torch.channels_last), 1e-8)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("constructor", TORCHVISION)
def test_torchvision_networks_decompose(constructor):
    arguments, size = TORCHVISION[constructor]
    network = getattr(torchvision.models, constructor)(num_classes=10, **arguments).double()
    assert_complete(randomise(network), inputs(2, size), 1e-8)


def test_any_class_decomposes():
    network = build("vgg16").double()
    targets = torch.tensor([7, 3])
    decomposition, found = explain(network, inputs(), targets)
    assert found.target.tolist() == [7, 3]
    torch.testing.assert_close(found.score, network(inputs())[[0, 1], targets].detach())
    totals = literal.decompositions(found.activity, found.bias, [o.layer for o in decomposition.operations])
    np.testing.assert_allclose(totals, found.score.numpy()[:, None].repeat(totals.shape[1], 1), rtol=1e-10)


def test_a_network_without_any_bias_has_no_bias_maps():
    network = build("linear").double()
    _, found = explain(network, inputs())
    assert found.bias == found.fullgrad_feature == ()
    weights = network[1].weight.view(-1, 3, SIZE, SIZE)
    for image, target, a in zip(inputs(), found.target, found.activity[0], strict=True):
        torch.testing.assert_close(a, literal.attribution(image, weights[target].detach()))  # Eqs 4, 5


def test_float32_gaps_stay_within_the_gate():
    network = build("resnet50")
    decomposition, found = explain(network, inputs(4, dtype=torch.float32))
    gap, size = completeness_gap(found, [o.layer for o in decomposition.operations])
    assert (gap.abs() <= 1e-5 * size).all()


def test_gap_is_what_eq_13_lacks():
    activity = [torch.randn(3, 4, 4, dtype=torch.float64) for _ in range(6)]
    bias = [torch.randn(3, 2, 2, dtype=torch.float64) for _ in range(4)]
    layers = [1, 1, 4, 5]
    score = torch.rand(3, dtype=torch.float64)
    none = {"activity_non_spatial": torch.zeros(3, 6), "bias_non_spatial": torch.zeros(3, 4)}
    gap, size = completeness_gap(SimpleNamespace(score=score, activity=activity, bias=bias, **none), layers)
    wanted = literal.decompositions(activity, bias, layers) - score.numpy()[:, None]
    np.testing.assert_allclose(gap, wanted, rtol=1e-12)
    np.testing.assert_allclose(
        size, literal.decompositions([a.abs() for a in activity], [b.abs() for b in bias], layers)
    )
    some = {key: torch.randn_like(values) for key, values in none.items()}
    found, _ = completeness_gap(SimpleNamespace(score=score, activity=activity, bias=bias, **some), layers)
    bias_alone = torch.stack(
        [sum(some["bias_non_spatial"][:, k] * (layers[k] > l) for k in range(4)) for l in range(6)], 1
    )
    np.testing.assert_allclose(found, gap + some["activity_non_spatial"] + bias_alone, atol=1e-6)


# --- Eqs 5, 11, 12 -----------------------------------------------------------------------------------------------


def test_activity_is_h_times_each_elements_own_slope():
    network = randomise(Small(nn.ReLU()).double())
    image = inputs(1, 7)
    decomposition, found = explain(network, image)
    target = found.target.item()
    with torch.no_grad():
        first = network.activation(network.first(image))
        second = network.activation(network.second(first))

        def above_second(h):
            return network.top(h.mean((1, 2)))[target]

        def above_first(h):
            return above_second(network.activation(network.second(h)))

        def above_input(x):
            return above_first(network.activation(network.first(x)))

        assert [layer.index for layer in decomposition.layers] == [1, 2, 3]
        cases = ((image, above_input), (first, above_first), (second, above_second))
        for (value, f), a in zip(cases, found.activity, strict=False):
            wanted = literal.attribution(value[0], literal.slopes(f, value[0]))
            torch.testing.assert_close(a[0], wanted, rtol=1e-6, atol=1e-8)


def test_gradient_sums_magnitudes_over_channels():
    network = randomise(Small(nn.ReLU()).double())
    image = inputs(1, 6)
    _, found = explain(network, image)
    with torch.no_grad():
        slopes = literal.slopes(lambda x: network(x[None])[0, found.target.item()], image[0])
    torch.testing.assert_close(found.gradient[0], sum(slopes[channel].abs() for channel in range(3)))


@pytest.mark.parametrize("network", ["vgg16", "resnet50", "disordered"])
def test_bias_is_b_times_its_gradient_at_every_position(network):
    network = (randomise(Disordered()) if network == "disordered" else build(network)).double()
    image = inputs(1)
    decomposition, found = explain(network, image)
    expanded = literal.expanded_biases(network, image[0], found.target.item())
    assert [operation.name for operation in decomposition.operations] == list(expanded)
    for operation, a in zip(decomposition.operations, found.bias, strict=True):
        bias, gradient = expanded[operation.name]
        by_channel = [bias[channel] * gradient[channel] for channel in range(len(bias))]
        torch.testing.assert_close(a[0], sum(by_channel).reshape(a[0].shape), rtol=1e-9, atol=1e-12)


def test_bias_by_loops_over_positions():
    network = randomise(Small(nn.ReLU(), nn.BatchNorm2d(4)).double())
    image = inputs(1, 7)
    _, found = explain(network, image)
    expanded = literal.expanded_biases(network, image[0], found.target.item())
    for a, name in zip(found.bias, ("first", "norm", "second"), strict=False):
        torch.testing.assert_close(a[0], literal.attribution(*expanded[name]))


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_bias(affine):
    norm = nn.BatchNorm2d(5, eps=0.01, affine=affine).double()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    norm.eval()
    for channel, bias in enumerate(batch_norm_bias(norm)):
        at_zero = norm(torch.zeros(1, 5, 1, 1, dtype=torch.float64))[0, channel]
        torch.testing.assert_close(bias, at_zero.squeeze())
        if affine:
            deviation = (norm.running_var[channel] + 0.01) ** 0.5
            wanted = norm.bias[channel] - norm.weight[channel] * norm.running_mean[channel] / deviation
            torch.testing.assert_close(bias, wanted)


def test_fullgrad_feature_rescales_each_feature_of_each_image():
    network = randomise(Small(nn.ReLU()).double())
    images = inputs(2, 7)
    decomposition, found = explain(network, images)
    for row, image in enumerate(images):
        expanded = literal.expanded_biases(network, image, found.target[row].item())
        for operation, feature in zip(decomposition.operations, found.fullgrad_feature, strict=True):
            attribution = (expanded[operation.name][0] * expanded[operation.name][1]).reshape(-1, *feature[row].shape)
            wanted = sum(literal.rescale(abs(channel.numpy())) for channel in attribution)
            np.testing.assert_allclose(feature[row], wanted, rtol=1e-9, atol=1e-12)


def test_gradcam_by_loops():
    activity, gradient = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    found = grad_cam(Layout(channels_first(torch.Size([3, 4, 5])), (4, 5)), activity, gradient)
    for image in range(2):
        weights = [sum(gradient[image, phi].flatten().tolist()) / 20 for phi in range(3)]
        for i, j in np.ndindex(4, 5):
            wanted = max(0.0, sum(weights[phi] * activity[image, phi, i, j].item() for phi in range(3)))
            assert found[image, i, j].item() == pytest.approx(wanted, abs=1e-6)


# --- images are independent of each other ------------------------------------------------------------------------


@pytest.mark.parametrize("name", NARROW)
def test_batches_do_not_change_attributions(name):
    decomposition, together = explain(build(name).double(), inputs(3))
    for row in range(3):
        alone = decomposition(inputs(3)[row : row + 1])
        for name_ in ("activity", "bias", "fullgrad_feature"):
            for a, b in zip(getattr(alone, name_), getattr(together, name_), strict=True):
                torch.testing.assert_close(a[0], b[row], rtol=1e-9, atol=1e-10, msg=name_)
        torch.testing.assert_close(alone.gradient[0], together.gradient[row], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(alone.gradcam[0], together.gradcam[row], rtol=1e-9, atol=1e-12)


def test_a_later_change_of_a_bias_is_seen():
    network = build("vgg16").double()
    decomposition, before = explain(network, inputs())
    vary(network, "halved")
    after = decomposition(inputs())
    assert not torch.equal(before.logits, after.logits)
    totals = literal.decompositions(after.activity, after.bias, [o.layer for o in decomposition.operations])
    np.testing.assert_allclose(totals, after.score.numpy()[:, None].repeat(totals.shape[1], 1), rtol=1e-10)


def test_training_mode_is_refused():
    with pytest.raises(InputError, match="training mode"):
        Decomposition(build("vgg16").train(), inputs(1))
