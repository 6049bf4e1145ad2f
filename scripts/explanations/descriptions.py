"""What a network file says of itself: enough to rebuild the network and to feed it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import safetensors

from explanations.classes import FEWEST, number_classes
from explanations.command import InputError
from explanations.framing import Framing
from explanations.manifests import ManifestRow

FORMAT = "explanations-network-2"


@dataclass(frozen=True)
class NetworkDescription:
    """All that is needed to rebuild a network and to feed it: the metadata of a network file.

    `source` names a family of constructors, `constructor` one of it, `arguments` its keyword arguments.
    Images have their short side resized to `resize` pixels by `interpolation` (both sides if `squash`), and the central
    `size` × `size` pixels cut out; pixel values in [0, 1] are normalised by `mean` and `std` per channel: one of grey
    images, three of RGB, four of RGBA.
    """

    source: str
    constructor: str
    arguments: dict
    classes: tuple[str, ...]
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int
    interpolation: str = "bilinear"
    squash: bool = False
    variant: str = "original"
    origin: str = ""  # where the weights came from
    origin_hash: str = ""  # SHA-256 of the file that they came from, if any
    record: dict = field(default_factory=dict)  # of the training: settings and accuracy

    @property
    def framing(self) -> Framing:
        """How an image file becomes the network's square of pixels."""
        return Framing(self.size, self.resize, self.interpolation, self.squash, self.channels)

    @property
    def channels(self) -> int:
        """How many channels the network's images have."""
        return len(self.mean)

    @property
    def named(self) -> bool:
        """Whether the names of its classes are known, not their number alone."""
        return self.classes != number_classes(len(self.classes))

    def name_classes(self, rows: Iterable[ManifestRow]) -> tuple[str, ...]:
        """The names of its classes; if those aren't known, the names that labelled images have for them."""
        if self.named:
            return self.classes
        labelled = {row.label: row.class_name for row in rows}
        return tuple(labelled.get(index, name) for index, name in enumerate(self.classes))

    def with_variant(self, variant: str, origin: str, origin_hash: str, record: dict) -> "NetworkDescription":
        """The description of a variant made from this network."""
        return replace(self, variant=variant, origin=origin, origin_hash=origin_hash, record=record)

    def to_metadata(self) -> dict[str, str]:
        """The description as a safetensors file's metadata."""
        return {"format": FORMAT, **{key: json.dumps(value) for key, value in asdict(self).items()}}


def read_description(path: Path) -> NetworkDescription:
    """Read a network file's description; InputError, naming the file, if it is no whole network file."""
    try:
        with safetensors.safe_open(path, "np") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise InputError(f"{path}: no such network file") from None
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path}: truncated, or not a safetensors file ({error})") from None
    keys = {entry.name for entry in fields(NetworkDescription)}
    if metadata.get("format") != FORMAT or keys - metadata.keys():
        raise InputError(f"{path}: not a network file of this workflow; its metadata must name format {FORMAT}")
    try:
        values = {key: json.loads(metadata[key]) for key in keys}
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: its metadata can't be read as JSON ({error})") from None
    for key in ("classes", "mean", "std"):
        values[key] = tuple(values[key])
    if len(values["classes"]) < FEWEST:
        raise InputError(f"{path}: a network of {len(values['classes'])} class; a decision needs {FEWEST} or more")
    return NetworkDescription(**values)


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """A file's hash, SHA-256 or another of hashlib's, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
