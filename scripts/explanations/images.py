"""Folders of images, <split>/<class>/<file>, and manifests that fix which of them are evaluated."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from explanations.command import InputError, check_range, progress, whole_file
from explanations.framing import Framing

EXTENSIONS = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".tif", ".tiff")
MANIFEST_COLUMNS = ("index", "path", "class", "label")


INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class ManifestRow:
    """One evaluated image: its place in the manifest, its file below the split's folder, its class and label."""

    index: int
    path: str
    class_name: str
    label: int


def list_images(folder: Path) -> tuple[list[str], list[Path], np.ndarray]:
    """The class names, the image files and their (n,) labels of a folder <class>/<file>, all in sorted order."""
    if not folder.is_dir():
        raise InputError(f"images.folder: {folder} is no folder; expected a folder of images, one subfolder per class")
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise InputError(f"images.folder: {folder} holds no class folders; expected images, as <class>/<file>")
    paths, labels = [], []
    for label, name in enumerate(classes):
        files = sorted(file for file in (folder / name).iterdir() if file.suffix.lower() in EXTENSIONS)
        if not files:
            allowed = f"allowed are files ending in {' '.join(EXTENSIONS)}"
            raise InputError(f"images.folder: {folder / name} holds no images; {allowed}")
        paths += files
        labels += [label] * len(files)
    return classes, paths, np.array(labels)


def load_images(paths: Sequence[Path], framing: Framing, description: str = "") -> np.ndarray:
    """Read images as (n, 3, size, size) uint8.

    Raises InputError with the file's name for a missing or unreadable image.
    """
    images = np.empty((len(paths), 3, framing.size, framing.size), np.uint8)
    for index, path in enumerate(progress(paths, description, unit="image") if description else paths):
        images[index] = load_image(Path(path), framing)
    return images


def load_image(path: Path, framing: Framing) -> np.ndarray:
    """Read one image as (3, size, size) uint8 RGB."""
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except FileNotFoundError:
        raise InputError(f"{path}: no such image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: can't be read as an image ({str(error).splitlines()[0]})") from None
    return np.asarray(frame(image, framing)).transpose(2, 0, 1)


def frame(image: Image.Image, framing: Framing) -> Image.Image:
    """Resize an image and cut out its centre; what the cut lacks is black."""
    short, size = min(image.size), framing.size
    wanted = tuple(framing.resize if framing.squash else framing.resize * length // short for length in image.size)
    if image.size != wanted:
        image = image.resize(wanted, INTERPOLATIONS[framing.interpolation])
    left, top = (round((length - size) / 2) for length in image.size)
    return image.crop((left, top, left + size, top + size))


def choose_images(folder: Path, classes: int, per_class: int, seed: int) -> list[ManifestRow]:
    """Draw `classes` classes and `per_class` images of each, in the order of class and file name."""
    names, paths, labels = list_images(folder)
    if classes > len(names):
        raise InputError(f"images.classes is {classes}; {folder} holds {len(names)} classes")
    rng = np.random.default_rng(seed)
    rows: list[ManifestRow] = []
    for label in np.sort(rng.choice(len(names), classes, replace=False)):
        members = np.flatnonzero(labels == label)
        if per_class > len(members):
            raise InputError(f"images.per_class is {per_class}; {folder / names[label]} holds {len(members)} images")
        for member in np.sort(rng.choice(members, per_class, replace=False)):
            path = paths[member].relative_to(folder).as_posix()
            rows.append(ManifestRow(len(rows), path, names[label], int(label)))
    return rows


def write_manifest(path: Path, rows: Sequence[ManifestRow]) -> None:
    """Write a manifest as CSV: index, path, class, label."""
    with whole_file(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(MANIFEST_COLUMNS)
        writer.writerows((row.index, row.path, row.class_name, row.label) for row in rows)


def read_manifest(path: Path) -> list[ManifestRow]:
    """Read a manifest; its rows must be numbered 0, 1, … in order."""
    try:
        with open(path, newline="") as file:
            reader = csv.reader(file)
            if tuple(next(reader, ())) != MANIFEST_COLUMNS:
                raise InputError(f"{path}: not a manifest; its columns must be {', '.join(MANIFEST_COLUMNS)}")
            rows = [ManifestRow(int(index), file_, name, int(label)) for index, file_, name, label in reader]
    except FileNotFoundError:
        raise InputError(f"{path}: no such manifest") from None
    except (ValueError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a manifest ({error})") from None
    if [row.index for row in rows] != list(range(len(rows))) or not rows:
        raise InputError(f"{path}: its rows must be numbered 0, 1, … and be at least one")
    return rows


def choose_block(rows: Sequence[ManifestRow], shard: int, shard_size: int, manifest: Path) -> Sequence[ManifestRow]:
    """The rows of block `shard`, of `shard_size` images; InputError if the manifest has none there."""
    check_range("--shard", shard, low=0)
    block = rows[shard * shard_size : (shard + 1) * shard_size]
    if not block:
        raise InputError(f"--shard is {shard}; {manifest} has no images from {shard * shard_size} on")
    return block
