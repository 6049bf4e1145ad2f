"""The sources of methods with passes of their own: a line here, and beside this file a module of that name.

The configuration's `methods` gives each such method a name, its source, and settings. A source's module is imported
only where a method is of that source; this file needs no library, so that a plan can check what is asked for.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from explanations.errors import InputError

CHANNELS = ("magnitude_of_sum", "sum_of_magnitudes", "sum")  # how attributions (n, C, H, W) become maps (n, H, W)
NOISES = ("none", "smoothgrad", "smoothgrad_sq", "vargrad")
LAYERS = ("last", "stages")  # the last layer with positions, or the last of each size of maps
SEGMENTS = ("superpixels", "squares")  # what is removed as one
NORMALISED_BY = ("image", "batch")
CHOICES = {
    **{"noise": NOISES, "channels": ("", *CHANNELS), "layers": LAYERS},
    **{"segments": SEGMENTS, "normalise": NORMALISED_BY},
}
SIZES = {"n_segments": "superpixels", "patch": "squares"}  # of which segments a setting is
BACKWARD = 3  # passes that one forward and one backward pass count as
AUGMENTED = 6  # images that pytorch-grad-cam makes of one: it and its mirror image, at three contrasts


@dataclass(frozen=True)
class Known:
    """What is known of a method without making its maps: settings with their defaults, passes, what it needs.

    `forwards(settings, size)`: how many images pass the network for one map of an image of a height and width; and
    `backward`: whether as many come back; `each`: of what of the network it takes so many, "channel" of the last layer
    with positions, or "stage", a size of maps. `needs`: what a network must have, in words.
    """

    settings: Mapping[str, object] = field(default_factory=dict)
    forwards: Callable[[Mapping, int], int] = lambda settings, size: 0
    backward: bool = False
    needs: str = ""
    each: str = ""


@dataclass(frozen=True)
class Entry:
    """The methods of a source by their names; by none, if it has one alone.

    `path`: whether they take the path of a file or folder; `of`: whether they take another method's name, and its maps.
    `free`: whether they take settings of any name. `extra`: the module of a library that users install themselves, by
    `make extras`. `bounded`: whether they are told the lowest and highest values that pixels have for the network.
    """

    names: Mapping[str, Known]
    path: bool = False
    of: bool = False
    free: bool = False
    extra: str = ""
    bounded: bool = False

    @property
    def taken(self) -> list[str]:
        """The keys that are no settings, and that its methods must have."""
        return [key for key, takes in (("path", self.path), ("of", self.of)) if takes]


def gradient(times: Callable[[Mapping], int] = lambda settings: 1, needs: str = "", **settings: object) -> Known:
    """A method of Captum that takes so many forward and backward passes."""
    return Known({**settings, "channels": ""}, lambda given, size: times(given), True, needs)


def noisy(times: Callable[[Mapping], int] = lambda settings: 1, needs: str = "", **settings: object) -> Known:
    """The same, which can be averaged over noisy images."""

    def count(given: Mapping) -> int:
        return times(given) * (1 if given["noise"] == "none" else given["noise_samples"])

    return gradient(count, needs, **settings, noise="none", noise_samples=20, noise_stdev=0.15)


def sampled(count: Callable[[Mapping, int], int], **settings: object) -> Known:
    """A method of Captum that looks at outputs alone."""
    return Known({**settings, "channels": ""}, count)


def perturbed() -> Known:
    """The same, which draws the segments that it removes: superpixels, or squares."""
    segments = {"n_samples": 200, "segments": SEGMENTS[0], "n_segments": 50, "patch": 8}
    return sampled(lambda given, size: given["n_samples"], **segments)


def count_squares(settings: Mapping, size: int) -> int:
    """How many squares of `patch` pixels cover an image."""
    return (-(-size // settings["patch"])) ** 2


def count_windows(settings: Mapping, size: int) -> int:
    """How many windows, `stride` pixels apart, lie on an image; the last ones reach its edge."""
    window, stride = min(settings["window"], size), min(settings["stride"], size)
    return (-(-(size - window) // stride) + 1) ** 2


def cam(*, backward: bool = True, needs: str = "", each: str = "", **settings: object) -> Known:
    """A method of pytorch-grad-cam, which may be averaged over changed images."""
    return Known(settings, lambda given, size: AUGMENTED if given.get("aug_smooth") else 1, backward, needs, each)


RELU, ONCE = "ReLU modules", "modules of activations, each called once"
CAPTUM = {
    "Saliency": noisy(),
    "InputXGradient": noisy(),
    "IntegratedGradients": noisy(lambda given: given["n_steps"], n_steps=50),
    "GuidedBackprop": noisy(needs=RELU),
    "Deconvolution": noisy(needs=RELU),
    "GuidedGradCam": gradient(lambda given: 2, f"{RELU}, a convolution"),
    "DeepLift": gradient(lambda given: 2, ONCE),
    "GradientShap": gradient(lambda given: given["n_samples"], n_samples=20, stdevs=0.15),
    "LRP": gradient(lambda given: 2, "modules that Captum has rules for"),
    "Occlusion": sampled(lambda given, size: count_windows(given, size) + 1, window=8, stride=4),
    "FeatureAblation": sampled(lambda given, size: count_squares(given, size) + 1, patch=8),
    "KernelShap": perturbed(),
    "Lime": perturbed(),
}
TOKENS = "attention of all tokens to all"
ATTENTION = {name: Known({}, lambda settings, size: 1, needs=TOKENS) for name in ("rollout", "raw")}


def rule(needs: str = "operations that zennit has rules for", **settings: float) -> Known:
    """LRP by a composite of zennit."""
    return Known({**settings, "channels": ""}, lambda given, size: 1, True, needs)


ZENNIT = {
    "Epsilon": rule(epsilon=1e-6),
    "Gamma": rule(gamma=0.25, epsilon=1e-6),
    "ZPlus": rule(),
    "AlphaBeta": rule(beta=1.0),
    "EpsilonPlus": rule(epsilon=1e-6),
    "EpsilonPlusFlat": rule(epsilon=1e-6),
    "EpsilonGammaBox": rule(epsilon=1e-6, gamma=0.25),
    "EpsilonAlpha2Beta1": rule(epsilon=1e-6),
    "EpsilonAlpha2Beta1Flat": rule(epsilon=1e-6),
}
LXT = {
    name: rule("attention, operations that LXT has rules for", epsilon=1e-6, linear_gamma=0.05, conv_gamma=0.25)
    for name in ("AttnLRP", "CPLRP")
}
RISE = Known({"masks": 500, "cells": 7, "kept": 0.5}, lambda given, size: given["masks"])
AUGMENTED_CAM: dict[str, object] = {"aug_smooth": False}
SMOOTHED_CAM = {"eigen_smooth": False, **AUGMENTED_CAM}
GRADCAM = {
    "GradCAM": cam(layers="last", **SMOOTHED_CAM),
    "GradCAMPlusPlus": cam(layers="last", **SMOOTHED_CAM),
    "HiResCAM": cam(layers="last", **AUGMENTED_CAM),
    "XGradCAM": cam(layers="last", **SMOOTHED_CAM),
    "LayerCAM": cam(layers="last", **SMOOTHED_CAM),
    "GradCAMElementWise": cam(layers="last", **SMOOTHED_CAM),
    "EigenCAM": cam(backward=False, **AUGMENTED_CAM),
    "EigenGradCAM": cam(**AUGMENTED_CAM),
    "SegEigenCAM": cam(**AUGMENTED_CAM),
    "KPCA_CAM": cam(backward=False, **AUGMENTED_CAM),
    "ScoreCAM": cam(backward=False, each="channel", **SMOOTHED_CAM),
    "AblationCAM": cam(backward=False, needs="values by channels", each="channel", batch=32, **SMOOTHED_CAM),
    "ShapleyCAM": cam(needs="channels first", **SMOOTHED_CAM),
    "FinerCAM": cam(alpha=1.0, layers="last", eigen_smooth=False),
    "RefineCAM": cam(each="stage"),
}
FULLGRAD = Known({"normalise": NORMALISED_BY[0]}, lambda given, size: 1, True)
POOLED_CAM = Known({}, lambda given, size: 1, needs="a global average pooling, then at most one linear map")
SOURCES = {
    "captum": Entry(CAPTUM),
    "fullgrad": Entry({"": FULLGRAD}),
    "cam": Entry({"": POOLED_CAM}),
    "controls": Entry({"random": Known(), "sobel": Known(), "gaussian": Known({"sigma": 0.25}), "norm": Known()}),
    "mean": Entry({"": Known()}, of=True),
    "blurred": Entry({"": Known({"sigma": 0.03})}, of=True),
    "rise": Entry({"": RISE}),
    "attention": Entry(ATTENTION),
    "gradcam": Entry(GRADCAM, extra="pytorch_grad_cam"),
    "zennit": Entry(ZENNIT, extra="zennit", bounded=True),
    "lxt": Entry(LXT, extra="lxt"),
    "file": Entry({"": Known()}, path=True, free=True),
    "maps": Entry({"": Known()}, path=True),
}
TAKEN = {"path": "the path of a file or folder", "of": "the name of another method"}


def load_source(name: str) -> ModuleType:
    """The module of a source; base.py says what is in it. InputError for a name that none has, or a missing library."""
    if name not in SOURCES:
        raise InputError(f"source is {name}; allowed are {', '.join(SOURCES)}")
    check_extra(name)
    return importlib.import_module(f"{__package__}.{name}")


def check_extra(name: str) -> None:
    """InputError unless the library of a source that is an extra is installed."""
    extra = SOURCES[name].extra
    if extra and importlib.util.find_spec(extra) is None:
        raise InputError(f"source is {name}; its library, {extra}, is not installed: make extras")


def source_module(name: str) -> Path:
    """The file of that module, from the folder that the library is in: what its methods' results depend on."""
    return Path(*__package__.split("."), f"{name}.py")


