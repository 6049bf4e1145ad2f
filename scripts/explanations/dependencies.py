"""What a script's results depend on: its own file and the library's that it imports, directly or not."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path


def find_sources(script: Path, *named: Path) -> list[Path]:
    """A step's script, the modules beside it that it imports, and theirs: sorted paths, the script's among them.

    `named` are files of modules that it imports by name, which no import statement shows. A package's `__init__.py` is
    imported with every module in it. What isn't beside the script, as numpy, is left out.
    """
    found: set[Path] = set()
    waiting = [script, *named]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path, script.parent)
    return sorted(found)


@functools.cache
def _imports(path: Path, root: Path) -> list[Path]:
    """The files below `root` that a Python file imports by itself."""
    return [file for name in _names(path) for file in _files(name, root)]


def _names(path: Path) -> Iterator[str]:
    """The modules that a file's import statements name: `from a import b` may mean the module a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(name: str, root: Path) -> Iterator[Path]:
    """The file of a module, and its packages' `__init__.py`, if they are below `root`."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        package = root.joinpath(*parts[:length], "__init__.py")
        if package.is_file():
            yield package
    module = root.joinpath(*parts).with_suffix(".py")
    if module.is_file():
        yield module
