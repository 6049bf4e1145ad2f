"""Blurred maps: against a loop, of files and of shards; a constant map stays one."""

import numpy as np
import pytest
import torch
from test_means import IMAGES, make, read

from explanations.files.shards import ShardReader
from explanations.methods.maps import ShardMaps
from explanations.methods.names import parse_method
from explanations.methods.saliency import saliency_maps
from explanations.methods.transform import blur


def literal_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Each pixel is the mean of all pixels, weighted by a Gaussian around it."""
    deviation = sigma * max(image.shape)
    found = np.zeros(image.shape)
    for i, j in np.ndindex(image.shape):
        total = weight = 0.0
        for a, b in np.ndindex(image.shape):
            share = np.exp(-((a - i) ** 2 + (b - j) ** 2) / (2 * deviation**2))
            total, weight = total + share * float(image[a, b]), weight + share
        found[i, j] = total / weight
    return found


@pytest.mark.parametrize("sigma", [0.01, 0.05, 0.2, 2.0])
def test_blurring_is_the_literal_one(sigma):
    maps = torch.rand(2, 12, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = np.stack([literal_blur(each.numpy(), sigma) for each in maps])
    np.testing.assert_allclose(blur(maps, sigma).numpy(), wanted, rtol=1e-9)


def test_a_constant_map_stays_one():
    assert torch.allclose(blur(torch.full((1, 20, 20), 3.0), 0.1), torch.tensor(3.0))


def test_maps_of_shards_and_of_files_are_blurred(world, tmp_path):
    """Whatever block is made."""
    settings = {"source": "blurred", "of": "gradient", "sigma": 0.05}
    blocks = [make(world, tmp_path / f"b{k}.h5", settings, shard=k, shard_size=6) for k in (0, 1)]
    with ShardReader([world.shards["vgg16"]]) as reader:
        gradient = saliency_maps(parse_method("gradient"), ShardMaps(reader, IMAGES), "bilinear")
    np.testing.assert_allclose(read(blocks, world), blur(gradient, 0.05), rtol=1e-5)
    norm = make(world, tmp_path / "n.h5", {"source": "controls", "name": "norm"})
    blurred = make(world, tmp_path / "bn.h5", {**settings, "of": "norm"}, of=[norm])
    np.testing.assert_allclose(read([blurred], world), blur(torch.from_numpy(read([norm], world)), 0.05), rtol=1e-5)
