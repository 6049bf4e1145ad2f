"""Runs that are interrupted: a Snakemake in the background, and the process of one of its steps."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
from faults import heed_signals
from workflow_copy import RESULTS


def start_snakemake(folder: Path, *arguments: str) -> subprocess.Popen:
    """Snakemake at work in a folder, in a session of its own; what it says stands in said.txt there."""
    with (folder / "said.txt").open("w") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=heed_signals,
        )


def kill_snakemake(run: subprocess.Popen) -> None:
    """End a Snakemake in the background at once, and the steps that it runs itself with it."""
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def wait_for(what: str, find: Callable[[], object], seconds: float = 180, pause: float = 0.1) -> object:
    """What `find` finds, as soon as it finds anything."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := find():
            return found
        time.sleep(pause)
    raise AssertionError(f"{what} after {seconds} seconds")


def wait_for_networks(folder: Path) -> None:
    """Until a whole run has made two of its networks."""
    wait_for("no two networks", lambda: len([*(folder / RESULTS / "models").glob("*/original.safetensors")]) > 1, 900)


def wait_for_step(folder: Path, script: str, benchmark: str | None = None) -> psutil.Process:
    """The process of a step that runs in a folder; half way by the CPU time that it took before, if benchmarked."""

    def find() -> psutil.Process | None:
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            try:
                if command[1:2] == [f"scripts/{script}"] and process.cwd() == str(folder):
                    return process
            except psutil.Error:
                continue
        return None

    process = wait_for(f"{script} never started", find)
    if benchmark:
        before = pd.read_csv(folder / RESULTS / f"benchmarks/{benchmark}.tsv", sep="\t").cpu_time[0]
        with suppress(psutil.NoSuchProcess):  # the machine may be busier now than then: seconds say nothing
            while sum(process.cpu_times()[:2]) < before / 2:
                time.sleep(0.05)
    return process
