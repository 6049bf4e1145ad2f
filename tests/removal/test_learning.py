"""Before any scan, decisions in a fast precision learn how large their errors are on images as removal leaves them."""

import pytest
import torch
from torch import Tensor, nn

from explanations.networks.decisions import FastDecisions, decide_in
from explanations.removal.measuring import LEARNT, LEARNT_STEPS, learn_errors
from explanations.removal.operators.base import replace_by
from explanations.removal.orders import removed_counts
from explanations.removal.scans import Scan, find_flips

CPU, SIDE, SCANS, GRID = torch.device("cpu"), 12, 60, 24
PIXELS = SIDE**2


class Noted:
    """Decisions that keep what they are given to measure."""

    learns = True

    def __init__(self):
        self.given: list[Tensor] = []

    def measure(self, inputs: Tensor) -> Tensor:
        self.given.append(inputs.clone())
        return inputs.flatten(1)


def images(count: int) -> Tensor:
    return 1 + torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("count", [1, 3, 20])
def test_images_with_few_to_all_pixels_removed_are_measured(count):
    given, noted = images(count), Noted()
    learn_errors(noted, given, replace_by(given, torch.zeros(())))
    assert [len(part) for part in noted.given] == [LEARNT] * LEARNT_STEPS
    gone = torch.stack([(part == 0).all(1).flatten(1).sum(1) for part in noted.given])
    assert gone[:, 0].tolist() == removed_counts(PIXELS, LEARNT_STEPS)[1:].tolist() and (gone == gone[:, :1]).all()
    for scan, part in enumerate(noted.given[0]):  # of images from the first to the last, each kept but where removed
        whole = given[round(scan * (count - 1) / (LEARNT - 1))]
        assert torch.equal(part[part != 0], whole[part != 0])


def test_maps_are_smooth_and_rough():
    given, noted = images(1), Noted()
    learn_errors(noted, given, replace_by(given, torch.zeros(())))
    half = (noted.given[LEARNT_STEPS // 2 - 1][:, 0] == 0).float()
    edges = half.diff(dim=1).abs().mean((1, 2))  # how often a removed pixel is beside one that isn't
    assert edges[: LEARNT // 2].max() < 0.3 < 0.4 < edges[LEARNT // 2 :].min()


def test_float32_measures_nothing():
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * PIXELS, 2))
    exact = decide_in("float32", network, CPU)
    exact.measure = exact.exact = None
    learn_errors(exact, images(1), None)


@pytest.mark.parametrize("learns", [True, False])
def test_one_image_whose_errors_grow_as_it_is_removed(learns):
    """Without the lesson flips are missed: whole images, and first steps, show next to no error."""
    generator = torch.Generator().manual_seed(2)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * PIXELS, 2, bias=False))
    with torch.no_grad():
        drawn = torch.randn(2, 3 * PIXELS, generator=generator)
        network[1].weight.copy_(torch.tensor([[0.2], [0.18]]) + 0.1 * drawn)  # margins are about a tenth of the logits
    given = images(1)
    fast = FastDecisions(network, "bfloat16", CPU)

    def quick(inputs: Tensor) -> Tensor:
        logits, left = network(inputs.float()), (inputs != 0).float().mean((1, 2, 3))
        wrong = 0.1 * (1 - left) ** 2 * logits.abs().amax(1)  # by which the class's logit is too small
        return logits - torch.stack([wrong, torch.zeros(len(left))], 1)

    fast.quick = quick
    operator, grid = replace_by(given, torch.zeros(())), removed_counts(PIXELS, GRID)
    ranks = [torch.randperm(PIXELS, generator=generator).int() for _ in range(SCANS)]
    with torch.no_grad():
        target = network(given).argmax(1)
        fast.measure(given)
        if learns:
            learn_errors(fast, given, operator)

    def flips(decide) -> dict:
        scans = [Scan((k,), 0, rank) for k, rank in enumerate(ranks)]
        return {flip.key: flip.step for flip in find_flips(decide, given, target, scans, [grid], operator)}

    found, wanted = flips(fast), flips(decide_in("float32", network, CPU))
    assert len(set(wanted.values())) > 3
    assert (found == wanted) is learns
