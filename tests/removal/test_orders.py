"""In which order pixels are removed, how many at a time; whose maps are the noise maps."""

from itertools import pairwise

import literal
import numpy as np
import pytest
import torch

from explanations.removal.orders import noise_partners, rank_pixels, removed_counts, tie_orders

# --- counts ------------------------------------------------------------------------------------------------------


def test_coarse_grid_rounds_pixels():
    assert removed_counts(10, 4).tolist() == [0, 2, 5, 8, 10]
    assert removed_counts(48 * 48, 50)[-1] == 48 * 48
    assert removed_counts(9, 9).tolist() == list(range(10))


@pytest.mark.parametrize("pixels", [2, 7, 64, 1024])
def test_each_step_of_every_grid_removes_a_pixel(pixels):
    for grid in range(1, pixels + 1):
        counts = removed_counts(pixels, grid).tolist()
        assert (counts[0], counts[-1], len(counts)) == (0, pixels, grid + 1)
        assert all(after > before for before, after in pairwise(counts)), grid


@pytest.mark.parametrize("grid", [50175, 50176, 49999, 33451, 25089, 1001, 100])
def test_each_step_removes_a_pixel_of_a_large_image(grid):
    assert int(removed_counts(224**2, grid).diff().min()) >= 1


# --- ranks -------------------------------------------------------------------------------------------------------


def test_ranks_ascend_and_ties_follow_the_order_given():
    maps = torch.tensor([[[0.0, 2.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    order = torch.tensor([[2, 0, 3, 1], [3, 1, 0, 2]])
    assert rank_pixels(maps, order).tolist() == [[1, 3, 0, 2], [2, 1, 3, 0]]


@pytest.mark.parametrize("ties", ["random", "raster"])
def test_ranks_of_a_map_with_ties_against_a_sort(ties):
    values = torch.randint(0, 4, (5, 6, 6)).float()
    orders = tie_orders(range(5), 36, 3, ties)
    ranks = rank_pixels(values, orders)
    for image in range(5):
        for place, pixel in enumerate(literal.ascending(values[image].numpy(), orders[image].tolist())):
            assert ranks[image, pixel] == place


def test_raster_order_goes_row_by_row():
    assert tie_orders([4, 2], 5, 0, "raster").tolist() == [[0, 1, 2, 3, 4]] * 2


def test_random_order_belongs_to_an_image_and_a_seed():
    together = tie_orders([3, 7, 5], 64, 0, "random")
    assert torch.equal(tie_orders([7], 64, 0, "random")[0], together[1])
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(tie_orders([7], 64, 1, "random")[0], together[1])
    assert all(sorted(order.tolist()) == list(range(64)) for order in together)


# --- noise partners ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("images", "noise_maps"), [(2, 1), (5, 4), (20, 3), (101, 1)])
def test_partners_are_other_images_and_differ(images, noise_maps):
    for seed in range(5):
        partners = noise_partners(images, noise_maps, seed)
        assert partners.shape == (images, noise_maps)
        for image, own in enumerate(partners):
            assert image not in own
            assert len(set(own)) == noise_maps
        for column in partners.T:
            assert sorted(column) == list(range(images))  # a derangement: each map is a ξ once


def test_partners_depend_on_the_seed_alone():
    assert np.array_equal(noise_partners(30, 1, 0), noise_partners(30, 1, 0))
    assert not np.array_equal(noise_partners(30, 1, 0), noise_partners(30, 1, 1))
    assert np.array_equal(noise_partners(30, 3, 0)[:, :1], noise_partners(30, 1, 0))
