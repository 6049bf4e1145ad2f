"""Networks in self-describing files, torchvision's classes at smaller widths, and the biases of any network."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.models.vgg import VGG, cfgs, make_layers

from explanations.command import InputError, check_range, whole_file
from explanations.descriptions import NetworkDescription, read_description

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


# --- torchvision's classes at smaller widths ---------------------------------------------------------------------


def narrow_vgg(configuration: str, width: float, hidden: int, size: int, num_classes: int) -> VGG:
    """torchvision's VGG with `width` times the channels, `hidden` units in its two fully connected layers."""
    check_range("size", size, low=32)  # five poolings leave nothing of less
    channels = [step if step == "M" else max(1, round(step * width)) for step in cfgs[configuration]]
    features = make_layers(channels)
    for module in features:
        if isinstance(module, nn.MaxPool2d):  # an odd map, 3×3 say, would lose its last row and column
            module.ceil_mode = True
    with torch.device("meta"):  # the classifier of 4096 units is replaced below
        network = VGG(features, num_classes=num_classes, init_weights=False)
    side = math.ceil(size / 32)  # after five poolings
    network.avgpool = nn.AdaptiveAvgPool2d(side)
    network.classifier = nn.Sequential(
        nn.Linear(channels[-2] * side * side, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(0.1),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(0.1),
        nn.Linear(hidden, num_classes),
    )
    for module in network.modules():  # fan-in: the narrow top layers have few outputs
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            nn.init.zeros_(module.bias)
    return network


class NarrowResNet(ResNet):
    """torchvision's ResNet with `width` times the channels and a stem of any kernel and stride."""

    def __init__(self, blocks: list[int], width: float, stem_kernel: int, stem_stride: int, num_classes: int):
        self.width = width
        super().__init__(Bottleneck, blocks, num_classes=num_classes)
        stem = round(64 * width)
        self.conv1 = nn.Conv2d(3, stem, stem_kernel, stem_stride, stem_kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.fc = nn.Linear(round(512 * width) * Bottleneck.expansion, num_classes)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
        if planes == 64:  # the first stage reads the stem
            self.inplanes = round(64 * self.width)
        return super()._make_layer(block, round(planes * self.width), blocks, stride, dilate)


def narrow_vgg16(width: float, hidden: int, size: int, num_classes: int) -> VGG:
    """VGG-16 (13 convolutions) at a fraction of its width."""
    return narrow_vgg("D", width, hidden, size, num_classes)


def narrow_resnet50(width: float, stem_kernel: int, stem_stride: int, num_classes: int) -> NarrowResNet:
    """ResNet-50 (16 blocks) at a fraction of its width."""
    return NarrowResNet([3, 4, 6, 3], width, stem_kernel, stem_stride, num_classes)


def linear_classifier(size: int, channels: int, num_classes: int) -> nn.Sequential:
    """A linear map of the pixels without biases (fig. 1)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, num_classes, bias=False))


NARROW: dict[str, Callable[..., nn.Module]] = {
    "vgg16": narrow_vgg16,
    "resnet50": narrow_resnet50,
    "linear": linear_classifier,
}
SOURCES = ("narrow", "torchvision")


def build_network(source: str, constructor: str, arguments: dict) -> nn.Module:
    """Build a network with fresh weights, in evaluation mode; InputError for a name or argument that doesn't exist."""
    if source not in SOURCES:
        raise InputError(f"source is {source}; allowed are {', '.join(SOURCES)}")
    known = list(NARROW) if source == "narrow" else torchvision.models.list_models(module=torchvision.models)
    if constructor not in known:
        raise InputError(f"constructor is {constructor}; source {source} has {', '.join(known)}")
    build = NARROW[constructor] if source == "narrow" else torchvision.models.get_model_builder(constructor)
    try:
        return build(**arguments).eval()
    except TypeError as error:
        raise InputError(f"arguments of {constructor}: {error}") from None


# --- files -------------------------------------------------------------------------------------------------------


def save_network(path: Path, network: nn.Module, description: NetworkDescription) -> None:
    """Write a network's state and description as one safetensors file."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with whole_file(path) as temporary:
        save_file(state, temporary, description.to_metadata())


def load_network(path: Path) -> tuple[nn.Module, NetworkDescription]:
    """Rebuild a network from its file, in evaluation mode.

    Raises InputError, naming the file, if it is missing or truncated, of another architecture, or holds NaN.
    """
    description, state = read_description(path), load_file(path)
    try:
        network = build_network(description.source, description.constructor, description.arguments)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    wanted = network.state_dict()
    for name in sorted(wanted.keys() | state.keys()):
        found, expected = (str(tuple(s[name].shape)) if name in s else "absent" for s in (state, wanted))
        if found != expected:
            raise InputError(f"{path}: not a {description.constructor}: {name} is {found}; expected {expected}")
        if state[name].is_floating_point() and not torch.isfinite(state[name]).all():
            raise InputError(f"{path}: {name} holds NaN or infinite values; all weights must be finite")
    network.load_state_dict(state)
    return network.eval(), description


# --- images to inputs --------------------------------------------------------------------------------------------


def preprocess(images: Tensor, description: NetworkDescription) -> Tensor:
    """Turn (n, 3, H, W) uint8 images into the network's float inputs, channels last in memory."""
    mean = torch.tensor(description.mean).view(3, 1, 1)
    std = torch.tensor(description.std).view(3, 1, 1)
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def predict_logits(network: nn.Module, images: Tensor, description: NetworkDescription, batch: int = 64) -> Tensor:
    """The (n, C) logits of (n, 3, H, W) uint8 images, in batches."""
    return torch.cat([network(preprocess(part, description)) for part in images.split(batch)])


# --- biases ------------------------------------------------------------------------------------------------------


def bias_tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Name and tensor of all that counts as a bias (§3, Suppl. Eq. 9).

    Convolutions and linear maps: `bias`. Batch normalisation: `bias` (β) and `running_mean` (μ); its weight (γ) and
    variance stay.
    """
    for name, module in network.named_modules():
        if isinstance(module, (*CONVOLUTIONS, nn.Linear)) and module.bias is not None:
            yield f"{name}.bias", module.bias
        elif isinstance(module, BATCH_NORMS):
            if module.bias is not None:
                yield f"{name}.bias", module.bias
            if module.running_mean is not None:
                yield f"{name}.running_mean", module.running_mean


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
