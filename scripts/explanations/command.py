"""What every step's command line shares: its flags, one-line errors, an end that leaves nothing behind, progress.

Needs the standard library alone, but for a terminal's bar: the workflow's plan uses it too.
"""

import argparse
import ast
import math
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from explanations.locks import hold_steps_lock

CONFIGURED = "EXPLANATIONS_CONFIGURED"  # the environment variable that tells a step its run's --configfile and --config
LOG_INTERVAL = 10.0  # seconds between two progress lines in a log
NEGATIVE_NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$", re.IGNORECASE)


class InputError(ValueError):
    """The user's input can't be used; the message is one line that names the key or file and what is allowed."""


def run_command(parser: argparse.ArgumentParser, main: Callable[..., None], *, writes: bool = True) -> None:
    """Parse the flags and call `main` with them by name.

    An InputError becomes one line and exit status 1, and so does an error of the system's, such as a folder that can't
    be written. SIGTERM, which clusters send, and SIGHUP end the step as Ctrl-C does: what is half written is removed.
    A step that `writes` no result keeps no run waiting.
    """
    flags = vars(parser.parse_args())
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # not under nohup
            signal.signal(number, _end)
    lock = hold_steps_lock(parser.prog) if writes else None
    try:
        main(**flags)
    except InputError as error:
        sys.exit(f"{parser.prog}: error: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{parser.prog}: interrupted")
    except OSError as error:
        if error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"{parser.prog}: error: {where}{error.strerror}")
    finally:
        if lock is not None:
            lock.close()


def _end(number: int, frame: object) -> None:
    print(f"ended by {signal.Signals(number).name}", file=sys.stderr, flush=True)
    sys.exit(128 + number)


def step_parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser that shows a step's docstring and the defaults of its flags."""

    class Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
        pass

    parser = argparse.ArgumentParser(description=description, formatter_class=Formatter)
    # before Python 3.14, -1e-05 is no number to it, but a flag that it doesn't know
    parser._negative_number_matcher = NEGATIVE_NUMBER
    return parser


def dictionary(text: str) -> dict:
    """A flag's value that is a dictionary."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text} is not a dictionary such as {{'width': 0.125}}")
    return value


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


def progress(items: Iterable, description: str, total: int | None = None, unit: str = "it") -> Iterator:
    """Iterate with a bar on a terminal; with a plain line every few seconds where stderr is a log."""
    bar = ProgressBar(description, len(items) if total is None else total, unit)
    with bar:
        for item in items:
            yield item
            bar.advance(1)


class ProgressBar:
    """Work done out of a known total: a bar on a terminal, plain timed lines in a log."""

    def __init__(self, description: str, total: int, unit: str = "it"):
        self.description, self.total, self.unit = description, total, unit
        self.done, self.note = 0, ""
        self.bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, desc=description, unit=unit)
        self.start = self.printed = time.monotonic()

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *exception) -> None:
        if self.bar is not None:
            self.bar.close()
        else:
            self._print_line()

    def advance(self, count: int, note: str = "") -> None:
        """Count `count` more units as done; `note` is shown beside the progress."""
        self.done, self.note = self.done + count, note or self.note
        if self.bar is not None:
            self.bar.set_postfix_str(self.note, refresh=False)
            self.bar.update(count)
        elif time.monotonic() - self.printed >= LOG_INTERVAL:
            self._print_line()

    def elapsed(self) -> float:
        """Seconds since the start."""
        return max(time.monotonic() - self.start, 1e-9)

    def _print_line(self) -> None:
        self.printed = time.monotonic()
        elapsed = self.elapsed()
        rate = self.done / elapsed
        left = f", {(self.total - self.done) / rate:.0f} s left" if 0 < self.done < self.total else ""
        note = f", {self.note}" if self.note else ""
        print(
            f"{self.description}: {self.done}/{self.total} {self.unit}, {elapsed:.0f} s, "
            f"{rate:.1f} {self.unit}/s{left}{note}",
            file=sys.stderr,
            flush=True,
        )


def make_again(path: str | Path, what: str = "it") -> str:
    """What to type for a result that can't be used any more: the end of a message that names it.

    A run's steps know the configuration that it was started with, without which there may be no such result.
    """
    options = os.environ.get(CONFIGURED)
    command = f"snakemake --cores all --force {shlex.quote(str(path))}"
    return f"make {what} again: {command}{f' {options}' if options else ''}"
