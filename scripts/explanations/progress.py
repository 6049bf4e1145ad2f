"""How far a step is: a bar on a terminal, plain timed lines in a log."""

import sys
import time
from collections.abc import Iterable, Iterator

LOG_INTERVAL = 10.0  # seconds between two progress lines in a log


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
