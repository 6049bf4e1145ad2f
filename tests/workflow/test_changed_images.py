"""A data set of one's own in the real workflow: its images change, and what is made of them is made again."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image
from workflow_copy import copy_workflow, planned_jobs, snakemake

import make_digit_images
from explanations.files.manifests import read_manifest

pytestmark = pytest.mark.workflow
RESULTS = Path("results/own")
SURVEY = (str(RESULTS / "manifest.csv"), str(RESULTS / "survey/alexnet/accuracy.csv"))
DECAY = str(RESULTS / "decay/vgg16/decayed.csv")
OPTIONS = ("--configfile", "tests/minimal.yaml", "own.yaml")
LISTS = {"train": "train_images", "val": "test_images"}
USERS = {"train": {"train": 1, "survey_network": 1}, "val": {"manifest": 1, "train": 1, "survey_network": 1}}


def plan(folder: Path, *targets: str) -> dict[str, int]:
    """The jobs that targets take, by rule."""
    return planned_jobs(folder, *(targets or SURVEY), *OPTIONS)


def run(folder: Path, *targets: str) -> str:
    return snakemake(folder, *(targets or SURVEY), "--cores", "2", *OPTIONS).stdout


@pytest.fixture(scope="module")
def listed(tmp_path_factory) -> Path:
    """A copy of the workflow that has run on a folder of images, with litter, an unreadable one and one on its side."""
    folder = copy_workflow(tmp_path_factory.mktemp("own"))
    for split, count in (("train", 60), ("val", 40)):
        make_digit_images.main(split, folder / "data" / split, folder / "masks" / split, count, 32, 2, 0)
        (folder / "data" / split / "0/broken.png").write_text("no image")
        (folder / "data" / split / "__MACOSX").mkdir()
        (folder / "data" / split / "1/loop").symlink_to("..")
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(next((folder / "data/train/2").glob("*.png"))) as image:
        image.save(folder / "data/train/2/sideways.jpg", exif=exif)
    images = {"source": "folder", "folder": str(folder / "data"), "unreadable": "skip", "orientation": "apply"}
    (folder / "own.yaml").write_text(yaml.safe_dump({"experiment": "own", "images": images}))
    run(folder, *SURVEY, DECAY)
    return folder


def test_training_takes_the_images_that_can_be_used(listed):
    """One list per split, without litter, loops and what can't be read; orientations stand in it."""
    for split, count in (("train", 61), ("test", 40)):
        rows = read_manifest(listed / RESULTS / f"{split}_images.csv")
        assert len(rows) == count and not any("broken" in row.path for row in rows)
        log = (listed / RESULTS / f"logs/{split}_images.log").read_text()
        assert "0/broken.png: can't be read as an image" in log and "passed over: 1 hidden, or left by a system" in log
    turned = [row for row in read_manifest(listed / RESULTS / "train_images.csv") if row.orientation == 6]
    assert [row.path for row in turned] == ["2/sideways.jpg"]


def test_touched_images_rerun_nothing(listed):
    assert plan(listed, *SURVEY, DECAY) == {}
    for path in (listed / "data").rglob("*"):
        os.utime(path, follow_symlinks=False)
    assert plan(listed, *SURVEY, DECAY) == {}
    assert "Nothing to be done" in run(listed)


def add(folder: Path) -> None:
    with Image.open(min(folder.iterdir())) as image:
        image.rotate(90).save(folder / "new.png")


def delete(folder: Path) -> None:
    min(folder.iterdir()).unlink()


def swap(folder: Path) -> None:
    """Replace an image by one of the same size in bytes."""
    path = min(folder.iterdir())
    content = path.read_bytes()
    path.write_bytes(content[:-20] + bytes(reversed(content[-20:])))


@pytest.mark.parametrize("split", LISTS)
def test_changed_images_rerun_what_is_made_of_them(listed, split):
    """And nothing else: the list, and whatever takes it; changed back, nothing does."""
    place, kept = listed / "data" / split / "3", listed / "kept" / split
    shutil.copytree(place, kept)
    for change in (add, delete, swap):
        change(place)
        assert plan(listed) == {LISTS[split]: 1, **USERS[split]}
        if change is swap:
            assert plan(listed, DECAY) == {LISTS[split]: 1, "train": 1, "decay_biases": 1}
            said = snakemake(listed, *SURVEY, "--dry-run", *OPTIONS).stdout
            assert "Params have changed since last execution" in said
        shutil.rmtree(place)
        shutil.copytree(kept, place, copy_function=shutil.copyfile)  # with other times
        assert plan(listed) == {}


@pytest.mark.parametrize("split", LISTS)
def test_numbers_follow_the_images(listed, split):
    """The list is made anew once, and a run that stops behind it goes on: the list's content says what is old."""
    name = f"{LISTS[split]}.csv"
    before = read_manifest(listed / RESULTS / name)
    shutil.rmtree(listed / "data" / split / "3")
    make_digit_images.main(split, listed / "again", listed / "masks", 40, 32, 2, 1)
    shutil.copytree(listed / "again/3", listed / "data" / split / "3")
    run(listed, str(RESULTS / name))
    assert read_manifest(listed / RESULTS / name) != before
    assert plan(listed) == USERS[split]
    outputs = listed / RESULTS / "survey/alexnet/outputs.csv"
    old = outputs.read_text()
    run(listed)
    assert plan(listed) == {}
    assert outputs.read_text() != old


def test_images_to_tune_on_have_a_list_of_their_own(listed, tmp_path, monkeypatch):
    """In folders of any form, named with ~; changed, they decay networks anew."""
    monkeypatch.setenv("HOME", str(listed))
    tuning = listed / "tuning/deep/er"
    tuning.mkdir(parents=True)
    for path in (listed / "data/train").glob("[45]/*.png"):
        (tuning / f"{path.parent.name}-{path.name}").write_bytes(path.read_bytes())
    config = yaml.safe_load((listed / "own.yaml").read_text())
    config["images"] |= {"folder": "~/data", "tuning": "~/tuning"}
    (listed / "tuned.yaml").write_text(yaml.safe_dump(config))
    options = (str(RESULTS / "tuning_images.csv"), "--configfile", "tests/minimal.yaml", "tuned.yaml")
    snakemake(listed, "--cores", "1", *options)
    rows = read_manifest(listed / RESULTS / "tuning_images.csv")
    assert len(rows) == len(list(tuning.iterdir())) and {row.class_name for row in rows} == {""}
    assert planned_jobs(listed, *options) == {}
    next(tuning.iterdir()).unlink()
    assert planned_jobs(listed, *options) == {"tuning_images": 1}
    jobs = planned_jobs(listed, DECAY, *options[1:])
    assert jobs["tuning_images"] == jobs["decay_biases"] == 1 and "train_images" not in jobs
    config["images"]["tuning"] = "~/empty"
    (listed / "empty.yaml").write_text(yaml.safe_dump(config))
    said = snakemake(listed, "--dry-run", *OPTIONS[:2], "empty.yaml", check=False).stdout
    assert f"configuration: images.tuning is {listed}/empty; {listed}/empty must hold images" in said
