"""The minimal experiment on a real Slurm of one node, disturbed in every way that must not matter."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from interrupted import kill_snakemake, start_snakemake, wait_for, wait_for_networks, wait_for_step
from workflow_copy import (
    FEWER,
    LONGEST,
    RESULTS,
    ROOT,
    assert_same,
    assert_same_results,
    copy_workflow,
    edited,
    read_arrays,
    read_log,
    snakemake,
)

DAEMONS = ("slurmctld", "slurmd", "munged")
pytestmark = [
    pytest.mark.workflow,
    pytest.mark.slurm,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not all(map(shutil.which, DAEMONS)), reason="Slurm is not installed"),
]
# a real cluster is asked less often, and gives more than three cores to jobs that are handed in together
PROFILE = ("--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "2", "--cores", "3")
SHARD = RESULTS / "attributions/vgg16/original/0.h5"
SHARD_LOG = RESULTS / "logs/extract_attributions/vgg16-original-0.log"
RULES = "workflow/rules/attributions.smk"
EXTRACT = (str(SHARD), *PROFILE, *FEWER)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory) -> Iterator[None]:
    """A Slurm of one node, with partitions cpu and gpu, that commands find."""
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([ROOT / "tests/cluster/start.sh", folder], check=True, env={**os.environ, "CPUS": "3"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patch.setenv("PATH", str(folder / "bin"), prepend=os.pathsep)
        yield
    subprocess.run([ROOT / "tests/cluster/stop.sh", folder], check=True)


def jobs_of(folder: Path, *states: str) -> list[dict[str, str]]:
    """A folder's jobs in some states, as Slurm remembers them."""
    keys = ("jobid", "state", "partition", "tres-per-job", "comment", "workdir")
    command = ["squeue", "--noheader", f"--states={','.join(states)}", f"--Format={':|,'.join(keys)}:"]
    lines = subprocess.run(command, check=True, text=True, capture_output=True).stdout.splitlines()
    jobs = [dict(zip(keys, line.split("|"), strict=True)) for line in lines]
    return [job for job in jobs if job["workdir"] == str(folder)]


def cancel(folder: Path) -> None:
    """End a folder's jobs, and wait until they are gone."""
    subprocess.run(["scancel", *(job["jobid"] for job in jobs_of(folder, "PENDING", "RUNNING"))], check=True)
    wait_for("jobs are there", lambda: not jobs_of(folder, "PENDING", "RUNNING", "COMPLETING"))


@pytest.fixture(scope="module")
def through_slurm(slurm, tmp_path_factory) -> Path:
    """A copy of the workflow in which the minimal experiment has run on Slurm; its head process was killed half way."""
    folder = copy_workflow(tmp_path_factory.mktemp("cluster"))
    run = start_snakemake(folder, *PROFILE, *FEWER)
    wait_for_networks(folder)
    wait_for("no running job", lambda: jobs_of(folder, "RUNNING"))
    kill_snakemake(run)
    refused = snakemake(folder, *PROFILE, *FEWER, check=False)
    assert refused.returncode and "LockException" in refused.stdout
    snakemake(folder, *FEWER, "--unlock")
    refused = snakemake(folder, *PROFILE, *FEWER, check=False)
    left = {job["jobid"] for job in jobs_of(folder, "PENDING", "RUNNING", "COMPLETING")}
    line = next(line for line in refused.stdout.splitlines() if "end them first: scancel" in line)
    assert refused.returncode and left <= set(line.split("scancel ")[1].split())
    assert not [job for job in jobs_of(folder, "PENDING", "RUNNING") if job["jobid"] not in line]  # none was added
    cancel(folder)
    said = snakemake(folder, *PROFILE, *FEWER).stdout
    (folder / "said.txt").write_text(said)
    return folder


def test_the_results_are_those_of_this_machine(finished_fewer, through_slurm):
    assert_same_results(finished_fewer, through_slurm)


def test_networks_run_on_gpus_and_the_rest_elsewhere(through_slurm):
    on_gpus = ("decay_biases", "decay_trial", "survey_network", "extract_attributions", "make_maps")
    on_gpus += ("measure_removal", "measure_curves", "measure_patches")
    jobs = jobs_of(through_slurm, "COMPLETED")
    assert len(jobs) > 50
    for job in jobs:
        wanted = ("gpu", "gres:gpu:1") if job["comment"].removeprefix("rule_").startswith(on_gpus) else ("cpu", "N/A")
        assert (job["partition"], job["tres-per-job"]) == wanted, job["comment"]


def test_short_jobs_are_grouped(through_slurm):
    comments = [job["comment"] for job in jobs_of(through_slurm, "COMPLETED")]
    for group, most in (("biases", 1), ("statistics", 8), ("figures", 4)):
        assert 0 < len([comment for comment in comments if comment.startswith(f"rule_{group}_")]) <= most
    assert not [comment for comment in comments if comment.startswith(("rule_draw", "rule_compare", "rule_summarise"))]


def test_a_second_run_does_nothing(through_slurm):
    assert "Nothing to be done" in snakemake(through_slurm, *PROFILE, *FEWER).stdout
    assert "Nothing to be done" in snakemake(through_slurm, "--cores", "2", *FEWER).stdout


@pytest.fixture
def without_shard(slurm, finished_fewer) -> Iterator[Path]:
    """The finished_fewer run without one shard, which is made again on Slurm, and must be what it was."""
    before = read_arrays(finished_fewer / SHARD)
    (finished_fewer / SHARD).unlink()
    yield finished_fewer
    if not (finished_fewer / SHARD).exists():
        snakemake(finished_fewer, str(SHARD), "--cores", "2", *FEWER)
    assert_same(before, read_arrays(finished_fewer / SHARD))


def test_a_cancelled_job_is_named_and_runs_again(without_shard):
    run = start_snakemake(without_shard, *EXTRACT, "--retries", "0")
    wait_for_step(without_shard, "extract_attributions.py")
    cancel(without_shard)
    assert run.wait(LONGEST) != 0
    said = (without_shard / "said.txt").read_text()
    assert f"log: {SHARD_LOG}" in said and "SLURM status is: 'CANCELLED'" in said
    assert not (without_shard / SHARD).exists()
    snakemake(without_shard, *EXTRACT)


def test_a_job_out_of_time_gets_more(without_shard):
    """Its process is stopped, so that it would never end."""
    with edited(
        without_shard / RULES, lambda text: text.replace("runtime=per_attempt(60)", "runtime=per_attempt(1)", 1)
    ):
        run = start_snakemake(without_shard, *EXTRACT)
        wait_for_step(without_shard, "extract_attributions.py").send_signal(signal.SIGSTOP)
        assert run.wait(LONGEST) == 0
    said = read_log(without_shard)
    assert said.count("SLURM status is: 'TIMEOUT'") == 1
    assert "runtime=1," in said and "runtime=2," in said


def test_a_job_out_of_memory_gets_more(without_shard):
    """Slurm looks each second; with cgroups, as most clusters have them, it would call the job OUT_OF_MEMORY."""
    asked, little = "mem_mb=need(2000, 6000, beside_gpu=4000)", "mem_mb=per_attempt(350)"
    with edited(without_shard / RULES, lambda text: text.replace(asked, little)):
        snakemake(without_shard, *EXTRACT)
    said = read_log(without_shard)
    assert "mem_mb=350," in said and "mem_mb=700," in said
    logs = [path.read_text() for path in (without_shard / "results/slurm_logs").rglob("*.log")]
    assert 1 <= len([log for log in logs if "error: Exceeded job memory limit" in log]) <= 2
