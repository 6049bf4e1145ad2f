"""A copy of the workflow to run in a folder of its own, and what a run says it did."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PARTS = ("Snakefile", "workflow", "config", "profiles", "scripts", "envs", "tests/minimal.yaml")


def copy_workflow(folder: Path) -> Path:
    """Copy what a run needs, without results, to an empty folder."""
    for part in PARTS:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return folder


def snakemake(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Run Snakemake in a folder; its output, both streams in one, is the result's stdout."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    result = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and result.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout[-6000:]}")
    return result


def planned_jobs(folder: Path, *arguments: str) -> dict[str, int]:
    """How many jobs of each rule a dry run plans, without the targets that only collect."""
    output = snakemake(folder, *arguments, "--dry-run", "--quiet", "rules").stdout
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}
    return {name: count for name, count in jobs.items() if name != "total" and not re.fullmatch(r"all|fig\w+", name)}
