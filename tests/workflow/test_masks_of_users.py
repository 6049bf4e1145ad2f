"""Masks and boxes beside a user's images: collected where the configuration names them, refused when planned."""

import numpy as np
import pytest
import yaml
from PIL import Image
from workflow_copy import copy_workflow, snakemake

MADE = "results/masks/masks/evaluated"
TABLE = "results/masks/statistics/small/localisation.csv"
BOX = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>11</ymax></bndbox>"
SIZE = "<size><width>40</width><height>32</height></size>"
ANNOTATION = f"<annotation>{SIZE}<object><name>NAME</name>{BOX}</object></annotation>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the workflow with four images of two classes, a mask and an annotation of each."""
    copy = copy_workflow(tmp_path_factory.mktemp("masks"))
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("n01440764", "n01443537"):
            for number in (1, 2):
                path = copy / f"images/{split}/{kind}/{kind}_{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (32, 40, 3), np.uint8)).save(path)
    for path in (copy / "images/val").rglob("*.jpg"):
        mask = copy / "own masks" / path.relative_to(copy / "images/val").with_suffix(".png")
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 * (rng.random((32, 40)) < 0.5).astype(np.uint8)).save(mask)
        (copy / "boxes").mkdir(exist_ok=True)
        (copy / f"boxes/{path.stem}.xml").write_text(ANNOTATION.replace("NAME", path.parent.name))
    return copy


def configure(folder, **images):
    """The arguments of a configuration of these images, with one network."""
    config = yaml.safe_load((folder / "config/config.yaml").read_text())
    images = {"source": "folder", "folder": "images", "size": 32, "classes": 2, "per_class": 2} | images
    config["images"] = {key: config["images"][key] for key in ("unreadable", "other_modes", "short_classes")} | images
    linear = {"source": "narrow", "constructor": "linear", "explain": ["layers"]}
    linear |= {"arguments": {"size": 32, "channels": 3, "num_classes": 2}}
    linear |= {"training": {"epochs": 1, "batch": 2, "learning_rate": 0.1, "weight_decay": 0}}
    config |= {"whole": True, "experiment": "masks", "networks": {"small": linear}, "twins": [], "methods": {}}
    config["removal"]["noise_maps"] = 1
    config["figures"] = {"dpi": 60, "fig2": {"image": 0, "layer": 0}, "fig4": {"image": 0}}
    config["figures"]["fig7"] = {"images": [0], "methods": {}}
    (folder / "given.yaml").write_text(yaml.safe_dump(config))
    return ("--configfile", "given.yaml")


def test_masks_are_collected_and_again_once_one_has_changed(folder):
    arguments = configure(folder, masks="own masks")
    snakemake(folder, MADE, "--cores", "1", *arguments)
    made = sorted(path.relative_to(folder / MADE).as_posix() for path in (folder / MADE).rglob("*.png"))
    assert made == sorted(path.relative_to(folder / "own masks").as_posix() for path in folder.glob("own masks/*/*"))
    for name in made:
        assert np.array_equal(*(np.asarray(Image.open(folder / part / name)) for part in ("own masks", MADE)))
    assert "Nothing to be done" in snakemake(folder, MADE, "-n", *arguments).stdout
    Image.new("L", (40, 32), 255).save(folder / "own masks" / made[0])
    again = snakemake(folder, MADE, "-n", "--quiet", "rules", *arguments).stdout
    assert "make_masks" in again and "test_images" not in again and "manifest" not in again


@pytest.mark.workflow
def test_boxes_are_collected(folder):
    arguments = configure(folder, boxes="boxes", labels="imagenet")
    snakemake(folder, MADE, "--cores", "1", *arguments)
    for path in (folder / MADE).rglob("*.png"):
        mask = np.asarray(Image.open(path))
        assert mask.shape == (32, 40) and (mask[3:12, 2:10] == 255).all() and (mask == 255).sum() == 9 * 8


def test_statistics_take_them(folder):
    plan = snakemake(folder, "statistics", "-n", *configure(folder, masks="own masks")).stdout
    assert f"output: {TABLE}" in plan and MADE in plan
    assert TABLE not in snakemake(folder, "statistics", "-n", *configure(folder)).stdout


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"masks": "nowhere"}, "images.masks is nowhere; allowed is a folder that holds .png files"),
        ({"masks": "boxes"}, "images.masks is boxes; allowed is a folder that holds .png files"),
        (
            {"boxes": "own masks", "labels": "imagenet"},
            "images.boxes is own masks; allowed is a folder that holds .xml files",
        ),
        ({"boxes": "boxes"}, "images.boxes is boxes; images' labels are folders, and boxes are of ImageNet's classes"),
        (
            {"boxes": "boxes", "masks": "own masks", "labels": "imagenet"},
            "images.masks is own masks, and images.boxes boxes; allowed is one of both",
        ),
        (
            {"source": "digits", "masks": "own masks", "train_count": 10, "val_count": 10, "scraps": 0},
            "images.masks is own masks; images.source is digits, whose images have masks of their own",
        ),
    ],
)
def test_masks_that_are_refused_when_planned(folder, images, message):
    said = snakemake(folder, "statistics", "-n", *configure(folder, **images), check=False)
    assert said.returncode != 0
    assert sum(f"configuration: {message}" in line for line in said.stdout.splitlines()) == 1, said.stdout
