"""The configuration at the paper's scale: planned whole, and run with fewer images, classes and steps."""

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
import torchvision
import yaml
from photographs import write_photographs
from PIL import Image
from scans import write_mnist
from test_workflow import FIGURES
from torch import nn
from workflow_copy import ROOT, copy_workflow, planned_jobs, read_log, snakemake

from explanations.data.folders import list_folder
from explanations.data.images import load_images
from explanations.data.listing import list_labelled
from explanations.files.descriptions import read_description
from explanations.files.framing import Picture
from explanations.files.hashes import file_hash
from explanations.files.manifests import read_manifest
from explanations.files.measurements import NEVER
from explanations.networks.files import build_network, preprocess
from explanations.networks.pretrained import look_up
from explanations.networks.sources.base import Published
from explanations.networks.sources.registry import find_source
from explanations.statistics.claims import CLAIMS, TwinClaim

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(3600)]
IMAGENET = ("--configfile", "config/imagenet.yaml")
CONFIG = yaml.safe_load((ROOT / "config/imagenet.yaml").read_text())
RUN = (
    "vgg16",
    "resnet50",
    "alexnet",
    "squeezenet1_1",
    "inception_v1_bn",
    "inception_v3",
    "resnetv2_50",
    "mobilenet_v1",
)
PAPERS_FIGURES = [figure for figure in FIGURES if figure not in ("figM", "figT")]
SYNSETS = ["n02423022", "n03888257", "n01440764"]  # a gazelle, a parachute, a tench


# --- the whole, planned ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Path:
    """A copy of the workflow in which nothing has run; ImageNet isn't there."""
    return copy_workflow(tmp_path_factory.mktemp("fresh"))


def test_everything_is_planned(fresh):
    jobs = planned_jobs(fresh, *IMAGENET)
    assert {f"draw_{figure}" for figure in PAPERS_FIGURES} <= jobs.keys()
    assert jobs["fetch_network"] == jobs["survey_network"] == len(CONFIG["networks"])
    assert jobs["extract_attributions"] == 6 * 5  # two networks, three variants, 5000 images in shards of 1000
    assert jobs["measure_removal"] == (9 + 4 + 10 + 5) * 5  # methods of VGG-16, and of ResNet-50
    assert not jobs.keys() & {"train", "digit_images", "draw_figM", "draw_figT"}


def test_every_figure_is_a_target(fresh):
    jobs = planned_jobs(fresh, *PAPERS_FIGURES, *IMAGENET)
    assert all(jobs[f"draw_{figure}"] == 1 for figure in PAPERS_FIGURES) and "findings" not in jobs
    jobs = planned_jobs(fresh, "fig5", *IMAGENET)
    assert jobs["fetch_network"] == 1 and jobs["measure_removal"] == 4 * 5 and "decay_biases" not in jobs


def test_nothing_is_taken_from_the_embedded_experiment(fresh):
    """A key that is missing is an error, not the embedded experiment's value."""
    for key in CONFIG:
        if key == "whole":
            continue
        part = fresh / "part.yaml"
        part.write_text(yaml.safe_dump({name: value for name, value in CONFIG.items() if name != key}))
        result = snakemake(fresh, "--dry-run", "--configfile", str(part), check=False)
        assert f"configuration: the top level: '{key}' is a required property" in result.stdout
    plan = snakemake(fresh, "--dry-run", *IMAGENET).stdout
    assert "results/embedded" not in plan and "results/imagenet/figures/fig7.pdf" in plan


def test_it_can_be_laid_over(fresh):
    mine = fresh / "mine.yaml"
    mine.write_text(yaml.safe_dump({"experiment": "mine", "images": {"source": "imagenette", "classes": 10}}))
    jobs = planned_jobs(fresh, *IMAGENET, str(mine))
    assert jobs["extract_attributions"] == 6  # 500 images


