"""Small and hand-made networks with random biases and batch statistics."""

import copy
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explanations.decomposition.operations import BATCH_NORMS, CONVOLUTIONS
from explanations.files.descriptions import NetworkDescription
from explanations.networks.biases import scale_biases, zero_biases
from explanations.networks.files import build_network

SIZE, CLASSES = 32, 10
ARGUMENTS = {
    "vgg16": {"width": 0.0625, "hidden": 24, "size": SIZE, "num_classes": CLASSES},
    "resnet50": {"width": 0.0625, "stem_kernel": 3, "stem_stride": 1, "num_classes": CLASSES},
    "efficientnet": {"width": 0.25, "num_classes": CLASSES},
    "convnext": {"width": 0.0625, "num_classes": CLASSES},
    "vit": {"hidden": 16, "size": SIZE, "num_classes": CLASSES},
    "linear": {"size": SIZE, "channels": 3, "num_classes": CLASSES},
}

# The biases of torch's own modules, by class: what must be found among all that a network adds
LAYER_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
MODULE_BIASES = {
    (*CONVOLUTIONS, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear): ("bias",),
    BATCH_NORMS: ("bias", "running_mean"),
    LAYER_NORMS: ("bias",),
    (nn.MultiheadAttention,): ("in_proj_bias",),
}


def module_biases(network: nn.Module) -> dict[str, Tensor]:
    """Name and tensor of each bias of torch's own modules; each tensor once."""
    found: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        for key in next((keys for types, keys in MODULE_BIASES.items() if isinstance(module, types)), ()):
            tensor = getattr(module, key, None)
            if tensor is not None and not any(tensor is other for other in found.values()):
                found[f"{name}.{key}" if name else key] = tensor
    return found


@torch.no_grad()
def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random biases, and random statistics, β and γ of batch normalisation, so that no term of a formula is 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in module_biases(network).values():
        tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))
    for module in network.modules():
        if isinstance(module, BATCH_NORMS):
            module.running_var.copy_(0.5 + torch.rand(module.running_var.shape, generator=generator))
            module.weight.copy_(0.5 + torch.rand(module.weight.shape, generator=generator))
    return network.eval()


def build(name: str, variant: str = "original", seed: int = 0) -> nn.Module:
    """A narrow network of a variant: `zeroed`, or `halved` as in the midst of a decay."""
    return vary(copy.deepcopy(_built(name, seed)), variant)


@cache
def _built(name: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return randomise(build_network("narrow", name, ARGUMENTS[name]), seed)


def vary(network: nn.Module, variant: str) -> nn.Module:
    """Zero or halve a network's biases, in place."""
    if variant == "zeroed":
        zero_biases(network, module_biases(network))
    elif variant == "halved":
        scale_biases(network, 0.5, {name: tensor.clone() for name, tensor in module_biases(network).items()})
    return network


def describe(name: str, **changes) -> NetworkDescription:
    """The description of a narrow network on the generated digits."""
    values = {
        **{"source": "narrow", "constructor": name, "arguments": ARGUMENTS[name], "size": SIZE, "resize": SIZE},
        **{"classes": tuple(map(str, range(CLASSES))), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)},
    }
    return NetworkDescription(**{**values, **changes})


def inputs(count: int = 2, size: int = SIZE, dtype: torch.dtype = torch.float64, seed: int = 1) -> Tensor:
    """Random images as a network sees them, (count, 3, size, size)."""
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Small(nn.Module):
    """Two 3×3 convolutions with a given activation after each, then mean and a linear map: for 6×6 or larger images."""

    def __init__(self, activation, norm: nn.Module | None = None):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.activation, self.norm = activation, norm or nn.Identity()
        self.top = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.norm(self.first(x)))
        return self.top(self.activation(self.second(x)).mean((2, 3)))


