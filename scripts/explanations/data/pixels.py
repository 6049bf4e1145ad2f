"""Pixels of an image file that is open: whether they can be used, and their values in 8 bits and so many channels."""

import struct

import numpy as np
from PIL import Image
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION

from explanations.files.framing import AS_STORED, ORIENTATIONS

MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # PIL's, by number of channels
# what PIL raises for an orientation that is none
BAD_EXIF = (OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error)
WHITE_IS_ZERO = 0  # of TIFF: large values are dark, which PIL undoes of 8 bits but not of 16


def find_problem(file: Image.Image) -> str:
    """Why the pixels of a loaded file can't become 8-bit numbers; empty if they can."""
    if file.mode in ("I", "F") and largest_value(file) is None:
        kind = "32-bit integers" if file.mode == "I" else "floats"
        return f"its pixels are {kind} ({file.mode}), whose range isn't known; allowed are images of 8 or 16 bits"
    return ""


def largest_value(file: Image.Image) -> int | None:
    """The largest value that a grey pixel of more than 8 bits can have in a loaded file, as the file states it."""
    if file.mode.startswith("I;16"):
        bits = file.tag_v2.get(BITSPERSAMPLE, (16,))[0] if file.format == "TIFF" else 16
        return 2**bits - 1
    return 2**16 - 1 if (file.mode, file.format) == ("I", "PPM") else None  # PIL stretches them to that


def convert(file: Image.Image, channels: int) -> Image.Image:
    """The pixels of a loaded file in 1 (grey), 3 (RGB) or 4 channels (RGBA), 8 bits each.

    More than 8 bits are scaled by their range: 65535 becomes 255. An alpha channel is dropped, or added as opaque.
    """
    top = largest_value(file)
    image: Image.Image = file
    if top is not None:
        values = np.asarray(file)
        if file.format == "TIFF" and file.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO:
            values = top - values
        image = Image.fromarray(np.rint(values * (255 / top)).astype(np.uint8))
    elif "transparency" in file.info or file.mode in ("LA", "PA", "La"):
        image = file.convert("RGBA")
    elif file.mode not in ("L", *MODES.values()):
        image = file.convert("RGB")
    return image.convert(MODES[channels])


def is_one_colour(file: Image.Image) -> bool:
    """Whether all pixels of a loaded file are the same in RGB."""
    return all(low == high for low, high in convert(file, 3).getextrema())


def is_transparent(file: Image.Image) -> bool:
    """Whether no pixel of a loaded file is opaque, not even in part."""
    return file.has_transparency_data and convert(file, 4).getchannel("A").getextrema()[1] == 0


def read_orientation(file: Image.Image) -> int:
    """The EXIF orientation of a loaded file, 1 if it has none; of TIFF, which PIL turns itself, it is 1."""
    try:
        orientation = file.getexif().get(Base.Orientation, AS_STORED)
    except BAD_EXIF:
        return AS_STORED
    return int(orientation) if orientation in ORIENTATIONS else AS_STORED