def test_images_to_tune_on_must_be_named_where_there_are_none(fresh):
    mine = fresh / "mine.yaml"
    mine.write_text(yaml.safe_dump({"images": {"source": "imagenet_v2"}}))
    result = snakemake(fresh, "--dry-run", *IMAGENET, str(mine), check=False)
    said = "networks.vgg16.decay tunes on images, and imagenet_v2 has none for that"
    message = f"configuration: images.tuning is missing; {said}"
    assert sum(message in line for line in result.stdout.splitlines()) == 1


# --- run small ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def write_weights(folder: Path, entry: dict) -> dict[str, str]:
    """A network's weights in a file as they would be downloaded, and what the configuration says of them.

    Random but for the last layer, a linear map of the others' features that recognises the photographs: so decisions
    are right, and flip when pixels go.
    """
    source, constructor, weights = entry["source"], entry["constructor"], entry["weights"]["name"]
    published = look_up(source, constructor, weights, {})
    torch.manual_seed(0)
    arguments = find_source(source).rebuilding_arguments(constructor, {"num_classes": published.classes})
    network = build_network(source, constructor, arguments).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        if isinstance(getattr(module, "bias", None), nn.Parameter):
            nn.init.normal_(module.bias, 0, 0.05)
    recognise(network, published, folder / "imagenet/val")
    path = folder / f"{constructor}.{'safetensors' if source == 'timm' else 'pth'}"
    save = safetensors.torch.save_file if source == "timm" else torch.save
    save(network.state_dict(), path)
    return {"name": weights, "url": str(path), "sha256": file_hash(path)}


def recognise(network: nn.Module, published: Published, images: Path) -> None:
    """Fit the last layer to give 10 to the class of each image and 0 to the other classes."""
    rows = list_labelled(images, list_folder(images)[0], "imagenet")
    loaded = load_images([Picture(images / row.path) for row in rows], published.framing, 2)
    [last] = [
        module
        for module in network.modules()
        if published.classes in (getattr(module, "out_features", 0), getattr(module, "out_channels", 0))
    ]
    features = []
    hook = last.register_forward_pre_hook(lambda module, given: features.append(given[0]))
    network(preprocess(torch.from_numpy(loaded), published))
    hook.remove()
    pooled = features[0].flatten(2).mean(2) if features[0].dim() == 4 else features[0]  # a 1×1 convolution's
    wanted = 10 * nn.functional.one_hot(torch.tensor([row.label for row in rows]), published.classes).double()
    last.weight.copy_((torch.linalg.pinv(pooled.double()) @ wanted).T.view_as(last.weight))
    last.bias.zero_()


def shrink(folder: Path) -> dict:
    """The configuration with fewer images, classes and steps; its networks' weights and MNIST are files here."""
    config = json.loads(json.dumps(CONFIG))
    config["networks"] = {name: config["networks"][name] for name in RUN}
    decay = {"steps": 2, "training_steps": 1, "extra_steps": 1, "batch": 2, "record_images": 2}
    for network in config["networks"].values():
        network["weights"] = write_weights(folder, network)
        if "decay" in network:
            network["decay"] |= decay
    config["networks"]["resnet50"]["decay_trials"] = {"steps": [3], "temperature": [10]}
    config |= {"experiment": "small", "threads": 1}
    config["images"] |= {"folder": str(folder / "imagenet"), "classes": 2, "per_class": 1}
    config["survey"] |= {"scales": [0.1, 10], "shifts": [-0.5, 1], "change_images": 2, "fits": 2}
    config["attributions"] |= {"shard_size": 1, "batch": 1}
    config["removal"] |= {"shard_size": 2, "grid": 2, "batch": 16}
    config["statistics"] |= {"resamples": 100}
    write_mnist(folder / "MNIST/raw", compress=False)
    config["linear"] |= {"folder": str(folder)}
    config["figures"] |= {"dpi": 60, "fig2": {"image": 0, "layer": 6}, "fig4": {"image": 1}}
    config["figures"]["fig7"] |= {"images": [0, 1]}
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The results of the small run, on photographs in ImageNet's layout."""
    root = tmp_path_factory.mktemp("small")
    for split, seed in (("val", 0), ("train", 100)):
        write_photographs(root / "imagenet" / split, SYNSETS, 3, seed)
    folder = copy_workflow(root)
    (folder / "small.yaml").write_text(yaml.safe_dump(shrink(root)))
    snakemake(folder, "--cores", "2", "--configfile", "small.yaml")
    return folder / "results/small"


