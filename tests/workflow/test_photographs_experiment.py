"""The photographs' experiment: planned whole; run with few images and random weights; and with the packages on PyPI."""

import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import yaml
from package_index import build_wheel, serve_index
from photographs import photograph
from PIL import Image
from small import randomise_vectors
from workflow_copy import ROOT, copy_workflow, planned_jobs, snakemake

import fetch_network
from explanations.data.images import load_images
from explanations.data.obtaining import obtain
from explanations.data.sets import configured_set
from explanations.errors import InputError
from explanations.files.descriptions import read_description
from explanations.files.framing import Picture
from explanations.files.manifests import UNLABELLED, read_manifest
from explanations.files.measurements import read_measurements
from explanations.networks.files import load_network, predict_logits

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(3600)]
CONFIG = yaml.safe_load((ROOT / "config/photographs.yaml").read_text())
PHOTOGRAPHS = ("--configfile", "config/photographs.yaml")
SIDE = 64  # of the small run's images


# --- the whole, planned ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Path:
    return copy_workflow(tmp_path_factory.mktemp("fresh"))


def test_everything_is_planned(fresh):
    jobs = planned_jobs(fresh, *PHOTOGRAPHS)
    assert jobs["fetch_network"] == jobs["survey_network"] == 3 and not jobs.keys() & {"train", "digit_images"}
    wanted = [*(2, 3, 5, 6, 7, "P", "M", "S8", "S6"), *(f"S{k}" for k in (1, 2, 3, 4, 5, 12, 13, 14, 15, 16))]
    assert {f"draw_fig{figure}" for figure in wanted} <= jobs.keys()


def test_every_layer_is_a_file_laid_over(fresh):
    laid = planned_jobs(fresh, *PHOTOGRAPHS, "config/all_layers.yaml")
    assert laid.keys() >= planned_jobs(fresh, *PHOTOGRAPHS).keys()
    said = snakemake(fresh, "--dry-run", "--printshellcmds", *PHOTOGRAPHS, "config/all_layers.yaml").stdout
    assert "--layers=all" in said and "--layers=stages" not in said
    assert "results/photographs_all_layers/" in said and "results/photographs/" not in said


def test_figure_p_is_of_maps_that_are_measured(fresh):
    """What its methods are measured at is known, and said, before removal; figure 7 shows any map."""
    said = snakemake(fresh, "--dry-run", "--printshellcmds", *PHOTOGRAPHS).stdout
    commands = re.findall(r"^Shell command: python scripts/make_example_maps.py .*$", said, re.MULTILINE)
    flags = {re.search(r"examples/(fig\w)-", line)[1]: re.findall(r"--measured\S*", line) for line in commands}
    assert flags == {"fig7": [], "figP": ["--measured=stages"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": {"sha256": "12"}}, "configuration: images.sha256 is '12'; allowed is a SHA-256 in hexadecimal"),
        (
            {"images": {"version": 0.1}},
            "configuration: images.version is 0.1, a number; allowed is a package's version, as 0.1.2, in quotes",
        ),
        (
            {"images": {"test": []}},
            "configuration: images.test is []; allowed is a list of paths of files",
        ),
        (
            {"networks": {"lite0": {"weights": {"version": ""}}}},
            "configuration: networks.lite0.weights.version is ''; allowed is a package's version",
        ),
        (
            {"networks": {"lite0": {"weights": {"url": "w.pth"}}}},
            "configuration: networks.lite0.weights.url is w.pth; weights.package is another place",
        ),
        (
            {"networks": {"lite0": {"layers": "some"}}},
            "configuration: networks.lite0.layers is 'some'; allowed is all or stages",
        ),
        (
            {"images": {"labels": "imagenet"}},
            "configuration: survey.images is all, and images' labels are imagenet; allowed is test, unless",
        ),
        (
            {"networks": {"lite0": {"preprocessing": {"mean": 127}}}},
            "configuration: networks.lite0.preprocessing.mean is 127; allowed is a number from 0 to 1, or a list",
        ),
    ],
)
def test_what_is_wrong_is_one_line(fresh, change, message):
    (fresh / "mine.yaml").write_text(yaml.safe_dump(change))
    said = snakemake(fresh, "--dry-run", *PHOTOGRAPHS, "mine.yaml", check=False).stdout
    assert sum(message in line for line in said.splitlines()) == 1, said


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (
            ["networks.lite0.weights.file"],
            "networks.lite0.weights.file is missing; weights.",
        ),
        (["networks.lite0.weights.package"], "networks.lite0.weights.package is missing; weights."),
        (["images.train"], "images.tuning, or images.train, is missing; networks.lite0.decay tunes on images"),
        (["images.train", "networks.lite0.decay"], "images.tuning, or images.train, is missing; survey.images is all"),
        (["images.package"], "images: 'package' is a required property"),
    ],
)
def test_what_is_missing_is_one_line(fresh, gone, message):
    config = json.loads(json.dumps(CONFIG))
    for *path, key in (name.split(".") for name in gone):
        inner = config
        for name in path:
            inner = inner[name]
        del inner[key]
    (fresh / "mine.yaml").write_text(yaml.safe_dump(config))
    said = snakemake(fresh, "--dry-run", "--configfile", "mine.yaml", check=False).stdout
    assert sum(f"configuration: {message}" in line for line in said.splitlines()) == 1, said


