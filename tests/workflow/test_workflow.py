"""The workflow without running it: every target plans, the configuration is checked, the code is in style."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml
from names import NAMES
from workflow_copy import ROOT, copy_workflow, planned_jobs, snakemake

from explanations.figures import catalogue
from explanations.figures.catalogue import report_number
from explanations.networks.sources.narrow import NARROW

pytestmark = pytest.mark.workflow
SUPPLEMENTARY = [f"figS{number}" for number in range(1, 17)]
FIGURES = [*(f"fig{number}" for number in range(1, 8)), *SUPPLEMENTARY, "figT", "figM", "figB"]
PARTS = (ROOT / "docs/parts.md").read_text()
NETWORKS = yaml.safe_load((ROOT / "config/config.yaml").read_text())["networks"]
ZOO = list(NETWORKS)
TIMM = {"source": "timm", "constructor": "resnet18", "arguments": {}}
MINE = {**TIMM, "training": {"epochs": 1, "batch": 64, "learning_rate": 0.01, "weight_decay": 0}}
FIRST_IMAGE = {"fig2": {"image": 0}, "fig4": {"image": 0}, "fig7": {"images": [0]}}
EXPLAINED = [name for name, network in NETWORKS.items() if network.get("explain")]
OTHERS = [name for name in EXPLAINED if name not in ("vgg16", "resnet50")]
TWINS = ["vgg16_strides", "resnet50_poolings"]
LATER = [name for name in OTHERS if name not in TWINS]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Path:
    return copy_workflow(tmp_path_factory.mktemp("fresh"))


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_is_a_target(fresh, figure):
    jobs = planned_jobs(fresh, figure)
    assert jobs[f"draw_{figure}"] == 1
    assert not [name for name in jobs if name.startswith("draw_") and name != f"draw_{figure}"]


def test_everything_plans_every_figure(fresh):
    jobs = planned_jobs(fresh)
    assert {f"draw_{figure}" for figure in FIGURES} <= jobs.keys()
    assert jobs["train"] == jobs["survey_network"] == len(ZOO)
    assert jobs["zero_biases"] == jobs["decay_biases"] == 2
    assert jobs["extract_attributions"] == 6 + len(OTHERS)


@pytest.mark.parametrize(
    ("stage", "rules", "later"),
    [
        (
            "networks",
            {"train", "zero_biases", "decay_biases", "decay_trial"},
            {"survey_network", "extract_attributions", "measure_removal", "summarise_removal", "draw_fig3"},
        ),
        ("survey", {"survey_network"}, {"extract_attributions", "measure_removal", "summarise_removal", "draw_fig3"}),
        ("attributions", {"extract_attributions"}, {"measure_removal", "summarise_removal", "draw_fig3"}),
        ("removal", {"measure_removal"}, {"summarise_removal", "draw_fig3"}),
        (
            "statistics",
            {"compare_biases", "compare_variants", "compare_attributions", "summarise_removal", "findings"},
            {"draw_fig3"},
        ),
        ("figures", {f"draw_{figure}" for figure in FIGURES}, set()),
        ("report", {f"draw_{figure}" for figure in FIGURES} | {"findings"}, set()),
    ],
)
def test_every_stage_is_a_target(fresh, stage, rules, later):
    """It makes all that everything takes of its rules, and nothing of what follows."""
    plan, everything = planned_jobs(fresh, stage), planned_jobs(fresh)
    assert {name: plan[name] for name in rules} == {name: everything.get(name, 1) for name in rules}
    assert not plan.keys() & later


def test_every_network_is_a_target(fresh):
    images = {"digit_images": 3, "test_images": 1, "train_images": 1, "start_images": 1}
    assert planned_jobs(fresh, "alexnet") == {**images, "train": 1, "survey_network": 1}
    jobs = planned_jobs(fresh, "vgg16")
    assert jobs["train"] == jobs["decay_biases"] == jobs["zero_biases"] == jobs["survey_network"] == 1
    assert jobs["extract_attributions"] == 3 and jobs["measure_removal"] == 9 + 4 + 6 and jobs["summarise_removal"] == 5
    assert planned_jobs(fresh, "resnet50")["decay_trial"] == 6
    assert planned_jobs(fresh, "vit")["measure_removal"] == 8


def test_operators_are_compared_where_there_are_several(fresh):
    said = snakemake(fresh, "--dry-run", "operators", check=False)
    message = "removal.operators is fill alone; to compare several, see config/operators.yaml"
    assert message in said.stdout
    config = fresh / "several.yaml"
    config.write_text(yaml.safe_dump({"only": ["vit"], "removal": {"operators": ["fill", "road", "blur"]}}))
    plan = snakemake(fresh, "--dry-run", "--configfile", str(config), "--", "operators").stdout
    for folder in ("original-bilinear", "original-bilinear-road", "original-bilinear-blur"):
        assert len(set(re.findall(rf"output: (results/\w+/removal/vit/{folder}/\w+-0\.h5)", plan))) == 8
    jobs = planned_jobs(fresh, "operators", "--configfile", str(config))
    assert (jobs["measure_removal"], jobs["rank_methods"], jobs["compare_operators"]) == (24, 3, 1)


def test_a_network_may_not_be_called_as_a_rule(fresh):
    config = fresh / "names.yaml"
    for name in ("figures", "fig3", "train", "report", "all", "operators"):
        config.write_text(yaml.safe_dump({"networks": {name: NETWORKS["alexnet"]}}))
        said = snakemake(fresh, "--dry-run", "--configfile", str(config), check=False).stdout
        assert f"configuration: networks.{name} has the name of a rule; allowed is any other name" in said


def test_every_target_is_listed_with_a_line(fresh):
    listed = dict(re.findall(r"^(\w+) \((.+)\)$", snakemake(fresh, "--list").stdout, re.MULTILINE))
    stages = ["networks", "survey", "attributions", "removal", "statistics", "figures", "report"]
    further = ["curves", "patches", "operators", "grid_pointing", "measures", "sanity"]  # beside what `all` makes
    assert listed.keys() == {"all", "cost", *further, *stages, *FIGURES, "figL", "figP", *NETWORKS}
    described = re.findall(r"^\| ([^|]*) \| `(\w+)` \|.* \| \d+ (?:s|min) \|$", PARTS, re.MULTILINE)
    assert {target: line for line, target in described}.items() <= listed.items()
    assert {target for _, target in described} >= {*FIGURES, *stages} - {"operators"}


def test_measures_are_compared_where_there_are_several(fresh):
    said = snakemake(fresh, "--dry-run", "measures", check=False).stdout
    assert "measures can't be made: removal has one operator, no curves, no patches; config/" in said
    jobs = planned_jobs(fresh, "measures", "--configfile", "config/measures.yaml")
    assert (jobs["compare_measures"], jobs["measure_sanity"], jobs["draw_figL"], jobs["findings"]) == (2, 2, 1, 1)
    assert jobs["play_grid_game"] == 2
    assert "compare_measures" not in planned_jobs(fresh)


def test_curves_are_made_where_they_are_switched_on_alone(fresh):
    said = snakemake(fresh, "--dry-run", "curves", check=False).stdout
    assert "curves can't be made: removal.curves is false; with config/curves.yaml it is true" in said
    assert not planned_jobs(fresh).keys() & {"measure_curves", "summarise_curves"}
    jobs = planned_jobs(fresh, "curves", "--configfile", "config/curves.yaml")
    assert jobs["measure_curves"] == 2 * (8 + 3) and jobs["summarise_curves"] == 2
    assert not jobs.keys() & {"measure_removal", "read_flips"}
    jobs = planned_jobs(fresh, "statistics", "--configfile", "config/curves.yaml")
    assert jobs["measure_curves"] == jobs["read_flips"] == 2 * (8 + 3) and "measure_removal" not in jobs


def test_single_patches_are_removed_where_they_are_asked_for_alone(fresh):
    said = snakemake(fresh, "--dry-run", "patches", check=False).stdout
    assert "patches can't be made: removal.patches is 0; with config/measures.yaml it is 4" in said
    assert not planned_jobs(fresh).keys() & {"measure_patches", "correlate_patches"}
    jobs = planned_jobs(fresh, "patches", "--configfile", "config/measures.yaml")
    assert jobs["measure_patches"] == jobs["correlate_patches"] == 2 and "measure_removal" not in jobs


def test_grids_are_made_where_they_are_asked_for_alone(fresh):
    said = snakemake(fresh, "--dry-run", "grid_pointing", check=False).stdout
    assert "grid_pointing can't be made: grid_pointing.grids is 0; config/measures.yaml has some" in said
    assert "play_grid_game" not in planned_jobs(fresh)
    config = fresh / "grids.yaml"
    config.write_text(yaml.safe_dump({"grid_pointing": {"grids": 5, "methods": ["aggregates", "random"]}}))
    jobs = planned_jobs(fresh, "grid_pointing", "--configfile", str(config))
    assert jobs["play_grid_game"] == jobs["extract_attributions"] == 7 and "measure_removal" not in jobs
    for pointing, others, message in (
        ({"grids": 26}, {}, "grids is 26; allowed is at most 25: each takes 4 images of images.classes × images.per_c"),
        ({"grids": 5}, {"images": {"classes": 3}}, "grids is 5, and images.classes is 3; a grid takes images of 4"),
        ({"grids": 5, "methods": ["signed"]}, {}, "grid_pointing.methods.0 is signed; allowed are layers, biases"),
        ({"grids": 5, "methods": ["biases"]}, {"only": ["vit"]}, "no network is explained by a method of grid_poi"),
    ):
        config.write_text(yaml.safe_dump({"figures": FIRST_IMAGE, "grid_pointing": pointing, **others}))
        said = snakemake(fresh, "--dry-run", "grid_pointing", "--configfile", str(config), check=False).stdout
        assert message in said


def test_planted_evidence_is_images_and_networks_of_its_own(fresh):
    """Which come with the repository; with config/curves.yaml beneath, measures are compared on them, too."""
    shutil.copytree(ROOT / "resources/planted", fresh / "resources/planted", dirs_exist_ok=True)
    planted = ("--configfile", "config/planted.yaml")
    jobs = planned_jobs(fresh, "statistics", *planted)
    assert (jobs["take_network"], jobs["digit_images"], jobs["measure_objects"]) == (2, 1, 2)
    assert not {"train", "decay_biases", "decay_trial", "measure_curves"} & jobs.keys()
    plan = snakemake(fresh, "--dry-run", "--printshellcmds", "statistics", *planted).stdout
    assert "make_digit_images.py --split=val " in plan and " --scraps=2 --planted --seed=0" in plan
    files = ("config/curves.yaml", "config/planted.yaml")
    jobs = planned_jobs(fresh, "measures", "--configfile", *files)
    assert (jobs["compare_measures"], jobs["draw_figL"], jobs["take_network"]) == (2, 1, 2)
    scratch = planned_jobs(fresh, "networks", *planted, "config/from_scratch.yaml")
    assert (scratch["train"], scratch["digit_images"]) == (2, 3) and "decay_trial" not in scratch


def test_fig1_needs_its_classifier_alone(fresh):
    assert planned_jobs(fresh, "fig1") == {"linear_classifier": 1, "draw_fig1": 1}


def test_fig5_needs_no_resnet_and_no_decay(fresh):
    jobs = planned_jobs(fresh, "fig5")
    assert jobs["train"] == jobs["extract_attributions"] == 1
    assert not jobs.keys() & {"zero_biases", "decay_biases"}


def test_three_later_families_are_explained():
    assert LATER == ["efficientnet", "convnext", "vit"]


def test_figm_needs_the_other_networks_alone(fresh):
    jobs = planned_jobs(fresh, "figM")
    assert jobs["train"] == jobs["extract_attributions"] == jobs["compare_aggregates"] == len(LATER)
    assert jobs["measure_removal"] == 8 * len(LATER) and jobs["summarise_removal"] == 2 * len(LATER)
    assert not jobs.keys() & {"zero_biases", "decay_biases", "survey_network"}


def test_figt_needs_the_twins_alone(fresh):
    jobs = planned_jobs(fresh, "figT")
    assert jobs["train"] == jobs["extract_attributions"] == jobs["compare_aggregates"] == 2 * len(TWINS)
    assert jobs["measure_removal"] == 8 * 2 * len(TWINS) and "compare_twins" not in jobs
    assert planned_jobs(fresh, "results/embedded/statistics/twins/vgg16-vgg16_strides.csv")["compare_twins"] == 1


def test_an_experiment_without_the_papers_networks(fresh):
    """Two networks of one's own: every figure that they have the variants for, no others, and findings."""
    config = yaml.safe_load((fresh / "config/config.yaml").read_text())
    own = {name: {**NETWORKS[name], "explain": True} for name in ("resnet18", "vgg11")}
    own["resnet18"]["decay"] = NETWORKS["resnet50"]["decay"]
    figures = {
        **config["figures"],
        "networks": {},
        "no_fullgrad": [],
        "fig7": {"images": [0], "methods": {"vgg11": ["input"]}},
    }
    whole = {**config, "whole": True, "experiment": "own", "networks": own, "figures": figures, "twins": []}
    (fresh / "own.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))
    jobs = planned_jobs(fresh, "--configfile", "own.yaml")
    assert {f"draw_{figure}" for figure in FIGURES} - jobs.keys() == {"draw_figS7", "draw_figT", "draw_figM"}
    assert jobs["train"] == 2 and jobs["extract_attributions"] == 4 and jobs["findings"] == 1
    jobs = planned_jobs(fresh, "results/own/findings.csv", "--configfile", "own.yaml")
    assert jobs["compare_aggregates"] == jobs["survey_network"] == 2 and jobs["compare_biases"] == 4
    assert jobs["compare_variants"] == jobs["compare_attributions"] == jobs["decay_biases"] == 1
    for figure, lacks in (
        ("figS7", "a network with trials of decay (decay_trials)"),
        ("figM", "which fig6 and figT don't show"),
    ):
        said = snakemake(fresh, figure, "--dry-run", "--configfile", "own.yaml", check=False)
        assert said.returncode != 0
        assert said.stdout.splitlines()[-1].startswith(f"{figure} can't be made: ") and lacks in said.stdout


def test_results_of_an_earlier_version_are_recognised(fresh):
    older = fresh / "results/embedded/removal/vgg16/original-bilinear/layers-0.h5"
    older.parent.mkdir(parents=True)
    older.touch()
    try:
        said = snakemake(fresh, "--dry-run", check=False)
    finally:
        shutil.rmtree(fresh / "results")
    assert said.returncode != 0
    message = f"{older.relative_to(fresh)} is of an earlier version of this workflow"
    assert sum(line.startswith(message) for line in said.stdout.splitlines()) == 1


def test_any_network_can_be_explained(fresh):
    config = fresh / "explained.yaml"
    others = {name: {"explain": False} for name in OTHERS}
    training = {"epochs": 1, "batch": 64, "learning_rate": 0.01, "weight_decay": 0}
    mine = {"source": "timm", "constructor": "resnet18", "arguments": {}, "explain": True, "training": training}
    config.write_text(yaml.safe_dump({"networks": {**others, "mine": mine}}))
    assert planned_jobs(fresh, "figM", "--configfile", str(config))["train"] == 1
    config.write_text(yaml.safe_dump({"networks": others}))
    assert "draw_figM" not in planned_jobs(fresh, "--configfile", str(config))


@pytest.mark.parametrize("figure", ["fig3", "figS1", "figS2", "figS3", "figS4", "figS5"])
def test_the_zoos_figures_need_its_survey_alone(fresh, figure):
    jobs = planned_jobs(fresh, figure)
    images = {"digit_images": 3, "test_images": 1, "train_images": 1, "start_images": 1}
    assert jobs == {**images, "train": len(ZOO), "survey_network": len(ZOO), f"draw_{figure}": 1}


@pytest.mark.parametrize("figure", ["fig2", "fig4", "fig5", "fig6", "fig7"])
def test_the_zoo_delays_no_other_figure(fresh, figure):
    """Its networks aren't needed, and where both are asked for their jobs come last."""
    jobs = planned_jobs(fresh, figure)
    assert jobs["train"] <= 2 and not jobs.keys() & {"survey_network", "decay_trial"}
    plan = snakemake(fresh, figure, "figS1", "figS7", "figM", "--dry-run").stdout
    priorities = re.findall(r"^rule (\w+):.*?^    jobid: \d+$(.*?)^    resources", plan, re.MULTILINE | re.DOTALL)
    found = {}
    for name, body in priorities:
        if re.fullmatch(r"fig\w+", name):  # a target that only collects
            continue
        network = re.search(r"network=(\w+)", body)
        group = "zoo" if name in ("survey_network", "decay_trial") else "other"
        if name.startswith(("draw_figS", "draw_figM", "draw_figT")):
            continue
        group = "zoo" if network and network[1] not in ("vgg16", "resnet50") else group
        priority = re.search(r"priority: (\d+)", body)
        found.setdefault(group, []).append(int(priority[1]) if priority else 0)
    assert len(found["zoo"]) > len(ZOO)
    assert min(found["other"]) > max(found["zoo"])


def test_figure_s7_tries_what_the_configuration_says(fresh):
    config = fresh / "trials.yaml"
    config.write_text("networks: {resnet50: {decay_trials: {steps: [7], temperature: [2.5, 30]}}}\n")
    jobs = planned_jobs(fresh, "figS7", "--configfile", str(config))
    assert (jobs["decay_biases"], jobs["decay_trial"]) == (1, 3)


def test_shards_follow_the_configuration(fresh):
    config = fresh / "shards.yaml"
    config.write_text("attributions: {shard_size: 30}\nremoval: {shard_size: 60}\n")
    jobs = planned_jobs(fresh, "fig5", "--configfile", str(config))
    assert (jobs["extract_attributions"], jobs["measure_removal"]) == (4, 4 * 2)  # methods, in two blocks


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"remuval": {}}, "configuration: remuval is not a known key; allowed are whole, experiment, "),
        ({"removal": {"gird": 9}}, "configuration: removal.gird is not a known key; allowed are shard_size, grid, "),
        ({"removal": {"grid": 1}}, "configuration: removal.grid is 1; allowed is a whole number of at least 2"),
        (
            {"removal": {"patches": 1}},
            "configuration: removal.patches is 1; allowed is 0 or a whole number of at least 2",
        ),
        ({"removal": {"grid": "many"}}, "configuration: removal.grid is 'many'; allowed is a whole number"),
        ({"removal": {"grid_plus": [0, 1]}}, "removal.grid_plus.0 is 0; allowed is a number above 0 and at most 1"),
        ({"removal": {"grid_plus": [0.2, 0.1, 1]}}, "removal.grid_plus.1 is 0.1; allowed is more than 0.2, before it"),
        ({"removal": {"grid_plus": [0.1, 0.5]}}, "removal.grid_plus ends at 0.5; allowed is an end at 1, with all"),
        (
            {"removal": {"grid_plus": [0.0001, 0.00011, 1]}},
            "configuration: removal.grid_plus.1 is 0.00011, 1 of the 9216 pixels of an image, as many as the step",
        ),
        ({"removal": {"ties": "first"}}, "configuration: removal.ties is 'first'; allowed is random or raster"),
        ({"saliency": {"upsampling": "linear"}}, "saliency.upsampling is 'linear'; allowed is bilinear, nearest or"),
        (
            {"networks": {"vgg16": {"decay": {"temperature": 0}}}},
            "configuration: networks.vgg16.decay.temperature is 0; allowed is a number from 1e-18 to 1e18",
        ),
        ({"networks": {"vgg16": {"decay": {"steps": 0}}}}, "networks.vgg16.decay.steps is 0; allowed is a whole"),
        (
            {"images": {"source": "folder"}},
            "configuration: images.folder is ''; allowed is the path of a folder, since",
        ),
        ({"experiment": "a b"}, "configuration: experiment is 'a b'; allowed is a name of letters, digits, _ and -"),
        (
            {"networks": {"mine": {"source": "narrow", "constructor": "vgg99", "arguments": {}, "training": {}}}},
            "configuration: networks.mine.constructor is 'vgg99'; allowed is one of the narrow networks: alexnet, ",
        ),
        (
            {"networks": {"mine": TIMM}},
            "allowed is a network: source, constructor, arguments, and either training or weights",
        ),
        (
            {"networks": {"vgg16": {"weights": {"name": "IMAGENET1K_V1"}}}},
            "allowed is a network: source, constructor, arguments, and either training or weights",
        ),
        (
            {"networks": {"mine": {**TIMM, "weights": {"name": "x", "sha256": "abc"}}}},
            "configuration: networks.mine.weights.sha256 is 'abc'; allowed is a SHA-256 in hexadecimal, or nothing",
        ),
        ({"images": {"source": "imagenet"}}, "images.folder is ''; allowed is the path of a folder, since images are"),
        ({"images": {"unreadable": "ignore"}}, "configuration: images.unreadable is 'ignore'; allowed is stop or skip"),
        ({"images": {"orientation": "exif"}}, "images.orientation is 'exif'; allowed is ignore or apply"),
        (
            {"removal": {"precision": "half"}},
            "removal.precision is 'half'; allowed is auto, float32, tf32, bfloat16 or float16",
        ),
        (
            {"networks": {"vgg11": {"explain": "yes"}}},
            "networks.vgg11.explain is 'yes'; allowed is true, false, or a list",
        ),
        ({"networks": {"vgg16": 3}}, "configuration: networks.vgg16 is 3; allowed is "),
        ({"networks": {"resnet50": {"decay_trials": {"steps": [0]}}}}, "networks.resnet50.decay_trials.steps.0 is 0; "),
        ({"survey": {"scales": [10, 0]}}, "configuration: survey.scales.1 is 0; allowed is a number above 0"),
        (
            {"survey": {"scales": [1, 2]}},
            "survey.scales is [1, 2]; allowed is a list of different numbers above 0, 10 ",
        ),
        ({"survey": {"shifts": [1, 2]}}, "configuration: survey.shifts.1 is 2; allowed is a number from -1 to 1"),
        (
            {"images": {"train_count": 0}},
            "configuration: images.train_count is 0; allowed is a whole number of at least",
        ),
        (
            {"images": {"source": "folder", "folder": "empty"}},
            "configuration: images.folder is empty; empty/val must hold images",
        ),
        ({"device": "gpu"}, "configuration: device is 'gpu'; allowed is auto, cpu, cuda or cuda:<n>"),
        ({"device": "cpu\n"}, "configuration: device is 'cpu\\n'; allowed is auto, cpu, cuda or cuda:<n>"),
        ({5: 1, "five": 2}, "configuration: 5, five is not a known key; allowed are whole, experiment, "),
        ({"networks": "my-net"}, "configuration: networks is 'my-net'; allowed is a mapping of names to networks"),
        ({"removal": {"fill": float("nan")}}, "configuration: removal.fill is nan; allowed is a number that is finite"),
        (
            {"survey": {"scales": [10, float("inf")]}},
            "configuration: survey.scales.1 is inf; allowed is a number that is finite",
        ),
        (
            {"figures": {"fig7": {"methods": {"vgg_16": ["input"]}}}},
            "configuration: figures.fig7.methods: vgg_16 is no network; there are vgg16, resnet50, ",
        ),
        ({"survey": 5}, "configuration: survey is 5; allowed is a mapping of scales, shifts, change_images, fits"),
        (
            {"networks": {"mine": {**MINE, "constructor": "alexnet x"}}},
            "configuration: networks.mine.constructor is 'alexnet x'; allowed is ",
        ),
        # names
        (
            {"networks": {"my-net": MINE}},
            "configuration: networks.my-net: a network's name is of letters, digits and _",
        ),
        (
            {"networks": {"net\n": MINE}},
            "configuration: networks.'net\\n': a network's name is of letters, digits and _",
        ),
        (
            {"networks": {101: MINE}},
            "configuration: networks.101: a network's name is of letters, digits and _; this one is a number, write it "
            'in quotes: "101"',
        ),
        (
            {"networks": {False: MINE}},
            "networks.False: a network's name is of letters, digits and _; this one is a truth",
        ),
        (
            {"networks": {None: MINE}},
            "networks.None: a network's name is of letters, digits and _; this one is nothing,",
        ),
        (
            {"experiment": 2024},
            "configuration: experiment is 2024, a number; allowed is a name of letters, digits, _ and -, which doesn't "
            'start with -, in quotes: "2024"',
        ),
        (
            {"experiment": False},
            "configuration: experiment is False, a truth value; allowed is a name of letters, digits",
        ),
        (
            {"experiment": date(2024, 5, 1)},
            "experiment is 2024-05-01, a date; allowed is a name of letters, digits, _ and",
        ),
        ({"experiment": "a\n"}, "configuration: experiment is 'a\\n'; allowed is a name of letters, digits, _ and -"),
        (
            {"experiment": "-a"},
            "configuration: experiment is '-a'; allowed is a name of letters, digits, _ and -, which",
        ),
        ({"images": {"folder": 7}}, "configuration: images.folder is 7, a number; allowed is the path of a folder,"),
        # what is chosen of the manifest, 100 images
        (
            {"figures": {"fig2": {"image": 100}}},
            "configuration: figures.fig2.image is 100; allowed is a whole number below images.classes × "
            "images.per_class, 100",
        ),
        (
            {"figures": {"fig4": {"image": 1000}}},
            "configuration: figures.fig4.image is 1000; allowed is a whole number",
        ),
        (
            {"figures": {"fig7": {"images": [0, 99, 100]}}},
            "configuration: figures.fig7.images.2 is 100; allowed is a whole",
        ),
        (
            {"images": {"classes": 2, "per_class": 4}},
            "configuration: figures.fig2.image is 37; allowed is a whole number be",
        ),
        (
            {"figures": {"fig7": {"methods": {"vgg16": ["input", "lime"]}}}},
            "configuration: figures.fig7.methods.vgg16.1: method is lime; allowed are gradient, input, gradcam, ",
        ),
        (
            {"figures": {"figP": {"images": [100], "methods": {"vgg16": ["input"]}}}},
            "configuration: figures.figP.images.0 is 100; allowed is a whole",
        ),
        (
            {"figures": {"figP": {"images": [0], "methods": {"vgg16": ["input"], "resnet50": ["input"]}}}},
            "configuration: figures.figP.methods is resnet50, vgg16; allowed is one network",
        ),
        (
            {"figures": {"figP": {"images": [0], "methods": {"vit": ["input", "bias_1"]}}}},
            "configuration: figures.figP.methods.vit.1 is bias_1, by which no pixels are removed; allowed are maps of "
            "gradient, input, activity, activity_from, ",
        ),
        (
            {"figures": {"fig7": {"methods": {"resnet50": ["activity_1.5"]}}}},
            "configuration: figures.fig7.methods.resnet50.0: method is activity_1.5; allowed are gradient, input, ",
        ),
        (
            {"removal": {"noise_maps": 100}},
            "configuration: removal.noise_maps is 100; it must be below images.classes × images.per_class, 100, since "
            "noise maps are other images'",
        ),
        (
            {"images": {"classes": 1, "per_class": 1}, "figures": FIRST_IMAGE},
            "configuration: removal.noise_maps is 1; it must be below images.classes × images.per_class, 1, since ",
        ),
        (
            {"removal": {"grid": 1025}, "images": {"size": 32}},
            "configuration: removal.grid is 1025; images have 1024 pixels, images.size², and each step remo",
        ),
        (
            {"removal": {"patches": 33}, "images": {"size": 32}},
            "configuration: removal.patches is 33; images have 32 × 32 pixels, images.size, and each patch at ",
        ),
        (
            {"images": {"source": "folder", "folder": "a", "planted": True}},
            "configuration: images.planted is True; allowed is false, since images are not generated",
        ),
        ({"removal": {"fill": 1e39}}, "configuration: removal.fill is 1e+39; allowed is a number in the network's inp"),
        (
            {"networks": {"resnet50": {"decay_trials": {"steps": [5, 20]}}}},
            "networks.resnet50.decay_trials.steps.1 is 20, as decay's own or another trial's; all must differ",
        ),
    ],
)
def test_bad_configuration_is_one_line(fresh, override, message):
    config = fresh / "bad.yaml"
    config.write_text(yaml.safe_dump(override))
    result = snakemake(fresh, "--dry-run", "--configfile", str(config), check=False)
    assert result.returncode != 0
    assert sum(message in line for line in result.stdout.splitlines()) == 1
    assert not (fresh / "results").exists()


