"""What a run of the workflow says: how much there is to do, a line for each job that ended, how long the rest takes.

Warnings and errors stay as Snakemake writes them, as all else does in its log file, whose name is a run's last line.
Needs the standard library alone: the workflow runs it, no step.
"""

import csv
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

SILENCE = 60.0  # seconds without a line, after which it is said what is at work
DONE = re.compile(r"\b(\d+)/(\d+) \S+, [\d.]+ s\b")  # in a log, as explanations.progress writes it
TAIL = 1000  # bytes of a log that are looked at
UNKNOWN = 5.0  # seconds of a job of whose rule nothing is known
PRIOR = 60.0  # seconds of jobs that went as expected, before any has ended: the first may well be an exception
HIDDEN = (  # events of Snakemake's log
    *("workflow_started", "resources_info", "job_info", "job_started", "shellcmd", "group_info", "progress"),
    *("debug_dag", "rulegraph"),
)
HIDDEN_LINES = (
    *("Building DAG of jobs", "Select jobs to execute", "Conda environments: ignored", "Group jobs: inactive"),
    *("Removing temporary output", "Using shell:", "Storing output in storage", "Singularity containers: ignored"),
)
STOPPED = "Terminating processes on user request"
OF_STOPPING = ("Exiting because a job execution failed", "At least one job did not complete", "RuleException:")

Kind = tuple[str, str, str]  # a job's rule, network and method; empty where it has none


class Durations:
    """How long jobs of each kind took, in seconds, on the machine where they were measured."""

    def __init__(self, measured: Iterable[tuple[Kind, float]]):
        groups: dict[Kind, list[float]] = {}
        for (rule, network, method), seconds in measured:
            for kind in {(rule, network, method), (rule, network, ""), (rule, "", "")}:
                groups.setdefault(kind, []).append(seconds)
        self.known = {kind: fmean(seconds) for kind, seconds in groups.items()}

    @classmethod
    def read(cls, table: Path) -> "Durations":
        """Those of a table with the columns rule, network, method, seconds."""
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return cls(((row["rule"], row["network"], row["method"]), float(row["seconds"])) for row in rows)

    def expect(self, kind: Kind) -> float:
        """A job's seconds: those of the same rule, network and method, or of what is nearest to it."""
        rule, network, _ = kind
        nearest = (kind, (rule, network, ""), (rule, "", ""))
        return next((self.known[each] for each in nearest if each in self.known), UNKNOWN)


@dataclass
class Job:
    """A job of a run: its name in messages, the seconds expected of it, its log, and when it began and ended."""

    name: str
    expected: float
    log: Path | None = None
    began: float | None = None
    ended: float | None = None

    @property
    def at_work(self) -> bool:
        """Whether it has begun and not ended."""
        return self.began is not None and self.ended is None

    def share_done(self) -> float:
        """How much of its work is done, by the last line of its log that says so; 0 if none does."""
        found = DONE.findall(read_tail(self.log)) if self.log and self.at_work else []
        done, total = map(int, found[-1]) if found else (0, 0)
        return done / total if total else 0.0

    def time_left(self, slower: float) -> float:
        """Seconds until it ends: by what it has done, or else by what was expected, times how much slower jobs are."""
        if self.began is None:
            return slower * self.expected
        since, share = time.monotonic() - self.began, self.share_done()
        return since * (1 - share) / share if share else max(slower * self.expected - since, 0.0)


class RunMessages(logging.Filter):
    """Decides what of Snakemake's log a person sees, and in which words. Added to the log's handler as a filter.

    `plan` gives the jobs that are to run, by their numbers, once Snakemake knows them; `cores` is how many run at once.
    """

    def __init__(self, usual: logging.Formatter, plan: Callable[[], Mapping[int, Job]], cores: Callable[[], int]):
        super().__init__()
        self.usual, self.plan, self.cores = usual, plan, cores
        self.jobs: Mapping[int, Job] = {}
        self.at_once = 1  # jobs, once Snakemake knows how many there are
        self.stopped = False  # by the user
        self.said = time.monotonic()  # when the last line was

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a message is shown; when jobs begin is noted."""
        event = str(getattr(record, "event", "") or "")
        if event == "job_info" and record.jobid in self.jobs:
            self.jobs[record.jobid].began = time.monotonic()
        if event == "job_error" and record.jobid in self.jobs:
            self.jobs[record.jobid].began = None  # it is at work no more, until it is tried again
        said = str(record.msg or "")
        self.stopped |= said.startswith(STOPPED)
        if self.stopped and (event.endswith("_error") or any(line in said for line in (STOPPED, *OF_STOPPING))):
            return False  # jobs that were stopped failed for no other reason
        if record.levelno > logging.INFO:
            return True
        return event not in HIDDEN and not said.startswith(HIDDEN_LINES)

    def format(self, record: logging.LogRecord) -> str:
        """A message's words; none for what is not worth a line."""
        event = str(getattr(record, "event", "") or "")
        self.said = time.monotonic()
        if event == "run_info":
            self.jobs, self.at_once = self.plan(), self.cores()
            return self.describe_plan()
        if event == "job_finished":
            return self.describe_end(record.job_id)
        return self.usual.format(record)

    def describe_plan(self) -> str:
        """How many jobs there are, and about how long they take."""
        count = len(self.jobs)
        if not count:
            return ""
        at_once = f"{self.at_once} at a time" if self.at_once > 1 else "one at a time"
        return f"{count} job{'s' * (count > 1)}, {at_once}: about {describe_time(self.time_left())}"

    def describe_end(self, number: int) -> str:
        """A line for a job that ended: what share of the run is done, which job it was, its time, the time left."""
        job = self.jobs.get(number)
        if job is None:
            return ""
        job.ended = time.monotonic()
        took = f": {describe_time(job.ended - job.began)}" if job.began is not None else ""
        left = self.time_left()
        rest = f"; about {describe_time(left)} left" if left else ""
        return f"[{self.share_done():4.0%}] {job.name}{took}{rest}"

    def describe_work(self) -> str:
        """What is at work, where nothing was said for SILENCE; empty where there is nothing to say."""
        working = [job for job in self.jobs.values() if job.at_work]
        if not working or self.stopped or time.monotonic() - self.said < SILENCE:
            return ""
        each = (f"{job.name} {job.share_done():.0%}" if job.share_done() else job.name for job in working)
        return f"[{self.share_done():4.0%}] at work: {', '.join(each)}; about {describe_time(self.time_left())} left"

    def share_done(self) -> float:
        """The share of a run that is done, by the seconds expected of its jobs."""
        whole = sum(job.expected for job in self.jobs.values())
        done = sum(job.expected * (job.share_done() if job.ended is None else 1) for job in self.jobs.values())
        all_done = all(job.ended is not None for job in self.jobs.values())
        return 1.0 if all_done else min(done / (whole or 1), 0.99)  # short jobs may have taken 0.0 s

    def time_left(self) -> float:
        """Seconds until a run ends: what is expected of jobs, times how much longer than that the ended ones took."""
        jobs = self.jobs.values()
        timed = [job for job in jobs if job.ended is not None and job.began is not None]
        taken = sum(job.ended - job.began for job in timed)
        slower = (PRIOR + taken) / (PRIOR + sum(job.expected for job in timed))
        left = [job.time_left(slower) for job in jobs if job.ended is None]
        return max(sum(left) / self.at_once, max(left, default=0.0))


def read_tail(log: Path) -> str:
    """The end of a log, empty if it can't be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def describe_time(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
