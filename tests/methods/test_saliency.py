"""Saliency methods: Ψ (Eqs 9, 10), FullGrad (Eq. 8) and aggregates (Eq. 16) against literal versions."""

from types import SimpleNamespace

import literal
import numpy as np
import pytest
import torch
from torch import Tensor
from workflow_copy import ROOT

from explanations.decomposition.layer_bias import sum_pool
from explanations.errors import InputError
from explanations.methods.bias import add_biases
from explanations.methods.names import MethodName, all_kinds, layers_of, parse_kind, parse_method
from explanations.methods.registry import METHODS, Entry, load_method, method_file
from explanations.methods.saliency import choose_layers, list_methods, saliency_maps
from explanations.methods.transform import rescale, transform, upsample
from explanations.plan import GROUPS, PAPERS_GROUPS, methods_of

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
    found = add_biases(maps, 2)
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
    torch.testing.assert_close(add_biases(maps, 2).sum((1, 2)), wanted)


def test_a_layer_of_single_positions_only(maps):
    torch.testing.assert_close(add_biases(maps, 4), maps.biases[5])


# --- methods -----------------------------------------------------------------------------------------------------


def psi(values: Tensor) -> np.ndarray:
    return each(values, lambda image: literal.psi(image, SIZE))


def fullgrad(maps: FakeMaps) -> np.ndarray:
    total = psi(maps.activities[0])
    for layer in (1, 2, 3, 4):
        total = total + psi(add_biases(maps, layer))
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
    np.testing.assert_allclose(saliency_maps(parse_method(method), maps, "bilinear"), WANTED[method](maps), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        *[("input", ("input", None, False)), ("activity_with_input", ("activity_with_input", None, False))],
        *[("activity_3", ("activity", 3, False)), ("activity_from_10", ("activity_from", 10, False))],
        *[("signed_activity_0", ("activity", 0, True)), ("signed_activity_from_1002", ("activity_from", 1002, True))],
    ],
)
def test_names_of_methods(name, parsed):
    assert parse_method(name) == MethodName(*parsed)
    assert str(parse_method(name)) == name


def test_layers_of_names_ascend_as_numbers():
    kinds = [kind for kind in all_kinds() if METHODS[kind.kind].of_layers]
    names = [str(kind.at(layer)) for kind in kinds for layer in sorted(range(1200), key=str)]
    for kind in kinds:
        assert layers_of(kind, [*names, "input", "other_7", str(kind)]) == list(range(1200))
    assert layers_of(MethodName("bias"), ["activity_1"]) == []


def test_signed_methods_rank_by_a(maps):
    def signed(values: Tensor) -> np.ndarray:
        return each(values, lambda image: literal.bilinear(literal.rescale(image), *SIZE))

    found = saliency_maps(parse_method("signed_activity_2"), maps, "bilinear")
    np.testing.assert_allclose(found, signed(maps.activities[2]), atol=1e-12)
    found = saliency_maps(parse_method("signed_activity_from_2"), maps, "bilinear")
    mean = (signed(maps.activities[2]) + signed(maps.activities[3])) / 2
    np.testing.assert_allclose(found, mean, atol=1e-12)


def test_fullgrad_feature_is_the_sum_over_upsampled_features():
    """Upsampling is linear: each feature upsampled on its own and summed is the sum upsampled."""
    features = torch.randn(5, 3, 3, dtype=torch.float64)
    rescaled = rescale(features.abs())
    by_feature = sum(literal.psi(feature.numpy(), SIZE) for feature in features)
    np.testing.assert_allclose(upsample(rescaled.sum(0, keepdim=True), SIZE, "bilinear")[0], by_feature)


def names(maps, *groups: str) -> list[str]:
    return [str(name) for kind in methods_of(*groups) for name in list_methods(kind, maps)]


def test_groups_of_methods(maps):
    assert names(maps, "layers") == ["gradient", "input", "activity_1", "activity_2", "activity_3"]
    assert names(maps, "biases") == ["bias_1", "bias_2", "bias_3"]
    baselines = ["activity_with_input", "fullgrad", "fullgrad_feature", "gradcam"]
    assert names(maps, "aggregates") == ["activity_from_1", "activity_from_2", *baselines]
    signed = [*(f"signed_activity_{l}" for l in range(4)), *(f"signed_activity_from_{l}" for l in range(3))]
    assert names(maps, "signed") == signed
    assert set(methods_of(*GROUPS)) <= set(all_kinds())
    assert not PAPERS_GROUPS.keys() & METHODS.keys()  # results of an earlier version are known by the names of groups


