"""Methods of Captum (Kokhlikyan et al., 2020), each as its library makes it, against an image of zeros if it needs one.

Zeros, in the network's input space, are what removed pixels become in the paper. Attributions (n, C, H, W) become maps
by `channels`: |Σ_φ a_φ|, as the paper's Ψ has it, or Σ_φ |a_φ|, as it has the gradient; or Σ_φ a_φ, ranked by sign.
"""

import copy
import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from captum import attr
from skimage.segmentation import slic
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from explanations.errors import InputError
from explanations.methods.sources.base import Method, NotApplicableError, reduce_channels

# of which the magnitudes are summed, unless asked otherwise
GRADIENTS = ("Saliency", "GuidedBackprop", "Deconvolution")
RECTIFIED = ("GuidedBackprop", "Deconvolution", "GuidedGradCam")
RANDOM = ("GradientShap", "KernelShap", "Lime")
COMPLETE = ("IntegratedGradients", "DeepLift", "GradientShap")  # claim that they add up to a difference of scores
INCOMPLETE = 0.01  # of the sum of all attributions' magnitudes, beside
ROUNDING = 1e-4  # of the scores' own: what float32 may make of them stays far below
OTHERS = (  # functions that are activations and no ReLU
    *("gelu", "silu", "sigmoid", "tanh", "softmax", "hardswish", "hardsigmoid", "hardtanh", "elu", "leaky_relu"),
    *("mish", "softplus", "relu6", "prelu", "scaled_dot_product_attention", "multi_head_attention_forward"),
)
LINES = 200  # letters of a library's reason


