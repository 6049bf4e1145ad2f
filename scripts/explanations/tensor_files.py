"""safetensors files with a hash of their tensors and of their metadata, by which a reader knows that nothing changed.

The metadata's hash is over all other metadata, the tensors' hash among them. Metadata alone is read without torch,
which figures do not need.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors

from explanations.command import InputError, whole_file

if TYPE_CHECKING:
    from torch import Tensor

HASH, TENSORS = "hash", "tensors"  # of the metadata, of the tensors; keys of the metadata
ALIGNMENT = 8  # bytes
DTYPES = {  # safetensors' names of torch's
    **{"torch.float64": "F64", "torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16"},
    **{"torch.int64": "I64", "torch.int32": "I32", "torch.int16": "I16", "torch.int8": "I8", "torch.uint8": "U8"},
    **{"torch.complex64": "C64", "torch.bool": "BOOL"},
}


def write_tensors(path: Path, tensors: Mapping[str, "Tensor"], metadata: Mapping[str, str]) -> None:
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
        if str(tensor.dtype) not in DTYPES:
            raise InputError(f"{path}: {name} is of type {tensor.dtype}; allowed are {', '.join(DTYPES)}")
        shape = list(tensor.shape)
        header[name] = {"dtype": DTYPES[str(tensor.dtype)], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(view_bytes(tensors[name]))


def read_metadata(path: Path, file_format: str, remedy: str) -> dict[str, str]:
    """The metadata of a file that `write_tensors` wrote, whose `format` must be `file_format`.

    InputError, which names the file and ends with the remedy, if it is missing, truncated, of another format or if the
    metadata has changed since it was written.
    """
    with _open(path, "np", remedy) as file:
        return _check_metadata(path, file.metadata() or {}, file_format, remedy)


def read_tensors(path: Path, file_format: str, remedy: str) -> tuple[dict[str, str], dict[str, "Tensor"]]:
    """The metadata and tensors of a file that `write_tensors` wrote; errors as `read_metadata`'s, of tensors too."""
    with _open(path, "pt", remedy) as file:
        metadata = _check_metadata(path, file.metadata() or {}, file_format, remedy)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
        if hash_tensors(tensors) != metadata[TENSORS]:
            raise InputError(f"{path}: changed since it was written (its weights); {remedy}")
    return metadata, tensors


@contextmanager
def _open(path: Path, framework: str, remedy: str) -> Iterator[safetensors.safe_open]:
    try:
        with safetensors.safe_open(path, framework) as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"{path}: no such network file") from None
    except (safetensors.SafetensorError, OSError) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{path}: truncated, or not a safetensors file ({text}); {remedy}") from None


def _check_metadata(path: Path, metadata: dict[str, str], file_format: str, remedy: str) -> dict[str, str]:
    found, (kind, _, _) = metadata.get("format", ""), file_format.rpartition("-")
    if not found.startswith(f"{kind}-"):
        raise InputError(f"{path}: not a file of this workflow; its metadata must name format {file_format}; {remedy}")
    if found != file_format:
        raise InputError(f"{path}: of format {ascii(found)[1:-1]}; read is {file_format}; {remedy}")
    rest = {key: value for key, value in metadata.items() if key != HASH}
    if metadata.get(HASH) != hash_metadata(rest) or TENSORS not in metadata:
        raise InputError(f"{path}: changed since it was written (its metadata); {remedy}")
    return metadata


def hash_metadata(metadata: Mapping[str, str]) -> str:
    """SHA-256 of metadata, in hexadecimal."""
    return hashlib.sha256(json.dumps(sorted(metadata.items())).encode()).hexdigest()


def hash_tensors(tensors: Mapping[str, "Tensor"]) -> str:
    """SHA-256 of tensors' names, types, shapes and numbers, in hexadecimal; CPUs have instructions for it."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(view_bytes(tensor))
    return digest.hexdigest()


def view_bytes(tensor: "Tensor") -> memoryview:
    """The bytes of a tensor's numbers; of one that lies on the CPU in order they are not copied."""
    import torch

    return memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
