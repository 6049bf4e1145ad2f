"""Curves and areas against Quantus', where it is installed: the environment of `make bench` has it."""

import numpy as np
import pytest
import torch
from small import Small
from torch import nn

from explanations.networks.decisions import ExactDecisions
from explanations.removal.curves import measure_areas
from explanations.removal.measuring import make_scans
from explanations.removal.settings import RemovalSettings
from explanations.removal.tracing import trace

quantus = pytest.importorskip("quantus", reason="Quantus isn't installed; `make bench` has an environment with it")
SIZE, IMAGES, CHANNELS = 6, 4, 3
PIXELS = SIZE**2
SCORES = {"probability": True, "logit": False}  # whether Quantus takes the softmax
QUIET = {"normalise": False, "perturb_baseline": 0.0, "disable_warnings": True, "display_progressbar": False}


@pytest.fixture(scope="module")
def traced():
    """A small network, images, their maps and decisions, and curves by the maps: f₋ and f₊ of each image, by score."""
    generator = torch.Generator().manual_seed(0)
    network = Small(nn.ReLU()).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    images = torch.randn(IMAGES, CHANNELS, SIZE, SIZE, generator=generator)
    maps = torch.randn(IMAGES, SIZE, SIZE, generator=generator)  # without ties, of which each makes its own
    targets = network(images).argmax(1)
    ties = torch.arange(PIXELS).expand(IMAGES, -1)
    return network, images, maps, targets, ties


def curves(traced, grid: int) -> dict[str, np.ndarray]:
    """(image, order, K + 1), by score."""
    network, images, maps, targets, ties = traced
    scans = make_scans(["m"], lambda *_: maps, [None], ties)
    names, settings = list(map(str, range(IMAGES))), RemovalSettings(grid=grid)
    shape = (IMAGES, 1, 1, 2)
    found = trace(ExactDecisions(network), images, targets, scans, shape, names, settings, 5, lambda _: None)
    return {score: found[score][:, 0, 0] for score in SCORES}


def call(metric, traced, sign: int, score: str) -> np.ndarray:
    """What a metric says of the maps, or of their reverse, image by image."""
    network, images, maps, targets, _ = traced
    arrays = {"x_batch": images.numpy(), "y_batch": targets.numpy(), "a_batch": sign * maps[:, None].numpy()}
    return np.array(metric(network, **arrays, device="cpu", softmax=SCORES[score]))


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("grid", [PIXELS, 12])
def test_pixel_flipping(traced, monkeypatch, grid, score):
    """Its curve has no whole image; its area is that of the rest, in steps."""
    features = CHANNELS * PIXELS // grid
    metric = quantus.PixelFlipping(features_in_step=features, **QUIET)
    minus, plus = curves(traced, grid)[score].transpose(1, 0, 2).astype(float)
    for curve, sign in ((plus, 1), (minus, -1)):
        np.testing.assert_allclose(call(metric, traced, sign, score), curve[:, 1:], rtol=1e-5, atol=1e-6)
    areas = measure_areas(minus, plus)
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)  # its name before numpy 2, by which Quantus calls it
    metric = quantus.PixelFlipping(features_in_step=features, return_auc_per_sample=True, **QUIET)
    for curve, sign, area in ((plus, 1, "deletion"), (minus, -1, "insertion")):
        first = (curve[:, 0] + curve[:, 1]) / 2
        found = (call(metric, traced, sign, score) + first) / grid
        np.testing.assert_allclose(areas[area], found, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("score", SCORES)
def test_region_perturbation(traced, score):
    """Of regions of one pixel: AOPC is the mean of its drops and of the whole image's, which is 0."""
    settings = {"patch_size": 1, "regions_evaluation": PIXELS, **QUIET}
    drops = {}
    for order in ("morf", "lerf"):
        drops[order] = call(quantus.RegionPerturbation(order=order, **settings), traced, 1, score).sum(1) / (PIXELS + 1)
    minus, plus = curves(traced, PIXELS)[score].transpose(1, 0, 2)
    areas = measure_areas(minus, plus)
    np.testing.assert_allclose(areas["aopc"], drops["morf"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(areas["abpc"], drops["morf"] - drops["lerf"], rtol=1e-5, atol=1e-6)
