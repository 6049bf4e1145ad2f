"""Bring the times in README.md and docs/cluster.md up to a run of the embedded experiment (`make times`).

In the README, the last cell of each row that names a target is how long all its jobs took, one after the other; in
docs/cluster.md, between <!-- jobs --> and <!-- /jobs -->, stands what jobs of each rule took and what they ask for.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from write_cost import replace_block

import estimate_cost

ROOT = Path(__file__).parent.parent
README, PAGE = ROOT / "README.md", ROOT / "docs/cluster.md"
ROW = re.compile(r"^(\| [^|]* \| `(\w+)` \| [^|]* \|)[^|]*\|$", re.MULTILINE)
JOB = re.compile(r"^ *(?:local)?rule (\w+):$(.*?)^$", re.MULTILINE | re.DOTALL)


class Job(NamedTuple):
    """A job that a dry run plans: what it asks for, and its row of measurements."""

    rule: str
    memory: int  # MB
    minutes: int
    benchmark: Path

    def measured(self, column: str) -> float:
        """A number of its benchmark: `s`, seconds, or `max_rss`, MiB; NaN for a job too short to be looked at."""
        return float(pd.to_numeric(pd.read_csv(self.benchmark, sep="\t")[column], errors="coerce")[0])


def plan(target: str) -> list[Job]:
    """The jobs that make a target from nothing."""
    command = [sys.executable, "-m", "snakemake", target, "--dry-run", "--forceall"]
    said = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True).stdout
    jobs = []
    for rule, body in JOB.findall(said):
        benchmark = re.search(r"benchmark: (\S+)", body)
        if benchmark:  # targets have none
            asked = [int(re.search(rf"{name}=(\d+)", body)[1]) for name in ("mem_mb", "runtime")]
            jobs.append(Job(rule, *asked, ROOT / benchmark[1]))
    return jobs


def write_duration(seconds: float) -> str:
    """Seconds below a minute and a half, then minutes."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def describe_jobs(jobs: list[Job]) -> str:
    """What jobs of each rule took, and what they ask for, as a table."""
    rows = [("rule", "jobs", "longest", "asks for", "most memory", "asks for")]
    for rule in sorted({job.rule for job in jobs}):
        same = [job for job in jobs if job.rule == rule]
        memory = max(max(job.measured("max_rss") for job in same) * 1.049, 0)
        taken = (write_duration(max(job.measured("s") for job in same)), f"{memory:,.0f} MB" if memory else "")
        asked = (f"{max(job.minutes for job in same)} min", f"{max(job.memory for job in same):,} MB")
        rows.append((rule, str(len(same)), taken[0], asked[0], taken[1], asked[1]))
    return estimate_cost.table(rows)


def main() -> None:
    """Rewrite both pages."""

    def time_row(found: re.Match) -> str:
        seconds = sum(job.measured("s") for job in plan(found[2]))
        return f"{found[1]} {write_duration(seconds)} |"

    README.write_text(ROW.sub(time_row, README.read_text()))
    PAGE.write_text(replace_block(PAGE.read_text(), "jobs", describe_jobs(plan("all"))))


if __name__ == "__main__":
    main()