# --- run small, from packages that are made up -------------------------------------------------------------------


def as_jpeg(seed: int) -> bytes:
    buffer = BytesIO()
    photograph(96, 80, seed).save(buffer, "JPEG")
    return buffer.getvalue()


def shrink(index: Path) -> dict:
    """The configuration with few small images, few steps and random weights, in packages of the same names."""
    config = json.loads(json.dumps(CONFIG))
    images, data = config["images"], "ai_benchmark/data"
    files = {f"{data}/{part}/{k}.jpg": as_jpeg(k) for part in ("classification", "enhancement") for k in range(4)}
    files |= {f"{data}/segmentation/{k}{end}.jpg": as_jpeg(9 + k) for k in range(2) for end in ("", "_segmented")}
    images |= {"sha256": build_wheel(index, images["package"], images["version"], files).sha256, "classes": 4}
    for name, entry in config["networks"].items():
        torch.manual_seed(0)
        state, content = randomise_vectors(timm.create_model(entry["constructor"])).state_dict(), BytesIO()
        torch.save({f"_{place}.{key.rpartition('.')[2]}": state[key] for place, key in enumerate(state)}, content)
        weights = entry["weights"]
        made = build_wheel(index, weights["package"], weights["version"], {weights["file"]: content.getvalue()})
        weights["sha256"] = made.sha256
        entry["preprocessing"] |= {"size": SIDE, "resize": SIDE + 8}
        if "decay" in entry:
            entry["decay"] |= {"steps": 2, "training_steps": 1, "extra_steps": 1, "batch": 2, "record_images": 2}
        assert name in ("lite0", "lite1", "lite2")
    config |= {"experiment": "small"}
    config["survey"] |= {"scales": [0.1, 10], "shifts": [-0.5, 1], "change_images": 4, "fits": 4}
    config["attributions"] |= {"shard_size": 4}
    config["removal"] |= {"grid": 4, "batch": 16}
    config["statistics"] |= {"resamples": 100}
    config["figures"] |= {"dpi": 60, "fig2": {"image": 0, "layer": 6}, "fig4": {"image": 1}}
    for figure in ("fig7", "figP"):
        if figure in config["figures"]:
            config["figures"][figure] |= {"images": [0, 2]}
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The results of the small run, report and all."""
    root = tmp_path_factory.mktemp("small")
    folder = copy_workflow(root / "workflow")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TORCH_HOME", str(root / "home"))
        (folder / "small.yaml").write_text(yaml.safe_dump(shrink(root / "index")))
        with serve_index(root / "index", monkeypatch):
            snakemake(folder, "all", "report", "--cores", "2", "--configfile", "small.yaml")
    return folder / "results/small"


@pytest.mark.scale
def test_images_are_the_packages(finished):
    rows = read_manifest(finished / "manifest.csv")
    assert [row.path for row in rows] == [f"{k}.jpg" for k in range(4)] and {row.label for row in rows} == {UNLABELLED}
    tuned = [row.path for row in read_manifest(finished / "train_images.csv")]
    assert tuned == [*(f"enhancement/{k}.jpg" for k in range(4)), "segmentation/0.jpg", "segmentation/1.jpg"]
    for network in CONFIG["networks"]:
        outputs = pd.read_csv(finished / f"survey/{network}/outputs.csv")
        assert outputs.image.tolist() == [*(row.path for row in rows), *tuned]
        assert (pd.read_csv(finished / f"survey/{network}/accuracy.csv").original == 1).all()  # with itself


@pytest.mark.scale
def test_one_layer_of_each_stage_is_measured(finished):
    measured = read_measurements([finished / "removal/lite0/original-bilinear/activity-0.h5"])
    assert measured.methods == [f"activity_{layer}" for layer in (1, 6, 9, 17, 24)]
    folder = finished / "removal/lite0/original-bilinear"
    own = CONFIG["methods"].keys() - {"guided_backprop"}  # which has no rule for ReLU6, and no map
    assert sum(len(read_measurements([path]).methods) for path in folder.glob("*.h5")) == 20 + len(own)


@pytest.mark.scale
def test_networks_are_made_ready_for_as_configured(finished):
    for network, entry in CONFIG["networks"].items():
        description = read_description(finished / f"models/{network}/original.safetensors")
        assert (description.size, description.resize) == (SIDE, SIDE + 8)
        assert description.mean == pytest.approx((127 / 255,) * 3) and description.std == pytest.approx(
            (128 / 255,) * 3
        )
        assert description.origin == f"package {entry['weights']['package']} 0.1.0: {entry['weights']['file']}"


@pytest.mark.scale
def test_figures_findings_and_report_are_made(finished):
    pictures = sorted((finished / "figures").glob("*.png"))
    assert len(pictures) >= 20
    for picture in pictures:
        assert len(np.unique(np.asarray(Image.open(picture).convert("L")))) > 10, picture
        assert picture.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    table = pd.read_csv(finished / "findings.csv", dtype=str)
    assert "EfficientNet-Lite0" in set(table.network)
    assert not re.search("VGG-16|ResNet-50", " ".join(table.network))
    assert (finished / "report.html").stat().st_size > 100_000


# --- the packages on PyPI ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lite0(tmp_path_factory):
    """EfficientNet-Lite0 as the configuration has it; skipped where no index has its package."""
    path, entry = tmp_path_factory.mktemp("lite0") / "lite0.safetensors", CONFIG["networks"]["lite0"]
    place = {key: entry["weights"][key] for key in ("sha256", "package", "file", "names")}
    flags = {**place, "package_version": entry["weights"]["version"], "weights": entry["weights"]["name"], "url": ""}
    about = {key: entry[key] for key in ("source", "constructor", "arguments", "preprocessing")}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TORCH_HOME", str(path.parent / "home"))
        fetch_or_skip(lambda: fetch_network.main(**about, **flags, output=path))
    return load_network(path)


def fetch_or_skip(fetch) -> None:
    """What pip can't download from any index is skipped, with its reason; anything else that is wrong fails."""
    try:
        fetch()
    except InputError as error:
        if "pip can't download it" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.mark.scale
