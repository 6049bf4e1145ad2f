"""CAM against sums by hand, of networks that end in a global average pooling and at most one linear map."""

import literal
import numpy as np
import pytest
import torch
from small import Small, build, inputs, randomise, randomise_vectors
from torch import Tensor, nn
from torch.nn import functional as F

from explanations.methods.sources import cam
from explanations.methods.sources.base import NotApplicableError, make_maps
from explanations.networks.files import build_network

TARGETS = torch.tensor([1, 7, 1])


def make(network: nn.Module, images: Tensor, targets: Tensor = TARGETS) -> Tensor:
    method = cam.prepare({}, network.requires_grad_(False), tuple(images.shape[2:]), [])
    return make_maps(method, images, targets, list(range(len(images))), 0, len(images))


def values_of(network: nn.Module, module: nn.Module, images: Tensor) -> np.ndarray:
    """What a module of the network gives."""
    kept = []
    handle = module.register_forward_hook(lambda module, given, output: kept.append(output))
    with torch.no_grad():
        network(images)
    handle.remove()
    return kept[0].double().numpy()


def by_hand(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Σ_k w_ck f_k of maps (n, K, h, w) and each image's own weights (n, K), in loops, enlarged to 32 × 32."""
    found = []
    for features, row in zip(maps, weights, strict=True):
        total = np.zeros(features.shape[1:])
        for k, i, j in np.ndindex(features.shape):
            total[i, j] += row[k] * features[k, i, j]
        found.append(literal.bilinear(total, 32, 32))
    return np.stack(found)


def squeezenet() -> nn.Module:
    torch.manual_seed(3)
    arguments = {"width": 0.125, "stem_stride": 1, "num_classes": 10}
    return randomise(build_network("narrow", "squeezenet1_1", arguments))


def test_maps_of_a_linear_map_behind_the_pooling():
    network, images = build("resnet50", seed=3), inputs(3, dtype=torch.float32)
    maps = values_of(network, network.layer4, images)
    wanted = by_hand(maps, network.fc.weight[TARGETS].detach().double().numpy())
    np.testing.assert_allclose(make(network, images), wanted, rtol=1e-4, atol=1e-4 * abs(wanted).max())
    assert wanted.min() < 0 < wanted.max() and maps.shape[2:] == (2, 2)


def test_maps_of_classes_are_pooled_without_a_linear_map():
    """SqueezeNet's last convolution has a map for each class, and its ReLU comes before the pooling."""
    network, images = squeezenet(), inputs(3, dtype=torch.float32)
    maps = values_of(network, network.classifier[2], images)
    targets = torch.from_numpy(maps.sum((2, 3)).argmax(1))
    wanted = by_hand(maps, np.eye(10)[targets.numpy()])
    np.testing.assert_allclose(make(network, images, targets), wanted, rtol=1e-4, atol=1e-5 * wanted.max())
    assert wanted.max() > 0


@pytest.mark.parametrize("name", ["resnet50", "squeezenet", "efficientnet"])
def test_maps_and_the_linear_maps_bias_are_the_score(name):
    """On average over positions, before they are enlarged: 2×2 to 32×32 with areas at corners keeps the mean."""
    network = squeezenet() if name == "squeezenet" else build(name, seed=3)
    images = inputs(3, dtype=torch.float32)
    with torch.no_grad():
        wanted = network(images).gather(1, TARGETS[:, None])[:, 0]
    bias = {"resnet50": lambda: network.fc.bias, "efficientnet": lambda: network.classifier[1].bias}.get(name)
    wanted = wanted - (bias()[TARGETS] if bias else 0)
    torch.testing.assert_close(make(network, images).mean((1, 2)), wanted.detach(), rtol=1e-4, atol=1e-4)


class ChannelsLast(nn.Module):
    """Maps (n, h, w, C) that are averaged, as timm's Swin has them."""

    def __init__(self):
        super().__init__()
        self.first, self.top = nn.Conv2d(3, 6, 8, 8), nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x)).permute(0, 2, 3, 1)
        return self.top(F.dropout(x.mean(dim=(1, 2)), 0.5, self.training))


def test_pooling_is_known_by_what_it_does():
    """A mean over dimensions, of channels first or last, is one."""
    images = inputs(3, dtype=torch.float32)
    network = randomise_vectors(ChannelsLast())
    with torch.no_grad():
        maps = torch.relu(network.first(images)).double().numpy()
    wanted = by_hand(maps, network.top.weight[TARGETS].detach().double().numpy())
    np.testing.assert_allclose(make(network, images), wanted, rtol=1e-4, atol=1e-5)
    small = Small(nn.ReLU()).eval()
    targets = torch.tensor([1, 4, 0])
    with torch.no_grad():
        maps = torch.relu(small.second(torch.relu(small.first(images)))).double().numpy()
    wanted = by_hand(maps, small.top.weight[targets].detach().double().numpy())
    np.testing.assert_allclose(make(small, images, targets), wanted, rtol=1e-4, atol=1e-5)


class Pooled(nn.Module):
    """A convolution and a pooling, and what comes behind it."""

    def __init__(self, pooling: nn.Module, *behind: nn.Module):
        super().__init__()
        self.first, self.pooling, self.behind = nn.Conv2d(3, 4, 4, 4), pooling, nn.Sequential(nn.Flatten(), *behind)

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(self.pooling(torch.relu(self.first(x))))


AVERAGE, FOUR = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 10)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ("vgg16", "before its linear map classifier.6 comes classifier.4 (relu_), no global average pooling"),
        ("vit", "before its linear map heads.head comes getitem_5, no global average pooling"),
        ("linear", "before its linear map 1 comes the image, no global average pooling"),
        (Pooled(nn.MaxPool2d(8), FOUR), "before its linear map behind.1 comes pooling, no global average pooling"),
        (Pooled(nn.AvgPool2d(7), FOUR), "before its linear map behind.1 comes pooling, no global average pooling"),
        (
            Pooled(nn.AdaptiveAvgPool2d(2), nn.Linear(16, 10)),
            "before its linear map behind.1 comes pooling, no global average pooling",
        ),
        (
            Pooled(AVERAGE, nn.LayerNorm(4), FOUR),
            "before its linear map behind.2 comes behind.1, no global average pooling",
        ),
        (Pooled(AVERAGE, FOUR, nn.ReLU()), "before its output comes behind.2 (relu_), no global average pooling"),
        (Pooled(nn.Sequential(nn.AvgPool2d(8), AVERAGE), FOUR), "the maps before pooling.1 have one position"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 10 else "",
)
def test_networks_that_end_otherwise(network, reason):
    network = build(network, seed=3) if isinstance(network, str) else network.eval()
    with pytest.raises(NotApplicableError) as raised:
        make(network, inputs(3, dtype=torch.float32))
    assert str(raised.value) == reason


@pytest.mark.parametrize("pooling", [nn.AvgPool2d(8), nn.Sequential(nn.Identity(), AVERAGE), AVERAGE])
def test_poolings_of_all_positions(pooling):
    """Average poolings as large as the maps are global ones."""
    network, images = Pooled(pooling, nn.Dropout(), FOUR).eval(), inputs(3, dtype=torch.float32)
    with torch.no_grad():
        scores = network(images).gather(1, TARGETS[:, None])[:, 0] - FOUR.bias[TARGETS]
    torch.testing.assert_close(make(network, images).mean((1, 2)), scores, rtol=1e-4, atol=1e-5)