class Disordered(nn.Module):
    """One ReLU(inplace=True) for all, modules registered in another order than called, a branch run out of order."""

    def __init__(self):
        super().__init__()
        self.top = nn.Linear(4, 5)
        self.branch = nn.Conv2d(3, 4, 1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.norm = nn.BatchNorm2d(4)
        self.first = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm(self.first(x)))
        y = self.second(y)
        y += self.branch(x)
        y = self.relu(y)
        return self.top(y.mean((2, 3)))


class Repeated(nn.Module):
    """One convolution and one in-place ReLU, called twice."""

    def __init__(self):
        super().__init__()
        self.step, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)
        self.top = nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.top(self.relu(self.step(self.relu(self.step(x)))).mean((2, 3)))


class Gated(nn.Module):
    """A squeeze-and-excitation gate: a product of two paths."""

    def __init__(self):
        super().__init__()
        self.first, self.squeeze, self.top = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = x * torch.sigmoid(self.squeeze(x.mean((2, 3), keepdim=True)))
        return self.top(x.mean((2, 3)))


class ByShape(nn.Module):
    """Uses the sizes of its values: a view by x.size(0), a mean by hand."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.top = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.second(F.relu(self.first(x), inplace=True)))
        x = x.sum((2, 3)) / (x.size(2) * x.shape[3])
        return self.top(x.view(x.size(0), -1))


class ByFunction(nn.Module):
    """A convolution whose kernel is computed from a parameter, and a functional bias."""

    def __init__(self):
        super().__init__()
        self.kernel, self.bias = nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Parameter(torch.randn(4))
        self.top = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel - self.kernel.mean((1, 2, 3), keepdim=True)
        return self.top(torch.relu_(F.conv2d(x, kernel, self.bias)).mean((2, 3)))


class ChannelsLast(nn.Module):
    """LayerNorm and a linear map over the last dimension, as ConvNeXt has them."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.mix, self.top = (
            nn.Conv2d(3, 4, 3),
            nn.LayerNorm(4),
            nn.Linear(4, 4),
            nn.Linear(4, 5),
        )
        nn.init.normal_(self.norm.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x)).permute(0, 2, 3, 1)
        x = F.gelu(self.mix(self.norm(x))).permute(0, 3, 1, 2)
        return self.top(x.mean((2, 3)))


class AddedParameter(nn.Module):
    """Parameters that are added to, and joined with, what is computed from the image: biases without a module."""

    def __init__(self):
        super().__init__()
        self.first, self.top = nn.Conv2d(3, 4, 3), nn.Linear(5, 5)
        self.offset, self.channel = nn.Parameter(torch.randn(4, 6, 6)), nn.Parameter(torch.randn(1, 1, 6, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x) + self.offset.flip(1))
        x = torch.cat([x, self.channel.expand(x.shape[0], -1, -1, -1)], 1)
        return self.top(F.relu(x).mean((2, 3)))


class Tokens(nn.Module):
    """Patches as tokens behind a class token, attention between them; the class token decides, or their mean."""

    def __init__(self, by_class_token: bool):
        super().__init__()
        self.by_class_token = by_class_token
        self.patches, self.norm = nn.Conv2d(3, 4, 2, 2), nn.LayerNorm(4)
        self.token, self.places = nn.Parameter(torch.randn(1, 1, 4)), nn.Parameter(torch.randn(1, 13, 4))
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.mix, self.top = nn.Linear(4, 4), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        x = x.reshape(x.shape[0], 4, 12).permute(0, 2, 1)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        y = self.norm(x)
        y, _ = self.attention(y, y, y, need_weights=False)
        x = F.gelu(self.mix(x + y))
        return self.top(x[:, 0] if self.by_class_token else x.mean(1))


def randomise_vectors(network: nn.Module) -> nn.Module:
    """Random statistics, biases and scales of every kind, so that none is at a value that it would have anyway."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.is_floating_point() and tensor.dim() <= 1:
                tensor.normal_(0.1, 0.1)
    return network.eval()
