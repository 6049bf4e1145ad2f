"""The metadata of safetensors files with a hash of themselves, by which a reader knows that nothing changed.

The hash is over all other metadata, that of the file's tensors among them. Needs no torch, which figures have not.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import safetensors

from explanations.errors import InputError

HASH, TENSORS = "hash", "tensors"  # of the metadata, of the tensors; keys of the metadata
DTYPES = {  # torch's names of safetensors'
    **{"F64": "torch.float64", "F32": "torch.float32", "F16": "torch.float16", "BF16": "torch.bfloat16"},
    **{"I64": "torch.int64", "I32": "torch.int32", "I16": "torch.int16", "I8": "torch.int8", "U8": "torch.uint8"},
    **{"C64": "torch.complex64", "BOOL": "torch.bool"},
}


def read_metadata(path: Path, file_format: str, remedy: str) -> dict[str, str]:
    """The metadata of a file of tensor_files.py, whose `format` must be `file_format`.

    InputError, which names the file and ends with the remedy, if it is missing, truncated, of another format or if the
    metadata has changed since it was written.
    """
    with open_tensors(path, "np", remedy) as file:
        return check_metadata(path, file.metadata() or {}, file_format, remedy)


@contextmanager
def open_tensors(path: Path, framework: str, remedy: str) -> Iterator[safetensors.safe_open]:
    """Open a safetensors file for a framework, np or pt; InputError, which ends with the remedy, for what is none."""
    try:
        with safetensors.safe_open(path, framework) as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"{path}: no such network file") from None
    except (safetensors.SafetensorError, OSError) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{path}: truncated, or not a safetensors file ({text}); {remedy}") from None


def check_metadata(path: Path, metadata: dict[str, str], file_format: str, remedy: str) -> dict[str, str]:
    """The metadata, if they are of a format and what they were when they were written; InputError if not."""
    found, (kind, _, _) = metadata.get("format", ""), file_format.rpartition("-")
    if not found.startswith(f"{kind}-"):
        raise InputError(f"{path}: not a file of this workflow; its metadata must name format {file_format}; {remedy}")
    if found != file_format:
        raise InputError(f"{path}: of format {ascii(found)[1:-1]}; read is {file_format}; {remedy}")
    rest = {key: value for key, value in metadata.items() if key != HASH}
    if metadata.get(HASH) != hash_metadata(rest) or TENSORS not in metadata:
        raise InputError(f"{path}: changed since it was written (its metadata); {remedy}")
    return metadata


def check_weights(path: Path, remedy: str) -> None:
    """InputError unless a file's tensors are what they were when it was written; a tensor at a time is in memory."""
    with open_tensors(path, "np", remedy) as file:
        wanted = (file.metadata() or {}).get(TENSORS)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        digest = hashlib.sha256()
        for name in sorted(header.keys() - {"__metadata__"}):
            entry = header[name]
            start, end = entry["data_offsets"]
            file.seek(8 + length + start)
            digest.update(describe_tensor(name, DTYPES[entry["dtype"]], entry["shape"]))
            digest.update(file.read(end - start))
    if digest.hexdigest() != wanted:
        raise InputError(f"{path}: changed since it was written (its weights); {remedy}")


def describe_tensor(name: str, dtype: str, shape: Sequence[int]) -> bytes:
    """What the hash of tensors holds of each, before its numbers."""
    return json.dumps([name, dtype, list(shape)]).encode()


def hash_metadata(metadata: Mapping[str, str]) -> str:
    """SHA-256 of metadata, in hexadecimal."""
    return hashlib.sha256(json.dumps(sorted(metadata.items())).encode()).hexdigest()
