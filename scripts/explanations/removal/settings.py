"""The settings of a removal measurement, which check themselves, and how it is computed."""

from dataclasses import asdict, dataclass

from explanations.errors import check_choice, check_range
from explanations.files.operators import PAPERS_OPERATOR
from explanations.flags import flag
from explanations.networks.decisions import AUTO, DECIDED_IN
from explanations.removal.operators.base import Operator, Pictures
from explanations.removal.operators.registry import OPERATORS, load_operator

TIES = ("random", "raster")
NEVER_FLIPS = ("one", "exclude")
LARGEST = 1e6  # that a pixel can be: oneDNN's rectified convolutions make numbers of the NaN of an overflow


@dataclass(frozen=True)
class RemovalSettings:
    """What the results depend on, beside the network, the images and the maps; InputError for values out of range.

    How many noise maps there can be depends on the images, so it is checked with them.
    """

    grid: int = flag("steps from no pixel removed to all", 100)
    operator: str = flag("what removed pixels become", PAPERS_OPERATOR, choices=tuple(OPERATORS))
    fill: float = flag("a removed pixel's value, in the network's input space", 0.0)
    blur: float = flag("σ of the blurred copy's Gaussian filter, as a share of the image's side", 0.05)
    road: float = flag("deviation of imputation's noise, of pixels from 0 to 1", 0.01)
    noise_maps: int = flag("maps ξ of other images, for each image", 1)
    ties: str = flag("order of pixels of equal saliency", "random", choices=TIES)
    never_flips: str = flag("e of a decision that never flips", "one", choices=NEVER_FLIPS)
    seed: int = flag("of the order of ties and the choice of noise maps", 0)

    def __post_init__(self):
        check_range("removal.grid", self.grid, low=2)
        check_choice("removal.operators", self.operator, tuple(OPERATORS))
        check_range("removal.fill", self.fill, low=-LARGEST, high=LARGEST)
        check_range("removal.blur", self.blur, low=0, high=1, open_low=True)
        check_range("removal.road", self.road, low=0, high=1)
        check_choice("removal.ties", self.ties, TIES)
        check_choice("removal.never_flips", self.never_flips, NEVER_FLIPS)

    def make_operator(self, pictures: Pictures) -> Operator:
        """What removed pixels of some images become."""
        return load_operator(self.operator).make(pictures, getattr(self, self.operator, None))

    def describe(self) -> dict:
        """What results depend on, by name: without other operators' settings; the paper's operator is not named."""
        others = [name for name in OPERATORS if name != self.operator]
        unnamed = [*others, *(["operator"] if self.operator == PAPERS_OPERATOR else [])]
        return {name: value for name, value in asdict(self).items() if name not in unnamed}


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
