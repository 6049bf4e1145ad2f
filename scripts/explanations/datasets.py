"""Data sets: where their test images come from, which classes their folders stand for, which files can be used."""

import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from explanations.command import InputError, progress, whole_folder
from explanations.downloads import fetch_file
from explanations.images import ON_UNREADABLE, find_images, inspect_image, list_images
from explanations.manifests import UNLABELLED, ManifestRow

SOURCES = ("folder", "imagenet", "imagenette", "imagenet_v2")
LABELS = ("folders", "imagenet", "none")
ON_OTHER_MODES = ("convert", "skip", "stop")
IMAGENET_V2 = "https://huggingface.co/datasets/vaishaal/ImageNetV2/resolve/main/imagenetv2-matched-frequency.tar.gz"
IMAGENET_V2_HASH = "f0c37fdf925916b19ea1323cd9a2208cdb6959ba2c32eef2a7fc393835c9ca7c"  # SHA-256, 1,264,079,360 bytes


# --- getting them ------------------------------------------------------------------------------------------------


def obtain(source: str, images: Path) -> None:
    """Make sure that the folder of a data set's test images is there: unpack or download it if it isn't.

    `folder` and `imagenet` must be on disk, the latter as class folders or as the original archives beside the folder;
    `imagenette` and `imagenet_v2` are downloaded.
    """
    if source not in SOURCES:
        raise InputError(f"images.source is {source}; allowed are {', '.join(SOURCES)}")
    if images.is_dir() or source == "folder":
        return
    make = {"imagenet": _unpack_imagenet, "imagenette": _download_imagenette, "imagenet_v2": _download_imagenet_v2}
    try:
        make[source](images)
    except (OSError, RuntimeError, tarfile.TarError) as error:
        raise InputError(f"images.source is {source}; {images}: {' '.join(str(error).split())}") from None


def _unpack_imagenet(images: Path) -> None:
    from torchvision.datasets import imagenet  # which no other data set needs

    archives = [imagenet.ARCHIVE_META[kind][0] for kind in ("val", "devkit")]
    folder = images.parent
    if not all((folder / name).exists() for name in archives):
        raise InputError(f"images.folder: {folder} holds neither val/<synset>/<file> nor {' and '.join(archives)}")
    with whole_folder(images) as temporary:
        for name in archives:
            (temporary / name).symlink_to((folder / name).resolve())
        imagenet.parse_devkit_archive(temporary)
        imagenet.parse_val_archive(temporary)
        (temporary / "val").rename(images)


def _download_imagenette(images: Path) -> None:
    from torchvision.datasets import Imagenette

    folder = images.parent  # it holds both splits
    with whole_folder(folder) as temporary:
        Imagenette(temporary, split="val", size="320px", download=True)
        (temporary / folder.name).rename(folder)


def _download_imagenet_v2(images: Path) -> None:
    archive = fetch_file(IMAGENET_V2, IMAGENET_V2_HASH, images.parent)
    with whole_folder(images) as temporary, tarfile.open(archive) as file:
        # Python 3.11's first versions, Debian's among them, have no filters; the archive is known by its hash
        file.extractall(temporary, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        (temporary / images.name).rename(images)
    archive.unlink()


# --- what is in them ---------------------------------------------------------------------------------------------


def list_labelled(images: Path, labels: str) -> list[ManifestRow]:
    """All images of a folder; their classes are its folders in sorted order, ImageNet's of those names, or unknown."""
    if labels not in LABELS:
        raise InputError(f"images.labels is {labels}; allowed are {', '.join(LABELS)}")
    if labels == "none":
        paths, classes = find_images(images), [("", UNLABELLED)]
        numbers = [0] * len(paths)
    else:
        folders, paths, numbers = list_images(images)
        classes = list(zip(folders, range(len(folders)), strict=True))
    if labels == "imagenet":
        from explanations.imagenet import class_names, find_class  # needs libraries that no other data set does

        found = [find_class(folder) for folder in folders]
        classes = [(class_names()[label], label) for label in found]
    rows = [(path, *classes[number]) for path, number in zip(paths, numbers, strict=True)]
    rows.sort(key=lambda row: row[2])  # files stay in order: Python's sort is stable
    return [
        ManifestRow(index, path.relative_to(images).as_posix(), name, label)
        for index, (path, name, label) in enumerate(rows)
    ]


def check_files(
    rows: Sequence[ManifestRow], images: Path, unreadable: str, other_modes: str, threads: int
) -> list[ManifestRow]:
    """Read every file once; drop those that can't be used, numbering the others anew, or stop with an InputError.

    `unreadable` (stop, skip) says what becomes of files that can't be read, `other_modes` (convert, skip, stop) of
    grey, CMYK and other images that aren't RGB. All that are dropped or converted are named on standard output.
    """
    for key, value, allowed in (
        ("unreadable", unreadable, ON_UNREADABLE),
        ("other_modes", other_modes, ON_OTHER_MODES),
    ):
        if value not in allowed:
            raise InputError(f"images.{key} is {value}; allowed are {', '.join(allowed)}")
    kept = []
    paths = (images / row.path for row in rows)
    with ThreadPoolExecutor(threads) as pool, closing(pool.map(_inspect, paths)) as found:  # an error reads no more
        for row, mode in zip(rows, progress(found, "check images", len(rows), "image"), strict=True):
            if isinstance(mode, InputError):
                if unreadable == "stop":
                    raise InputError(f"{mode}; images.unreadable: skip leaves such files out")
                print(f"left out: {mode}")
                continue
            if mode != "RGB":
                message = f"{images / row.path}: its pixels are {mode}, not RGB"
                if other_modes == "stop":
                    raise InputError(f"{message}; images.other_modes: convert or skip allows such files")
                print(f"{'left out' if other_modes == 'skip' else 'converted'}: {message}")
                if other_modes == "skip":
                    continue
            kept.append(ManifestRow(len(kept), row.path, row.class_name, row.label))
    if not kept:
        raise InputError(f"images.folder: {images} holds no image that can be used")
    return kept


def _inspect(path: Path) -> str | InputError:
    try:
        return inspect_image(path)
    except InputError as error:
        return error
