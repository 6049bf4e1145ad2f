"""The saliency methods that there are: a line each, and a file of the same name beside this one that makes the maps.

A new method that reads the decomposition is such a file (base.py says what it holds) and a line here; a network's
`explain` names it. The line is read wherever names are, so it needs no library.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from explanations.errors import InputError


@dataclass(frozen=True)
class Entry:
    """What is known of a method without making its maps: a title for figures, in which {} is the layer.

    `of_layers`: it makes a map for each layer. `signed`: the title of the same map ranked by a instead of |a|, if it
    can be (Suppl. D).
    """

    title: str
    of_layers: bool = False
    signed: str = ""


METHODS = {
    "gradient": Entry("Gradient"),
    "input": Entry("Input"),
    "gradcam": Entry("Grad-CAM"),
    "activity_with_input": Entry("All layers\nand input"),
    "fullgrad": Entry("FullGrad"),
    "fullgrad_feature": Entry("FullGrad\nper feature"),
    "activity": Entry("Layer {}", of_layers=True, signed="Signed\nlayer {}"),
    "bias": Entry("Bias of\nlayer {}", of_layers=True),
    "activity_from": Entry("Layers {}\nand up", of_layers=True, signed="Signed\nfrom layer {}"),
}


def load_method(kind: str) -> ModuleType:
    """The module that makes the maps of a kind; base.py says what is in it. InputError for a kind that isn't listed."""
    if kind not in METHODS:
        raise InputError(f"method is {kind}; allowed are {', '.join(METHODS)}")
    return importlib.import_module(f"explanations.methods.{kind}")


def method_file(kind: str) -> Path:
    """The file of that module, from the folder that the library is in: what a kind's results depend on."""
    return Path(*__package__.split("."), f"{kind}.py")
