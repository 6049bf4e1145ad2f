"""A network that is code of the user's own: a Python file with a function `build(**arguments)`.

What can be said of it without running it, from its text; sources/file.py runs it. Needs the standard library alone: the
workflow's plan uses it too.
"""

import ast
from collections.abc import Collection, Mapping
from pathlib import Path

from explanations.errors import InputError
from explanations.files.hashes import file_hash
from explanations.networks.sources.registry import OWN_CODE

FUNCTION = "build"
CLASSES = "num_classes"  # the argument that says how many classes there are
STATED = ("size", "mean", "std")  # of how images are made ready, which no library states of such a network


def constructor_of(network: Mapping) -> str:
    """What builds a network of the configuration: its constructor's name, or the path of the user's own file."""
    return network["path"] if network["source"] == OWN_CODE else network["constructor"]


def hash_builder(path: str | Path) -> str:
    """The SHA-256 of a file that builds a network; InputError, naming it, if it can't be read."""
    try:
        return file_hash(Path(path).expanduser())
    except OSError:
        raise InputError(_absent(path)) from None


def read_parameters(path: str | Path) -> ast.arguments:
    """The parameters of a file's function; InputError, naming the file, if it is absent, no Python or has none."""
    try:
        tree = ast.parse(Path(path).expanduser().read_bytes())
    except OSError:
        raise InputError(_absent(path)) from None
    except (SyntaxError, ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if getattr(error, "lineno", None) else ""
        raise InputError(f"{path}: no Python{line} ({getattr(error, 'msg', error)})") from None
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == FUNCTION]
    if not found:
        raise InputError(f"{path}: has no function {FUNCTION}(**arguments)")
    return found[-1].args


def takes_classes(path: str | Path) -> bool:
    """Whether a file's function takes the number of classes."""
    found = read_parameters(path)
    return found.kwarg is not None or CLASSES in _names(found)


def check_arguments(path: str | Path, given: Collection[str]) -> None:
    """InputError, naming the argument, unless a file's function takes those that are given, and needs no others."""
    found = read_parameters(path)
    names = _names(found)
    unknown = next((name for name in given if name not in names), None)
    if unknown and found.kwarg is None:
        raise InputError(f"arguments.{unknown} is none of {FUNCTION}'s in {path}; allowed are {', '.join(names)}")
    count = len(found.args) - len(found.defaults)
    by_keyword = zip(found.kwonlyargs, found.kw_defaults, strict=True)
    needed = [*found.args[: max(count, 0)], *(each for each, default in by_keyword if default is None)]
    lacking = next((each.arg for each in needed if each.arg not in given), None)
    if lacking:
        raise InputError(f"arguments.{lacking} is missing; {FUNCTION} in {path} takes it")


def check_trainable(path: str | Path) -> None:
    """InputError unless a file's function takes the number of classes, which those of the images say."""
    if not takes_classes(path):
        said = f"{FUNCTION} takes no {CLASSES}, and a network that is trained here has the classes of its images"
        raise InputError(f"{path}: {said}")


def check_stated(weights: str, classes: object, preprocessing: Mapping) -> None:
    """InputError, naming the key, unless all is said of weights of a network that no library knows.

    `weights` is their name, which they can't have; `classes` their number or names.
    """
    if weights:
        raise InputError(f"weights.name is {weights}; nothing is published of a network of source {OWN_CODE}")
    if not classes:
        raise InputError(f"classes is missing; a network of source {OWN_CODE} goes with it")
    lacking = next((key for key in STATED if key not in preprocessing), None)
    if lacking:
        said = f"a network of source {OWN_CODE} with weights goes with {', '.join(STATED[:-1])} and {STATED[-1]}"
        raise InputError(f"preprocessing.{lacking} is missing; {said}")


def check_configured(network: Mapping) -> None:
    """InputError, naming the key, unless what the configuration says of such a network fits its file."""
    path, given, weights = network["path"], dict(network["arguments"]), network.get("weights")
    if not {"{", "}"}.isdisjoint(path):
        raise InputError(f"path is {path}; allowed is a path without {{ and }}")
    try:
        if weights is None:
            check_trainable(path)
        counted = takes_classes(path)
    except InputError as error:
        raise InputError(f"path is {error}") from None
    if weights is not None:
        classes = network.get("classes") or given.get(CLASSES)
        check_stated(weights.get("name", ""), classes, network.get("preprocessing", {}))
        if not weights.get("url") and not weights.get("package"):
            raise InputError(f"weights.url is missing; nothing is published of a network of source {OWN_CODE}")
    check_arguments(path, {**given, CLASSES: None} if counted else given.keys() - {CLASSES})


def _names(found: ast.arguments) -> list[str]:
    """The parameters that can be given by name."""
    return [each.arg for each in (*found.args, *found.kwonlyargs)]


def _absent(path: str | Path) -> str:
    return f"{path}: no such file; allowed is a Python file with a function {FUNCTION}(**arguments)"