def prepare(settings: Mapping, network: nn.Module, size: tuple[int, int], names: Sequence[str]) -> Method:
    """A method by its name; NotApplicableError for a network that it can't explain."""
    name, noise = settings["name"], settings.get("noise", "none")
    network = without_inplace(network)
    library = build(name, network)
    unchecked = [check for check, refused in CHECKS.items() if name in refused]  # once: each takes a pass
    channels = settings["channels"] or ("sum_of_magnitudes" if name in GRADIENTS else "magnitude_of_sum")

    def make(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        while unchecked:
            unchecked[-1](network, images[:1])
            unchecked.pop()
        given = arguments(name, settings, images, size)
        call = attr.NoiseTunnel(library) if noise != "none" else library
        if noise != "none":
            samples, stdev = settings["noise_samples"], settings["noise_stdev"]
            given |= {"nt_type": noise, "nt_samples": samples, "stdevs": stdev * float(images.max() - images.min())}
        if name == "LRP" and noise == "none":  # it has the score, and says what its attributions are off it
            found, delta = attribute(name, call, images, targets, given | {"return_convergence_delta": True})
            prepared.gaps.append(delta.abs() / (found.flatten(1).sum(1) + delta).abs())
            return reduce_channels(found, channels)
        found = attribute(name, call, images, targets, given)
        if name in COMPLETE and noise == "none":
            gap, score, scale = measure_gap(network, images, targets, found)
            magnitudes = found.flatten(1).abs().sum(1)
            if name == "DeepLift" and (gap > INCOMPLETE * magnitudes + ROUNDING * scale).any():
                worst = int((gap - INCOMPLETE * magnitudes).argmax())
                said = f"its attributions add up to {float(gap[worst]):.2g} off the score's {float(score[worst]):.2g}"
                raise NotApplicableError(f"{said}: there are operations that DeepLift has no rule for")
            prepared.gaps.append(gap / score)
        return reduce_channels(found, channels)

    prepared = Method(make, alone=name in RANDOM or noise != "none")
    return prepared


def build(name: str, network: nn.Module) -> attr.Attribution:
    """The library's object."""
    if name == "GuidedGradCam":
        return attr.GuidedGradCam(network, last_convolution(network))
    return getattr(attr, name)(network)


def arguments(name: str, settings: Mapping, images: Tensor, size: tuple[int, int]) -> dict:
    """What the library's `attribute` is called with, beside images and targets."""
    zeros, channels = torch.zeros_like(images), images.shape[1]
    if name == "Saliency":
        return {"abs": False}
    if name == "IntegratedGradients":
        return {"baselines": zeros, "n_steps": settings["n_steps"], "internal_batch_size": len(images)}
    if name == "DeepLift":
        return {"baselines": zeros}
    if name == "GradientShap":
        return {"baselines": zeros[:1], "n_samples": settings["n_samples"], "stdevs": float(settings["stdevs"])}
    if name == "Occlusion":
        window, stride = (min(settings[key], *size) for key in ("window", "stride"))
        return {
            "baselines": zeros,
            "sliding_window_shapes": (channels, window, window),
            "strides": (channels, stride, stride),
        }
    if name in ("FeatureAblation", "KernelShap", "Lime"):
        sampled = (
            {} if name == "FeatureAblation" else {"n_samples": settings["n_samples"], "perturbations_per_eval": 50}
        )
        if settings.get("segments") == "superpixels":
            mask = superpixels(settings["n_segments"], images)
        else:
            mask = squares(settings["patch"], size, images.device)
        return {"baselines": zeros, "feature_mask": mask, **sampled}
    return {}


def superpixels(count: int, images: Tensor) -> Tensor:
    """The number of the superpixel that each pixel is in, (n, 1, H, W): about `count` in an image, of like colours.

    SLIC (Achanta et al., 2012), which draws no random numbers, by scikit-image's defaults: an image's numbers are
    rescaled to [0, 1], and taken for RGB if there are three channels. An image in which it finds one alone, such as
    noise, or one colour, is divided into about `count` squares: nothing can be told of a single feature.
    """
    height, width = images.shape[2:]
    others = squares(math.ceil(math.sqrt(height * width / count)), (height, width), images.device)[0]
    found = []
    for image in images.permute(0, 2, 3, 1).cpu().numpy():
        labels = slic(image, n_segments=count, start_label=0)
        numbers = np.unique(labels, return_inverse=True)[1].reshape(1, *labels.shape)
        found.append(torch.from_numpy(numbers).to(images.device) if numbers.any() else others)
    return torch.stack(found)


def squares(patch: int, size: tuple[int, int], device: torch.device) -> Tensor:
    """The number of the square that each pixel is in, (1, 1, H, W): features that are removed as one."""
    rows, columns = (torch.arange(extent, device=device) // patch for extent in size)
    return (rows[:, None] * (int(columns[-1]) + 1) + columns)[None, None]


def attribute(
    name: str, library: attr.Attribution, images: Tensor, targets: Tensor, given: Mapping
) -> Tensor | tuple[Tensor, Tensor]:
    """The library's attributions (n, C, H, W), with what they miss, (n,), if that is asked for.

    NotApplicableError for a network that it refuses; InputError for what else it may raise.
    """
    known = inspect.signature(library.attribute).parameters
    quiet = {"show_progress": False} if "show_progress" in known else {}
    try:
        return library.attribute(images, target=targets, **given, **quiet)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        said = (" ".join(str(error).split()) or type(error).__name__)[:LINES]
        if (name == "LRP" and isinstance(error, TypeError | AttributeError)) or "modified inplace" in said:
            raise NotApplicableError(f"Captum says: {said}") from None
        raise InputError(f"Captum's {name} raised {type(error).__name__}: {said}") from error


@torch.no_grad()
def measure_gap(network: nn.Module, images: Tensor, targets: Tensor, found: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """|Σ a − s|, (n,), of attributions (n, C, H, W), s being the score less that of an image of zeros.

    And what to compare it with: |s|, and the magnitudes that s is a difference of, which it is rounded by.
    """
    scores, of_zeros = (
        network(given).gather(1, targets[:, None])[:, 0] for given in (images, torch.zeros_like(images))
    )
    wanted = scores - of_zeros
    return (found.flatten(1).sum(1) - wanted).abs(), wanted.abs(), scores.abs() + of_zeros.abs()


def without_inplace(network: nn.Module) -> nn.Module:
    """A copy whose modules write nothing into what they were given: hooks need that."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False
    return network


def last_convolution(network: nn.Module) -> nn.Module:
    """The last convolution of the network; NotApplicableError if it has none."""
    found = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    if not found:
        raise NotApplicableError("the network has no convolution")
    return found[-1]


class Calls(TorchFunctionMode):
    """Counts the calls of torch's functions, by their names."""

    def __init__(self):
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_function__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        """What the function gives."""
        self.names[getattr(func, "__name__", "").rstrip("_")] += 1
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def refuse_other_activations(network: nn.Module, image: Tensor) -> None:
    """NotApplicableError unless all of the network's activations are ReLU modules, whose gradients can be changed."""
    modules = [module for module in network.modules() if isinstance(module, nn.ReLU)]
    if not modules:
        raise NotApplicableError("the network has no ReLU")
    called: Counter[str] = Counter()
    hooks = [module.register_forward_hook(lambda *_: called.update(["relu"])) for module in modules]
    try:
        with Calls() as calls:
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    others = [name for name in OTHERS if calls.names[name]]
    if others:
        raise NotApplicableError(f"the network has activations that are no ReLU: {', '.join(others)}")
    if calls.names["relu"] > called["relu"]:
        raise NotApplicableError(f"ReLUs of the network are no modules: {calls.names['relu'] - called['relu']}")


@torch.no_grad()
def refuse_shared(network: nn.Module, image: Tensor) -> None:
    """NotApplicableError if a module that is not linear is called more than once: DeepLift takes each as one step."""
    calls: Counter[str] = Counter()

    def count(name: str) -> Callable[..., None]:
        return lambda *_: calls.update([name])

    kinds = (nn.ReLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.MaxPool2d, nn.Softmax)
    named = [(name, module) for name, module in network.named_modules() if isinstance(module, kinds)]
    hooks = [module.register_forward_hook(count(name)) for name, module in named]
    try:
        network(image)
    finally:
        for hook in hooks:
            hook.remove()
    shared = [name for name, number in calls.items() if number > 1]
    if shared:
        raise NotApplicableError(
            f"module {shared[0]} is called {calls[shared[0]]} times, and DeepLift takes it for one step"
        )
    if not named:
        raise NotApplicableError("the network has no module of an activation that DeepLift knows")


# what a network is refused by, and for which methods
CHECKS = {refuse_other_activations: RECTIFIED, refuse_shared: ("DeepLift",)}
