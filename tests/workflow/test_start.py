"""What a run looks at before its first job, and whom it lets through: see also test_faults.py."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_copy import MINIMAL, RESULTS, copy_workflow, snakemake

from explanations.files.locks import STEPS_LOCK, take_lock

pytestmark = pytest.mark.workflow
TERABYTE = 10**12


def test_cost_is_told_beside_a_run(tmp_path):
    folder = copy_workflow(tmp_path)
    (folder / "scripts/estimate_cost.py").write_text("print('told')")
    (folder / RESULTS).mkdir(parents=True)
    with take_lock(folder / RESULTS / ".run"):
        assert "told" in snakemake(folder, "cost", "--cores", "1", *MINIMAL).stdout
        assert "another run is at work" in snakemake(folder, "fig1", "--cores", "1", *MINIMAL, check=False).stdout


def test_jobs_find_the_python_of_an_environment_that_is_not_activated(tmp_path):
    """Called by its path, Snakemake is the environment's; what else is on PATH has none of the libraries."""
    folder = copy_workflow(tmp_path / "copy")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text("#!/bin/sh\necho the wrong one\nexit 1\n")
    (tmp_path / "bin/python").chmod(0o755)
    own = Path(sys.executable).parent
    command = [own / "snakemake", "--cores", "1", str(RESULTS / "linear.h5"), *MINIMAL]
    kept = [path for path in os.environ["PATH"].split(os.pathsep) if path != str(own)]

    def run(*paths: str) -> subprocess.CompletedProcess:
        environment = {**os.environ, "PATH": os.pathsep.join([str(tmp_path / "bin"), *paths])}
        return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True)

    activated = run(str(own), *kept)  # behind another, which is meant then
    assert activated.returncode and "the wrong one" in activated.stdout + activated.stderr
    found = run(*kept)
    assert found.returncode == 0, found.stderr
    assert (folder / RESULTS / "linear.h5").exists()


@pytest.mark.parametrize(("experiment", "refused"), [("minimal", True), ("other", False)])
def test_steps_of_another_experiment_may_read_images_of_this_one(tmp_path, experiment, refused):
    folder = copy_workflow(tmp_path)
    (folder / "scripts/sleeper.py").write_text("import time; print(flush=True); time.sleep(600)")
    with subprocess.Popen(
        [sys.executable, "scripts/sleeper.py", f"--images={RESULTS}/images/val"],
        cwd=folder,
        env={**os.environ, STEPS_LOCK: f"results/{experiment}/.steps"},
        stdout=subprocess.PIPE,
    ) as step:
        step.stdout.readline()
        run = snakemake(folder, "fig1", "--cores", "1", *MINIMAL, check=False)
        step.kill()
    assert (f"sleeper.py (process {step.pid})" in run.stdout) == (run.returncode != 0) == refused


@pytest.mark.parametrize("made", [False, True])
def test_space_of_results_that_are_made_again_counts(tmp_path, made):
    folder = copy_workflow(tmp_path)
    shard = folder / RESULTS / "attributions/vgg16/original/0.h5"
    shard.parent.mkdir(parents=True)
    if made:
        with open(shard, "wb") as file:
            file.truncate(TERABYTE)  # a hole, which takes no space
    needed = shutil.disk_usage(folder).free + TERABYTE // 2
    (folder / "scripts/estimate_cost.py").write_text(f"print({needed})")
    (folder / "scripts/make_digit_images.py").write_text("raise SystemExit(1)")  # nothing can follow
    run = snakemake(folder, "removal", "--cores", "1", *MINIMAL, check=False)
    assert ("no space left on the disk" in run.stdout) == (not made)
    assert "make_digit_images.py" in run.stdout or not made


def test_space_of_a_storage_is_not_compared(tmp_path):
    """As of S3: the disk here says nothing of it. No plugin for one is among the tests' libraries."""
    folder = copy_workflow(tmp_path)
    (folder / "scripts/estimate_cost.py").write_text(f"print({1000 * TERABYTE})")
    (folder / "scripts/make_digit_images.py").write_text("raise SystemExit(1)")
    told = (folder / "Snakefile").read_text()
    in_storage = "    workflow.storage_settings.default_storage_provider = 's3'\n    compare_space()\n"
    (folder / "Snakefile").write_text(told.replace("    compare_space()\n", in_storage))
    run = snakemake(folder, "removal", "--cores", "1", *MINIMAL, check=False)
    assert "no space left on the disk" not in run.stdout and "make_digit_images.py" in run.stdout


@pytest.mark.parametrize("options", [[*MINIMAL], ["--config", "experiment=other", *MINIMAL], []])
def test_the_command_that_makes_a_file_again_is_of_the_run(tmp_path, options):
    experiment = "other" if "--config" in options else "minimal" if options else "embedded"
    folder = copy_workflow(tmp_path)
    result = f"results/{experiment}/linear.h5"
    snakemake(folder, result, "--cores", "1", *options)
    content = bytearray((folder / result).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / result).write_bytes(content)
    run = snakemake(folder, "fig1", "--cores", "1", *options, check=False)
    said = re.search(r"; make it again: snakemake (.*)\n", run.stdout)
    assert said, run.stdout
    snakemake(folder, *shlex.split(said[1]))
    snakemake(folder, "fig1", "--cores", "1", *options)


@pytest.mark.parametrize(("options", "limited"), [((), False), (("--max-jobs-per-timespan", "9/1s"), True)])
def test_a_scheduler_looks_at_waiting_jobs_when_one_has_ended(tmp_path, options, limited):
    """And not each second once more for every job that has, unless a limit of their rate is asked for."""
    folder = copy_workflow(tmp_path)
    with open(folder / "Snakefile", "a") as rules:
        rules.write('\nonsuccess:\n    print("limited:", workflow.scheduler.job_rate_limiter is not None)\n')
    said = snakemake(folder, str(RESULTS / "linear.h5"), "--cores", "1", *options, *MINIMAL).stdout
    assert f"limited: {limited}" in said
