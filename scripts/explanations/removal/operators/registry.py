"""The removal operators that there are: a line each, and a file of the same name beside this one.

A new operator is such a file, with `make(pictures, setting)`, and a line here; `removal.operators` names it then. The
setting, if it has one, is a number: the field of its name in RemovalSettings, `removal.<name>` in the configuration.
"""

import importlib
from pathlib import Path
from types import ModuleType

from explanations.errors import check_choice
from explanations.files.operators import PAPERS_OPERATOR

OPERATORS = {  # titles for tables
    PAPERS_OPERATOR: "a colour",
    "mean": "the image's mean colour",
    "black": "black",
    "blur": "a blurred copy",
    "road": "noisy linear imputation",
}


def load_operator(name: str) -> ModuleType:
    """The module that makes an operator of a name. InputError for one that isn't listed."""
    check_choice("removal.operators", name, tuple(OPERATORS))
    return importlib.import_module(f"{__package__}.{name}")


def operator_file(name: str) -> Path:
    """The file of an operator's module, from the folder that the library is in: what its results depend on."""
    return Path(*__package__.split("."), f"{name}.py")