def test_names_that_look_like_something_else(fresh):
    """In quotes, as YAML needs some of them: every network is one of its own, in all of its jobs."""
    config = fresh / "names.yaml"
    training = {name: {**MINE["training"], "epochs": 11 + place} for place, name in enumerate(NAMES)}
    networks = {name: {**MINE, "explain": True, "training": training[name]} for name in NAMES}
    config.write_text(yaml.safe_dump({"experiment": "2024", "networks": networks}, sort_keys=False))
    arguments = ("figM", *NAMES, "--dry-run", "--printshellcmds", "--configfile", str(config))
    plan = snakemake(fresh, *arguments).stdout
    for rule in ("train", "survey_network", "extract_attributions", "measure_removal", "compare_aggregates"):
        jobs = re.findall(rf"^rule {rule}:\n.*?^    wildcards: .*?network=(\w+)", plan, re.MULTILINE | re.DOTALL)
        assert {*NAMES} <= {*jobs} <= {*NAMES, *OTHERS}, rule
    trained = dict(re.findall(r"--output=results/2024/models/(\w+)/original.safetensors .*--epochs=(\d+)", plan))
    assert {name: int(trained[name]) for name in NAMES} == {name: training[name]["epochs"] for name in NAMES}
    assert {*NAMES} <= {*re.findall(r"survey_network.py .*--name=(\w+) ", plan)}
    assert f"--fullgrad {' '.join(NAMES)} " in plan


