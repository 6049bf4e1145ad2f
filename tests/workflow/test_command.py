"""Every step's command line: one-line errors, an end that leaves nothing behind, progress."""

import argparse
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from explanations.command import run_command, step_parser
from explanations.errors import InputError, check_range
from explanations.flags import call_with_flags, flag
from explanations.networks.devices import use_device
from explanations.progress import ProgressBar, progress


@pytest.mark.parametrize(
    ("value", "bounds", "allowed"),
    [
        (0, {"low": 1}, ">= 1"),
        (0, {"low": 0, "open_low": True}, "> 0"),
        (1.5, {"low": 0, "high": 1}, ">= 0 and <= 1"),
        (2, {"high": 1}, "<= 1"),
        (float("nan"), {"low": 0}, ">= 0"),
        (float("inf"), {"low": 0}, ">= 0"),
        (float("nan"), {}, "that is finite"),
    ],
)
def test_out_of_range(value, bounds, allowed):
    with pytest.raises(InputError) as raised:
        check_range("a.key", value, **bounds)
    assert str(raised.value) == f"a.key is {value:g}; allowed is a number {allowed}"


@pytest.mark.parametrize("bounds", [{"low": 1, "high": 0}, {"low": 0, "high": 0, "open_low": True}])
def test_a_range_of_nothing_is_not_printed(bounds):
    with pytest.raises(InputError) as raised:
        check_range("a.key", 1, **bounds)
    assert str(raised.value) == "a.key is 1; no number is allowed, since it would have to be at most 0"


@pytest.mark.parametrize(
    ("value", "bounds"),
    [(1, {"low": 1, "high": 1}), (1e-9, {"low": 0, "open_low": True}), (-5, {"high": 0}), (-7.5, {})],
)
def test_in_range(value, bounds):
    check_range("a.key", value, **bounds)


def run(monkeypatch, main, *flags: str) -> None:
    parser = argparse.ArgumentParser(prog="x.py")
    parser.add_argument("--count", type=int, default=3)
    monkeypatch.setattr(sys, "argv", ["x.py", *flags])
    run_command(parser, main)


def test_flags_are_given_by_name(monkeypatch):
    got = {}
    run(monkeypatch, lambda **flags: got.update(flags), "--count", "7")
    assert got == {"count": 7}


@dataclass(frozen=True)
class Settings:
    step_count: int = flag("how many steps", 5)
    shifts: Sequence[float] = flag("what is added", (0.0,), type=float, nargs="+")
    order: str = flag("which first", "up", choices=("up", "down"))

    def __post_init__(self):
        check_range("a.step_count", self.step_count, low=1)


@dataclass(frozen=True)
class Needed:
    scale: float = flag("what pixel values are multiplied by")


def test_settings_are_flags_and_one_object(monkeypatch):
    got = {}

    def main(count: int, settings: Settings) -> None:
        got.update(count=count, settings=settings)

    run(monkeypatch, main, "--shifts", "1", "-2", "--order", "down")
    assert got == {"count": 3, "settings": Settings(5, [1.0, -2.0], "down")}
    call_with_flags(main, {"count": 2, "step_count": 4, "shifts": [0.5], "order": "up"})
    assert got == {"count": 2, "settings": Settings(4, [0.5], "up")}


def test_settings_out_of_range_are_one_line(monkeypatch):
    def main(count: int, settings: Settings) -> None:
        raise AssertionError

    with pytest.raises(SystemExit) as raised:
        run(monkeypatch, main, "--step-count", "0")
    assert raised.value.code == "x.py: error: a.step_count is 0; allowed is a number >= 1"
    with pytest.raises(SystemExit) as raised:
        run(monkeypatch, main, "--order", "left")
    assert raised.value.code == 2


def test_a_field_without_a_default_must_be_given(monkeypatch, capsys):
    def main(count: int, needed: Needed) -> None:
        raise AssertionError

    with pytest.raises(SystemExit):
        run(monkeypatch, main)
    assert "required: --scale" in capsys.readouterr().err


def test_an_input_error_is_one_line_and_status_1(monkeypatch):
    def main(count: int):
        raise InputError(f"count is {count}")

    with pytest.raises(SystemExit) as raised:
        run(monkeypatch, main)
    assert raised.value.code == "x.py: error: count is 3"  # Python prints it to stderr and exits with 1


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    def main(count: int):
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        run(monkeypatch, main)


def test_help_shows_docstring_and_defaults():
    parser = step_parser("Do it.\n\nIn:  a file.")
    parser.add_argument("--count", type=int, default=3, help="how many")
    text = parser.format_help()
    assert "Do it.\n\nIn:  a file." in text and "how many (default: 3)" in text


@pytest.mark.parametrize("text", ["-1e-05", "-2", "-.5", "-1.5E+3", "2e10"])
def test_numbers_as_python_writes_them(text):
    parser = step_parser("")
    parser.add_argument("--fill", type=float)
    parser.add_argument("--shifts", type=float, nargs="+")
    assert vars(parser.parse_args(["--fill", text, "--shifts", text, text])) == {
        **{"fill": float(text), "shifts": [float(text)] * 2}
    }


# --- progress ----------------------------------------------------------------------------------------------------


def test_plain_lines_without_a_terminal(capsys, monkeypatch):
    clock = iter(float(3 * k) for k in range(100))
    monkeypatch.setattr("explanations.progress.time.monotonic", lambda: next(clock))
    assert list(progress(range(8), "read", unit="image")) == list(range(8))
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert 1 < len(lines) < 8  # not one for each image
    assert "\r" not in captured.err and "\x1b" not in captured.err
    assert lines[-1].startswith("read: 8/8 image, ")
    assert " s left" in lines[0] and " s left" not in lines[-1]


def test_notes_stand_beside_the_progress(capsys):
    with ProgressBar("train", 4, "step") as bar:
        bar.advance(2, "loss 0.5")
        bar.advance(1)
    assert capsys.readouterr().err.startswith("train: 3/4 step, ") and bar.note == "loss 0.5"


def test_a_bar_on_a_terminal(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    list(progress(range(5), "read", unit="image"))
    assert "\r" in terminal.getvalue() and "5/5" in terminal.getvalue()


def test_an_exception_passes_through_progress(capsys):
    def fail():
        for item in progress(range(5), "read"):
            if item == 2:
                raise InputError("third")

    with pytest.raises(InputError, match="third"):
        fail()


# --- devices -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["gpu", "meta", "mps", "cuda:x", ""])
def test_unknown_device(device):
    with pytest.raises(InputError) as raised:
        use_device(device, 1)
    assert str(raised.value) == f"device is {device}; allowed are auto, cpu, cuda, cuda:<n>"


def test_a_gpu_that_is_not_there():
    with pytest.raises(InputError, match="device is cuda:99; no such GPU is available here"):
        use_device("cuda:99", 1)


def test_the_cpu_is_always_there():
    assert use_device("cpu", 1).type == "cpu"
    assert use_device("auto", 1).type in ("cpu", "cuda")


def test_threads_are_at_least_one():
    with pytest.raises(InputError, match="--threads is 0; allowed is a number >= 1"):
        use_device("cpu", 0)
