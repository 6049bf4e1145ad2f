"""Networks of other images than RGB: one channel is grey, four are RGB and alpha (1 where an image is opaque)."""

from explanations.errors import InputError
from explanations.files.framing import CHANNELS
from explanations.networks.sources.registry import find_source

ALPHA = (1.0, 0.25)  # mean and deviation: 0 in the network's input space where an image is opaque, as most are


def count_channels(source: str, arguments: dict) -> int:
    """How many channels the images of a network of these arguments have; InputError for a number that none has."""
    name = find_source(source).channels_argument
    found = arguments.get(name, 3)
    if found not in CHANNELS:
        raise InputError(f"arguments.{name} is {found}; allowed are 1, 3 and 4: images are grey, RGB or RGBA")
    return found


def adapt_normalisation(
    mean: tuple[float, ...], std: tuple[float, ...], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """RGB's means and deviations for `channels`: grey has the mean of the three, alpha its own."""
    if channels == 1:
        return (sum(mean) / 3,), (sum(std) / 3,)
    if channels == 4:
        return (*mean, ALPHA[0]), (*std, ALPHA[1])
    return mean, std