def test_a_plan_imports_no_torch(fresh):
    """It takes seconds: the names of methods are checked without."""
    code = "import sys; sys.path.append('scripts'); import explanations.methods; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=fresh, text=True, capture_output=True, check=True).stdout
    assert not {"torch", "numpy", "tqdm"} & {*loaded.split()}


def test_small_numbers_name_trials_of_decay(fresh):
    config = fresh / "trials.yaml"
    config.write_text("networks: {resnet50: {decay_trials: {steps: [], temperature: [1.0e-5, 1.0e+18]}}}\n")
    plan = snakemake(fresh, "figS7", "--dry-run", "--printshellcmds", "--configfile", str(config)).stdout
    assert "--temperature=1e-05 " in plan and "--temperature=1e+18 " in plan


def test_figures_are_listed_by_their_numbers():
    """The report sorts them by their labels, as text; the table of jobs is made by docs/gather_times.py."""
    labels = list(map(report_number, catalogue.FIGURES))
    main, more = (sorted(label for label in labels if label.startswith("S") is more) for more in (False, True))
    assert main == [*map(str, range(1, 8)), "B", "L", "M", "P", "T"]
    assert more == [f"S{number:02d}" for number in range(1, 17)]
    rows = re.findall(r"^\| draw_figS(\d+) ", (ROOT / "docs/cluster.md").read_text(), re.MULTILINE)
    assert rows == [*map(str, range(1, 17))]


