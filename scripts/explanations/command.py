"""What every step's command line shares: its flags, one-line errors, an end that leaves nothing behind."""

import argparse
import re
import signal
import sys
from collections.abc import Callable

from explanations.errors import InputError
from explanations.files.locks import hold_steps_lock
from explanations.flags import add_flags, call_with_flags
from explanations.imports import postpone_compiler

postpone_compiler()  # steps import this before what imports torchvision

NEGATIVE_NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$", re.IGNORECASE)


def run_command(parser: argparse.ArgumentParser, main: Callable[..., None], *, writes: bool = True) -> None:
    """Parse the flags and call `main` with them by name.

    Where `main` takes settings (see flags.py), their fields are flags too, and it gets one object.

    An InputError becomes one line and exit status 1, and so does an error of the system's, such as a folder that can't
    be written. SIGTERM, which clusters send, and SIGHUP end the step as Ctrl-C does: what is half written is removed.
    A step that `writes` no result keeps no run waiting.
    """
    add_flags(parser, main)
    flags = vars(parser.parse_args())
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # not under nohup
            signal.signal(number, _end)
    lock = hold_steps_lock(parser.prog) if writes else None
    try:
        call_with_flags(main, flags)
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
