"""Image files: what is wrong with them, and their pixels as a network sees them."""

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

from explanations.data.pixels import MODES, convert, find_problem, is_one_colour, is_transparent, read_orientation
from explanations.errors import InputError, make_again
from explanations.files.framing import AS_STORED, Framing, Picture
from explanations.files.hashes import hash_bytes

T, R = TypeVar("T"), TypeVar("R")
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
AHEAD = 2  # batches that are being worked on while one is used


# --- files -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inspection:
    """What is known of an image file that was read to its end.

    `mode` is that of its pixels (RGB, L, CMYK, …); `problem` says why they can't be used, empty if they can. `pages`
    counts its pages or frames, of which the first is used; `one_colour` is true if that is a single colour in RGB,
    `transparent` if nothing of it can be seen.
    """

    mode: str
    problem: str
    orientation: int
    pages: int
    one_colour: bool
    transparent: bool


def inspect_image(path: Path) -> Inspection:
    """Read a file to its end; InputError, naming it, if that can't be done."""
    try:
        with Image.open(path) as file:
            mode, size = file.mode, file.size
            file.draft(None, (1, 1))  # a JPEG is read to its end, but not transformed at full size
            file.load()
            pages, orientation, problem = getattr(file, "n_frames", 1), read_orientation(file), find_problem(file)
            one_colour = not problem and is_one_colour(file)
            transparent = not problem and is_transparent(file)
            drafted = file.size not in (size, size[::-1])
        if one_colour and drafted:  # what is one colour in small need not be
            with Image.open(path) as file:
                one_colour = is_one_colour(file)
    except UNREADABLE as error:
        raise _unreadable(path, error) from None
    return Inspection(mode, problem, orientation, pages, one_colour, transparent)


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
