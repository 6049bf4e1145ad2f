"""Folders of images as they lie on disk: which files count as images, whatever links and systems have left beside them.

Needs the standard library alone: the workflow asks when it is planned, where no other library need be installed.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from explanations.errors import InputError
from explanations.text import is_one_line

# what torchvision's ImageFolder takes, and two more that Pillow reads
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif", ".jfif")
# what systems leave in folders, beside all that is hidden
LITTER = {
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
    *("@eadir", "lost+found", "__pycache__"),
}
HIDDEN, LISTED_ALREADY = "hidden, or left by a system", "links to folders that are listed already"


class ImageFile(NamedTuple):
    """An image file below a folder: its path there, with slashes; its size in bytes; when it was modified, in ns.

    Size and time of a link that leads nowhere are −1.
    """

    path: str
    size: int
    time: int


def list_folder(folder: Path) -> tuple[list[ImageFile], Counter[str]]:
    """The image files of a folder and of all folders in it, in order of their paths' parts; how many others there are.

    The others are counted by ending, hidden ones and links to listed folders apart. InputError if there is no image,
    or if one of the folders can't be read.
    """
    if not folder.is_dir():
        raise InputError(f"images.folder: {folder} is no folder; expected a folder of images")
    passed_over: Counter[str] = Counter()
    found = list(walk_images(folder, passed_over))
    if not found:
        raise InputError(f"images.folder: {folder} holds no images; allowed are files ending in {' '.join(ENDINGS)}")
    found.sort(key=lambda file: file.path.split("/"))
    return found, passed_over


def check_names(folder: Path, files: Sequence[ImageFile]) -> None:
    """InputError unless all names are UTF-8 without control characters, which neither tables nor logs could hold."""
    bad = [file.path for file in files if not is_one_line(file.path)]
    if bad:
        rest = f" (and {len(bad) - 1} others)" if len(bad) > 1 else ""
        allowed = "allowed are names in UTF-8, without line breaks and other control characters"
        raise InputError(f"images.folder: {folder} holds {bad[0]!a}{rest}; {allowed}")


def holds_images(folder: Path) -> bool:
    """Whether there is an image file in a folder, or in any folder in it."""
    return folder.is_dir() and any(True for _ in walk_images(folder, Counter()))


def is_litter(name: str) -> bool:
    """Whether a file or folder of that name is hidden, or what a system left."""
    return name.startswith(".") or name.lower() in LITTER


def walk_images(folder: Path, passed_over: Counter[str]) -> Iterator[ImageFile]:
    """The image files of a folder and of all folders in it, in no order of use; InputError if one can't be read.

    A folder is entered once: what stands here itself comes first, then what links lead to, the topmost links first. A
    link that leads to a folder that is listed already, or that holds the link, is passed over.
    """
    try:
        yield from _walk(folder, passed_over)
    except OSError as error:
        raise InputError(f"images.folder: {error.filename}: can't be listed ({error.strerror})") from None


def _walk(folder: Path, passed_over: Counter[str]) -> Iterator[ImageFile]:
    entered, starts = {_identity(folder)}, [(str(folder), "")]
    while starts:
        links: list[tuple[str, str]] = []
        for start in starts:
            yield from _walk_past_links(start, entered, links, passed_over)
        links.sort(key=lambda link: (link[1].count("/"), link[1]))
        starts = [link for link in links if _enter(link[0], entered)]
        if len(starts) < len(links):
            passed_over[LISTED_ALREADY] += len(links) - len(starts)


def _walk_past_links(
    start: tuple[str, str], entered: set[tuple[int, int]], links: list[tuple[str, str]], passed_over: Counter[str]
) -> Iterator[ImageFile]:
    """The image files below a folder; links to folders are collected, each with the path that stands for it."""
    waiting = [start]
    while waiting:
        folder, above = waiting.pop()
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            below, ending = f"{above}{entry.name}", os.path.splitext(entry.name)[1].lower()
            if is_litter(entry.name):
                passed_over[HIDDEN] += 1
            elif _is_folder(entry):
                if entry.is_symlink():
                    links.append((entry.path, f"{below}/"))
                elif _enter(entry.path, entered):
                    waiting.append((entry.path, f"{below}/"))
            elif ending in ENDINGS and (entry.is_file() or entry.is_symlink()):  # a pipe would never end
                yield ImageFile(below, *_look_at(entry))
            else:
                passed_over[ending or "without an ending"] += 1


def _enter(folder: str, entered: set[tuple[int, int]]) -> bool:
    """Note that a folder is entered; no if it was before, or if it is a link to a folder that holds the link."""
    identity = _identity(folder)
    if identity in entered:
        return False
    if os.path.islink(folder):
        own, target = (os.path.realpath(path) for path in (os.path.dirname(folder), folder))
        if os.path.commonpath([own, target]) == target:
            return False
    entered.add(identity)
    return True


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _look_at(entry: os.DirEntry) -> tuple[int, int]:
    try:
        status = entry.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns
