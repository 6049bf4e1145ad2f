"""Files of weights as people have them: which weights in them are taken, and by which names. No code in them is run.

A file holds tensors by name; or those beside an optimiser's state and settings, under a key such as `state_dict` or
`model`; or as part of a larger module, behind a prefix such as `module.` or `model.`. What is taken and what is left
out of it is printed.
"""

import argparse
import pathlib
import pickle
import pickletools
import re
import types
import zipfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from explanations.command import InputError

USUAL_KEYS = ("state_dict", "model", "model_state_dict")  # taken before others, the first before the second
WRAPPERS = ("module.", "model.", "net.", "network.")  # of modules that hold a network and nothing else
COMPILED = "_orig_mod."  # torch.compile's, wherever a module was compiled
AVERAGED = re.compile(r"(^|[._])(ema|swa|shadow)([._]|$)|averag", re.IGNORECASE)  # means over training: the last choice
COUNTER = ".num_batches_tracked"  # older files have none
HOW_TO_SAVE = 'save its weights alone: torch.save(model.state_dict(), "weights.pth")'
REFUSED_TYPE = re.compile(r"WeightsUnpickler error.*?(?:GLOBAL|class|type) (\w[\w.]*\w)", re.DOTALL)
UNPRINTABLE = re.compile(r"\x1b\[[0-9;]*m|[^\x20-\x7e]")
SHOWN = 8  # names in a message

Weights = dict[str, Tensor]


def read_checkpoint(path: Path, names: Collection[str], key: str = "") -> Weights:
    """The weights that a file holds, by the names that a network, whose own are `names`, has for them.

    `key` says which, where there are several. InputError, naming the file, if it holds none, or if it isn't clear which
    are meant. Whether they fit the network is for who loads them to see: names that are its family's older ones stay.
    """
    chosen, rest = choose(read_content(path), path, key)
    return unwrap(chosen, path, names, rest)


# --- content -----------------------------------------------------------------------------------------------------


