"""The biases of any network: all that is added to its activities by itself (§3, Suppl. B.2 and C).

Kept are weights and what scales: batch normalisation's γ and variance, other normalisations' γ. What is fed in beside
the image is an input, not a bias: a transformer's class token, which is joined with its patches, and a position
embedding, which tells them apart.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from explanations.errors import check_choice, check_range
from explanations.files.descriptions import NetworkDescription
from explanations.networks.additions import Additions, find_additions

PROFILES = ("linear", "exponential")


def find_biases(network: nn.Module, description: NetworkDescription) -> Additions:
    """Which tensors of a network are its biases, and what it normalises by; see additions.find_additions."""
    return find_additions(network, (len(description.mean), description.size, description.size))


def named_tensors(network: nn.Module, names: Iterable[str]) -> dict[str, Tensor]:
    """A network's tensors of these names."""
    state = network.state_dict(keep_vars=True)
    return {name: state[name] for name in names}


def count_biases(network: nn.Module, names: Iterable[str]) -> int:
    """The number of bias parameters of a network (fig. 3): batch normalisation has two for each channel, β and μ."""
    return sum(tensor.numel() for tensor in named_tensors(network, names).values())


@torch.no_grad()
def scale_biases(network: nn.Module, factor: float, reference: dict[str, Tensor]) -> None:
    """Set every bias of a network to `factor` times its value in `reference`, by name."""
    for name, tensor in named_tensors(network, reference).items():
        tensor.copy_(factor * reference[name])


def zero_biases(network: nn.Module, names: Iterable[str]) -> None:
    """Set biases of a network to zero, in place."""
    scale_biases(network, 0.0, named_tensors(network, names))


def decay_factors(profile: str, steps: int, floor: float) -> list[float]:
    """The factors of the biases at decay steps 1…steps; the last one is 0 (Suppl. C, fig. 6).

    `linear`: 1 − k/steps. `exponential`: floor^(k/steps), and 0 at the last step.
    """
    check_range("decay.steps", steps, low=1)
    check_choice("decay.profile", profile, PROFILES)
    if profile == "linear":
        return [1 - k / steps for k in range(1, steps + 1)]
    check_range("decay.floor", floor, low=0, high=1, open_low=True)
    return [floor ** (k / steps) for k in range(1, steps)] + [0.0]
