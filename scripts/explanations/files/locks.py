"""Locks on files, which end with the process that holds them, however it ends: who is at work on what.

Needs the standard library alone: the workflow asks too, where no other library need be installed. Some network file
systems have no locks; then OSError is raised, and each caller says what follows.
"""

import fcntl
import os
import socket
from pathlib import Path
from typing import IO

STEPS_LOCK = "EXPLANATIONS_STEPS_LOCK"  # the environment variable that tells a step which file it holds while it works


def take_lock(path: Path, shared: bool = False) -> IO[str] | None:
    """The open file at `path`, made if need be, with a lock that lasts until it is closed; None if another has it.

    Any number of processes can share a lock, if all of them ask for a `shared` one. OSError if the file can't be
    opened, or if its file system has no locks.
    """
    file = open(path, "a+")  # noqa: SIM115
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError:
        file.close()
        raise
    return file


def hold_steps_lock(name: str) -> IO[str] | None:
    """A step's share in the lock of all of a run's steps, whose next run thereby knows whether one is left at work.

    It says who holds it: machine, process, and the step's `name`. None if no run has started this step, or there are
    no locks.
    """
    path = os.environ.get(STEPS_LOCK)
    if not path:
        return None
    try:
        file = take_lock(Path(path), shared=True)
        if file is not None:
            print(socket.gethostname(), os.getpid(), name, file=file, flush=True)
    except OSError:
        return None
    return file
