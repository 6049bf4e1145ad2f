"""Facts of a run's jobs: what each target is, what it takes and how long, and what jobs of each rule took and ask for.

Which jobs there are says a dry run of the workflow from nothing; what they took, the run's benchmarks.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from write_cost import dry_run

LISTED = re.compile(r"^(\w+) \((.+)\)$", re.MULTILINE)
JOB = re.compile(r"^ *(?:local)?rule (\w+):$(.*?)(?=^ *(?:local)?rule \w+:$|\Z)", re.MULTILINE | re.DOTALL)
WILDCARDS = re.compile(r"^ *wildcards: (.*)$", re.MULTILINE)
STAGES = {  # the folder of each stage's results
    "models": "networks",
    **{name: name for name in ("decay", "survey", "attributions", "removal", "curves", "patches")},
    **{name: name for name in ("statistics", "figures")},
}
NO_TARGETS = ("all", "cost", "sanity")  # the last is made by nothing else, so a run may not have it
UNSEEN = 30
MB = 1.048576  # a MiB, as benchmarks have it


class Job(NamedTuple):
    """A job that a dry run plans: its files, what it asks for, and its measurements' file, which targets have not."""

    rule: str
    wildcards: dict[str, str]
    inputs: list[str]
    outputs: list[str]
    memory: int  # MB
    minutes: int
    benchmark: str | None

    def measured(self, results: Path, column: str) -> float:
        """A number of its benchmark: `s`, seconds, or `max_rss`, MiB; NaN for a job too short to be looked at."""
        if self.benchmark is None:
            return 0.0
        path = results / Path(*Path(self.benchmark).parts[2:])  # below results/<experiment>
        return float(pd.to_numeric(pd.read_csv(path, sep="\t")[column], errors="coerce")[0])

    def seconds(self, results: Path) -> float:
        """Its CPU time (`cpu_seconds`)."""
        return cpu_seconds(self.measured(results, "cpu_time"), self.measured(results, "s"))


def cpu_seconds(seen: float, duration: float) -> float:
    """A job's CPU time, which says the same whatever else a machine does, by what was `seen` of it.

    Snakemake looks every UNSEEN seconds, and not once more at the end: what came after its last look is taken for
    computing, which it is on cores with nothing else to do. A job too short to be looked at counts its duration.
    """
    return max(seen, min(duration, seen + UNSEEN)) if seen > 0 else duration  # NaN is not above 0


def sum_jobs(folder: Path) -> dict:
    """CPU seconds of all jobs together, and the most memory that one held, in MB."""
    rows = pd.concat([pd.read_csv(path, sep="\t") for path in sorted(folder.rglob("*.tsv"))])
    numbers = rows[["cpu_time", "s", "max_rss"]].apply(pd.to_numeric, errors="coerce")
    taken = sum(map(cpu_seconds, numbers.cpu_time, numbers.s))
    return {"seconds": round(taken), "memory": round(numbers.max_rss.max() * MB)}


def gather_times(results: Path) -> dict:
    """`targets`: title, stages, networks, seconds of each; `jobs`: a row for each rule; `whole`: all jobs together."""
    listed = {name: title for name, title in LISTED.findall(dry_run("--list")) if name not in NO_TARGETS}
    titles = {name: title for name, title in listed.items() if not title.startswith(f"{name} can't be made")}
    jobs = read_plan(dry_run(*titles))
    targets = {}
    for target, title in titles.items():
        taken = needed(jobs, target)
        seconds = round(sum(job.seconds(results) for job in taken))
        stages, networks = name_stages(taken, target), name_networks(taken)
        targets[target] = {"title": title, "stages": stages, "networks": networks, "seconds": seconds}
    measured = [job for job in {id(job): job for job in jobs.values()}.values() if job.benchmark]
    rules = measure_rules(measured, results)
    whole = {"seconds": round(sum(job.seconds(results) for job in measured))}
    whole["memory"] = find_largest([rule["memory"] or 0 for rule in rules])
    return {"targets": targets, "jobs": rules, "whole": whole}


