"""The workflow without running it: every target plans, the configuration is checked, the code is in style."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from workflow_copy import ROOT, copy_workflow, planned_jobs, snakemake

pytestmark = pytest.mark.workflow
FIGURES = ["fig1", "fig2", "fig4", "fig5", "fig6", "fig7", *(f"figS{number}" for number in range(8, 17))]


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
    assert jobs["train"] == jobs["zero_biases"] == jobs["decay_biases"] == 2
    assert jobs["extract_attributions"] == 6


def test_fig1_needs_its_classifier_alone(fresh):
    assert planned_jobs(fresh, "fig1") == {"linear_classifier": 1, "draw_fig1": 1}


def test_fig5_needs_no_resnet_and_no_decay(fresh):
    jobs = planned_jobs(fresh, "fig5")
    assert jobs["train"] == jobs["extract_attributions"] == 1
    assert not jobs.keys() & {"zero_biases", "decay_biases"}


def test_shards_follow_the_configuration(fresh):
    config = fresh / "shards.yaml"
    config.write_text("attributions: {shard_size: 30}\nremoval: {shard_size: 60}\n")
    jobs = planned_jobs(fresh, "fig5", "--configfile", str(config))
    assert (jobs["extract_attributions"], jobs["measure_removal"]) == (4, 4)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"remuval": {}}, "configuration: remuval is not a known key; allowed are experiment, "),
        ({"removal": {"gird": 9}}, "configuration: removal.gird is not a known key; allowed are shard_size, grid, "),
        ({"removal": {"grid": 1}}, "configuration: removal.grid is 1; allowed is a whole number of at least 2"),
        ({"removal": {"grid": "many"}}, "configuration: removal.grid is 'many'; allowed is a whole number"),
        ({"removal": {"ties": "first"}}, "configuration: removal.ties is 'first'; allowed is random or raster"),
        ({"saliency": {"upsampling": "linear"}}, "saliency.upsampling is 'linear'; allowed is bilinear, nearest or"),
        (
            {"networks": {"vgg16": {"decay": {"temperature": 0}}}},
            "configuration: networks.vgg16.decay.temperature is 0; allowed is a number above 0",
        ),
        ({"networks": {"vgg16": {"decay": {"steps": 0}}}}, "networks.vgg16.decay.steps is 0; allowed is a whole"),
        (
            {"images": {"source": "folder"}},
            "configuration: images.folder is ''; allowed is the path of a folder, since",
        ),
        ({"experiment": "a b"}, "configuration: experiment is 'a b'; allowed is a name of letters, digits, _ and -"),
        ({"device": "gpu"}, "configuration: device is 'gpu'; allowed is auto, cpu, cuda or cuda:<n>"),
    ],
)
def test_bad_configuration_is_one_line(fresh, override, message):
    config = fresh / "bad.yaml"
    config.write_text(yaml.safe_dump(override))
    result = snakemake(fresh, "--dry-run", "--configfile", str(config), check=False)
    assert result.returncode != 0
    assert sum(message in line for line in result.stdout.splitlines()) == 1
    assert not (fresh / "results").exists()


def test_configuration_documents_every_key():
    text = (ROOT / "config/README.md").read_text()

    def keys(value: dict, prefix: str = ""):
        for key, inner in value.items():
            name = f"{prefix}{key}"
            if isinstance(inner, dict) and not name.endswith(("arguments", "methods")):
                yield from keys(inner, "networks.<name>." if prefix == "networks." else f"{name}.")
            else:
                yield name

    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    missing = [name for name in dict.fromkeys(keys(config)) if f"`{name}`" not in text]
    assert not missing


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
def test_every_step_is_a_command(script):
    result = subprocess.run([sys.executable, script, "--help"], cwd=ROOT, text=True, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"usage: {script.name}")
