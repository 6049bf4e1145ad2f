"""Errors that a user can mend: one line that names the key or file, its value, and what is allowed."""

import math
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

CONFIGURED = "EXPLANATIONS_CONFIGURED"  # the environment variable that tells a step its run's --configfile and --config


class InputError(ValueError):
    """The user's input can't be used; the message is one line that names the key or file and what is allowed."""


def check_range(
    name: str, value: float, low: float | None = None, high: float | None = None, *, open_low: bool = False
) -> None:
    """Raise an InputError that names `name` unless it is finite and low ≤ value ≤ high (low < value if `open_low`)."""
    too_low = low is not None and (value <= low if open_low else value < low)
    if math.isfinite(value) and not too_low and (high is None or value <= high):
        return
    if low is not None and high is not None and (high <= low if open_low else high < low):
        raise InputError(f"{name} is {value:g}; no number is allowed, since it would have to be at most {high:g}")
    bounds = [] if low is None else [f"{'>' if open_low else '>='} {low:g}"]
    bounds += [] if high is None else [f"<= {high:g}"]
    raise InputError(f"{name} is {value:g}; allowed is a number {' and '.join(bounds) or 'that is finite'}")


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise an InputError that names `name` unless its value is one of those allowed."""
    if value not in allowed:
        raise InputError(f"{name} is {value}; allowed are {', '.join(allowed)}")


def make_again(path: str | Path, what: str = "it") -> str:
    """What to type for a result that can't be used any more: the end of a message that names it.

    A run's steps know the configuration that it was started with, without which there may be no such result.
    """
    options = os.environ.get(CONFIGURED)
    command = f"snakemake --cores all --force {shlex.quote(str(path))}"
    return f"make {what} again: {command}{f' {options}' if options else ''}"
