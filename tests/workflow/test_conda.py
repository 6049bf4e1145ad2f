"""`snakemake --use-conda`: its environments are solved, installed, and give the numbers of the environment of `make`.

The conda here is a stand-in (conda/stand_in.py) with a channel made of what is installed (conda/channel.py), so that
nothing is downloaded; the environment files, Snakemake's use of them, the solver and the installer are the real ones.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import stand_in
from channel import MINOR, STDLIB, make_channel
from interrupted import kill_snakemake, start_snakemake, wait_for_networks
from test_environments import environment_packages, steps
from workflow_copy import FEWER, ROOT, assert_same_results, copy_workflow, planned_jobs, snakemake

pytestmark = [pytest.mark.conda, pytest.mark.workflow, pytest.mark.timeout(3600)]
ENVIRONMENTS = {path.name: environment_packages(path.name) for path in (ROOT / "envs").glob("*.yaml")}
CONDA = Path(".snakemake/conda")
# At the end of every Python process of an environment: its script and prefix, and the modules from anywhere else.
PROBE = """
import atexit, json, os, sys

def tell():
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())} - {None}
    own = (sys.prefix + os.sep, os.getcwd() + os.sep)  # torch names modules of its making by no path
    foreign = sorted(file for file in files if os.path.isabs(file) and not file.startswith(own))
    with open(os.path.join(sys.prefix, "jobs.jsonl"), "a") as file:
        file.write(json.dumps([sys.argv[0], foreign]) + "\\n")

atexit.register(tell)
"""


@pytest.fixture(scope="module")
def conda(tmp_path_factory) -> Iterator[Path]:
    """The stand-in's folder, first on PATH; gone after the tests, for it holds gigabytes."""
    if {packages["python"] for packages in ENVIRONMENTS.values()} != {f"={MINOR}"}:
        pytest.skip(f"the environments need another Python than {MINOR}")
    if not (STDLIB / "site-packages").is_dir():
        pytest.skip(f"the Python at {STDLIB} keeps its packages elsewhere, as Debian's does, and can't be moved")
    root = tmp_path_factory.mktemp("conda")
    make_channel(root / "channels/conda-forge", {name for packages in ENVIRONMENTS.values() for name in packages})
    stand_in.write_commands(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(root / "bin"), prepend=os.pathsep)
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # packages bring none, and every job would compile anew
        yield root
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def folder(conda, tmp_path_factory) -> Iterator[Path]:
    """A copy of the workflow whose environments have been made, each with a probe."""
    folder = copy_workflow(tmp_path_factory.mktemp("workflow"))
    snakemake(folder, "--use-conda", "--conda-create-envs-only", *FEWER)
    for prefix in prefixes(folder).values():
        (site_packages(prefix) / "sitecustomize.py").write_text(PROBE)
    yield folder
    shutil.rmtree(folder / CONDA)


@pytest.fixture(scope="module")
def ran(folder, tmp_path_factory) -> Path:
    """The same copy after the minimal experiment, killed half way, with a module on PYTHONPATH that would end steps."""
    trap = tmp_path_factory.mktemp("trap")
    (trap / "h5py.py").write_text("raise SystemExit('PYTHONPATH reached a step')")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(trap))
        run = start_snakemake(folder, "--cores", "2", "--use-conda", *FEWER)
        wait_for_networks(folder)
        kill_snakemake(run)
        snakemake(folder, *FEWER, "--unlock")
        snakemake(folder, "--cores", "2", "--use-conda", *FEWER)
    return folder


def prefixes(folder: Path) -> dict[str, Path]:
    """Where each environment was made, by its file's name; Snakemake lays a copy of the file beside it."""
    names = {(ROOT / "envs" / name).read_bytes(): name for name in ENVIRONMENTS}
    return {names[copy.read_bytes()]: copy.with_suffix("") for copy in (folder / CONDA).glob("*.yaml")}


def site_packages(prefix: Path) -> Path:
    return next(prefix.glob("lib/python3.*")) / "site-packages"


def installed(prefix: Path) -> set[str]:
    """The packages that the installer recorded."""
    return {json.loads(path.read_text())["name"] for path in (prefix / "conda-meta").glob("*.json")}


def test_every_environment_holds_what_its_file_names(folder):
    assert prefixes(folder).keys() == ENVIRONMENTS.keys()
    for name, prefix in prefixes(folder).items():
        assert ENVIRONMENTS[name].keys() <= installed(prefix)


@pytest.mark.parametrize("name", ["figures.yaml", "statistics.yaml"])
def test_figures_and_statistics_are_free_of_torch(folder, name):
    prefix = prefixes(folder)[name]
    assert "pytorch" not in installed(prefix)
    assert not (site_packages(prefix) / "torch").exists()


def test_conda_gives_the_same_results(finished_fewer, ran):
    """And so does a run that continues where another was killed."""
    assert_same_results(finished_fewer, ran)


def test_every_job_runs_in_its_rules_environment(ran):
    """Each step used the Python and the packages of its rule's environment, and none besides."""
    jobs = set()
    for name, prefix in prefixes(ran).items():
        for line in (prefix / "jobs.jsonl").read_text().splitlines():
            script, foreign = json.loads(line)
            assert foreign == [], script
            jobs.add((Path(script).name, name))
    planned = planned_jobs(ran, "--forceall", *FEWER)
    before = {("estimate_cost.py", "torch.yaml")}  # which is asked for the space, before the first job
    assert jobs == before | {(script, environment) for rule, script, environment in steps() if rule in planned}


def test_the_environments_are_found_again(ran):
    before = {path: path.stat().st_mtime_ns for path in (ran / CONDA).iterdir()}
    output = snakemake(ran, "--sdm", "conda", "--conda-create-envs-only", *FEWER).stdout
    assert "Creating conda environment" not in output
    assert {path: path.stat().st_mtime_ns for path in (ran / CONDA).iterdir()} == before


@pytest.mark.parametrize("wish", ["no-such-package", "numpy=0.1"])
def test_what_the_channel_lacks_is_named(conda, tmp_path, wish):
    folder = copy_workflow(tmp_path)
    with (folder / "envs/figures.yaml").open("a") as file:
        file.write(f"  - {wish}\n")
    result = snakemake(folder, "--use-conda", "--conda-create-envs-only", "fig1", *FEWER, check=False)
    assert result.returncode != 0
    assert wish.split("=")[0] in result.stdout.partition("Output:")[2]
    assert "Traceback" not in result.stdout


def test_another_request_is_refused(conda):
    result = subprocess.run([conda / "bin/conda", "remove", "numpy"], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == "this stand-in for conda knows no `remove numpy`\n"