def read_content(path: Path) -> dict:
    """What a .safetensors file or one of torch.save holds; InputError, naming the file, if it is something else."""
    if holds_program(path):
        raise InputError(f"{path}: a TorchScript program, not a file of weights; {HOW_TO_SAVE}")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with torch.serialization.safe_globals(harmless_types()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and safetensors fail in as many ways as files can be broken
        raise InputError(f"{path}: {explain(error, path)}") from None
    if not isinstance(content, dict):
        found = type(content).__name__
        raise InputError(f"{path}: not a file of weights; expected a dictionary of tensors, not a {found}")
    return content


def harmless_types() -> list:
    """What training scripts keep beside weights and what holds values alone: settings, paths, numpy's numbers."""
    dtypes = {type(np.dtype(code)) for code in np.typecodes["All"]}
    calls = {"scalar": np.float64(0).__reduce__()[0], "_reconstruct": np.zeros(0).__reduce__()[0]}
    numpys = [(call, f"numpy.{core}.multiarray.{name}") for name, call in calls.items() for core in ("core", "_core")]
    paths = [
        (getattr(pathlib, f"Pure{name}"), f"{module}.{name}")  # Windows' own can't be made elsewhere
        for name in ("PosixPath", "WindowsPath")
        for module in ("pathlib", "pathlib._local")
    ]
    return [argparse.Namespace, types.SimpleNamespace, np.dtype, np.ndarray, *dtypes, *numpys, *paths]


def holds_program(path: Path) -> bool:
    """Whether a file is one of torch.jit.save: code and weights."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def explain(error: Exception, path: Path) -> str:
    """Why a file can't be read, in plain words: torch's are many lines, some of them in colour."""
    found = REFUSED_TYPE.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
    if found is None:
        if isinstance(error, KeyError | EOFError | pickle.UnpicklingError):  # their texts mean nothing to a reader
            return "not a file of weights (torch.save didn't write it, or it is cut off)"
        text = UNPRINTABLE.sub("", (str(error).splitlines() or [type(error).__name__])[0])
        return f"not a file of weights ({text.partition('. ')[0]})"
    if any(name.startswith("torch.nn.modules.") for name in pickled_types(path)):
        return f"a whole pickled network ({found[1]}), which is not loaded since that runs code; {HOW_TO_SAVE}"
    return f"holds a {found[1]}, which is not loaded since that could run code; {HOW_TO_SAVE}"


def pickled_types(path: Path) -> set[str]:
    """The types and functions that a file of torch.save names; found by reading it, nothing is made of them."""
    found = set()
    try:
        for stream in open_pickles(path):
            operations = pickletools.genops(stream)
            found |= {argument.replace(" ", ".") for code, argument, _ in operations if code.name == "GLOBAL"}
    except ValueError:
        pass  # broken further on
    return found


def open_pickles(path: Path) -> Iterator[IO[bytes]]:
    """A file of torch.save, at the start of each pickle up to that of its content."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith("data.pkl"):
                    with archive.open(name) as stream:
                        yield stream
    else:  # as before 2020: a number, a version, what the machine is like, and the content
        with path.open("rb") as stream:
            yield from [stream] * 4


# --- which weights -----------------------------------------------------------------------------------------------


def choose(content: dict, path: Path, key: str) -> tuple[Weights, str]:
    """The weights of a file that are meant, and what of `key` is left: a prefix of their names, if any."""
    if holds_weights(content):
        return content, key
    found = list_weights(content)
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not found and tensors:  # beside a count of epochs, say
        print(
            f"{path}: left out, which are no tensors: {shorten(str(name) for name in content.keys() - tensors.keys())}"
        )
        return tensors, key
    if not found:
        held = f"holds {shorten(map(str, content))}" if content else "is empty"
        raise InputError(f"{path}: not a file of weights; expected tensors by name, alone or under a key; it {held}")
    if key in found:
        return found[key], ""
    if key:
        behind = [name for name, weights in found.items() if any(other.startswith(f"{key}.") for other in weights)]
        if len(behind) != 1:
            raise InputError(f"weights.key is {key}; {path} holds {shorten(found)}")
        return found[behind[0]], key
    taken = prefer(found, path)
    others = [name for name in found if name != taken]
    print(f"{path}: {taken} is taken" + (f"; weights.key can choose {shorten(others)} instead" if others else ""))
    return found[taken], ""


def holds_weights(value: object) -> bool:
    """Whether something is a dictionary of tensors by name."""
    return (
        isinstance(value, dict)
        and len(value) > 0
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


def list_weights(content: dict) -> dict[str, Weights]:
    """All dictionaries of tensors in another, by key; by two keys with a dot between where they are in a third."""
    found = {}
    for key, value in content.items():
        if holds_weights(value):
            found[str(key)] = value
        elif isinstance(value, dict):
            found |= {f"{key}.{inner}": weights for inner, weights in value.items() if holds_weights(weights)}
    return found


def prefer(found: Iterable[str], path: Path) -> str:
    """Which of several keys is meant; InputError if that isn't clear."""
    plain = [key for key in found if not AVERAGED.search(key)] or list(found)
    usual = [key for key in USUAL_KEYS if key in plain]
    if not usual and len(plain) > 1:
        raise InputError(f"weights.key is missing; {path} holds {shorten(plain)}")
    return (usual or plain)[0]


def shorten(names: Iterable[str]) -> str:
    """Names as a list, not longer than a line takes."""
    names = list(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} others" if len(names) > SHOWN else "")


# --- by which names ----------------------------------------------------------------------------------------------


def unwrap(weights: Weights, path: Path, names: Collection[str], key: str = "") -> Weights:
    """Weights without the prefix that a larger module's names have: `key`, or the one behind which all `names` are.

    Where the network's names are none of the file's, what all of it has in common goes if it is a known wrapper's.
    """
    plain = {name.replace(COMPILED, ""): tensor for name, tensor in weights.items()}
    if len(plain) < len(weights):
        raise InputError(f"{path}: holds weights twice, with {COMPILED} in their names and without")
    if plain.keys() != weights.keys():
        print(f"{path}: {COMPILED} is taken out of its names")
    prefixes = find_prefixes(plain, names)
    if key:
        prefix = f"{key.removesuffix('.')}."
        if not any(name.startswith(prefix) for name in plain):
            known = [found.removesuffix(".") for found in prefixes if found]
            held = known or dict.fromkeys(name.partition(".")[0] for name in plain)
            raise InputError(f"weights.key is {key}; {path} holds names that start with {shorten(held)}")
    elif "" in prefixes:
        prefix = ""
    elif prefixes:
        prefix = f"{prefer([found.removesuffix('.') for found in prefixes], path)}."
    else:
        prefix = common_wrapper(plain)
    others = [] if key else [found for found in prefixes if found != prefix]
    if others:
        chosen = f"what starts with {prefix}" if prefix else "what has the network's own names"
        named = shorten(found.removesuffix(".") for found in others)
        print(f"{path}: {chosen} is taken; weights.key can choose {named} instead")
    own = {name for name in plain if name.startswith(prefix)}
    if not prefix:
        own -= {name for name in own - set(names) if name.startswith(tuple(others))}
    rest = [name for name in plain if name not in own]
    if prefix:
        print(f"{path}: the prefix {prefix} is taken off {len(own)} names")
    if rest:
        print(f"{path}: left out: {shorten(rest)}")
    return {name.removeprefix(prefix): tensor for name, tensor in plain.items() if name in own}


def find_prefixes(weights: Weights, names: Collection[str]) -> list[str]:
    """The prefixes behind which a file has all of a network's names."""
    wanted = {name for name in names if not name.endswith(COUNTER)}
    first = min(wanted, default="")
    prefixes = (name.removesuffix(first) for name in weights if name.endswith(first))
    return [
        prefix
        for prefix in prefixes
        if (not prefix or prefix.endswith(".")) and all(f"{prefix}{name}" in weights for name in wanted)
    ]


def common_wrapper(weights: Weights) -> str:
    """The known wrappers' prefix that all names of a file have."""
    prefix = ""
    while True:
        wrapper = next((end for end in WRAPPERS if all(name.startswith(prefix + end) for name in weights)), None)
        if wrapper is None:
            return prefix
        prefix += wrapper