def test_configuration_documents_every_key():
    text = (ROOT / "config/README.md").read_text()

    def keys(value: dict, prefix: str = ""):
        for key, inner in value.items():
            name = f"{prefix}{key}"
            if name == "figures.networks":
                yield "figures.networks.<figure>"
            elif isinstance(inner, dict) and not name.endswith(("arguments", "methods")):
                yield from keys(inner, "networks.<name>." if prefix == "networks." else f"{name}.")
            else:
                yield name

    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    missing = [name for name in dict.fromkeys(keys(config)) if f"`{name}`" not in text]
    assert not missing


def test_the_schema_knows_every_narrow_network():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    constructor = schema["$defs"]["network"]["then"]["properties"]["constructor"]
    assert constructor["enum"] == list(NARROW)
    assert constructor["description"] == f"one of the narrow networks: {', '.join(NARROW)}"


STUB = """import pathlib, sys, time
flags = dict(flag.split("=", 1) for flag in sys.argv if "=" in flag)
for flag in ("--output", "--images", "--masks", "--accuracy", "--outputs", "--fits-table", "--robustness"):
    if flag in flags:
        path = pathlib.Path(flags[flag])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True) if flag in ("--images", "--masks") else path.touch()
if "--robustness" in flags:
    start = time.time()
    time.sleep(2)
    (path.parent / "times.txt").write_text(f"{start} {time.time()}")
"""
GPU_LIST = '#!/bin/sh\nfor k in 0 1 2; do echo "GPU $k: Some GPU (UUID: GPU-$k)"; done\n'


