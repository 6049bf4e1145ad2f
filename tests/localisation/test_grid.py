"""The grid pointing game: by pixels counted one by one, grids chosen one by one, and where the truth is known."""

import math

import numpy as np
import pytest
import torch
from small import ARGUMENTS, build, inputs
from torch import nn
from workflow_copy import ROOT

from explanations.files.manifests import UNLABELLED
from explanations.localisation.grid import (
    CELLS,
    cell_shares,
    check_takes_grids,
    choose_grids,
    play,
    rank_confident,
    tile,
)
from explanations.methods.sources.base import NotApplicableError
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
    maps = torch.randn(12, 6, 10, generator=torch.Generator().manual_seed(0))
    cells = torch.arange(12) % CELLS
    expected = [literal_share(each.numpy(), int(cell)) for each, cell in zip(maps, cells, strict=True)]
    assert cell_shares(maps, cells).numpy() == pytest.approx(np.array(expected))


def test_shares_by_hand():
    """All in its own cell, a constant map, all in another cell, half of it and much against it, nothing positive."""
    maps = torch.zeros(5, 4, 4)
    maps[0, :2, :2] = 3
    maps[1] = 0.5
    maps[2, :2, 2:] = 1
    maps[3, 2:, :2], maps[3, :2, 2:], maps[3, 2, 0], maps[3, 0, 0] = 1, 1, -9, -7  # speaks against it: no evidence
    maps[3, 2, 1] = 2
    maps[4] = -2
    shares = cell_shares(maps, torch.tensor([0, 1, 2, 2, 3]))
    assert shares[:4].tolist() == [1, 0.25, 0, 0.5] and math.isnan(shares[4])


def test_the_most_confident_come_first_by_hand():
    """Wrong decisions are left out, images without a label aren't; p that rounds to 1 is told apart."""
    logits = np.log([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4]])
    decisions = np.array([0, 1, 2, 2])
    assert rank_confident(logits, decisions, np.array([0, 1, 1, 2])).tolist() == [1, 0, 3]
    assert rank_confident(logits, decisions, np.full(4, UNLABELLED)).tolist() == [1, 2, 0, 3]
    large = np.array([[60.0, 0, 0], [0, 80.0, 0], [0, 0, 70.0], [80.0, 0, 0]], np.float32)
    assert rank_confident(large, large.argmax(1), large.argmax(1)).tolist() == [1, 3, 2, 0]
    assert large.argmax(1).tolist() == [0, 1, 2, 0] and large.shape == (4, 3)  # nothing was written into the logits


def test_confidence_orders_as_probabilities_do():
    logits = np.random.default_rng(0).normal(size=(50, 7))
    decisions = logits.argmax(1)
    chances = [math.exp(row[own]) / sum(map(math.exp, row)) for row, own in zip(logits, decisions, strict=True)]
    expected = sorted(range(50), key=lambda image: -chances[image])
    assert rank_confident(logits, decisions, decisions).tolist() == expected


def literal_grids(classes: list[int], ranked: list[int], most: int) -> list[set[int]]:
    left, found = list(ranked), []
    while len(found) < most:
        grid = []
        for _ in range(CELLS):
            fitting = [image for image in left if classes[image] not in [classes[other] for other in grid]]
            grid += fitting[:1]
        if len(grid) < CELLS:
            return found
        left = [image for image in left if image not in grid]
        found.append(set(grid))
    return found


def test_grids_are_the_literal_ones():
    rng = np.random.default_rng(0)
    classes, ranked = rng.integers(0, 6, 50).tolist(), rng.permutation(50)[:41].tolist()
    groups = choose_grids(classes, ranked, 99, 0)
    assert [set(group) for group in groups.tolist()] == literal_grids(classes, ranked, 99)
    assert 6 < len(groups) <= 10 and len(np.unique(groups)) == groups.size
    assert all(len({classes[image] for image in group}) == CELLS for group in groups)
    assert np.array_equal(choose_grids(classes, ranked, 99, 0), groups)
    other = choose_grids(classes, ranked, 99, 1)  # the seed says who lies where, never who plays
    assert not np.array_equal(other, groups) and np.array_equal(np.sort(other, 1), np.sort(groups, 1))
    assert np.array_equal(choose_grids(classes, ranked, 3, 0), groups[:3])


