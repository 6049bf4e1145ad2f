"""What a person sees of a run: a line for each job, the time left, what came out, and how to go on after Ctrl-C."""

import logging
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from workflow_copy import MINIMAL, ROOT, copy_workflow, read_log, snakemake

from explanations import run_messages
from explanations.figures.catalogue import FIGURES
from explanations.run_messages import Durations, Job, RunMessages, describe_time
from explanations.statistics.counting import describe_findings


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(run_messages.time, "monotonic", lambda: self.now)


def say(messages: RunMessages, text: str, event: str | None = None, level: int = logging.INFO, **extra) -> str | None:
    """What is shown of a message of Snakemake's log; None if it is hidden."""
    record = logging.makeLogRecord({"msg": text, "levelno": level, "event": event, **extra})
    return messages.format(record) if messages.filter(record) else None


def test_a_line_for_each_job_with_the_time_left(monkeypatch):
    """Two at once, expected to take 100, 200 and 300 s; the first takes 200, so all else is taken to be slower."""
    clock = Clock(monkeypatch)
    jobs = {3: Job("train vgg16", 100.0), 7: Job("train resnet50", 200.0), 8: Job("survey", 300.0)}
    messages = RunMessages(logging.Formatter("usual %(message)s"), lambda: jobs, lambda: 2)
    assert say(messages, "Job stats: …", "run_info") == "3 jobs, 2 at a time: about 5 min"
    for number in (3, 7):
        assert say(messages, "rule train:", "job_info", jobid=number) is None
    clock.now += 200
    slower = (60 + 200) / (60 + 100)
    left = ((slower * 200 - 200) + slower * 300) / 2
    assert left < slower * 300  # the longest job that is left takes as long by itself
    said = say(messages, "Finished jobid: 3", "job_finished", job_id=3)
    assert said == f"[ 17%] train vgg16: 3 min; about {describe_time(slower * 300)} left"
    clock.now += 30
    said = say(messages, "Finished jobid: 8", "job_finished", job_id=8)
    assert said.startswith("[ 67%] survey; about ")  # when it began was not said
    assert say(messages, "Finished jobid: 7", "job_finished", job_id=7) == "[100%] train resnet50: 4 min"
    assert say(messages, "Finished jobid: 9", "job_finished", job_id=9) == ""  # a target


def test_what_is_at_work_is_said_after_a_silence(monkeypatch, tmp_path):
    """By the last progress line of its log, a job that has done a quarter in 100 s takes 300 more."""
    clock = Clock(monkeypatch)
    log = tmp_path / "a.log"
    jobs = {1: Job("measure a", 10.0, log), 2: Job("survey b", 30.0, tmp_path / "none.log"), 3: Job("later", 60.0)}
    messages = RunMessages(logging.Formatter(), lambda: jobs, lambda: 2)
    say(messages, "", "run_info")
    assert messages.describe_work() == ""
    for number in (1, 2):
        say(messages, "rule a:", "job_info", jobid=number)
    clock.now += 30
    assert messages.describe_work() == ""
    clock.now += 70
    log.write_text("a note\nvgg16 original bias: 5/100 scan, 20 s, 1.0 scan/s\nvgg16: 25/100 scan, 100 s, 1.0 scan/s\n")
    left = describe_time(300)  # the other is late, and the third takes 60
    assert messages.describe_work() == f"[  2%] at work: measure a 25%, survey b; about {left} left"
    say(messages, "Finished jobid: 2", "job_finished", job_id=2)
    assert messages.describe_work() == ""
    messages.stopped = True
    clock.now += 100
    assert messages.describe_work() == ""


def test_a_job_that_failed_is_at_work_no_more(monkeypatch):
    clock = Clock(monkeypatch)
    jobs = {1: Job("a", 0.0), 2: Job("b", 0.0)}  # jobs so short that nothing was measured
    messages = RunMessages(logging.Formatter("%(message)s"), lambda: jobs, lambda: 2)
    say(messages, "", "run_info")
    for number in jobs:
        say(messages, "rule a:", "job_info", jobid=number)
    assert say(messages, "Error in rule a", "job_error", logging.ERROR, jobid=1) == "Error in rule a"
    clock.now += 100
    assert messages.describe_work().startswith("[  0%] at work: b; ")


