"""The sources of networks by name: a line here, and beside this file a module of that name, which holds SOURCE.

A source's module is imported only where a network is of that source. Needs the standard library alone: the workflow's
plan uses it too.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from explanations.errors import InputError

if TYPE_CHECKING:
    from explanations.networks.sources.base import Source

# whether weights are published for a source's networks; where they aren't, its networks are trained here
SOURCES = {
    "narrow": False,
    "torchvision": True,
    "timm": True,
}


def find_source(name: str) -> "Source":
    """The source of a name; InputError for a name that none has."""
    if name not in SOURCES:
        raise InputError(f"source is {name}; allowed are {', '.join(SOURCES)}")
    return importlib.import_module(f"{__package__}.{name}").SOURCE


def source_file(name: str) -> Path:
    """The file of a source's module, from the folder that the library is in."""
    return Path(*__package__.split("."), f"{name}.py")
