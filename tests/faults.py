"""Faults to provoke: disks that are full or read-only, steps that are killed while they write, flipped bits."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"


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
