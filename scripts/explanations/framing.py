"""How image files become what networks see: the word alone; images.py does it, with libraries that few steps need."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Framing:
    """How an image becomes a network's square of `size` pixels: resized, then its centre cut out.

    The short side is resized to `resize` pixels, or both sides if `squash`, as torchvision does it with PIL images.
    channels: 1 grey, 3 RGB, 4 RGBA.
    """

    size: int
    resize: int
    interpolation: str = "bilinear"
    squash: bool = False
    channels: int = 3
