"""The settings of a removal measurement, which check themselves, and how it is computed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from explanations.errors import check_choice, check_range
from explanations.files.grids import check_shares, count_shares
from explanations.flags import flag
from explanations.networks.decisions import AUTO, DECIDED_IN
from explanations.removal.operators import OPERATORS, Operator
from explanations.removal.orders import removed_counts

TIES = ("random", "raster")
NEVER_FLIPS = ("one", "exclude")
PLUS = "shares of pixels that are gone at each step if the most salient go first, up to 1; none: equal steps"
LARGEST = 1e6  # that a pixel can be: oneDNN's rectified convolutions make numbers of the NaN of an overflow


@dataclass(frozen=True)
class RemovalSettings:
    """What the results depend on, beside the network, the images and the maps; InputError for values out of range.

    How many noise maps there can be depends on the images, so it is checked with them.
    """

    grid: int = flag("steps from no pixel removed to all", 100)
    grid_plus: Sequence[float] = flag(PLUS, (), type=float, nargs="*")
    fill: float = flag("a removed pixel's value, in the network's input space", 0.0)
    noise_maps: int = flag("maps ξ of other images, for each image", 1)
    ties: str = flag("order of pixels of equal saliency", "random", choices=TIES)
    never_flips: str = flag("e of a decision that never flips", "one", choices=NEVER_FLIPS)
    seed: int = flag("of the order of ties and the choice of noise maps", 0)

    def __post_init__(self):
        check_range("removal.grid", self.grid, low=2)
        check_shares(self.grid_plus)
        check_range("removal.fill", self.fill, low=-LARGEST, high=LARGEST)
        check_choice("removal.ties", self.ties, TIES)
        check_choice("removal.never_flips", self.never_flips, NEVER_FLIPS)

    @property
    def operator(self) -> Operator:
        """What removed pixels become."""
        return OPERATORS["fill"](self.fill)

    def removed_counts(self, pixels: int, order: str) -> Tensor:
        """How many of `pixels` are removed at each grid index of an order, from 0 to all of them, (steps + 1,) int32.

        InputError for a grid of a step that removes none.
        """
        if order == "plus" and self.grid_plus:
            return torch.tensor(count_shares(pixels, self.grid_plus), dtype=torch.int32)
        return removed_counts(pixels, self.grid)

    def record(self) -> dict:
        """The settings as results keep them: `grid_plus` where there is one."""
        kept = asdict(self)
        return kept if self.grid_plus else {key: value for key, value in kept.items() if key != "grid_plus"}


@dataclass(frozen=True)
class Computing:
    """How removal is computed, which changes no result; InputError for values out of range."""

    batch: int = flag("scans under way at a time", 64)
    precision: str = flag("that decisions are first tried in", "float32", choices=(AUTO, *DECIDED_IN))
    device: str = flag("auto, cpu, cuda or cuda:<n>", "auto")
    threads: int = flag("CPU threads", 1)

    def __post_init__(self):
        check_range("removal.batch", self.batch, low=1)
        check_choice("removal.precision", self.precision, (AUTO, *DECIDED_IN))