def test_labelled_photographs_are_recognised(lite0, tmp_path):
    """Foolbox's twenty, with their class in the file's name: how images are made ready is right."""
    network, description = lite0
    asked = {"source": "package", "package": "foolbox", "version": "3.3.4", "test": ["foolbox/data/imagenet_*.jpg"]}
    asked |= {"sha256": "11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb"}
    folder = tmp_path / configured_set(asked).test
    fetch_or_skip(lambda: obtain(asked, folder))
    files = sorted(folder.glob("*.jpg"))
    labels = torch.tensor([int(re.search(r"_(\d+)\.jpg$", file.name)[1]) for file in files])
    images = torch.from_numpy(load_images([Picture(file) for file in files], description.framing))
    found = predict_logits(network, images, description).topk(5).indices
    assert len(files) == 20 and (found[:, 0] == labels).sum() >= 17 and (found == labels[:, None]).any(1).sum() >= 18


@pytest.mark.scale
def test_the_hundred_photographs_are_there(tmp_path):
    images = configured_set(CONFIG["images"])
    fetch_or_skip(lambda: obtain(CONFIG["images"], tmp_path / images.test))
    counts = [sum(1 for _ in (tmp_path / split).rglob("*.jpg")) for split in (images.test, images.train)]
    assert counts == [100, 130]
