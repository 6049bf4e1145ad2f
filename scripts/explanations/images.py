"""Image files: folders of them, what is wrong with them, and their pixels as a network sees them."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from explanations.command import InputError
from explanations.framing import Framing

EXTENSIONS = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".tif", ".tiff")
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what PIL raises for a bad file
ON_UNREADABLE = ("stop", "skip")
AHEAD = 2  # batches that are being read while one is used


# --- folders -----------------------------------------------------------------------------------------------------


def list_images(folder: Path) -> tuple[list[str], list[Path], np.ndarray]:
    """The class names, the image files and their (n,) labels of a folder <class>/<file>, all in sorted order."""
    if not folder.is_dir():
        raise InputError(f"images.folder: {folder} is no folder; expected a folder of images, one subfolder per class")
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise InputError(f"images.folder: {folder} holds no class folders; expected images, as <class>/<file>")
    paths, labels = [], []
    for label, name in enumerate(classes):
        files = find_images(folder / name)
        paths += files
        labels += [label] * len(files)
    return classes, paths, np.array(labels)


def find_images(folder: Path) -> list[Path]:
    """The image files of a folder and of all folders in it, whatever their names, in sorted order."""
    if not folder.is_dir():
        raise InputError(f"images.folder: {folder} is no folder; expected a folder of images")
    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if name.lower().endswith(EXTENSIONS)]
    if not found:
        raise InputError(f"images.folder: {folder} holds no images; allowed are files ending in {' '.join(EXTENSIONS)}")
    return sorted(found)


# --- files -------------------------------------------------------------------------------------------------------


def inspect_image(path: Path) -> str:
    """The mode that a file's pixels are in (RGB, L, CMYK, …); InputError, naming it, if it can't be read whole."""
    try:
        with Image.open(path) as file:
            mode = file.mode
            file.draft(None, (1, 1))  # a JPEG is read to its end, but not transformed at full size
            file.load()
    except UNREADABLE as error:
        raise _unreadable(path, error) from None
    return mode


def load_image(path: Path, framing: Framing) -> np.ndarray:
    """Read one image as (3, size, size) uint8 RGB; InputError, naming the file, if it is missing or unreadable."""
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except UNREADABLE as error:
        raise _unreadable(path, error) from None
    return np.asarray(frame(image, framing)).transpose(2, 0, 1)


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such image")
    return InputError(f"{path}: can't be read as an image ({str(error).splitlines()[0]})")


def frame(image: Image.Image, framing: Framing) -> Image.Image:
    """Resize an image and cut out its centre; what the cut lacks is black."""
    short, size = min(image.size), framing.size
    wanted = tuple(framing.resize if framing.squash else framing.resize * length // short for length in image.size)
    if image.size != wanted:
        image = image.resize(wanted, INTERPOLATIONS[framing.interpolation])
    left, top = (round((length - size) / 2) for length in image.size)
    return image.crop((left, top, left + size, top + size))


# --- many files --------------------------------------------------------------------------------------------------


def load_images(paths: Sequence[Path], framing: Framing, threads: int = 1) -> np.ndarray:
    """Read images as (n, 3, size, size) uint8."""
    return next(read_batches([paths], framing, threads))


def read_batches(
    batches: Iterable[Sequence[Path]], framing: Framing, threads: int = 1, *, skip: bool = False
) -> Iterator[np.ndarray]:
    """Read batches of image files, each as (n, 3, size, size) uint8, in the order given.

    `threads` read ahead of what is used, some batches at most: memory does not grow with the number of images. A file
    that can't be read raises InputError; if `skip` it is named on standard output and its batch is smaller.
    """
    if threads == 1:
        for paths in batches:
            yield _stack([_try_image(path, framing, skip) for path in paths], framing)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[list[Future]] = deque()
        batches = iter(batches)
        try:
            while True:
                for paths in islice(batches, AHEAD + 1 - len(waiting)):
                    waiting.append([pool.submit(_try_image, path, framing, skip) for path in paths])
                if not waiting:
                    return
                yield _stack([future.result() for future in waiting.popleft()], framing)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _try_image(path: Path, framing: Framing, skip: bool) -> np.ndarray | None:
    try:
        return load_image(path, framing)
    except InputError as error:
        if not skip:
            raise
        print(f"left out: {error}", flush=True)
        return None


def _stack(images: Sequence[np.ndarray | None], framing: Framing) -> np.ndarray:
    images = [image for image in images if image is not None]
    return np.stack(images) if images else np.empty((0, 3, framing.size, framing.size), np.uint8)
