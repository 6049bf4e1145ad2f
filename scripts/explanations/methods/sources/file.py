"""A method of one's own: a Python file with a function `explain(network, images, targets)`.

`images` (n, C, H, W) are in the network's input space, `targets` (n,) the classes to explain; what comes back are maps
(n, H, W), the larger the more salient. Further keys of the configuration are keyword arguments of the function. A file
that sets `RANDOM = True` gets its images one by one, with the generators of torch, NumPy and Python seeded for each.
"""

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from torch import Tensor, nn

from explanations.errors import InputError
from explanations.methods.sources.base import Method, NotApplicableError

LINES = 300  # letters of what the file's own error says


def prepare(settings: Mapping, network: nn.Module, size: tuple[int, int], names: Sequence[str]) -> Method:
    """The file's function; InputError, naming the file, if it can't be imported or has none."""
    path = Path(settings["path"]).expanduser()
    module = import_file(path)
    explain = getattr(module, "explain", None)
    if not callable(explain):
        raise InputError(f"{path}: has no function explain(network, images, targets)")
    further = {key: value for key, value in settings.items() if key != "path"}

    def make(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        try:
            return explain(network, images, targets, **further)
        except (NotApplicableError, InputError):
            raise
        except Exception as error:  # whatever a user's code raises is one line
            said = " ".join(str(error).split())[:LINES]
            raise InputError(f"{path}: explain raised {type(error).__name__}: {said}") from error

    return Method(make, alone=bool(getattr(module, "RANDOM", False)))


def import_file(path: Path) -> ModuleType:
    """A Python file as a module; InputError, naming the file, if that can't be."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; allowed is a Python file with a function explain")
    spec = importlib.util.spec_from_file_location(f"user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # syntax, imports, whatever it does
        said = " ".join(str(error).split())[:LINES]
        raise InputError(f"{path}: can't be imported, {type(error).__name__}: {said}") from error
    return module
