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

OWN_CODE = "file"  # the source of networks that are code of the user's own

# whether weights are published for a source's networks; where they aren't, its networks are trained here, but for
# those of the user's own, which may have weights of the user's own
SOURCES = {
    "narrow": False,
    "torchvision": True,
    "timm": True,
    OWN_CODE: False,
}


def takes_weights(name: str) -> bool:
    """Whether a source's networks can have weights, published ones or one's own; True of a name that none has."""
    return SOURCES.get(name, True) or name == OWN_CODE


def find_source(name: str) -> "Source":
    """The source of a name; InputError for a name that none has."""
    if name not in SOURCES:
        raise InputError(f"source is {name}; allowed are {', '.join(SOURCES)}")
    return importlib.import_module(f"{__package__}.{name}").SOURCE


def source_file(name: str) -> Path:
    """The file of a source's module, from the folder that the library is in."""
    return Path(*__package__.split("."), f"{name}.py")
