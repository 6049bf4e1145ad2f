"""The workflow as another's module: its rules run in that one's folder, under its names, with its configuration."""

import os
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from workflow_copy import ROOT, copy_workflow, planned_jobs, snakemake

pytestmark = pytest.mark.workflow
CONFIG = {**yaml.safe_load((ROOT / "tests/minimal.yaml").read_text()), "experiment": "mine"}
USER = """
import yaml


module explanations:
    snakefile:
        {snakefile}
    config:
        yaml.safe_load(open("mine.yaml"))
{more}

use rule * from explanations{names}
"""


@pytest.fixture(scope="module")
def workflow(tmp_path_factory) -> Path:
    return copy_workflow(tmp_path_factory.mktemp("workflow"))


def use(folder: Path, workflow: Path | str, names: str = " as explanations_*", more: str = "", config=CONFIG) -> Path:
    """A workflow that uses this one: all rules by other names, and what else its module statement says."""
    snakefile = f'"{workflow}/workflow/Snakefile"' if isinstance(workflow, Path) else workflow
    (folder / "Snakefile").write_text(USER.format(snakefile=snakefile, names=names, more=more))
    (folder / "mine.yaml").write_text(yaml.safe_dump(config))
    return folder


def training_of(config: dict) -> list[dict]:
    """The training of each network."""
    return [network["training"] for network in config["networks"].values()]


def commands(plan: str) -> list[str]:
    """The commands that a dry run prints."""
    return re.findall(r"^Shell command: (python .*)$", plan, re.MULTILINE)


def test_a_figure_is_made_in_the_users_folder(tmp_path, workflow):
    folder = use(tmp_path, workflow)
    snakemake(folder, "explanations_fig1", "--cores", "1")
    assert (folder / "results/mine/figures/fig1.png").stat().st_size > 1000
    assert not (workflow / "results").exists()
    assert "Nothing to be done" in snakemake(folder, "explanations_fig1", "--dry-run").stdout


@pytest.mark.parametrize("names", ["", " as explanations_*"])
def test_all_is_planned_as_by_itself(tmp_path, workflow, names):
    """The same jobs with the same files, by the workflow's own scripts; `all` is the default target."""
    prefix = names.removeprefix(" as ").removesuffix("*")
    (tmp_path / "user").mkdir()
    folder = use(tmp_path / "user", workflow, names)
    (workflow / "mine.yaml").write_text(yaml.safe_dump(CONFIG))
    options = ("--dry-run", "--printshellcmds", "--cores", "1")
    alone = snakemake(workflow, *options, "--configfile", "mine.yaml").stdout
    used = snakemake(folder, *options).stdout
    assert len(commands(alone)) > 100
    assert any(first is second for first, second in pairwise(training_of(CONFIG)))  # as aliases do; rates differ
    assert sorted(commands(used.replace(f"{workflow}/scripts", "scripts"))) == sorted(commands(alone))
    for said in ("output", "log", "benchmark"):
        lines = rf"^    {said}: .*$"
        assert sorted(re.findall(lines, used, re.MULTILINE)) == sorted(re.findall(lines, alone, re.MULTILINE))
    ours, theirs = (set(re.findall(r"^(?:local)?rule (\w+):", text, re.MULTILINE)) for text in (alone, used))
    assert {prefix + rule for rule in ours} == theirs
    assert f"{prefix}fig5 (" in snakemake(folder, "--list").stdout


def test_the_users_own_default_target_stays(tmp_path, workflow):
    folder = use(tmp_path, workflow)
    text = (folder / "Snakefile").read_text()
    (folder / "Snakefile").write_text('rule mine:\n    output: "mine.txt"\n    shell: "touch {output}"\n' + text)
    assert planned_jobs(folder) == {"mine": 1}


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ('    prefix:\n        "below"\n', "below/results/mine"),
        ('    pathvars:\n        results="else/where",\n', "else/where"),
    ],
)
def test_results_go_where_the_module_statement_says(tmp_path, workflow, more, place):
    folder = use(tmp_path, workflow, more=more)
    plan = snakemake(folder, "explanations_fig2", "--dry-run", "--printshellcmds").stdout
    planned = commands(plan)
    assert len(planned) > 5
    assert all(f"={place}/" in command and f">{place}/logs/" in command for command in planned)
    assert "=results/" not in "".join(planned) and f" {workflow}/scripts/plot_decomposition.py " in "".join(planned)


def test_a_module_without_configuration_is_the_embedded_experiment(tmp_path, workflow):
    folder = use(tmp_path, workflow)
    text = (folder / "Snakefile").read_text()
    (folder / "Snakefile").write_text(re.sub(r"    config:\n.*\n", "", text))
    plan = snakemake(folder, "explanations_fig1", "--dry-run").stdout
    assert "output: results/embedded/linear.h5" in plan


def test_a_wrong_configuration_is_one_line(tmp_path, workflow):
    folder = use(tmp_path, workflow, config={**CONFIG, "sede": 1})
    said = snakemake(folder, "--dry-run", check=False).stdout
    assert "configuration: sede is not a known key" in said


def test_a_version_of_a_repository(tmp_path, monkeypatch):
    """As the catalogue has it: github(…), here of a repository beside; another version reruns what it changed."""
    repository, folder = tmp_path / "owner/explanations", tmp_path / "user"
    repository.mkdir(parents=True)
    folder.mkdir()
    copy_workflow(repository)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for key, value in {
        **{"COUNT": "1", "KEY_0": f"url.file://{tmp_path}/.insteadOf", "VALUE_0": "https://github.com/"},
    }.items():
        monkeypatch.setenv(f"GIT_CONFIG_{key}", value)
    git(repository, "init", "--quiet")
    tag(repository, "v1")
    source = 'github("owner/explanations", path="workflow/Snakefile", tag="{}")'
    use(folder, source.format("v1"))
    snakemake(folder, "explanations_fig1", "--cores", "1")
    assert (folder / "results/mine/figures/fig1.png").exists()

    with open(repository / "scripts/plot_linear_classifier.py", "a") as file:
        file.write("# changed\n")
    tag(repository, "v2")
    use(folder, source.format("v2"))
    assert set(planned_jobs(folder, "explanations_fig1")) == {"explanations_draw_fig1"}


def git(repository: Path, *arguments: str) -> None:
    """A command of git, whose user's own settings don't matter."""
    who = ("-c", "user.name=tests", "-c", "user.email=tests@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=repository, check=True, env={**os.environ, "HOME": str(repository)})


def tag(repository: Path, version: str) -> None:
    """Keep all files as a version."""
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", version)
    git(repository, "tag", version)
