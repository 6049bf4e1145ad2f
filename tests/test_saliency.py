"""Saliency methods: Ψ (Eqs 9, 10), FullGrad (Eq. 8) and aggregates (Eq. 16) against literal versions."""

import literal
import numpy as np
import pytest
import torch
from torch import Tensor

from explanations.command import InputError
from explanations.methods import KINDS, LAYER_KINDS, layers_of, parse_method
from explanations.saliency import (
    FAMILIES,
    METHODS,
    family_methods,
    layer_bias,
    rescale,
    saliency_maps,
    sum_pool,
    transform,
    upsample,
)

SIZE = (12, 12)
SIDES = {0: 12, 1: 12, 2: 6, 3: 3}  # layer 4 is the output, of one position
OPERATIONS = [(1, 12), (2, 12), (2, 6), (2, 1), (3, 3), (4, 1)]  # layer and side of every biased operation


class FakeMaps:
    """Random maps of three images; layer 2 has operations of three sizes."""

    size, layers = SIZE, list(SIDES)
    operation_layers = [layer for layer, _ in OPERATIONS]  # noqa: RUF012

    def __init__(self):
        generator = torch.Generator().manual_seed(0)

        def draw(side: int) -> Tensor:
            return torch.randn(3, side, side, generator=generator, dtype=torch.float64)

        self.activities = [draw(side) for side in SIDES.values()]
        self.biases = [draw(side) for _, side in OPERATIONS]
        self.features = [draw(side).abs() for _, side in OPERATIONS]
        self.gradients, self.gradcams = draw(12).abs(), draw(3).relu()

    def activity(self, layer: int) -> Tensor:
        return self.activities[layer]

    def bias(self, operation: int) -> Tensor:
        return self.biases[operation]

    def fullgrad_feature(self, operation: int) -> Tensor:
        return self.features[operation]

    def gradient(self) -> Tensor:
        return self.gradients

    def gradcam(self) -> Tensor:
        return self.gradcams


@pytest.fixture
def maps() -> FakeMaps:
    return FakeMaps()


def each(values: Tensor, formula) -> np.ndarray:
    return np.stack([formula(image) for image in values.numpy()])


# --- Ψ -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 3), (5, 4), (12, 12), (1, 4)])
def test_psi(shape):
    values = torch.randn(2, *shape, dtype=torch.float64)
    wanted = each(values, lambda image: literal.psi(image, SIZE))
    np.testing.assert_allclose(transform(values, SIZE, "bilinear"), wanted, atol=1e-12)


def test_signed_psi_keeps_the_sign():
    values = torch.tensor([[[-2.0, 0.0], [1.0, 2.0]]])
    assert transform(values, (2, 2), "bilinear", signed=True).tolist() == [[[0.0, 0.5], [0.75, 1.0]]]
    assert transform(values, (2, 2), "bilinear").tolist() == [[[1.0, 0.0], [0.5, 1.0]]]


def test_rescale_is_of_each_image_alone():
    values = torch.randn(4, 5, 3, dtype=torch.float64) * torch.tensor([1, 10, 100, 1e-9]).view(4, 1, 1)
    np.testing.assert_allclose(rescale(values), each(values, literal.rescale), atol=1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.1, -3.0])
def test_a_constant_map_rescales_to_zero(constant):
    maps = torch.stack([torch.full((3, 3), constant), torch.arange(9.0).view(3, 3)])
    found = rescale(maps)
    assert not found[0].any() and found[1].max() == 1
    assert not transform(torch.full((1, 1, 1), constant), SIZE, "bilinear").any()


def test_nearest_repeats_and_a_map_of_the_images_size_stays():
    values = torch.arange(4.0).view(1, 2, 2)
    assert upsample(values, (4, 4), "nearest")[0].tolist() == np.kron([[0, 1], [2, 3]], np.ones((2, 2))).tolist()
    for upsampling in ("bilinear", "nearest", "bicubic"):
        assert torch.equal(upsample(values, (2, 2), upsampling), values)


def test_unknown_upsampling():
    with pytest.raises(InputError, match="upsampling is linear; allowed are bilinear, nearest, bicubic"):
        upsample(torch.zeros(1, 2, 2), SIZE, "linear")


# --- biases of a layer -------------------------------------------------------------------------------------------


