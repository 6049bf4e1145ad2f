"""Manifests: CSV files that fix which images are measured, and what they show."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from explanations.errors import InputError, check_range
from explanations.files.framing import AS_STORED, ORIENTATIONS, Picture
from explanations.files.writing import whole_file
from explanations.text import from_cell, is_one_line, to_cell

COLUMNS = ("index", "path", "class", "label", "orientation", "content")
UNLABELLED = -1  # the label of an image whose class isn't known
HIGHEST_LABEL = 2**31 - 1  # far more classes than any network has
ALL, CHOSEN = "test_images.csv", "manifest.csv"  # the list of all test images, and the manifest drawn from it
SHORT_CLASSES = ("stop", "skip")


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One image: its place in the manifest, its file below the folder of images, its class and label.

    The label is the class's place among a network's outputs; UNLABELLED, with an empty class, if it isn't known.
    `orientation` is the EXIF orientation, 1 to 8, that is undone when the image is read; 1 leaves pixels as they are
    stored. `content` is a hash of the file, so that whatever is made from a manifest is made again if an image changes.
    """

    index: int
    path: str
    class_name: str
    label: int
    orientation: int = AS_STORED
    content: str = ""

    def picture(self, folder: Path, manifest: Path) -> Picture:
        """The image's file, in the folder that a manifest's paths are below, how it is turned, and what it must be."""
        listing = manifest.with_name(ALL) if manifest.name == CHOSEN else manifest
        return Picture(folder / self.path, self.orientation, self.content, listing)


def choose_images(
    rows: Sequence[ManifestRow], classes: int, per_class: int, seed: int, short_classes: str, manifest: Path
) -> list[ManifestRow]:
    """Draw `classes` classes and `per_class` images of each, in the order of class and path; number them anew.

    Classes with fewer images are an InputError, or left out of the draw and named, as `short_classes` says. Unlabelled
    images are drawn as if they were of one class.
    """
    labels = np.array([row.label for row in rows])
    rng = np.random.default_rng(seed)
    if (labels == UNLABELLED).all():
        if classes * per_class > len(rows):
            wanted = f"images.classes × images.per_class is {classes * per_class}"
            raise InputError(f"{wanted}; {manifest} holds {len(rows)} images")
        return _renumber(rows, rng.choice(len(rows), classes * per_class, replace=False))
    known, counts = np.unique(labels, return_counts=True)
    names = {row.label: row.class_name for row in rows}
    if short_classes == "skip":
        for label, count in zip(known, counts, strict=True):
            if count < per_class:
                print(f"left out: class {names[label]} holds {count} images; images.per_class is {per_class}")
        known = known[counts >= per_class]
    if classes > len(known):
        enough = f" with {per_class} images or more" if short_classes == "skip" else ""
        raise InputError(f"images.classes is {classes}; {manifest} holds {len(known)} classes{enough}")
    chosen = []
    for label in known[np.sort(rng.choice(len(known), classes, replace=False))]:
        members = np.flatnonzero(labels == label)
        if per_class > len(members):
            found = f"class {names[label]} holds {len(members)} images"
            raise InputError(f"images.per_class is {per_class}; {manifest}: {found}")
        chosen.append(rng.choice(members, per_class, replace=False))
    return _renumber(rows, *chosen)


def _renumber(rows: Sequence[ManifestRow], *groups: np.ndarray) -> list[ManifestRow]:
    chosen = [rows[k] for group in groups for k in np.sort(group)]
    return [replace(row, index=index) for index, row in enumerate(chosen)]


def write_manifest(path: Path, rows: Sequence[ManifestRow]) -> None:
    """Write a manifest as CSV, with COLUMNS; read_manifest reads the same text, whatever names look like."""
    with whole_file(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow(
                (row.index, to_cell(row.path), to_cell(row.class_name), row.label, row.orientation, row.content)
            )


def read_manifest(path: Path) -> list[ManifestRow]:
    """Read a manifest; its rows must be numbered 0, 1, … in order, each of an image of its own in the folder.

    InputError, naming the file and the image, for what can't be.
    """
    try:
        with open(path, newline="") as file:
            reader = csv.reader(file)
            if tuple(next(reader, ())) != COLUMNS:
                raise InputError(f"{path}: not a manifest; its columns must be {', '.join(COLUMNS)}")
            rows = [
                ManifestRow(int(index), from_cell(name), from_cell(kind), int(label), int(orientation), content)
                for index, name, kind, label, orientation, content in reader
            ]
    except FileNotFoundError:
        raise InputError(f"{path}: no such manifest") from None
    except (ValueError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a manifest ({error})") from None
    if [row.index for row in rows] != list(range(len(rows))) or not rows:
        raise InputError(f"{path}: its rows must be numbered 0, 1, … and be at least one")
    seen = set()
    for row in rows:
        problem = find_problem(row)
        if not problem and row.path in seen:
            problem = f"{row.path} is there twice; each image counts once"
        if problem:
            raise InputError(f"{path}: {problem}")
        seen.add(row.path)
    return rows


def find_problem(row: ManifestRow) -> str:
    """What is wrong with a row of a manifest by itself; empty if nothing is."""
    place = PurePosixPath(row.path)
    if not is_one_line(row.path + row.class_name):
        return f"image {row.index} is {row.path!a} of class {row.class_name!a}; allowed is printable text"
    if not row.path or place.is_absolute() or ".." in place.parts:
        return f"image {row.index} is {row.path or 'empty'}; allowed are paths inside the folder of images"
    if row.orientation not in ORIENTATIONS:
        return f"orientation {shorten(row.orientation)} of {row.path}; allowed are 1 to 8"
    if not UNLABELLED <= row.label <= HIGHEST_LABEL:
        allowed = f"allowed are {UNLABELLED}, not known, to {HIGHEST_LABEL}"
        return f"label {shorten(row.label)} of {row.path}; {allowed}"
    return ""


def check_labels(rows: Sequence[ManifestRow], classes: int, manifest: Path) -> None:
    """InputError if an image has a label that is beyond a network's number of classes."""
    for row in rows:
        if row.label >= classes:
            raise InputError(f"{manifest}: label {row.label} of {row.path}; the network has {classes} classes")


def shorten(number: int) -> str:
    """A whole number, in 20 digits at most."""
    text = str(number)
    return text if len(text) <= 20 else f"{text[:20]}…"


def choose_block(rows: Sequence[ManifestRow], shard: int, shard_size: int, manifest: Path) -> Sequence[ManifestRow]:
    """The rows of block `shard`, of `shard_size` images; InputError if the manifest has none there."""
    check_range("--shard", shard, low=0)
    block = rows[shard * shard_size : (shard + 1) * shard_size]
    if not block:
        raise InputError(f"--shard is {shard}; {manifest} has no images from {shard * shard_size} on")
    return block