def read_plan(said: str) -> dict[str, Job]:
    """The jobs of a dry run, by each of their outputs; targets, by their names."""
    jobs = {}
    for rule, body in JOB.findall(said):
        wildcards = dict(re.findall(r"(\w+)=([^ ,]+)", line[1])) if (line := WILDCARDS.search(body)) else {}
        inputs, outputs, benchmark = (
            re.findall(r"[^ ,]+", found[1]) if (found := re.search(rf"^ *{key}: (.*)$", body, re.MULTILINE)) else []
            for key in ("input", "output", "benchmark")
        )
        memory, minutes = (
            int(found[1]) if (found := re.search(rf"\b{name}=(\d+)", body)) else 0 for name in ("mem_mb", "runtime")
        )
        job = Job(rule, wildcards, inputs, outputs, memory, minutes, benchmark[0] if benchmark else None)
        jobs |= dict.fromkeys([rule, *outputs], job)
    return jobs


def measure_durations(results: Path, *arguments: str) -> dict[tuple[str, str, str], float]:
    """What jobs of a run took, by rule, network and method: CPU seconds, the mean of those that differ in nothing else.

    `arguments` are Snakemake's, of the run.
    """
    jobs = {id(job): job for job in read_plan(dry_run("all", "report", *arguments)).values() if job.benchmark}
    kinds: dict[tuple[str, str, str], list[float]] = {}
    for job in jobs.values():
        seconds = job.seconds(results)
        if not np.isnan(seconds):
            kind = (job.rule, job.wildcards.get("network", ""), job.wildcards.get("method", ""))
            kinds.setdefault(kind, []).append(seconds)
    return {kind: float(np.mean(seconds)) for kind, seconds in kinds.items()}


def update_durations(table: Path, measured: dict[tuple[str, str, str], float]) -> None:
    """Bring the rows of a table of durations up to what was measured; rows of other kinds stay."""
    columns = ["rule", "network", "method"]
    known = pd.read_csv(table, keep_default_na=False).set_index(columns)["seconds"].to_dict()
    rows = [(*kind, round(seconds, 1)) for kind, seconds in sorted((known | measured).items())]
    pd.DataFrame(rows, columns=[*columns, "seconds"]).to_csv(table, index=False)


def needed(jobs: dict[str, Job], target: str) -> list[Job]:
    """The jobs that a target takes."""
    found, waiting = {}, [target]
    while waiting:
        job = jobs.get(waiting.pop())
        if job and id(job) not in found:
            found[id(job)] = job
            waiting += job.inputs
    return list(found.values())


def name_stages(jobs: list[Job], target: str) -> list[str]:
    """The stages whose files jobs take, other than the target, in the workflow's order; `images` if there is none."""
    folders = {Path(path).parts[2] for job in jobs for path in job.inputs if Path(path).parts[:1] == ("results",)}
    stages = [stage for folder, stage in STAGES.items() if folder in folders]
    return [stage for stage in stages if stage != target and not (stage == "figures" and target.startswith("fig"))]


def name_networks(jobs: list[Job]) -> list[str]:
    """The networks that jobs take, or that are asked for."""
    return sorted({Path(path).parts[3] for job in jobs for path in job.inputs if Path(path).parts[2:3] == ("models",)})


def measure_rules(jobs: list[Job], results: Path) -> list[dict]:
    """What jobs of each rule took, at most, and what they ask for: seconds, minutes, MB."""
    rows = []
    for rule in sorted({job.rule for job in jobs}, key=by_number):
        same = [job for job in jobs if job.rule == rule]
        seconds, memory = (find_largest([job.measured(results, column) for job in same]) for column in ("s", "max_rss"))
        taken = {"seconds": seconds, "memory": memory and round(memory * MB)}
        asked = {"minutes": max(job.minutes for job in same), "asked_memory": max(job.memory for job in same)}
        rows.append({"rule": rule, "jobs": len(same), **taken, **asked})
    return rows


def find_largest(values: list[float]) -> float | None:
    """The largest of some numbers that are not NaN; None if all are."""
    known = [value for value in values if not np.isnan(value)]
    return max(known, default=None)


def by_number(name: str) -> list[str | int]:
    """A key to sort names by the numbers in them: draw_figS9 before draw_figS10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", name)]
