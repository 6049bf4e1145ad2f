"""Bring the times in README.md and docs/cluster.md up to a run of the embedded experiment (`make times`).

In the README, the last cell of each row that names a target is how long all its jobs took, one after the other; in
docs/cluster.md, between <!-- jobs --> and <!-- /jobs -->, stands what jobs of each rule took and what they ask for.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from write_cost import dry_run, replace_block

import estimate_cost

ROOT = Path(__file__).parent.parent
README, PAGE = ROOT / "README.md", ROOT / "docs/cluster.md"
ROW = re.compile(r"^(\| [^|]* \| `(\w+)` \| [^|]* \|)[^|]*\|$", re.MULTILINE)
JOB = re.compile(r"^ *(?:local)?rule (\w+):$(.*?)(?=^ *(?:local)?rule \w+:$|\Z)", re.MULTILINE | re.DOTALL)


class Job(NamedTuple):
    """A job that a dry run plans: its files, what it asks for, and its row of measurements, which targets have not."""

    rule: str
    inputs: list[str]
    memory: int  # MB
    minutes: int
    benchmark: Path | None

    def measured(self, column: str) -> float:
        """A number of its benchmark: `s`, seconds, or `max_rss`, MiB; NaN for a job too short to be looked at."""
        if self.benchmark is None:
            return 0.0
        return float(pd.to_numeric(pd.read_csv(self.benchmark, sep="\t")[column], errors="coerce")[0])


def plan(targets: list[str]) -> dict[str, Job]:
    """The jobs that make targets from nothing, by each of their outputs; targets, by their names."""
    jobs = {}
    for rule, body in JOB.findall(dry_run(*targets)):
        inputs, outputs, benchmark = (
            re.findall(r"[^ ,]+", found[1]) if (found := re.search(rf"^ *{key}: (.*)$", body, re.MULTILINE)) else []
            for key in ("input", "output", "benchmark")
        )
        memory, minutes = (
            int(found[1]) if (found := re.search(rf"\b{name}=(\d+)", body)) else 0 for name in ("mem_mb", "runtime")
        )
        job = Job(rule, inputs, memory, minutes, ROOT / benchmark[0] if benchmark else None)
        jobs |= dict.fromkeys([rule, *outputs], job)
    return jobs


def needed(jobs: dict[str, Job], target: str) -> list[Job]:
    """The jobs that a target takes."""
    found, waiting = {}, [target]
    while waiting:
        job = jobs.get(waiting.pop())
        if job and id(job) not in found:
            found[id(job)] = job
            waiting += job.inputs
    return list(found.values())


def write_duration(seconds: float) -> str:
    """Seconds below a minute and a half, then minutes."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def by_number(name: str) -> list[str | int]:
    """A key to sort names by the numbers in them: draw_figS9 before draw_figS10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", name)]


def describe_jobs(jobs: list[Job]) -> str:
    """What jobs of each rule took, and what they ask for, as a table."""
    rows = [("rule", "jobs", "longest", "asks for", "most memory", "asks for")]
    for rule in sorted({job.rule for job in jobs}, key=by_number):
        same = [job for job in jobs if job.rule == rule]
        seconds, memory = (np.nanmax([job.measured(column) for job in same]) for column in ("s", "max_rss"))
        time = (write_duration(seconds), f"{max(job.minutes for job in same)} min")
        space = (f"{memory * 1.049:,.0f} MB", f"{max(job.memory for job in same):,} MB")
        rows.append((rule, str(len(same)), *time, *space))
    return estimate_cost.table(rows)


def main() -> None:
    """Rewrite both pages."""
    page = README.read_text()
    jobs = plan([target for _, target in ROW.findall(page)])

    def time_row(found: re.Match) -> str:
        return f"{found[1]} {write_duration(sum(job.measured('s') for job in needed(jobs, found[2])))} |"

    README.write_text(ROW.sub(time_row, page))
    measured = [job for job in {id(job): job for job in jobs.values()}.values() if job.benchmark]
    PAGE.write_text(replace_block(PAGE.read_text(), "jobs", describe_jobs(measured)))


if __name__ == "__main__":
    main()