def say_no_maker(source: str) -> str:
    """Why methods of a source can't make maps of any network and any images, in one line; empty if they can."""
    if SOURCES[source].of:
        return "its maps are made of another method's"
    return "its maps are made elsewhere" if source == "maps" else ""


def find_method(method: Mapping) -> Known:
    """What is known of a method that the configuration asks for; InputError for a source or a name that there isn't."""
    source, name = method.get("source", ""), method.get("name", "")
    if source not in SOURCES:
        raise InputError(f"source is {source}; allowed are {', '.join(SOURCES)}")
    names = SOURCES[source].names
    if "" in names:
        return names[""]
    if name not in names:
        raise InputError(f"name is {name}; allowed are {', '.join(names)}")
    return names[name]


def complete_settings(method: Mapping) -> dict:
    """What the configuration says of a method, with the defaults of what it doesn't say.

    InputError, naming the key, its value and what is allowed, for a source, a name or a setting that there isn't.
    """
    defaults, entry = find_method(method).settings, SOURCES[method["source"]]
    given = {key: value for key, value in method.items() if key not in ("source", "title")}
    known = [*([] if "" in entry.names else ["name"]), *entry.taken, *defaults]
    for key in entry.taken:
        if not isinstance(given.get(key), str) or not given[key]:
            raise InputError(f"{key} is missing; allowed is {TAKEN[key]}")
    if not {"{", "}"}.isdisjoint(str(given.get("path", ""))):
        raise InputError(f"path is {given['path']}; allowed is a path without {{ and }}")
    for key, value in given.items():
        if key not in known and not entry.free:
            allowed = ", ".join(["source", "title", *known])
            raise InputError(
                f"{key} is not a known key of {method.get('name') or method['source']}; allowed are {allowed}"
            )
        if key in defaults:
            _check_setting(key, value, defaults[key])
    complete = {**defaults, **given}
    if complete.get("stride", 0) > complete.get("window", 0):
        raise InputError(f"stride is {complete['stride']}; allowed is at most window, {complete['window']}")
    for key, segments in SIZES.items():
        if key in given and "segments" in defaults and complete["segments"] != segments:
            raise InputError(f"{key} is {given[key]}; allowed with segments: {segments} alone")
    return complete


def count_passes(method: Mapping, size: int, each: Mapping[str, int] | None = None) -> int:
    """How many passes a method's map takes, of an image of a height and width; a backward pass counts as two.

    `each`: how many the network has of what a method may take passes for each of (Known.each); without them it is
    the passes for each. 0 of a file of one's own, of which nobody knows.
    """
    known = find_method(method)
    passes = known.forwards(complete_settings(method), size) * (BACKWARD if known.backward else 1)
    return passes * (each[known.each] if known.each and each else 1)


def _check_setting(key: str, value: object, default: object) -> None:
    """InputError unless a value may stand for a default."""
    if key in CHOICES:
        if value not in CHOICES[key]:
            raise InputError(f"{key} is {value}; allowed are {', '.join(filter(None, CHOICES[key]))}")
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise InputError(f"{key} is {value!r}; allowed are true and false")
    elif isinstance(default, int):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{key} is {value!r}; allowed is a whole number of at least 1")
    elif isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise InputError(f"{key} is {value!r}; allowed is a number above 0")