@pytest.mark.scale
def test_networks_are_the_whole_ones_with_their_own_preprocessing(finished):
    for name, parameters in (("vgg16", 138_357_544), ("resnet50", 25_557_032)):
        for variant in ("original", "zeroed", "decayed"):
            description = read_description(finished / f"models/{name}/{variant}.safetensors")
            assert (description.size, description.resize, description.interpolation) == (224, 256, "bilinear")
            assert len(description.classes) == 1000 and description.mean == (0.485, 0.456, 0.406)
            assert description.arguments["num_classes"] == 1000
        assert sum(p.numel() for p in torchvision.models.get_model(name).parameters()) == parameters


@pytest.mark.scale
def test_decisions_are_right_and_flip(finished):
    for name in RUN:
        accuracy = pd.read_csv(finished / f"survey/{name}/accuracy.csv").set_index("k")
        assert accuracy.original[1] > 0.8 and accuracy.n[1] == 9
    for name in ("vgg16", "resnet50"):
        with h5py.File(finished / f"removal/{name}/original-bilinear/activity-0.h5") as file:
            assert (file["flip_minus"][:] != NEVER).any() and np.isfinite(file["e_minus"][:]).all()


@pytest.mark.scale
def test_labels_are_imagenets_and_readable(finished):
    rows = read_manifest(finished / "test_images.csv")
    assert {(row.class_name, row.label) for row in rows} == {("gazelle", 353), ("parachute", 701), ("tench", 0)}
    assert len(rows) == 9 and len(read_manifest(finished / "manifest.csv")) == 2
    log = (finished / "logs/test_images.log").read_text()
    assert "converted: " in log and "not RGB" in log


@pytest.mark.scale
def test_maps_have_the_papers_sizes(finished):
    sizes = {"vgg16": [224, 224, 224, 112, 112, 56, 56, 56, 28, 28, 28, 14, 14, 14, 1, 1, 1]}
    sizes["resnet50"] = [224, 112, *[56] * 3, *[28] * 4, *[14] * 6, *[7] * 3, 1]
    for name, wanted in sizes.items():
        with h5py.File(finished / f"attributions/{name}/original/0.h5") as file:
            assert [file["activity"][key].shape[1] for key in sorted(file["activity"], key=int)] == wanted


@pytest.mark.scale
@pytest.mark.parametrize("figure", PAPERS_FIGURES)
def test_figures_are_drawn(finished, figure):
    picture = finished / f"figures/{figure}.png"
    assert len(np.unique(np.asarray(Image.open(picture).convert("L")))) > 10
    assert picture.with_suffix(".pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.scale
def test_every_claim_is_answered(finished):
    """All but those of twins: the experiment has none."""
    table = pd.read_csv(finished / "findings.csv", dtype=str)
    asked = [claim.number for claim in CLAIMS if not isinstance(claim, TwinClaim)]
    assert table.claim.unique().tolist() == asked


@pytest.mark.scale
def test_memory_is_what_the_rules_ask_for(finished):
    """A cluster gives a job what its rule asks for: no job may need more."""
    jobs = re.findall(r"benchmark: (\S+).*?mem_mb=(\d+)", read_log(finished.parents[1]), re.DOTALL)
    assert len(jobs) > 60
    for benchmark, asked in jobs:
        used = pd.read_csv(finished.parents[1] / benchmark, sep="\t").max_rss[0]
        assert pd.isna(pd.to_numeric(used, errors="coerce")) or float(used) * 1.049 < float(asked), benchmark
