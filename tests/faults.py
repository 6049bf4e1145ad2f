"""Faults to provoke: signals that are heeded, disks that are full or can only be read."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"
ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)  # by which a step is ended and can clean up


def heed_signals() -> None:
    """As a process that a terminal starts: tests in the background, or under nohup, ignore some signals."""
    for number in ENDS:
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def full_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """A disk of so few bytes, at a folder; the test is left out where mounting isn't allowed."""
    folder.mkdir()
    _mount(folder, f"size={size}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """A disk that is only read, at a folder that may hold something; left out where mounting isn't allowed."""
    folder.mkdir(exist_ok=True)
    _run("mount", "--bind", folder, folder)
    try:
        _run("mount", "--options", "remount,bind,ro", folder)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _mount(folder: Path, options: str) -> None:
    _run("mount", "--types", "tmpfs", "--options", options, "tmpfs", folder)


def _run(*command: str | Path) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting isn't allowed here")
