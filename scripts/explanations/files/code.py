"""Python files of the user's own, as modules: code that is run, where the configuration or a command names it alone."""

import hashlib
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from explanations.errors import InputError

LONGEST = 300  # letters of what the file's own error says


class _AsItIs(SourceFileLoader):
    """Compiles what the file holds now: Python's own cache compares sizes and seconds, and lies beside the file."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def import_file(path: Path, signature: str) -> ModuleType:
    """A Python file as a module that has a function, `explain(network, images, targets)` say.

    InputError, in one line that names the file, if there is no such file or function, or importing it raises.
    """
    function = signature.partition("(")[0]
    if not path.is_file():
        raise InputError(f"{path}: no such file; allowed is a Python file with a function {function}")
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]  # files of one name, in two folders, are two modules
    name = f"user_{path.stem}_{digest}"
    spec = spec_from_file_location(name, path, loader=_AsItIs(name, str(path)))
    module = module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for it
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # syntax, imports, whatever it does
        raise InputError(f"{path}: can't be imported, {describe(error)}") from error
    if not callable(getattr(module, function, None)):
        raise InputError(f"{path}: has no function {signature}")
    return module


def describe(error: Exception) -> str:
    """What a user's code raised, in a line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:LONGEST]}"