@pytest.mark.parametrize(
    ("jobs", "visible", "arguments"),
    [(3, None, ()), (2, None, ("--resources", "gpu=2")), (1, "1", ()), (2, "0,2,-1,1", ()), (4, "-1", ())],
)
def test_every_gpu_has_a_job_at_a_time(tmp_path, monkeypatch, jobs, visible, arguments):
    """As many jobs as nvidia-smi lists, as the command says, or as CUDA_VISIBLE_DEVICES has; without GPUs, any."""
    folder = copy_workflow(tmp_path / "copy")
    for script in ("make_digit_images", "list_images", "train_network", "survey_network"):
        (folder / f"scripts/{script}.py").write_text(STUB)
    (tmp_path / "nvidia-smi").write_text(GPU_LIST)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    surveys = [f"results/embedded/survey/{name}/accuracy.csv" for name in list(ZOO)[:4]]
    snakemake(folder, *surveys, "--cores", "8", *arguments)
    times = [path.read_text().split() for path in (folder / "results").rglob("times.txt")]
    spans = [(float(start), float(end)) for start, end in times]
    together = max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)
    assert len(spans) == 4 and together == jobs


@pytest.mark.parametrize(
    ("squeue", "message"),
    [
        (
            'echo "7|$PWD|rule_train"; echo "8|/elsewhere|rule_train"',
            "jobs of an earlier run are still there; end them first: scancel 7",
        ),
        ("echo no controller >&2; exit 1", "squeue can't tell whether jobs of an earlier run are left: no controller"),
    ],
)
def test_no_run_starts_beside_jobs_of_an_earlier_one(tmp_path, monkeypatch, squeue, message):
    """As Slurm lists them: two jobs would write one file."""
    folder = copy_workflow(tmp_path / "copy")
    for command in ("squeue", "sinfo"):
        (tmp_path / command).write_text(f"#!/bin/sh\n{squeue}\n")
        (tmp_path / command).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    said = snakemake(folder, "--workflow-profile", "profiles/slurm", "results/embedded/linear.h5", check=False).stdout
    assert f"\n{message}\n" in said
    assert not (folder / "results/embedded").exists()


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_networks_of_other_seeds_come_with_the_repository(fresh, seed):
    """`make seeds` trains none."""
    folder, seeds = fresh, ROOT / f"resources/seeds/{seed}"
    shutil.copytree(seeds, folder / f"resources/seeds/{seed}", dirs_exist_ok=True)
    settings = (f"experiment=seed{seed}", f"training_seed={seed}", f"trained=resources/seeds/{seed}")
    planned = planned_jobs(folder, "findings", "--configfile", "config/seeds.yaml", "--config", *settings)
    assert planned["take_network"] == 4 and not {"train", "decay_biases"} & planned.keys()


