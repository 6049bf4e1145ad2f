"""The settings of a removal measurement, which check themselves, and how it is computed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from explanations.errors import check_choice, check_range
from explanations.files.grids import check_shares, count_shares
from explanations.files.operators import PAPERS_OPERATOR
from explanations.flags import flag
from explanations.networks.decisions import AUTO, DECIDED_IN
from explanations.removal.operators.base import Operator, Pictures
from explanations.removal.operators.registry import OPERATORS, load_operator
from explanations.removal.orders import removed_counts

TIES = ("random", "raster")
NEVER_FLIPS = ("one", "exclude")
PLUS = "shares of pixels that are gone at each step if the most salient go first, up to 1; none: equal steps"
LARGEST = 1e6  # that a pixel can be: oneDNN's rectified convolutions make numbers of the NaN of an overflow


@dataclass(frozen=True)
class OperatorSettings:
    """What removed pixels become; InputError for values out of range."""

    operator: str = flag("what removed pixels become", PAPERS_OPERATOR, choices=tuple(OPERATORS))
    fill: float = flag("a removed pixel's value, in the network's input space", 0.0)
    blur: float = flag("σ of the blurred copy's Gaussian filter, as a share of the image's side", 0.05)
    road: float = flag("deviation of imputation's noise, of pixels from 0 to 1", 0.01)
    seed: int = flag("of imputation's noise, of the order of ties, of the choice of noise maps", 0)

    def __post_init__(self):
        check_choice("removal.operators", self.operator, tuple(OPERATORS))
        check_range("removal.fill", self.fill, low=-LARGEST, high=LARGEST)
        check_range("removal.blur", self.blur, low=0, high=1, open_low=True)
        check_range("removal.road", self.road, low=0, high=1)

    def make_operator(self, pictures: Pictures) -> Operator:
        """What removed pixels of some images become."""
        return load_operator(self.operator).make(pictures, getattr(self, self.operator, None))

    def describe(self) -> dict:
        """What results depend on, by name: without other operators' settings; the paper's operator is not named."""
        unnamed = [name for name in OPERATORS if name != self.operator]
        unnamed += ["operator"] if self.operator == PAPERS_OPERATOR else []
        return {name: value for name, value in asdict(self).items() if name not in unnamed}


@dataclass(frozen=True)
class RemovalSettings(OperatorSettings):
    """What the results depend on, beside the network, the images and the maps; InputError for values out of range.

    How many noise maps there can be depends on the images, so it is checked with them.
    """

    grid: int = flag("steps from no pixel removed to all", 100)
    grid_plus: Sequence[float] = flag(PLUS, (), nargs="*")
    noise_maps: int = flag("maps ξ of other images, for each image", 1)
    ties: str = flag("order of pixels of equal saliency", "random", choices=TIES)
    never_flips: str = flag("e of a decision that never flips", "one", choices=NEVER_FLIPS)

    def __post_init__(self):
        super().__post_init__()
        check_range("removal.grid", self.grid, low=2)
        check_shares(self.grid_plus)
        check_choice("removal.ties", self.ties, TIES)
        check_choice("removal.never_flips", self.never_flips, NEVER_FLIPS)

    def describe(self) -> dict:
        """The same, in the order of files; `grid_plus` is not named where it is the grid of both orders."""
        named, plus = super().describe(), ["grid_plus"] if self.grid_plus else []
        order = ("grid", *plus, "operator", *OPERATORS, "noise_maps", "ties", "never_flips", "seed")
        return {name: named[name] for name in order if name in named}

    def removed_counts(self, pixels: int, order: str) -> Tensor:
        """How many of `pixels` are removed at each grid index of an order, from 0 to all of them, (steps + 1,) int32.

        InputError for a grid of a step that removes none.
        """
        if order == "plus" and self.grid_plus:
            return torch.tensor(count_shares(pixels, self.grid_plus), dtype=torch.int32)
        return removed_counts(pixels, self.grid)


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