def test_what_else_is_shown():
    messages = RunMessages(logging.Formatter("usual: %(message)s"), dict, lambda: 1)
    for event in ("workflow_started", "resources_info", "job_started", "shellcmd", "progress"):
        assert say(messages, "…", event) is None
    for text in ("Building DAG of jobs...", "Select jobs to execute..."):
        assert say(messages, text) is None
    assert say(messages, "Creating conda environment …") == "usual: Creating conda environment …"
    assert say(messages, "Error in rule train", "job_error", logging.ERROR, jobid=1) == "usual: Error in rule train"
    assert say(messages, "a warning", "progress", logging.WARNING) == "usual: a warning"
    assert not messages.stopped
    say(messages, "Terminating processes on user request, this might take some time.")
    assert messages.stopped
    assert say(messages, "Error in rule train", "job_error", logging.ERROR, jobid=1) is None
    assert say(messages, "no space left", level=logging.ERROR) == "usual: no space left"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5400, "90 min"), (6000, "1 h 40 min"), (90000, "25 h 0 min")],
)
def test_times_as_a_person_says_them(seconds, said):
    assert describe_time(seconds) == said


def test_findings_in_a_line(tmp_path):
    table = tmp_path / "findings.csv"
    rows = [
        "claim,paper_network,network,verdict",
        '1,"VGG-16, ResNet-50",VGG-16,supported',
        "2,VGG-16,VGG-16,undecided",
    ]
    table.write_text("\n".join([*rows, "1,VGG-16,ViT,not supported", "2,VGG-16,ViT,supported"]))
    said = "of the paper's claims 1 supported, 1 undecided; on networks that it doesn't make them of, "
    assert describe_findings(table) == f"{said}1 supported, 1 not supported"
    table.write_text(rows[0])
    assert describe_findings(table) == "no claim could be tested"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return copy_workflow(tmp_path_factory.mktemp("messages"))


def test_durations_are_of_rules_that_there_are(folder):
    known = {rule for rule, _, _ in Durations.read(ROOT / "workflow/durations.csv").known}
    rules = {line.partition(" ")[0] for line in snakemake(folder, "--list", *MINIMAL).stdout.splitlines()}
    drawn = {f"draw_{figure}" for figure in FIGURES}  # of which a configuration may lack some
    assert known <= rules | drawn and {"measure_removal", "findings", "draw_fig7"} <= known


def test_a_run_says_a_line_for_each_job(folder):
    said = snakemake(folder, "--cores", "2", "fig1", "test_images", *MINIMAL).stdout
    lines = re.findall(r"^\[ *(\d+)%\] (.*)$", said, re.MULTILINE)
    names = {line.partition(":")[0] for _, line in lines}
    assert names == {"linear_classifier", "draw_fig1", "digit_images val", "test_images"}
    assert lines[-1][0] == "100" and re.search(r"^4 jobs, 2 at a time: about \d+ s$", said, re.MULTILINE)
    assert "Look at results/minimal/figures" in said and len(said.splitlines()) < 15
    assert "rule linear_classifier:" in read_log(folder)
    for flag in ("--verbose", "--printshellcmds", "--dry-run"):
        assert "rule draw_fig1:" in snakemake(folder, "--cores", "1", "fig1", "-F", flag, *MINIMAL).stdout
    assert "Nothing to be done" in snakemake(folder, "--cores", "1", "fig1", *MINIMAL).stdout


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("fig55", "there is no target fig55; nearest are fig5, figS5, figS15; `snakemake --list` names all"),
        ("remova", "there is no target remova; nearest is removal; `snakemake --list` names all"),
        ("xxxx", "there is no target xxxx; `snakemake --list` names all"),
    ],
)
def test_the_nearest_target_is_named(folder, asked, said):
    process = snakemake(folder, "--cores", "1", asked, *MINIMAL, check=False)
    assert process.returncode and process.stdout.splitlines()[-1] == said


def test_a_run_that_is_stopped_says_how_to_go_on(folder):
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "fig6", *MINIMAL]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "start_new_session": True}
    # a shell's background ignores Ctrl-C, and so do the tests that are started there, and what they start
    options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, cwd=folder, text=True, **options)
    deadline = time.monotonic() + 300
    while not any((folder / "results/minimal/logs").rglob("digit_images/train*")) and time.monotonic() < deadline:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: its jobs are told too
    said, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "Stopped: what was finished stays, and the same command goes on from there." in said
    assert "Traceback" not in said and "Error" not in said