def test_networks_that_come_with_the_repository_are_taken(tmp_path):
    """As far as the configuration would train them so; nothing is generated for their training then."""
    folder = copy_workflow(tmp_path / "copy")
    shutil.copytree(ROOT / "resources/networks", folder / "resources/networks")
    files = [
        f"results/embedded/models/{name}/{variant}.safetensors"
        for name in ("vgg16", "resnet50")
        for variant in ("original", "decayed")
    ]
    assert planned_jobs(folder, *files) == {"take_network": 4}
    scratch = ("--configfile", "config/from_scratch.yaml", "--config", "experiment=embedded")
    again = planned_jobs(folder, *files, *scratch)
    assert again["train"] == again["decay_biases"] == 2 and again["digit_images"] == 4
    (folder / "changed.yaml").write_text("networks: {resnet50: {decay: {steps: 3}}}")
    changed = planned_jobs(folder, *files, "--configfile", "changed.yaml")
    assert changed["take_network"] == 3 and changed["decay_biases"] == 1
    snakemake(folder, *files, "--cores", "2")
    for name in files:
        kept = ROOT / "resources/networks" / Path(name).relative_to("results/embedded/models")
        assert (folder / name).read_bytes() == kept.read_bytes()
    record = "results/embedded/decay/resnet50/steps-5.csv"
    assert planned_jobs(folder, record) == {"take_record": 1}
    snakemake(folder, record, "--cores", "2")
    assert (folder / record).read_bytes() == (ROOT / "resources/networks/resnet50/steps-5.csv").read_bytes()
    (folder / "resources/networks/vgg16/original.safetensors").write_bytes(b"")
    said = snakemake(folder, *files, check=False).stdout
    assert "vgg16/original.safetensors: not a network file, or damaged; `make networks` makes it anew" in said


