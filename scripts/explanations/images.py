"""Image files: what is wrong with them, and their pixels as a network sees them."""

import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION

from explanations.command import InputError, make_again
from explanations.fingerprints import hash_bytes
from explanations.framing import AS_STORED, ORIENTATIONS, Framing, Picture

T, R = TypeVar("T"), TypeVar("R")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # PIL's, by number of channels
TURNS = {  # what undoes an EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what PIL raises for a bad file
BAD_EXIF = (OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error)  # and for an orientation that is none
WHITE_IS_ZERO = 0  # of TIFF: large values are dark, which PIL undoes of 8 bits but not of 16
AHEAD = 2  # batches that are being worked on while one is used


# --- files -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inspection:
    """What is known of an image file that was read to its end.

    `mode` is that of its pixels (RGB, L, CMYK, …); `problem` says why they can't be used, empty if they can. `pages`
    counts its pages or frames, of which the first is used; `one_colour` is true if that is a single colour in RGB.
    """

    mode: str
    problem: str
    orientation: int
    pages: int
    one_colour: bool


def inspect_image(path: Path) -> Inspection:
    """Read a file to its end; InputError, naming it, if that can't be done."""
    try:
        with Image.open(path) as file:
            mode, size = file.mode, file.size
            file.draft(None, (1, 1))  # a JPEG is read to its end, but not transformed at full size
            file.load()
            pages, orientation, problem = getattr(file, "n_frames", 1), read_orientation(file), find_problem(file)
            one_colour = not problem and is_one_colour(file)
            drafted = file.size not in (size, size[::-1])
        if one_colour and drafted:  # what is one colour in small need not be
            with Image.open(path) as file:
                one_colour = is_one_colour(file)
    except UNREADABLE as error:
        raise _unreadable(path, error) from None
    return Inspection(mode, problem, orientation, pages, one_colour)


def load_image(picture: Picture, framing: Framing) -> np.ndarray:
    """Read one image as (channels, size, size) uint8, its EXIF orientation undone if it is given.

    InputError, naming the file, if it is missing, can't be used or is not what it was when it was listed.
    """
    path = picture.path
    if framing.channels not in MODES:
        allowed = "allowed are 1 (grey), 3 (RGB) and 4 (RGB and alpha)"
        raise InputError(f"images can't be read in {framing.channels} channels; {allowed}")
    content = read_content(picture)
    try:
        with Image.open(BytesIO(content)) as file:
            file.load()
            problem = find_problem(file)
            image = None if problem else convert(file, framing.channels)
    except UNREADABLE as error:
        raise _unreadable(path, error) from None
    if image is None:
        raise InputError(f"{path}: {problem}")
    if picture.orientation != AS_STORED:
        image = image.transpose(TURNS[picture.orientation])
    pixels = np.asarray(frame(image, framing))
    return pixels.reshape(framing.size, framing.size, framing.channels).transpose(2, 0, 1)


def read_content(picture: Picture) -> bytes:
    """An image file's content, which must be what it was when the image was listed, if that is known."""
    try:
        content = picture.path.read_bytes()
    except OSError as error:
        raise _unreadable(picture.path, error) from None
    if picture.content and hash_bytes(content) != picture.content:
        remedy = f"put it back, or {make_again(picture.listing, 'the list')}"
        raise InputError(f"{picture.path}: changed since it was listed; {remedy}")
    return content


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such image")
    unknown = isinstance(error, UnidentifiedImageError)  # whose text names an object in memory
    text = "of no known format" if unknown else (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{path}: can't be read as an image ({text})")


def frame(image: Image.Image, framing: Framing) -> Image.Image:
    """Resize an image and cut out its centre; what the cut lacks is black."""
    short, size = min(image.size), framing.size
    wanted = tuple(framing.resize if framing.squash else framing.resize * length // short for length in image.size)
    if image.size != wanted:
        image = image.resize(wanted, Image.Resampling[framing.interpolation.upper()])
    left, top = (round((length - size) / 2) for length in image.size)
    return image.crop((left, top, left + size, top + size))


# --- pixels ------------------------------------------------------------------------------------------------------


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


def read_orientation(file: Image.Image) -> int:
    """The EXIF orientation of a loaded file, 1 if it has none; of TIFF, which PIL turns itself, it is 1."""
    try:
        orientation = file.getexif().get(Base.Orientation, AS_STORED)
    except BAD_EXIF:
        return AS_STORED
    return int(orientation) if orientation in ORIENTATIONS else AS_STORED


# --- many files --------------------------------------------------------------------------------------------------


def load_images(pictures: Sequence[Picture], framing: Framing, threads: int = 1) -> np.ndarray:
    """Read images as (n, channels, size, size) uint8."""
    return next(read_batches([pictures], framing, threads))


def read_batches(batches: Iterable[Sequence[Picture]], framing: Framing, threads: int = 1) -> Iterator[np.ndarray]:
    """Read batches of images, each as (n, channels, size, size) uint8, in the order given.

    A file that can't be read raises InputError.
    """

    def load(picture: Picture) -> np.ndarray:
        return load_image(picture, framing)

    return map(np.stack, map_batches(load, batches, threads))


def map_batches(work: Callable[[T], R], batches: Iterable[Sequence[T]], threads: int) -> Iterator[list[R]]:
    """What a function makes of each item of each batch, batch by batch, in the order given.

    `threads` work ahead of what is used, some batches at most: memory does not grow with the number of items.
    """
    if threads == 1:
        yield from (list(map(work, batch)) for batch in batches)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[list[Future[R]]] = deque()
        batches = iter(batches)
        try:
            while True:
                for batch in islice(batches, AHEAD + 1 - len(waiting)):
                    waiting.append([pool.submit(work, item) for item in batch])
                if not waiting:
                    return
                yield [future.result() for future in waiting.popleft()]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
