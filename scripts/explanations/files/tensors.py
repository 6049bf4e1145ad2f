"""safetensors files with hashes of their tensors and metadata, by which a reader knows whether they changed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from explanations.errors import InputError
from explanations.files.metadata import (
    DTYPES,
    HASH,
    TENSORS,
    check_metadata,
    describe_tensor,
    hash_metadata,
    open_tensors,
)
from explanations.files.writing import whole_file

ALIGNMENT = 8  # bytes
NAMES = {name: short for short, name in DTYPES.items()}  # safetensors' of torch's


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors, wherever they are, and metadata as one safetensors file; equal contents are equal files.

    One tensor at a time is brought to the CPU, or in order. InputError for a type of number that has no name there.
    """
    metadata = {**metadata, TENSORS: hash_tensors(tensors)}
    header: dict = {"__metadata__": dict(sorted({**metadata, HASH: hash_metadata(metadata)}.items()))}
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # so that all are aligned
    end = 0
    for name in names:
        tensor, start = tensors[name], end
        end += tensor.numel() * tensor.element_size()
        if str(tensor.dtype) not in NAMES:
            raise InputError(f"{path}: {name} is of type {tensor.dtype}; allowed are {', '.join(NAMES)}")
        shape = list(tensor.shape)
        header[name] = {"dtype": NAMES[str(tensor.dtype)], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(view_bytes(tensors[name]))


def read_tensors(path: Path, file_format: str, remedy: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata and tensors of a file that `write_tensors` wrote; errors as `read_metadata`'s, of tensors too."""
    with open_tensors(path, "pt", remedy) as file:
        metadata = check_metadata(path, file.metadata() or {}, file_format, remedy)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
        if hash_tensors(tensors) != metadata[TENSORS]:
            raise InputError(f"{path}: changed since it was written (its weights); {remedy}")
    return metadata, tensors


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors' names, types, shapes and numbers, in hexadecimal; CPUs have instructions for it."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(describe_tensor(name, str(tensor.dtype), tensor.shape))
        digest.update(view_bytes(tensor))
    return digest.hexdigest()


def view_bytes(tensor: Tensor) -> memoryview:
    """The bytes of a tensor's numbers; of one that lies on the CPU in order they are not copied."""
    return memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
