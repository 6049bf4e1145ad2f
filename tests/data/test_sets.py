"""The records of data sets: what the schema says of them, where they are, how many images they have."""

from pathlib import Path

import pytest
import yaml
from conftest import refused
from PIL import Image
from torchvision.datasets import Imagenette
from workflow_copy import ROOT

from explanations.data.sets import (
    DATA_SETS,
    DOWNLOADED,
    GENERATED,
    GIVEN,
    LABELS,
    PACKAGED,
    UNPACKED,
    configured_set,
    count_test_images,
    count_training_images,
    count_tuning_images,
    find_set,
)

PHOTOS = {"package": "my-photos", "version": "1", "sha256": "0" * 64, "test": ["a/*.jpg"], "train": ["b/*.jpg"]}
IMAGES = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())["properties"]["images"][
    "properties"
]


@pytest.mark.parametrize(("key", "known"), [("source", DATA_SETS), ("labels", LABELS)])
def test_the_schema_knows_every_data_set_and_label(key, known):
    *names, last = known
    assert IMAGES[key] == {"enum": [*names, last], "description": f"{', '.join(names)} or {last}"}


@pytest.mark.parametrize("name", DATA_SETS)
def test_records_are_whole(name):
    found = find_set(name)
    assert found.obtained in (GENERATED, GIVEN, UNPACKED, DOWNLOADED, PACKAGED) and found.labels in ("", *LABELS)
    assert (found.archive is not None) == (found.obtained == DOWNLOADED)
    assert (found.test_count > 0) == (found.obtained in (UNPACKED, DOWNLOADED))
    if found.train and found.archive:  # one archive holds both
        assert Path(found.test).parts[0] == Path(found.train).parts[0]


def test_an_unknown_data_set():
    message = "images.source is cifar; allowed are digits, folder, package, imagenet, imagenette, imagenet_v2"
    assert refused(find_set, "cifar") == message


def test_imagenettes_archive_is_torchvisions():
    archive = DATA_SETS["imagenette"].archive
    assert (archive.address, archive.digits) == Imagenette._ARCHIVES["320px"] and archive.algorithm == "md5"


def test_counts(tmp_path):
    def count(source: str) -> tuple[int, int]:
        images = {"source": source, "folder": str(tmp_path), "classes": 2, "per_class": 3}
        images |= {"val_count": 40, "train_count": 50} if source == "digits" else {}
        images |= PHOTOS if source == "package" else {}
        return count_test_images({"images": images}), count_training_images({"images": images})

    assert [count(source) for source in DATA_SETS] == [(40, 50), (6, 0), (6, 0), (50_000, 0), (3_925, 0), (10_000, 0)]
    packaged = configured_set({"source": "package", **PHOTOS})
    for folder in ("val/a", "train/a", "imagenette2-320/train/a", packaged.test, packaged.train):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("RGB", (2, 2)).save(tmp_path / folder / "x.png")
    assert [count(source) for source in DATA_SETS] == [(40, 50), (1, 1), (1, 1), (50_000, 1), (3_925, 1), (10_000, 0)]
    images = {"source": "folder", "folder": str(tmp_path)}
    assert count_tuning_images({"images": images}) == 1
    assert count_tuning_images({"images": {**images, "tuning": str(tmp_path)}}) == 5  # of all folders


def test_other_files_of_a_package_have_another_folder():
    found = configured_set({"source": "package", **PHOTOS})
    changes = [{"test": ["a/*.png"]}, {"train": ["a/*.jpg", "b/*.jpg"]}, {"version": "2"}, {"sha256": "1" * 64}]
    others = [configured_set({"source": "package", **PHOTOS, **change}) for change in changes]
    assert len({each.packaged.folder for each in (found, *others)}) == 5
    assert found.test.startswith("my_photos-1-00000000-") and found.test.endswith("/val")
    without = {key: value for key, value in PHOTOS.items() if key != "train"}
    assert configured_set({"source": "package", **without}).train == ""