def test_grids_by_hand():
    assert sorted(choose_grids([0, 0, 1, 2, 2, 3], [1, 4, 0, 3, 5, 2], 2, 0).ravel().tolist()) == [1, 2, 4, 5]
    assert choose_grids([0, 0, 1, 2, 2], range(5), 1, 0).shape == (0, CELLS)
    assert choose_grids([0, 1, 2, 3], range(4), 0, 0).shape == (0, CELLS)


def test_cells_lie_where_shares_look_for_them():
    cells = torch.arange(CELLS).reshape(1, CELLS, 1, 1, 1).expand(1, CELLS, 3, 2, 5)
    grid = tile(cells)
    assert grid.shape == (1, 3, 4, 10)
    assert grid[0, 0, [0, 0, 3, 3], [0, 9, 0, 9]].tolist() == [0, 1, 2, 3]
    own = torch.stack([grid[0, 0] == cell for cell in range(CELLS)]).float()
    assert cell_shares(own, torch.arange(CELLS)).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("batch", [1, 8, 12, 100])
def test_every_class_is_explained_in_its_grid(batch):
    """A pass is of no more pixels than one of `batch` images; each map is asked for once, of its own grid and class."""
    images = torch.arange(3 * CELLS).reshape(3, CELLS, 1, 1, 1).expand(3, CELLS, 1, 2, 2).float()
    classes, asked = 100 + torch.arange(3 * CELLS).reshape(3, CELLS), []

    def make(grids, targets, numbers):
        assert len(grids) == len(targets) == len(numbers) <= max(1, batch // CELLS)
        asked.extend(zip(grids[:, 0].flatten(1).unique(dim=1).tolist(), targets.tolist(), numbers, strict=True))
        return {"own": (grids[:, 0] == targets[:, None, None] - 100).float(), "all": torch.ones_like(grids[:, 0])}

    scores = play(make, images, classes, batch)
    assert (scores["own"] == 1).all() and (scores["all"] == 0.25).all() and scores["own"].shape == (3, CELLS)
    assert [number for *_, number in asked] == list(range(12))
    assert [target for _, target, _ in asked] == list(range(100, 112))
    for held, _, number in asked:
        assert held == [4 * (number // 4) + cell for cell in range(CELLS)]


def test_the_plan_knows_how_many_images_a_grid_takes():
    assert f"IN_A_GRID = {CELLS} " in (ROOT / "workflow/rules/common.smk").read_text()


@pytest.mark.parametrize("name", ["vit", "linear"])
def test_networks_of_one_size_are_not_applicable(name):
    with pytest.raises(NotApplicableError, match=r"^the network takes images of one size alone: .+") as raised:
        check_takes_grids(build(name).float(), inputs(1).float()[0])
    assert "\n" not in str(raised.value)


def test_a_network_that_pools_over_all_positions_takes_grids():
    check_takes_grids(build("resnet50").float(), inputs(1).float()[0])


def test_a_network_with_weights_for_each_position_is_not_applicable():
    """Small as it is, its pooling before the classifier has one position; built for larger images it has more."""
    network = build_network("narrow", "vgg16", {**ARGUMENTS["vgg16"], "size": 96}).eval()
    with pytest.raises(
        NotApplicableError, match=r"^the network pools images of any size to 3 × 3 positions, not to one$"
    ):
        check_takes_grids(network, inputs(1, size=96).float()[0])


def test_a_network_with_outputs_at_positions_is_not_applicable():
    with pytest.raises(NotApplicableError, match=r"^the network has outputs of \(192,\) for images of twice the size$"):
        check_takes_grids(nn.Flatten(), inputs(1, size=4).float()[0])
