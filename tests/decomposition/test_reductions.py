"""Sums over channels, in blocks of any size, against loops."""

import literal
import numpy as np
import pytest
import torch
from torch import Tensor

from explanations.decomposition import reductions
from explanations.decomposition.reductions import sum_channels, sum_channels_twice

IMAGES, SIDE, CHANNELS = 3, 4, 5


@pytest.fixture(params=[1, 7, 40, 80, 200, 10**6], ids="block of {}".format, autouse=True)
def block(request, monkeypatch):
    """Blocks of one value (so of one position), of some positions, of one image, of two, of all."""
    monkeypatch.setattr(reductions, "CACHED", request.param)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)


def values(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=["rows", "channels first", "repeated"])
def a(request) -> Tensor:
    """Rows that lie together, that lie apart, and a gradient that is the same at every position."""
    if request.param == "repeated":
        return values(0, IMAGES, 1, CHANNELS).expand(-1, SIDE**2, -1)
    if request.param == "channels first":
        return values(0, IMAGES, CHANNELS, SIDE**2).transpose(1, 2)
    return values(0, IMAGES, SIDE**2, CHANNELS)


@pytest.fixture(params=["by channel", "by value"])
def b(request) -> Tensor:
    found = values(1, CHANNELS) if request.param == "by channel" else values(1, IMAGES, SIDE**2, CHANNELS)
    found[..., 2] = 0  # a channel without a bias
    return found


def image_and_channels(a: Tensor, b: Tensor, image: int) -> Tensor:
    """One image's products as (C, H, W)."""
    return (a * b)[image].T.reshape(CHANNELS, SIDE, SIDE)


@pytest.mark.parametrize("function", [sum_channels, lambda a, b: sum_channels_twice(a, b)[0]], ids=["once", "twice"])
def test_sums_over_channels(a, b, function):
    found = function(a, b)
    for image in range(IMAGES):
        product = image_and_channels(a, b, image)
        wanted = literal.attribution(product, torch.ones_like(product))
        torch.testing.assert_close(found[image].view(SIDE, SIDE), wanted)


def test_sums_of_rescaled_channels(a, b):
    found = sum_channels_twice(a, b)[1]
    for image in range(IMAGES):
        product = image_and_channels(a, b, image).abs().numpy()
        wanted = sum(literal.rescale(channel) for channel in product)
        np.testing.assert_allclose(found[image].view(SIDE, SIDE), wanted, rtol=1e-9, atol=1e-12)


def test_a_nearly_constant_channel_keeps_its_pattern():
    """In float32 the smallest and largest of these differ in the last bit; the weight of it is enormous."""
    a = torch.full((1, 6, 1), 0.1)
    a[0, ::2] = torch.nextafter(torch.tensor(0.1), torch.tensor(1.0))
    found = sum_channels_twice(a, torch.ones(1))[1]
    assert found.tolist() == [[1, 0, 1, 0, 1, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_denormal_range_is_none(dtype):
    a = torch.tensor([[[0.0], [torch.finfo(dtype).tiny / 64]]], dtype=dtype)
    assert sum_channels_twice(a, torch.ones(1, dtype=dtype))[1].tolist() == [[0, 0]]
    assert sum_channels_twice(a * 128, torch.ones(1, dtype=dtype))[1].tolist() == [[0, 1]]


def test_one_position_has_nothing_to_rescale():
    a = values(0, IMAGES, 1, CHANNELS)
    assert not sum_channels_twice(a, torch.ones(CHANNELS, dtype=torch.float64))[1].any()
