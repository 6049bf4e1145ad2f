"""The grid pointing game of all methods that make maps of a network in memory (localisation.grid has its rules)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from explanations.errors import InputError
from explanations.explaining.makers import prepare_own, prepare_papers
from explanations.localisation.grid import CELLS, check_takes_grids, play, tile
from explanations.methods.names import MethodName
from explanations.methods.sources.base import NotApplicableError, make_maps
from explanations.methods.sources.registry import say_no_maker


@dataclass(frozen=True, eq=False)  # tensors have no truth value
class Game:
    """A network in evaluation mode, and grids: images (g, 4, C, H, W) on its device, their classes (g, 4).

    `bounds` (2, C, 1, 1) are the lowest and the highest value of pixels; a pass has as many as `batch` single images.
    """

    network: nn.Module
    images: Tensor
    classes: Tensor
    bounds: Tensor
    batch: int
    seed: int

    def play_all(
        self, names: Sequence[MethodName], own: Mapping[str, Mapping], upsampling: str, advance: Callable[[int], None]
    ) -> tuple[dict[str, Tensor], dict[str, str]]:
        """The scores (g, 4) of the paper's methods and of `own`, by name; of those without, the reason in one line.

        `advance` is told of each method with passes of its own that is done, and of all others at once.
        """
        try:
            self.check()
        except NotApplicableError as error:
            return {}, dict.fromkeys([*map(str, names), *own], str(error))
        scores, reasons = self.play_papers(names, upsampling) if names else {}, {}
        advance(1)
        for name, settings in own.items():
            try:
                scores[name] = self.play_own(name, settings)
            except NotApplicableError as error:
                reasons[name] = str(error)
            advance(1)
        return scores, reasons

    def check(self) -> None:
        """NotApplicableError unless there are grids, and the network takes them."""
        if not len(self.images):
            raise NotApplicableError("no four images of different classes are decided as they are labelled")
        check_takes_grids(self.network, self.images[0, 0])

    def play_papers(self, names: Sequence[MethodName], upsampling: str) -> dict[str, Tensor]:
        """The scores (g, 4) of the paper's methods, by name, of one decomposition of each grid and class."""
        make = prepare_papers(self.network, tile(self.images[:1]), names, upsampling)
        return play(lambda grids, targets, numbers: make(grids, targets), self.images, self.classes, self.batch)

    def play_own(self, name: str, settings: Mapping) -> Tensor:
        """The scores (g, 4) of a method with passes of its own; NotApplicableError if it can't play."""
        if said := say_no_maker(settings["source"]):
            raise NotApplicableError(said)
        height, width = self.images.shape[-2:]
        paths = [f"grid {number}" for number in range(self.classes.numel())]
        try:
            prepared = prepare_own(self.network, (2 * height, 2 * width), settings, paths, self.bounds)

            def make(grids: Tensor, targets: Tensor, numbers: Sequence[int]) -> dict[str, Tensor]:
                return {name: make_maps(prepared, grids, targets, numbers, self.seed, max(1, self.batch // CELLS))}

            return play(make, self.images, self.classes, self.batch)[name]
        except InputError as error:
            raise InputError(f"methods.{name}: {error}") from None
