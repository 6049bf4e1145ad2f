"""Max pooling by rows and columns gives torch's values, bit for bit."""

import itertools

import pytest
import torch
from small import build
from torch import nn

from explanations.networks.inference import optimise_for_inference
from explanations.networks.pooling import SeparablePooling, is_separable

WINDOWS = [
    (kernel, stride, padding, ceil)
    for kernel, stride, padding, ceil in itertools.product((1, 2, 3, 5), (2, 3), (0, 1, 2), (False, True))
    if 2 * padding <= kernel  # torch allows no more
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (5, 6)])
@pytest.mark.parametrize(("kernel", "stride", "padding", "ceil"), WINDOWS)
def test_windows_of_all_kinds(kernel, stride, padding, ceil, size, dtype):
    pooling = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)
    images = torch.randn(3, 4, *size, dtype=dtype).contiguous(memory_format=torch.channels_last)
    images[0, 0, 2, 2], images[1, 1, 0, 0] = torch.nan, torch.inf
    kept = images.clone()
    found = SeparablePooling(pooling)(images)
    assert torch.equal(found.nan_to_num(99), pooling(images).nan_to_num(99))
    assert torch.equal(images.nan_to_num(99), kept.nan_to_num(99))  # what came in is left as it was


def test_axes_may_differ():
    pooling = nn.MaxPool2d((3, 2), (2, 3), (1, 0))
    images = torch.randn(2, 3, 9, 11).contiguous(memory_format=torch.channels_last)
    assert torch.equal(SeparablePooling(pooling)(images), pooling(images))


@pytest.mark.parametrize("images", [torch.randn(2, 3, 8, 8), torch.randn(3, 8, 8)])
def test_other_layouts_are_left_to_torch(images):
    pooling = nn.MaxPool2d(2)
    assert torch.equal(SeparablePooling(pooling)(images), pooling(images))


@pytest.mark.parametrize(
    "module",
    [None, nn.AvgPool2d(2), nn.MaxPool2d(2, dilation=2), nn.MaxPool2d(2, return_indices=True), nn.MaxPool2d(3, 1)],
)
def test_other_poolings_are_left_alone(module):
    assert not is_separable(module)


def test_networks_for_inference_pool_so():
    network = build("vgg16")
    fast = optimise_for_inference(network, torch.device("cpu"))
    poolings = [type(module) for module in network.modules()].count(nn.MaxPool2d)
    assert [type(module) for module in fast.modules()].count(SeparablePooling) == poolings > 0
