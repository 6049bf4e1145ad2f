"""What a network file says of itself: enough to rebuild the network and to feed it."""

import json
import reprlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from explanations.errors import InputError, make_again
from explanations.files.classes import FEWEST, number_classes
from explanations.files.framing import CHANNELS, INTERPOLATIONS, Framing
from explanations.files.manifests import ManifestRow
from explanations.files.metadata import read_metadata

FORMAT = "explanations-network-3"
VARIANTS = ("original", "zeroed", "decayed")
LARGEST = 4096  # pixels of an image's side
EXTREME = 1e6  # of normalisation, where pixels are in [0, 1]; beyond, float32's inputs would lose them
LATER = ("constructor_hash",)  # keys that the format's first files lack, and others that have nothing to say there
DEEPEST = 20  # levels of what is held in arguments and record


# --- what each key may be ----------------------------------------------------------------------------------------


def is_number(value: object, high: float = sys.float_info.max) -> bool:
    """Whether a value is a number, of magnitude `high` or less; NaN and infinity are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= high


def is_side(value: object) -> bool:
    """Whether a value can be the side of an image, in pixels."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST


def is_text(value: object) -> bool:
    """Whether a value is text."""
    return isinstance(value, str)


def is_plain(value: object, levels: int = DEEPEST) -> bool:
    """Whether a value is text, a finite number, true, false, none, or a list or mapping of such."""
    if isinstance(value, dict):
        return levels > 0 and all(is_text(key) and is_plain(item, levels - 1) for key, item in value.items())
    if isinstance(value, list | tuple):
        return levels > 0 and all(is_plain(item, levels - 1) for item in value)
    return value is None or isinstance(value, str | bool) or is_number(value)


def is_mapping(value: object) -> bool:
    """Whether a value is a mapping of texts to what JSON can hold."""
    return isinstance(value, dict) and is_plain(value)


def is_per_channel(value: object) -> bool:
    """Whether a value is a number for each channel of an image, in the range of pixels times EXTREME at most."""
    return isinstance(value, tuple) and len(value) in CHANNELS and all(is_number(item, EXTREME) for item in value)


MAPPING = (is_mapping, "a mapping of names to texts and finite numbers, lists and mappings of them")
TEXT = (is_text, "text")
ALLOWED: dict[str, tuple[Callable[[object], bool], str]] = {
    **{"source": TEXT, "constructor": TEXT, "arguments": MAPPING},
    "classes": (
        lambda value: isinstance(value, tuple) and len(value) >= FEWEST and all(map(is_text, value)),
        f"{FEWEST} names or more, each of them text",
    ),
    "size": (is_side, f"a whole number from 1 to {LARGEST}"),
    "resize": (is_side, f"a whole number from size to {LARGEST}"),
    "mean": (is_per_channel, f"1, 3 or 4 numbers from {-EXTREME:g} to {EXTREME:g}"),
    "std": (
        lambda value: is_per_channel(value) and min(value) >= 1 / EXTREME,
        f"1, 3 or 4 numbers from {1 / EXTREME:g} to {EXTREME:g}, as many as the means",
    ),
    "interpolation": (lambda value: value in INTERPOLATIONS, ", ".join(INTERPOLATIONS)),
    "squash": (lambda value: isinstance(value, bool), "true or false"),
    "variant": (lambda value: value in VARIANTS, ", ".join(VARIANTS)),
    **{"origin": TEXT, "origin_hash": TEXT, "record": MAPPING, "constructor_hash": TEXT},
}


# --- a network ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NetworkDescription:
    """All that is needed to rebuild a network and to feed it: the metadata of a network file.

    `source` names a family of constructors, `constructor` one of it, `arguments` its keyword arguments. Where the
    constructor is a file of the user's own, `constructor_hash` is its SHA-256.
    Images have their short side resized to `resize` pixels by `interpolation` (both sides if `squash`), and the central
    `size` × `size` pixels cut out; pixel values in [0, 1] are normalised by `mean` and `std` per channel: one of grey
    images, three of RGB, four of RGBA. InputError, naming the key, for a value that is none of its ALLOWED.
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
    constructor_hash: str = ""

    def __post_init__(self):
        bad = [key for key, (is_allowed, _) in ALLOWED.items() if not is_allowed(getattr(self, key))]
        if not bad:
            bad += ["resize"] * (self.resize < self.size) + ["std"] * (len(self.std) != len(self.mean))
        if bad:
            found = " ".join(reprlib.repr(getattr(self, bad[0])).split())
            raise InputError(f"{bad[0]} is {found}; allowed is {ALLOWED[bad[0]][1]}")

    @property
    def framing(self) -> Framing:
        """How an image file becomes the network's square of pixels."""
        return Framing(self.size, self.resize, self.interpolation, self.squash, self.channels)

    @property
    def channels(self) -> int:
        """How many channels the network's images have."""
        return len(self.mean)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the network's images."""
        return self.channels, self.size, self.size

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
        said = {key: value for key, value in asdict(self).items() if value or key not in LATER}
        return {"format": FORMAT, **{key: json.dumps(value) for key, value in said.items()}}


def read_description(path: Path) -> NetworkDescription:
    """Read a network file's description; InputError, naming the file, if it is no whole network file, or changed."""
    return parse_description(path, read_metadata(path, FORMAT, make_again(path)))


def parse_description(path: Path, metadata: dict[str, str]) -> NetworkDescription:
    """The description that a network file's metadata hold; InputError, naming the file, if they hold none."""
    keys = [entry.name for entry in fields(NetworkDescription) if entry.name in metadata or entry.name not in LATER]
    absent = [key for key in keys if key not in metadata]
    if absent:
        raise InputError(f"{path}: not a whole network file; its metadata lack {', '.join(absent)}")
    values = {}
    for key in keys:
        try:
            values[key] = json.loads(metadata[key])
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: {key} can't be read as JSON ({error})") from None
    for key in ("classes", "mean", "std"):
        values[key] = tuple(values[key]) if isinstance(values[key], list) else values[key]
    try:
        return NetworkDescription(**values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
