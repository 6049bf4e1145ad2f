"""A method of one's own: a Python file with a function `explain(network, images, targets)`.

`images` (n, C, H, W) are in the network's input space, `targets` (n,) the classes to explain; what comes back are maps
(n, H, W), the larger the more salient. Further keys of the configuration are keyword arguments of the function. A file
that sets `RANDOM = True` gets its images one by one, with the generators of torch, NumPy and Python seeded for each.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from explanations.errors import InputError
from explanations.files.code import describe, import_file
from explanations.methods.sources.base import Method, NotApplicableError


def prepare(settings: Mapping, network: nn.Module, size: tuple[int, int], names: Sequence[str]) -> Method:
    """The file's function; InputError, naming the file, if it can't be imported or has none."""
    path = Path(settings["path"]).expanduser()
    module = import_file(path, "explain(network, images, targets)")
    further = {key: value for key, value in settings.items() if key != "path"}

    def make(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        try:
            return module.explain(network, images, targets, **further)
        except (NotApplicableError, InputError):
            raise
        except Exception as error:  # whatever a user's code raises is one line
            raise InputError(f"{path}: explain raised {describe(error)}") from error

    return Method(make, alone=bool(getattr(module, "RANDOM", False)))
