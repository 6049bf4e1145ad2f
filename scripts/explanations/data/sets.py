"""The data sets: a record for each, which says where its images are, what its labels mean and how it is obtained.

Needs the standard library alone: the workflow's plan uses it too. What obtains them is in obtaining.py.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from explanations.data.folders import list_folder
from explanations.errors import InputError
from explanations.files.packages import Package

LABELS = ("folders", "imagenet", "none")  # the order of class folders, ImageNet's classes of those names, or nothing
GENERATED = "generated"  # by a rule of the workflow, which has their number from the configuration
GIVEN = "given"  # by the user, and there when the workflow is planned
UNPACKED = "unpacked"  # from the archives that the user has from ImageNet, unless they are that already
DOWNLOADED = "downloaded"  # from its archive's address
PACKAGED = "packaged"  # by a Python package, which the configuration names, as it names the files


@dataclass(frozen=True)
class Archive:
    """An archive on a server, known by its hash; unpacked, it is the folder that it is named after."""

    address: str
    digits: str
    algorithm: str = "sha256"


@dataclass(frozen=True)
class PackagedImages:
    """The images of a Python package: patterns of the files to test on, and of those to train or tune on, if any."""

    package: Package
    test: tuple[str, ...]
    train: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """What they are unpacked to: another folder for other files."""
        said = "\n".join((self.package.sha256, *self.test, "", *self.train))
        return f"{Path(self.package.file_name).stem}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class DataSet:
    """A data set: its folders of images, below images.folder or, of generated ones, below the experiment's own.

    `test` holds those to evaluate on; `train` those to train or tune on, empty if there are none. `test_count` is how
    many test images there are, 0 if the set's publication doesn't say. `labels` is what the names of class folders
    mean, empty if images.labels says it. A set that is downloaded has an `archive`, one of a package `packaged`; one
    with `masks` says where objects are in its images.
    """

    obtained: str
    test: str
    train: str
    test_count: int = 0
    labels: str = ""
    archive: Archive | None = None
    packaged: PackagedImages | None = None
    masks: bool = False


IMAGENETTE = Archive(
    "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz", "3df6f0d01a2c9592104656642f5e78a3", "md5"
)
IMAGENET_V2 = Archive(  # 1,264,079,360 bytes
    "https://huggingface.co/datasets/vaishaal/ImageNetV2/resolve/main/imagenetv2-matched-frequency.tar.gz",
    "f0c37fdf925916b19ea1323cd9a2208cdb6959ba2c32eef2a7fc393835c9ca7c",
)

DATA_SETS = {
    "digits": DataSet(GENERATED, "val", "train", masks=True),
    "folder": DataSet(GIVEN, "val", "train"),
    "package": DataSet(PACKAGED, "val", "train"),
    "imagenet": DataSet(UNPACKED, "val", "train", 50_000, "imagenet"),
    "imagenette": DataSet(
        DOWNLOADED, "imagenette2-320/val", "imagenette2-320/train", 3_925, "imagenet", archive=IMAGENETTE
    ),
    "imagenet_v2": DataSet(
        DOWNLOADED, "imagenetv2-matched-frequency-format-val", "", 10_000, "imagenet", archive=IMAGENET_V2
    ),
}


def find_set(name: str) -> DataSet:
    """The data set of a name; InputError for a name that none has."""
    if name not in DATA_SETS:
        raise InputError(f"images.source is {name}; allowed are {', '.join(DATA_SETS)}")
    return DATA_SETS[name]


def configured_set(images: Mapping) -> DataSet:
    """The data set that a configuration's `images` asks for; of a package with the files that are named there."""
    found = find_set(images["source"])
    if found.obtained != PACKAGED:
        return found
    package = Package(images["package"], images["version"], images["sha256"])
    packaged = PackagedImages(package, tuple(images["test"]), tuple(images.get("train", ())))
    test, train = (f"{packaged.folder}/{split}" for split in (found.test, found.train))
    return replace(found, test=test, train=train if packaged.train else "", packaged=packaged)


# --- how many images they have -----------------------------------------------------------------------------------


def count_test_images(config: dict) -> int:
    """How many test images a configuration has; as many as are evaluated if its folder isn't there yet."""
    images, found = config["images"], configured_set(config["images"])
    if found.obtained == GENERATED:
        return images["val_count"]
    return found.test_count or _count_files(images, found.test) or images["classes"] * images["per_class"]


def count_training_images(config: dict) -> int:
    """How many images the networks that are trained here see in an epoch; none if their folder isn't there yet."""
    images, found = config["images"], configured_set(config["images"])
    return images["train_count"] if found.obtained == GENERATED else _count_files(images, found.train)


def count_tuning_images(config: dict) -> int:
    """How many images decay tunes networks on; none if their folder isn't there yet."""
    tuning = config["images"].get("tuning")
    return _count_files({"folder": tuning}, ".") if tuning else count_training_images(config)


def _count_files(images: dict, folder: str) -> int:
    path = Path(images["folder"], folder).expanduser()
    return len(list_folder(path)[0]) if folder and path.is_dir() else 0