def test_layer_bias_adds_at_the_smallest_size(maps):
    found = layer_bias(maps, 2)
    wanted = maps.biases[2].clone()
    for image, i, j in np.ndindex(3, 12, 12):
        wanted[image, i // 2, j // 2] += maps.biases[1][image, i, j]
    torch.testing.assert_close(found, wanted)  # the map of one position is left out


@pytest.mark.parametrize("sides", [(12, 6), (7, 3), (13, 4), (5, 5)])
def test_pooling_keeps_the_gross_sum(sides):
    values = torch.randn(2, sides[0], sides[0], dtype=torch.float64)
    pooled = sum_pool(values, (sides[1], sides[1]))
    assert pooled.shape == (2, sides[1], sides[1])
    torch.testing.assert_close(pooled.sum((1, 2)), values.sum((1, 2)))


def test_pooled_layer_keeps_its_gross_sum(maps):
    wanted = maps.biases[1].sum((1, 2)) + maps.biases[2].sum((1, 2))
    torch.testing.assert_close(layer_bias(maps, 2).sum((1, 2)), wanted)


def test_a_layer_of_single_positions_only(maps):
    torch.testing.assert_close(layer_bias(maps, 4), maps.biases[5])


# --- methods -----------------------------------------------------------------------------------------------------


def psi(values: Tensor) -> np.ndarray:
    return each(values, lambda image: literal.psi(image, SIZE))


def fullgrad(maps: FakeMaps) -> np.ndarray:
    total = psi(maps.activities[0])
    for layer in (1, 2, 3, 4):
        total = total + psi(layer_bias(maps, layer))
    return total


def fullgrad_feature(maps: FakeMaps) -> np.ndarray:
    total = psi(maps.activities[0])
    for feature in maps.features:
        total = total + each(feature, lambda image: literal.bilinear(image, *SIZE))
    return total


def mean_from(maps: FakeMaps, layer: int) -> np.ndarray:
    return sum(psi(a) for a in maps.activities[layer:]) / len(maps.activities[layer:])


WANTED = {
    "gradient": lambda maps: maps.gradients.numpy(),
    "input": lambda maps: psi(maps.activities[0]),
    "gradcam": lambda maps: each(maps.gradcams, lambda image: literal.bilinear(image, *SIZE)),
    "activity_2": lambda maps: psi(maps.activities[2]),
    "bias_1": lambda maps: psi(maps.biases[0]),
    "bias_3": lambda maps: psi(maps.biases[4]),
    "activity_from_2": lambda maps: mean_from(maps, 2),
    "activity_from_3": lambda maps: psi(maps.activities[3]),
    "activity_with_input": lambda maps: mean_from(maps, 0),
    "fullgrad": fullgrad,
    "fullgrad_feature": fullgrad_feature,
}


@pytest.mark.parametrize("method", WANTED)
def test_method(maps, method):
    np.testing.assert_allclose(saliency_maps(method, maps, "bilinear"), WANTED[method](maps), atol=1e-12)


def test_every_kind_of_name_is_computed():
    assert [*METHODS] == [*KINDS, *LAYER_KINDS]


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        *[("input", ("input", None)), ("activity_with_input", ("activity_with_input", None))],
        *[("activity_3", ("activity", 3)), ("activity_from_10", ("activity_from", 10))],
        *[("signed_activity_0", ("signed_activity", 0)), ("signed_activity_from_1002", ("signed_activity_from", 1002))],
    ],
)
def test_names_of_methods(name, parsed):
    assert parse_method(name) == parsed


def test_layers_of_names_ascend_as_numbers():
    names = [f"{kind}_{l}" for kind in LAYER_KINDS for l in sorted(range(1200), key=str)]
    for kind in LAYER_KINDS:
        assert layers_of(kind, [*names, "input", "other_7", kind]) == list(range(1200))
    assert layers_of("bias", ["activity_1"]) == []


def test_signed_methods_rank_by_a(maps):
    def signed(values: Tensor) -> np.ndarray:
        return each(values, lambda image: literal.bilinear(literal.rescale(image), *SIZE))

    found = saliency_maps("signed_activity_2", maps, "bilinear")
    np.testing.assert_allclose(found, signed(maps.activities[2]), atol=1e-12)
    found = saliency_maps("signed_activity_from_2", maps, "bilinear")
    mean = (signed(maps.activities[2]) + signed(maps.activities[3])) / 2
    np.testing.assert_allclose(found, mean, atol=1e-12)


def test_fullgrad_feature_is_the_sum_over_upsampled_features():
    """Upsampling is linear: each feature upsampled on its own and summed is the sum upsampled."""
    features = torch.randn(5, 3, 3, dtype=torch.float64)
    rescaled = rescale(features.abs())
    by_feature = sum(literal.psi(feature.numpy(), SIZE) for feature in features)
    np.testing.assert_allclose(upsample(rescaled.sum(0, keepdim=True), SIZE, "bilinear")[0], by_feature)


def test_families(maps):
    assert family_methods("layers", maps) == ["gradient", "input", "activity_1", "activity_2", "activity_3"]
    assert family_methods("biases", maps) == ["bias_1", "bias_2", "bias_3"]
    baselines = ["activity_with_input", "fullgrad", "fullgrad_feature", "gradcam"]
    assert family_methods("aggregates", maps) == ["activity_from_1", "activity_from_2", *baselines]
    signed = [*(f"signed_activity_{l}" for l in range(4)), *(f"signed_activity_from_{l}" for l in range(3))]
    assert family_methods("signed", maps) == signed


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("upsampling", ["bilinear", "nearest", "bicubic"])
def test_every_method_of_a_family_has_the_images_size(maps, family, upsampling):
    for method in family_methods(family, maps):
        found = saliency_maps(method, maps, upsampling)
        assert found.shape == (3, *SIZE), method
        assert torch.isfinite(found).all(), method


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("lime", "method is lime; allowed are gradient, input, gradcam, "),
        ("activity", "method is activity; allowed are "),
        ("activity_x", "method is activity_x; allowed are "),
        ("activity_²", "method is activity_²; allowed are "),  # which Python takes for a digit
        ("lime_3", "method is lime_3; allowed are "),
        ("activity_4", "method is activity_4; allowed layers are 0 to 3"),
        ("activity_from_99", "method is activity_from_99; allowed layers are 0 to 3"),
        ("bias_0", "method is bias_0; layer 0 has no biases"),
    ],
)
def test_unknown_method(maps, method, message):
    with pytest.raises(InputError) as raised:
        saliency_maps(method, maps, "bilinear")
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_unknown_family(maps):
    with pytest.raises(InputError, match="family is all; allowed are layers, biases, aggregates, signed"):
        family_methods("all", maps)
