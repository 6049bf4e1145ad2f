"""Removal operators: what they are given, and that e is of the signal that they leave."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from explanations.networks.decisions import ExactDecisions
from explanations.removal.operators import OPERATORS, Fill, Removal
from explanations.removal.orders import removed_counts
from explanations.removal.scans import Scan, find_flips

GRID, BATCH = 5, 4


def energy(images: Tensor) -> Tensor:
    """The sum of squares over channels, (n, H·W), of (n, H·W, C)."""
    return images.double().square().sum(2)


@pytest.fixture
def scans() -> tuple[Tensor, list[Scan]]:
    """Images, and scans of each in several orders."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 3, 4, 5, generator=generator)
    pairs = [(image, r) for image in range(3) for r in range(4)]
    return images, [Scan(pair, pair[0], torch.randperm(20, generator=generator).int()) for pair in pairs]


def remove_all(images: Tensor, scans: list[Scan], operator, last: int = GRID) -> dict:
    """{key: (step, e)} where all decisions flip at grid index `last`; never, if that is beyond the grid."""
    steps = iter(range(1, 1000))

    def decide(inputs: Tensor) -> Tensor:
        flipped = (next(steps) - 1) % min(last, GRID) + 1 == last  # scans enter and leave together
        return torch.tensor([[0.0, 1.0] if flipped else [1.0, 0.0]]).expand(len(inputs), 2)

    targets = torch.zeros(len(images), dtype=torch.long)
    ends = find_flips(ExactDecisions(decide), images, targets, scans, [removed_counts(20, GRID)], operator, BATCH)
    return {flip.key: (flip.step, flip.signal) for flip in ends}


@dataclass
class Watched:
    """A fill that notes what it is given."""

    fill: Fill
    seen: list

    def remove(self, removal: Removal, pixels: Tensor) -> None:
        before = removal.images.clone()
        self.fill.remove(removal, pixels)
        self.seen.append((removal, pixels, removal.removed(), before, removal.images.clone(), removal.rows.clone()))

    def signal_left(self, removal: Removal) -> Tensor:
        return self.fill.signal_left(removal)


def test_an_operator_is_given_the_images_and_what_is_removed(scans):
    images, all_scans = scans
    seen: list = []
    remove_all(images, all_scans, Watched(OPERATORS["fill"](7.0), seen))
    for number, (removal, pixels, removed, before, after, rows) in enumerate(seen):
        entered, step = divmod(number, GRID)
        under_way = all_scans[entered * BATCH : (entered + 1) * BATCH]
        assert rows.tolist() == [scan.image for scan in under_way]
        assert removal.size == (4, 5)
        assert torch.equal(removal.whole.view(3, 4, 5, 3).permute(0, 3, 1, 2), images)
        torch.testing.assert_close(removal.energy, energy(removal.whole))
        for slot, scan in enumerate(under_way):
            count = 4 * (step + 1)  # 20 pixels in 5 steps
            gone = scan.rank < count
            assert torch.equal(removed[slot], gone)
            assert sorted(pixels[slot].tolist()) == (gone & (scan.rank >= count - 4)).nonzero()[:, 0].tolist()
            assert (after[slot][gone] == 7).all()
            assert torch.equal(after[slot][~gone], before[slot][~gone])
            assert torch.equal(after[slot][~gone], removal.whole[scan.image][~gone])


class Halve:
    """Pixels lose half of their values: a quarter of their energy is left, the image's own."""

    def remove(self, removal: Removal, pixels: Tensor) -> None:
        index = pixels[..., None].expand(-1, -1, removal.images.shape[2])
        removal.images.scatter_(1, index, removal.whole[removal.rows].gather(1, index) / 2)

    def signal_left(self, removal: Removal) -> Tensor:
        return energy(removal.images)


class Others:
    """Pixels become those of the next image, which are no signal of their own; all are written again."""

    def remove(self, removal: Removal, pixels: Tensor) -> None:
        others = removal.whole[(removal.rows + 1) % len(removal.whole)]
        removal.images.copy_(torch.where(removal.removed()[..., None], others, removal.images))

    def signal_left(self, removal: Removal) -> Tensor:
        return removal.energy[removal.rows] * ~removal.removed()


@pytest.mark.parametrize("last", [1, 3, GRID])
@pytest.mark.parametrize(("operator", "kept"), [(Fill(-3.0), 0), (Halve(), 1 / 4), (Others(), 0)])
def test_e_is_of_the_signal_that_is_left(scans, operator, kept, last):
    images, all_scans = scans
    ends = remove_all(images, all_scans, operator, last)
    for scan in all_scans:
        of_pixels = images[scan.image].double().square().sum(0).flatten()
        gone = scan.rank < 4 * last
        left = of_pixels[~gone].sum() + kept * of_pixels[gone].sum()
        step, e = ends[scan.key]
        assert (step, e) == (last, pytest.approx(1 - (left / of_pixels.sum()).sqrt().item()))


def test_a_decision_that_never_flips_has_e_1_whatever_is_left(scans):
    images, all_scans = scans
    assert {e for _, e in remove_all(images, all_scans, Halve(), GRID + 1).values()} == {1.0}
