"""The biases of any network, and of each operation what counts as one (§3, Suppl. B.2 and C)."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from explanations.command import InputError, check_range

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
LAYER_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
# What is added to an operation's output, whatever its input. Kept are weights and what scales: batch normalisation's γ
# and variance, other normalisations' γ. What is fed in beside the image is an input, not a bias: a transformer's class
# token and position embedding, relative positions in its attention.
BIASES = {
    (*CONVOLUTIONS, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d): ("bias",),
    (nn.Linear,): ("bias",),
    BATCH_NORMS: ("bias", "running_mean"),  # β and μ, which act as one: β − γμ/σ (Suppl. Eq. 9)
    LAYER_NORMS: ("bias",),  # β
    (nn.MultiheadAttention,): ("in_proj_bias",),  # of queries, keys and values; the output's map is a Linear
}


def bias_tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Name and tensor of all that counts as a bias, by operation as in BIASES; each tensor once."""
    seen = set()
    for name, module in network.named_modules():
        attributes = next((keys for types, keys in BIASES.items() if isinstance(module, types)), ())
        for key in attributes:
            tensor = getattr(module, key, None)
            if tensor is not None and id(tensor) not in seen:
                seen.add(id(tensor))
                yield (f"{name}.{key}" if name else key), tensor


def count_biases(network: nn.Module) -> int:
    """The number of bias parameters of a network (fig. 3): batch normalisation has two for each channel, β and μ."""
    return sum(tensor.numel() for _, tensor in bias_tensors(network))


def normalisation(network: nn.Module) -> str:
    """What a network normalises by: `batch` if anywhere by batches, else `layer` if anywhere by images, or `none`.

    Local response normalisation has no parameters, and no place here, as in the paper.
    """
    if any(isinstance(module, BATCH_NORMS) for module in network.modules()):
        return "batch"
    return "layer" if any(isinstance(module, LAYER_NORMS) for module in network.modules()) else "none"


@torch.no_grad()
def scale_biases(network: nn.Module, factor: float, reference: dict[str, Tensor]) -> None:
    """Set every bias of a network to `factor` times its value in `reference`, by name."""
    for name, tensor in bias_tensors(network):
        tensor.copy_(factor * reference[name])


def zero_biases(network: nn.Module) -> None:
    """Set every bias of a network to zero, in place."""
    scale_biases(network, 0.0, dict(bias_tensors(network)))


def decay_factors(profile: str, steps: int, floor: float) -> list[float]:
    """The factors of the biases at decay steps 1…steps; the last one is 0 (Suppl. C, fig. 6).

    `linear`: 1 − k/steps. `exponential`: floor^(k/steps), and 0 at the last step.
    """
    check_range("decay.steps", steps, low=1)
    if profile == "linear":
        return [1 - k / steps for k in range(1, steps + 1)]
    if profile == "exponential":
        check_range("decay.floor", floor, low=0, high=1, open_low=True)
        return [floor ** (k / steps) for k in range(1, steps)] + [0.0]
    raise InputError(f"decay.profile is {profile}; allowed are linear, exponential")
