"""The grid pointing game: by pixels counted one by one, and where the truth is known by construction."""

import math

import numpy as np
import pytest
import torch
from small import ARGUMENTS, build, inputs
from torch import nn

from explanations.localisation.grid import CELLS, cell_shares, check_takes_grids, choose_grids, play, tile
from explanations.methods.sources.base import NotApplicableError
from explanations.methods.sources.registry import complete_settings, load_source
from explanations.networks.files import build_network


def literal_share(saliency: np.ndarray, cell: int) -> float:
    height, width = (length // 2 for length in saliency.shape)
    own = total = 0.0
    for i, j in np.ndindex(saliency.shape):
        value = max(float(saliency[i, j]), 0.0)
        total += value
        own += value * ((i >= height) * 2 + (j >= width) == cell)
    return own / total


def test_shares_are_the_literal_ones():
    maps = torch.randn(3, CELLS, 6, 10, generator=torch.Generator().manual_seed(0))
    expected = [[literal_share(maps[g, cell].numpy(), cell) for cell in range(CELLS)] for g in range(3)]
    assert cell_shares(maps).numpy() == pytest.approx(np.array(expected))


def test_shares_by_hand():
    """All in its own cell, a constant map, all in another cell, nothing positive."""
    maps = torch.zeros(1, CELLS, 4, 4)
    maps[0, 0, :2, :2] = 3
    maps[0, 1] = 0.5
    maps[0, 2, :2, 2:] = 1
    maps[0, 2, 2:, :2] = -1  # speaks against the class: no evidence
    maps[0, 3] = -2
    assert cell_shares(maps)[0, :3].tolist() == [1, 0.25, 0] and math.isnan(cell_shares(maps)[0, 3])


def test_grids_hold_four_classes_and_each_image_once():
    classes = np.random.default_rng(0).integers(0, 6, 50).tolist()
    groups = choose_grids(classes, 0)
    assert len(groups) > 8 and len(np.unique(groups)) == groups.size
    assert all(len({classes[image] for image in group}) == CELLS for group in groups)
    left = {classes[image] for image in set(range(50)) - set(groups.ravel().tolist())}
    assert len(left) < CELLS  # no further grid could be filled
    assert np.array_equal(choose_grids(classes, 0), groups) and not np.array_equal(choose_grids(classes, 1), groups)
    assert choose_grids([0, 0, 1, 2, 2], 0).shape == (0, CELLS)


def test_cells_lie_where_shares_look_for_them():
    cells = torch.arange(CELLS).reshape(1, CELLS, 1, 1, 1).expand(1, CELLS, 3, 2, 5)
    grid = tile(cells)
    assert grid.shape == (1, 3, 4, 10)
    assert grid[0, 0, [0, 0, 3, 3], [0, 9, 0, 9]].tolist() == [0, 1, 2, 3]
    own = torch.stack([grid[:, 0] == cell for cell in range(CELLS)], 1).float()
    assert cell_shares(own).tolist() == [[1, 1, 1, 1]]


class Colours(nn.Module):
    """The class of an image is the channel that it is brightest in, over all positions."""

    def forward(self, x):
        return x.mean((2, 3))


def test_the_evidence_of_a_colour_lies_in_its_own_cell():
    """Input times gradient of a mean is exact: all of a colour's evidence is in its image."""
    images = torch.zeros(8, 4, 6, 6)
    classes = [0, 1, 2, 3, 3, 2, 1, 0]
    for image, colour in enumerate(classes):
        images[image, colour] = 1 + image
    settings = complete_settings({"source": "captum", "name": "InputXGradient"})
    scores = play(load_source("captum"), settings, Colours(), images, classes, 0, 4)
    assert scores.shape == (2, CELLS) and (scores == 1).all()
    settings = complete_settings({"source": "captum", "name": "Saliency"})  # knows nothing of where a colour is
    assert (play(load_source("captum"), settings, Colours(), images, classes, 0, 3) == 0.25).all()


def test_a_network_that_pools_over_all_positions_plays():
    network, images = build("resnet50").float(), inputs(4).float()
    check_takes_grids(network, images[0])
    settings = complete_settings({"source": "captum", "name": "InputXGradient"})
    scores = play(load_source("captum"), settings, network, images, [0, 1, 2, 3], 0, 4)
    (group,) = choose_grids([0, 1, 2, 3], 0)
    grid = tile(images[group][None]).requires_grad_()
    for cell, target in enumerate(group.tolist()):
        (gradient,) = torch.autograd.grad(network(grid)[0, target], grid)
        attributed = (gradient * grid)[0].sum(0).abs().detach().numpy()
        assert float(scores[0, cell]) == pytest.approx(literal_share(attributed, cell), rel=1e-4)


@pytest.mark.parametrize("name", ["vit", "linear"])
def test_networks_of_one_size_are_not_applicable(name):
    with pytest.raises(NotApplicableError, match=r"^the network takes images of one size alone: .+") as raised:
        check_takes_grids(build(name).float(), inputs(1).float()[0])
    assert "\n" not in str(raised.value)


def test_a_network_with_weights_for_each_position_is_not_applicable():
    """Small as it is, its pooling before the classifier has one position; built for larger images it has more."""
    network = build_network("narrow", "vgg16", {**ARGUMENTS["vgg16"], "size": 96}).eval()
    with pytest.raises(NotApplicableError, match=r"^the network pools images of any size to 3 × 3 positions, not"):
        check_takes_grids(network, inputs(1, size=96).float()[0])


def test_a_network_with_outputs_at_positions_is_not_applicable():
    with pytest.raises(NotApplicableError, match=r"^the network has outputs of \(192,\) for images of twice the size$"):
        check_takes_grids(nn.Flatten(), inputs(1, size=4).float()[0])
