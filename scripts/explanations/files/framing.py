"""How image files become what networks see: the words alone; images.py does it, with libraries that few steps need."""

from dataclasses import dataclass
from pathlib import Path

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
CHANNELS = (1, 3, 4)  # grey, RGB, RGBA
AS_STORED, ORIENTATIONS = 1, range(1, 9)  # EXIF's: how a camera was held


@dataclass(frozen=True)
class Framing:
    """How an image becomes a network's square of `size` pixels: resized, then its centre cut out.

    The short side is resized to `resize` pixels, or both sides if `squash`, as torchvision does it with PIL images.
    Pixels have 1 channel (grey), 3 (RGB) or 4 (RGB and alpha).
    """

    size: int
    resize: int
    interpolation: str = "bilinear"
    squash: bool = False
    channels: int = 3


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file, and the EXIF orientation that is undone when it is read; AS_STORED leaves it as it is.

    `content` is the hash that the file had when it was listed, which it must still have; empty if that isn't known.
    `listing` is the list that tells, which is to be made again if the file has changed.
    """

    path: Path
    orientation: int = AS_STORED
    content: str = ""
    listing: Path | None = None
