"""Superpixels, which KernelShap and Lime remove as one: of like pixels, about as many as asked, the image's alone."""

import numpy as np
import pytest
import torch
from captum import attr
from small import build
from test_own_methods import prepare

from explanations.methods.sources.base import make_maps, seeded
from explanations.methods.sources.captum import superpixels

SIDE = 32


def quadrants() -> torch.Tensor:
    """Four quarters, each of one colour, and a little noise, (1, 3, 32, 32)."""
    colours = torch.tensor([[2.0, -2, -2], [-2, 2, -2], [-2, -2, 2], [1, 1, 1]]).T.view(3, 2, 2)
    noise = torch.randn(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return (colours.repeat_interleave(16, 1).repeat_interleave(16, 2) + 0.05 * noise)[None]


def fields() -> torch.Tensor:
    """Three images that vary smoothly, (3, 3, 32, 32)."""
    coarse = torch.randn(3, 3, 5, 5, generator=torch.Generator().manual_seed(4))
    return torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic")


def test_superpixels_keep_to_colours():
    """None crosses the border of two quarters, though cells of a grid of 9 would."""
    (numbers,) = superpixels(9, quadrants())[:, 0]
    assert numbers.shape == (SIDE, SIDE) and numbers.unique().tolist() == list(range(int(numbers.max()) + 1))
    for number in numbers.unique():
        rows, columns = (numbers == number).nonzero().T
        assert len({(int(i) // 16, int(j) // 16) for i, j in zip(rows, columns, strict=True)}) == 1


@pytest.mark.parametrize("count", [4, 9, 30])
def test_there_are_about_as_many_as_asked(count):
    for numbers in superpixels(count, fields())[:, 0]:
        assert 0.5 * count <= int(numbers.max()) + 1 <= 1.5 * count


def test_they_are_the_images_alone_and_draw_no_random_numbers():
    """Nor do they depend on what numbers mean: an image that is scaled and shifted has the same."""
    images, state = fields(), torch.get_rng_state()
    together = superpixels(20, images)
    assert torch.equal(superpixels(20, images[1:2])[0], together[1])
    assert torch.equal(superpixels(20, images), together) and torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(together[0], together[1])
    assert (superpixels(20, images * 4 + 8) == together).float().mean() > 0.99


def test_images_of_one_channel_or_one_colour():
    assert 5 <= int(superpixels(10, fields()[:, :1]).max()) <= 15
    assert superpixels(10, torch.zeros(1, 3, SIDE, SIDE)).max() > 0


def test_an_image_of_a_single_superpixel_has_squares():
    """As noise has: nothing can be told of one feature, by which a library can but fail."""
    noise = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    rows, columns = (torch.arange(SIDE) // 11 for _ in range(2))
    assert torch.equal(superpixels(10, noise)[0, 0], rows[:, None] * 3 + columns)
    prepared = prepare(build("vgg16", seed=3).requires_grad_(False), source="captum", name="KernelShap")
    assert make_maps(prepared, noise, torch.tensor([1]), [0], 0, 1).unique().numel() > 1


@pytest.mark.parametrize("name", ["KernelShap", "Lime"])
def test_methods_remove_superpixels(name):
    """As the library does with the same segments; all pixels of one have one value."""
    network, images = build("vgg16", seed=3).requires_grad_(False), fields()
    method = prepare(network, source="captum", name=name, segments="superpixels", n_segments=12)
    found = make_maps(method, images, torch.tensor([1, 7, 1]), [0, 1, 2], 5, 3)
    for index, image in enumerate(images):
        segments = superpixels(12, image[None])
        with seeded(5, index):
            wanted = getattr(attr, name)(network).attribute(
                image[None],
                target=[1, 7, 1][index],
                feature_mask=segments,
                baselines=torch.zeros(1, 3, SIDE, SIDE),
                n_samples=60,
                perturbations_per_eval=50,
            )[0]
        torch.testing.assert_close(found[index], wanted.sum(0).abs(), rtol=1e-3, atol=1e-5)
        for number in range(int(segments.max()) + 1):
            assert len(np.unique(found[index][segments[0, 0] == number])) == 1
        assert len(np.unique(found[index])) > 1 or name == "Lime"  # whose lasso may leave nothing
