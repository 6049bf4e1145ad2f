"""What the module of a source of methods holds, and how its maps are made.

A source's module has

    prepare(settings, network, size, names) -> Method

which makes a method with its settings complete (see registry) ready for a network in evaluation mode, and images of a
height and width whose paths in the manifest are `names`; NotApplicableError if the network lacks what the method takes.
A source whose entry says `of` gets a fifth argument, `maps`, a function that gives another method's maps (n, H, W) of
images by their indices in the manifest; one whose entry says `bounded` gets `bounds`, the lowest and the highest value
of pixels in the network's input space, (2, C, 1, 1).

What it prepares is called with images (n, C, H, W) in the network's input space, the targets (n,) to explain, and the
images' indices in the manifest, and gives maps (n, H, W): the larger, the more salient.
"""

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from explanations.errors import InputError

Maker = Callable[[Tensor, Tensor, Sequence[int]], Tensor]


class NotApplicableError(Exception):
    """A method that can't explain a network; the text says why, in one line."""


@dataclass(frozen=True)
class Method:
    """A method that is ready: `make` gives its maps; `alone`: image by image, for it draws random numbers.

    A method that claims completeness, that its attributions add up to a score or to a difference of scores, adds to
    `gaps` at each call how far they are from it, relative to it, (n,).
    """

    make: Maker
    alone: bool = False
    gaps: list[Tensor] = field(default_factory=list)


def make_maps(method: Method, images: Tensor, targets: Tensor, indices: Sequence[int], seed: int, batch: int) -> Tensor:
    """The maps (n, H, W) of images, float32, on the CPU; InputError for maps of another shape or that aren't finite.

    Every batch has the same size, filled up with its last image: kernels differ by it, and so would an image's last
    digits by its shard; a minimum or maximum over a batch stays as it is. A method that draws random numbers gets each
    image by itself, with a seed made of `seed` and the image's index: neither batch nor shard matters.
    """
    made = []
    size = 1 if method.alone else batch
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        given, wanted, own = images[part], targets[part], list(indices[part])
        count = len(own)
        if count < size:
            chosen = np.minimum(np.arange(size), count - 1)
            given, wanted, own = given[chosen], wanted[chosen], [own[place] for place in chosen]
        with seeded(seed, own[0]):
            maps = method.make(given, wanted, own)
        check_maps(maps, (size, *images.shape[2:]))
        made.append(maps[:count].detach().float().cpu())
        method.gaps[-1:] = [gap[:count].detach().float().cpu() for gap in method.gaps[-1:]]
    return torch.cat(made)


def check_maps(maps: object, shape: tuple[int, ...]) -> None:
    """InputError unless maps are a tensor of a shape, of finite numbers."""
    if not isinstance(maps, Tensor):
        raise InputError(f"its maps are {type(maps).__name__}; allowed is a tensor of (n, H, W)")
    if tuple(maps.shape) != shape:
        raise InputError(f"its maps are of {tuple(maps.shape)}; allowed is {shape}, (n, H, W)")
    if not maps.isfinite().all():
        raise InputError("its maps hold NaN or infinite values; all must be finite")


def reduce_channels(found: Tensor, channels: str) -> Tensor:
    """Maps (n, H, W) of attributions (n, C, H, W)."""
    if channels == "sum_of_magnitudes":
        return found.abs().sum(1)
    return found.sum(1).abs() if channels == "magnitude_of_sum" else found.sum(1)


@contextlib.contextmanager
def seeded(seed: int, image: int) -> Iterator[None]:
    """Within `with`, all generators of random numbers begin by the seed and the image; then they go on as before."""
    number = int(np.random.default_rng([seed, 3, image]).integers(2**31))
    before, of_numpy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(number)  # torch.manual_seed also seeds devices that nothing uses, slowly
        if devices:
            torch.cuda.manual_seed_all(number)
        random.seed(number)
        np.random.seed(number)
        try:
            yield
        finally:
            random.setstate(before)
            np.random.set_state(of_numpy)


class Untouched:
    """What a network was: `check` says what of it a method left changed."""

    def __init__(self, network: nn.Module):
        self.network = network
        self.state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        self.hooks, self.training = self._count_hooks(), network.training

    def _count_hooks(self) -> dict[str, int]:
        kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        return {
            name: sum(len(getattr(module, kind)) for kind in kinds) for name, module in self.network.named_modules()
        }

    def check(self) -> None:
        """InputError, naming the first weight or module, unless the network is as it was."""
        for name, tensor in self.network.state_dict().items():
            if not torch.equal(tensor, self.state[name]):
                raise InputError(f"it left the network changed: {name} has other values than before")
        for name, count in self._count_hooks().items():
            if count != self.hooks[name]:
                raise InputError(f"it left hooks on the network's module {name or 'itself'}")
        if self.network.training != self.training:
            raise InputError("it left the network in training mode")
