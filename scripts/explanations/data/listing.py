"""Listings of images: which classes their folders stand for, which files can be used."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path

from explanations.data.folders import ENDINGS, ImageFile, is_litter
from explanations.data.images import Inspection, inspect_image, map_batches
from explanations.data.sets import LABELS
from explanations.errors import InputError
from explanations.files.framing import AS_STORED
from explanations.files.hashes import hash_content
from explanations.files.manifests import UNLABELLED, ManifestRow
from explanations.progress import progress

ON_UNREADABLE = ("stop", "skip")
ON_OTHER_MODES = ("convert", "skip", "stop")
ON_ORIENTATION = ("ignore", "apply")
BATCH = 64  # files that are looked at together


def list_labelled(images: Path, files: Sequence[ImageFile], labels: str) -> list[ManifestRow]:
    """The image files of a folder, by class: its folders in sorted order, ImageNet's of those names, or unknown.

    Files that lie in no class folder are left out and counted on standard output, unless classes are unknown.
    """
    if labels not in LABELS:
        raise InputError(f"images.labels is {labels}; allowed are {', '.join(LABELS)}")
    if labels == "none":
        return [ManifestRow(index, file.path, "", UNLABELLED) for index, file in enumerate(files)]
    filed = [(file.path, file.path.partition("/")[0]) for file in files if "/" in file.path]
    if len(filed) < len(files):
        print(f"passed over: {len(files) - len(filed)} images that are in no class folder")
    folders = list_classes(images, {folder for _, folder in filed})
    classes = {folder: (folder, label) for label, folder in enumerate(folders)}
    if labels == "imagenet":
        from explanations.data.imagenet import (
            class_names,
            find_class,
        )

        found = {folder: find_class(folder) for folder in folders}
        classes = {folder: (class_names()[label], label) for folder, label in found.items()}
    rows = [(path, *classes[folder]) for path, folder in filed]
    rows.sort(key=lambda row: row[2])  # files stay in order: Python's sort is stable
    return [ManifestRow(index, path, name, label) for index, (path, name, label) in enumerate(rows)]


def list_classes(images: Path, filled: set[str]) -> list[str]:
    """The class folders in sorted order, given those that hold images; InputError if there is none, or an empty one."""
    for entry in sorted(images.iterdir()):
        if entry.name in filled or is_litter(entry.name) or not entry.is_dir():
            continue
        if not entry.is_symlink():
            raise InputError(f"images.folder: {entry} holds no images; allowed are files ending in {' '.join(ENDINGS)}")
        print(f"passed over: {entry}, a link to a folder that is listed already, or holds no images")
    if not filled:
        raise InputError(f"images.folder: {images} holds no class folders; expected images, as <class>/<file>")
    return sorted(filled)


def check_files(
    rows: Sequence[ManifestRow], images: Path, unreadable: str, other_modes: str, orientation: str, threads: int
) -> tuple[list[ManifestRow], dict[str, str]]:
    """Read every file once: the images that can be used, numbered anew, and the hash of every file, by its path.

    `unreadable` (stop, skip) says what becomes of files that can't be read or whose pixels have no known range,
    `other_modes` (convert, skip, stop) of grey, CMYK and other images that aren't RGB; InputError to stop. With
    `orientation` (ignore, apply), images are to be turned as their EXIF orientation says. All that are dropped or
    converted are named on standard output, and so are those of one colour and of more than one page.
    """
    for key, value, allowed in (
        ("unreadable", unreadable, ON_UNREADABLE),
        ("other_modes", other_modes, ON_OTHER_MODES),
        ("orientation", orientation, ON_ORIENTATION),
    ):
        if value not in allowed:
            raise InputError(f"images.{key} is {value}; allowed are {', '.join(allowed)}")
    kept, contents, turned = [], {}, 0
    batches = ([images / row.path for row in rows[k : k + BATCH]] for k in range(0, len(rows), BATCH))
    with closing(map_batches(_inspect, batches, threads)) as inspected:  # an error reads no more
        found = chain.from_iterable(inspected)
        for row, (content, seen) in zip(rows, progress(found, "check images", len(rows), "image"), strict=True):
            contents[row.path] = content
            if not is_usable(images / row.path, seen, unreadable, other_modes):
                continue
            if seen.one_colour:
                print(f"one colour: {images / row.path}")
            if seen.pages > 1:
                print(f"first of {seen.pages} pages or frames: {images / row.path}")
            turned += seen.orientation != AS_STORED
            used = seen.orientation if orientation == "apply" else AS_STORED
            kept.append(replace(row, index=len(kept), orientation=used, content=content))
    if not kept:
        raise InputError(f"images.folder: {images} holds no image that can be used")
    if turned:
        what = "are turned so" if orientation == "apply" else "are used as stored; images.orientation: apply turns them"
        print(f"{turned} images have an EXIF orientation other than as stored, and {what}")
    for name in sorted({row.class_name for row in rows} - {row.class_name for row in kept}):
        print(f"left out: class {name}, none of whose images can be used")
    return kept, contents


def is_usable(path: Path, seen: Inspection | InputError, unreadable: str, other_modes: str) -> bool:
    """Whether an image is used, as two keys say, or InputError. Says what is left out, and what is converted."""
    if isinstance(seen, InputError):
        if unreadable == "stop":
            raise InputError(f"{seen}; images.unreadable: skip leaves such files out")
        print(f"left out: {seen}")
        return False
    if seen.problem:
        message = f"{path}: {seen.problem}"
        key, value = ("unreadable", unreadable) if other_modes == "convert" else ("other_modes", other_modes)
        if value == "stop":
            raise InputError(f"{message}; images.{key}: skip leaves such files out")
        print(f"left out: {message}")
        return False
    if seen.mode != "RGB":
        message = f"{path}: its pixels are {seen.mode}, not RGB"
        if other_modes == "stop":
            raise InputError(f"{message}; images.other_modes: convert or skip allows such files")
        print(f"{'left out' if other_modes == 'skip' else 'converted'}: {message}")
        return other_modes != "skip"
    return True


def _inspect(path: Path) -> tuple[str, Inspection | InputError]:
    try:
        return hash_content(path), inspect_image(path)
    except InputError as error:
        return hash_content(path), error