@pytest.mark.parametrize(
    ("sides", "chosen"),
    [
        ([32, 32, 32, 16, 16, 8], [0, 1, 4, 5]),  # the first layer stands for its stage, the last for each other
        ([32, 16, 16, 8], [0, 1, 3]),  # the first stage need not have the image's size
        ([32, 14, 14, 14, 14], [0, 1, 4]),  # a transformer's: one size
        ([32, 16, 8, 16, 8, 8], [0, 1, 2, 3, 5]),  # a size that comes again is another stage
        ([32, 16], [0, 1]),
        ([32], [0]),
    ],
)
def test_one_layer_of_each_stage(sides, chosen):
    maps = SimpleNamespace(layers=range(len(sides)), sizes=[(side, side) for side in sides])
    assert choose_layers(maps, "stages") == chosen
    assert choose_layers(maps, "all") == list(range(len(sides)))


def test_layers_without_maps_are_no_stage():
    maps = SimpleNamespace(layers=[0, 2, 5, 7, 9], sizes=[(8, 8), (4, 4), (4, 4), (2, 2), (2, 2)])
    assert choose_layers(maps, "stages") == [0, 2, 9]  # 5 ends the first stage
    with pytest.raises(InputError, match="layers is some; allowed are all, stages"):
        choose_layers(maps, "some")


def test_methods_of_stages(maps):
    def names_at(kind: str) -> list[str]:
        return [str(name) for name in list_methods(parse_kind(kind), maps, "stages")]

    maps.layers, maps.sizes = [0, 1, 2, 3], [(12, 12), (12, 12), (12, 12), (3, 3)]
    assert names_at("activity") == ["activity_1", "activity_3"] and names_at("activity_from") == ["activity_from_1"]
    assert names_at("signed_activity") == ["signed_activity_0", "signed_activity_1", "signed_activity_3"]
    assert names_at("fullgrad") == ["fullgrad"]


@pytest.mark.parametrize("kind", map(str, all_kinds()))
@pytest.mark.parametrize("upsampling", ["bilinear", "nearest", "bicubic"])
def test_every_method_has_the_images_size(maps, kind, upsampling):
    for method in list_methods(parse_kind(kind), maps):
        found = saliency_maps(method, maps, upsampling)
        assert found.shape == (3, *SIZE), method
        assert torch.isfinite(found).all(), method


@pytest.mark.parametrize("kind", METHODS)
def test_every_line_of_the_registry_has_its_file(kind):
    module = load_method(kind)
    assert (ROOT / "scripts" / method_file(kind)).samefile(module.__file__)
    assert hasattr(module, "list_layers") == METHODS[kind].of_layers


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
        saliency_maps(parse_method(method), maps, "bilinear")
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["all", "activity_3", "signed_bias", "signed_gradient", "signed_", ""])
def test_unknown_kind(kind):
    with pytest.raises(InputError, match=f"method is {kind}; allowed are gradient, input, .*, signed_activity_from$"):
        parse_kind(kind)


def test_names_of_kinds_that_look_like_others(monkeypatch):
    """A kind is what the registry has, digits, `signed_` and a layer's number at its end included."""
    for kind, entry in {
        "smooth2": Entry("a"),
        "grad_2": Entry("b", of_layers=True),
        "signed_thing": Entry("c"),
    }.items():
        monkeypatch.setitem(METHODS, kind, entry)
    assert parse_method("smooth2") == MethodName("smooth2")
    assert parse_kind("grad_2") == MethodName("grad_2")
    assert parse_method("grad_2_13") == MethodName("grad_2", 13)
    assert parse_method("signed_thing") == MethodName("signed_thing")
    for name in ("smooth2_1", "signed_smooth2", "signed_grad_2_1", "activity_03", "activity_", "_3"):
        with pytest.raises(InputError):
            parse_method(name)


def test_the_kind_of_a_name():
    assert parse_method("activity_10").all_layers == parse_kind("activity") == MethodName("activity")
    assert parse_method("signed_activity_from_3").all_layers == parse_kind("signed_activity_from")