def test_the_cluster_hands_all_short_jobs_in_together(fresh):
    """A rule that is new is easily left out of the profile's groups."""
    rules = snakemake(fresh, "--list-rules").stdout.split()
    short = [name for name in rules if name.startswith(("draw_", "compare_", "summarise_", "zero_"))]
    groups = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())["groups"]
    assert len(short) > 25 and set(short) <= set(groups)


def test_lint(fresh):
    assert "Congratulations" in snakemake(fresh, "--lint").stdout


@pytest.mark.parametrize(
    "command", [("ruff", "check"), ("ruff", "format", "--check"), ("snakefmt", "--check")], ids=" ".join
)
def test_style(command):
    tool, *arguments = command
    program = Path(sys.executable).parent / tool
    result = subprocess.run([program, *arguments, "."], cwd=ROOT, text=True, capture_output=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.py")), ids=lambda script: script.name)
def test_every_step_is_a_command(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit) as ended:  # in this process: to import torch anew for each would take minutes
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0 and capsys.readouterr().out.startswith(f"usage: {script.name}")


@pytest.mark.parametrize("config", ["config", "measures", "planted"])
def test_steps_take_the_flags_that_rules_give_them(fresh, monkeypatch, config):
    """Of each step one command, as it is planned; nothing is run but what reads its flags."""
    monkeypatch.setattr("explanations.command.call_with_flags", lambda main, flags: None)
    monkeypatch.setattr("explanations.command.hold_steps_lock", lambda name: None)
    shutil.copytree(ROOT / "resources/planted", fresh / "resources/planted", dirs_exist_ok=True)
    target = ("measures",) if config == "measures" else ()
    plan = snakemake(fresh, "--dry-run", "--printshellcmds", *target, "--configfile", f"config/{config}.yaml").stdout
    commands = dict(re.findall(r"^Shell command: python (scripts/\w+\.py) (.*?) >\S+ 2>&1$", plan, re.MULTILINE))
    assert len(commands) > 12
    for script, flags in commands.items():
        monkeypatch.setattr(sys, "argv", [script, *shlex.split(flags)])
        runpy.run_path(str(ROOT / script), run_name="__main__")
