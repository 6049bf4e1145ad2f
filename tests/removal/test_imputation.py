"""Imputation by conjugate gradients and multigrid, against a sparse direct solution."""

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve
from torch import Tensor
from torch.nn import functional as F

from explanations.removal import imputation
from explanations.removal.imputation import build_levels, impute

TOLERANCE = 1e-3


def solve(image: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """The missing (H, W) pixels of an image (C, H, W) as their neighbours' weighted means, solved directly."""
    height, width = missing.shape
    place = np.full(missing.shape, -1)
    place[missing] = np.arange(missing.sum())
    rows, columns, entries = [], [], []
    known, total = np.zeros((missing.sum(), len(image))), np.zeros(missing.sum())
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            weight = (1 / 6 if dy == 0 or dx == 0 else 1 / 12) if (dy, dx) != (0, 0) else 0
            y, x = (values + shift for values, shift in zip(np.nonzero(missing), (dy, dx), strict=True))
            there = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            own, y, x = np.arange(missing.sum())[there], y[there], x[there]
            total[own] += weight
            has = ~missing[y, x]
            known[own[has]] += weight * image[:, y[has], x[has]].T
            rows, columns = [*rows, *own[~has]], [*columns, *place[y[~has], x[~has]]]
            entries += [-weight] * int((~has).sum())
    rows, columns = [*rows, *range(len(total))], [*columns, *range(len(total))]
    result = image.copy()
    found = spsolve(coo_matrix(([*entries, *total], (rows, columns))).tocsc(), known)
    result[:, missing] = found.reshape(known.shape).T
    return result


def smooth(size: tuple[int, int], width: int, seed: int, count: int = 1) -> Tensor:
    """Random fields (count, H, W) without details smaller than `width` pixels, of deviation 1."""
    generator = torch.Generator().manual_seed(seed)
    fields = torch.randn(count, 1, size[0] + width - 1, size[1] + width - 1, generator=generator)
    fields = F.avg_pool2d(fields, width, stride=1)[:, 0]
    return fields / fields.std()


def mask(size: tuple[int, int], width: int, share: float, seed: int) -> Tensor:
    """The lowest pixels of a random field, (1, H, W) bool; at least one pixel is missing, and one known."""
    ranks = smooth(size, width, seed).flatten().argsort().argsort()
    return (ranks < min(max(1, round(share * ranks.numel())), ranks.numel() - 1)).view(1, *size)


@pytest.mark.parametrize("size", [(48, 48), (37, 22), (1, 30), (2, 3)])
@pytest.mark.parametrize("width", [1, 9])
def test_against_a_direct_solution(size, width):
    """Scattered pixels, and blobs, from few missing to all but a few known."""
    image = smooth(size, 1, 0, 3) * 0.3 + smooth(size, 7, 1, 3)
    for share in (0.02, 0.3, 0.7, 0.95, 1.0):
        missing = mask(size, width, share, 2)
        wanted = solve(image.double().numpy(), missing[0].numpy())
        found = impute(image[None], missing, TOLERANCE)[0]
        assert np.abs(found.numpy() - wanted).max() < 1.5 * TOLERANCE, share
        assert torch.equal(found[:, ~missing[0]], image[:, ~missing[0]])


def test_large_holes_in_large_images(monkeypatch):
    """In single precision at 224 pixels, where rounding and the smallest eigenvalue are at their worst."""
    size, cycles = (224, 224), []
    count = imputation.cycle

    def counted(levels, residual):
        cycles.append(len(levels))
        return count(levels, residual)

    monkeypatch.setattr(imputation, "cycle", counted)
    image = smooth(size, 25, 0, 3)
    missing = mask(size, 61, 0.999, 1)
    found = impute(image[None], missing, TOLERANCE)[0]
    assert cycles.count(max(cycles)) <= 16
    assert np.abs(found.numpy() - solve(image.double().numpy(), missing[0].numpy())).max() < 1.5 * TOLERANCE


def test_the_start_matters_less_than_the_tolerance():
    size = (40, 40)
    image, missing = smooth(size, 5, 0, 3), mask(size, 7, 0.6, 1)
    wanted = solve(image.double().numpy(), missing[0].numpy())
    for start in (0.0, 100.0):
        begun = torch.where(missing, start, image)
        found = impute(begun[None], missing, TOLERANCE)[0]
        assert np.abs(found.numpy() - wanted).max() < 1.5 * TOLERANCE
    exact = torch.from_numpy(wanted).float()
    assert torch.allclose(impute(exact[None], missing, TOLERANCE)[0], exact, atol=1e-5)


@pytest.mark.parametrize("parts", [1, 2**30])
def test_an_image_does_not_depend_on_the_others(monkeypatch, parts):
    """Which take more iterations, or fewer; solved together or one by one, bit for bit."""
    size = (32, 24)
    images = smooth(size, 3, 0, 24).view(8, 3, *size)
    missing = torch.cat([mask(size, width, share, 1) for width in (1, 9) for share in (0.01, 0.4, 0.9, 1.0)])
    alone = torch.cat([impute(images[n : n + 1], missing[n : n + 1], TOLERANCE) for n in range(8)])
    monkeypatch.setattr(imputation, "ON_CPU", parts)
    assert torch.equal(impute(images, missing, TOLERANCE), alone)
    assert torch.equal(impute(images[2:5], missing[2:5], TOLERANCE), alone[2:5])


def test_nothing_missing_and_nothing_known():
    images = torch.randn(2, 3, 6, 5)
    missing = torch.stack([torch.zeros(6, 5, dtype=torch.bool), torch.ones(6, 5, dtype=torch.bool)])
    found = impute(images, missing, TOLERANCE)
    assert torch.equal(found[0], images[0]) and not found[1].any()


def test_coarser_levels_conduct_as_finer_ones():
    """Two conductances in parallel, two such in series; what leads to known pixels adds up."""
    missing = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    missing[..., 0, 0] = False
    levels = build_levels(missing, torch.float64)
    assert [tuple(level.diagonal.shape[2:]) for level in levels] == [(4, 4), (2, 2), (1, 1)]
    right, below, falling, rising = (pair[0, 0] for pair in levels[1].pairs)
    # in twelfths: between blocks next to each other 2 + 2 and two diagonals of 1; between diagonal ones a single 1
    assert right[0, 0] == below[0, 0] == right[1, 0] == (2 + 2 + 1 + 1) / 2
    assert falling[0, 0] == rising[0, 1] == 1 / 2
    # the known pixel's three neighbours are in its own block
    assert levels[1].diagonal[0, 0, 0, 0] == 2 + 2 + 1 + 3 + 3 + 1 / 2
    assert levels[2].diagonal.item() == 5
