"""What a file of weights holds, of .safetensors or torch.save: read without running code that may be in it."""

import argparse
import pathlib
import pickle
import pickletools
import re
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import safetensors.torch
import torch

from explanations.errors import InputError

HOW_TO_SAVE = 'save its weights alone: torch.save(model.state_dict(), "weights.pth")'
REFUSED_TYPE = re.compile(r"WeightsUnpickler error.*?(?:GLOBAL|class|type) (\w[\w.]*\w)", re.DOTALL)
UNPRINTABLE = re.compile(r"\x1b\[[0-9;]*m|[^\x20-\x7e]")


def read_weights_file(path: Path) -> dict:
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
