"""Results appear only when whole, each written by one process; what stands in the way is one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import refused
from faults import ENDS, SCRIPTS, full_disk, heed_signals, read_only

from explanations.errors import InputError
from explanations.files import writing
from explanations.files.locks import STEPS_LOCK, take_lock
from explanations.files.writing import whole_file, whole_folder

# a process that writes half of a file and waits for a line before it goes on
WRITER = """
import sys
from pathlib import Path
from explanations.command import run_command, step_parser
from explanations.files.writing import whole_file
def main():
    with whole_file(sys.argv[1]) as temporary, open(temporary, "w") as file:
        file.write("wh")
        file.flush()
        print("ready", flush=True)
        sys.stdin.readline()
        file.write("ole")
sys.argv, name = sys.argv[:1], sys.argv[1]
sys.argv.append(name)
parser = step_parser("a step")
parser.parse_args = lambda: parser.parse_known_args()[0]
run_command(parser, main)
"""


def start_writer(path: Path) -> subprocess.Popen:
    """A process that has written half of `path`."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, path],
        text=True,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        preexec_fn=heed_signals,
        **pipes,
    )
    assert writer.stdout.readline() == "ready\n"
    return writer


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("error", [InputError, RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(tmp_path, error):
    def fail():
        with whole_file(tmp_path / "new" / "r.h5") as temporary:
            temporary.write_text("half")
            raise error("stop")

    with pytest.raises(error):
        fail()
    assert list((tmp_path / "new").iterdir()) == []


def test_a_failure_keeps_the_former_result(tmp_path):
    (tmp_path / "r.csv").write_text("former")

    def fail():
        with whole_file(tmp_path / "r.csv") as temporary:
            temporary.write_text("half")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert (tmp_path / "r.csv").read_text() == "former"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_result_appears_only_when_whole(tmp_path):
    path = tmp_path / "r.csv"
    with whole_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.name == path.name and hidden(tmp_path) == [temporary.parent]
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_takes_the_former_ones_place(tmp_path):
    path = tmp_path / "val"
    for name in ("first", "second"):
        with whole_folder(path) as temporary:
            (temporary / "val").mkdir()
            (temporary / "val" / name).touch()
    assert [file.name for file in path.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [path]


def test_results_have_the_usual_permissions(tmp_path):
    with whole_file(tmp_path / "r.csv") as temporary:
        temporary.write_text("whole")
    (tmp_path / "usual").touch()
    assert (tmp_path / "r.csv").stat().st_mode == (tmp_path / "usual").stat().st_mode


# --- two writers -------------------------------------------------------------------------------------------------


def test_a_slow_writer_leaves_what_another_has_made(tmp_path):
    """It used to go on writing into the very file that the other had renamed to the result."""
    path = tmp_path / "r.csv"
    slow = start_writer(path)
    with whole_file(path) as temporary:
        temporary.write_text("whole")
    made = path.stat()
    said, _ = slow.communicate("go on\n")
    assert slow.returncode == 0
    assert "another process has made the same meanwhile" in said
    assert path.read_text() == "whole" and path.stat() == made
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("run", [True, False])
def test_a_step_that_only_begins_to_write_then_leaves_it_too(tmp_path, run, monkeypatch, capsys):
    """A run's step, at whose start its result was not there; by hand, a result is made again."""
    path = tmp_path / "r.csv"
    path.write_text("made while this process loaded its libraries")
    later = (writing.STARTED + 2 * writing.SKEW) // 10**9
    os.utime(path, (later, later))
    if run:
        monkeypatch.setenv(STEPS_LOCK, str(tmp_path / ".steps"))

    def write(text: str) -> None:
        with whole_file(path) as temporary:
            temporary.write_text(text)

    if run:
        assert "another process has made it meanwhile" in refused(write, "of an earlier configuration")
        write(path.read_text())
        assert "another process has made the same" in capsys.readouterr().out
        path.unlink()
    for text in ("first", "second"):  # what this process has made is its own
        write(text)
        assert path.read_text() == text
        os.utime(path, (later, later))
        writing.MADE[path] = writing._state(path)


def test_a_writer_of_something_else_is_an_error(tmp_path):
    path = tmp_path / "r.csv"
    slow = start_writer(path)
    path.write_text("of another configuration")
    _, said = slow.communicate("go on\n")
    assert slow.returncode == 1
    assert f"{path}: another process has made it meanwhile, with another content" in said and said.count("\n") == 1
    assert path.read_text() == "of another configuration"
    assert hidden(tmp_path) == []


def test_a_result_that_is_removed_meanwhile_stays_so(tmp_path):
    """As Snakemake removes it before a job of other settings."""
    path = tmp_path / "r.csv"
    path.write_text("of former settings")
    slow = start_writer(path)
    path.unlink()
    _, said = slow.communicate("go on\n")
    assert slow.returncode == 1
    assert f"{path}: it was removed while it was made anew" in said and said.count("\n") == 1
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("content", ["same", "other"])
def test_a_folder_made_meanwhile_is_left(tmp_path, content, capsys):
    path = tmp_path / "val"

    def write():
        with whole_folder(path) as temporary:
            (temporary / "val/a").mkdir(parents=True)
            (temporary / "val/a/1").write_text("same")
            (path / "a").mkdir(parents=True)
            (path / "a/1").write_text(content)
            (path / ".snakemake_timestamp").touch()

    if content == "same":
        write()
        assert "another process has made the same" in capsys.readouterr().out
    else:
        assert "another process has made it meanwhile" in refused(write)
    assert (path / "a/1").read_text() == content
    assert list(tmp_path.iterdir()) == [path]


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path):
    path = tmp_path / "r[1].csv"
    killed = start_writer(path)
    killed.kill()
    killed.wait()
    assert len(hidden(tmp_path)) == 1
    with whole_file(path) as temporary:
        temporary.write_text("whole")
        assert hidden(tmp_path) == [temporary.parent]
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_living_writer_has_written_stays(tmp_path):
    path = tmp_path / "r.csv"
    living = start_writer(path)
    (part,) = hidden(tmp_path)
    living.send_signal(signal.SIGSTOP)
    with whole_file(path) as temporary:
        temporary.write_text("whole")
    assert (part / "r.csv").read_text() == "wh"
    living.send_signal(signal.SIGCONT)
    living.communicate("go on\n")
    assert living.returncode == 0
    assert hidden(tmp_path) == []


def test_leftovers_of_other_results_stay(tmp_path):
    living = start_writer(tmp_path / "r.csv.gz")
    with whole_file(tmp_path / "r.csv") as temporary:
        temporary.write_text("whole")
    assert len(hidden(tmp_path)) == 1
    living.communicate("\n")


def test_many_writers_at_once_make_one_result(tmp_path):
    path = tmp_path / "r.csv"
    writers = [start_writer(path) for _ in range(5)]
    for writer in writers:
        writer.stdin.write("go on\n")
        writer.stdin.flush()
    assert [writer.wait() for writer in writers] == [0] * 5
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", ENDS)
def test_a_step_that_is_ended_leaves_nothing(tmp_path, number):
    step = start_writer(tmp_path / "r.csv")
    step.send_signal(number)
    _, said = step.communicate()
    assert step.returncode != 0
    assert "Traceback" not in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_lock_ends_with_its_process(tmp_path):
    code = f"from explanations.files.locks import take_lock; lock = take_lock({str(tmp_path / 'lock')!r}); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(SCRIPTS)}
    )
    end = time.monotonic() + 20
    while take_lock_briefly(tmp_path / "lock") and time.monotonic() < end:
        time.sleep(0.05)
    assert not take_lock_briefly(tmp_path / "lock")
    holder.kill()
    holder.wait()
    assert take_lock_briefly(tmp_path / "lock")


def take_lock_briefly(path: Path) -> bool:
    lock = take_lock(path)
    if lock is not None:
        lock.close()
    return lock is not None


def test_shared_locks_keep_a_single_one_out(tmp_path):
    with take_lock(tmp_path / "lock", shared=True), take_lock(tmp_path / "lock", shared=True):
        assert take_lock(tmp_path / "lock") is None
    assert take_lock_briefly(tmp_path / "lock")


# --- a disk that is full, a folder that can't be written ---------------------------------------------------------


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    with full_disk(tmp_path / "disk") as disk:

        def write():
            with whole_file(disk / "r.csv") as temporary, open(temporary, "wb") as file:
                for _ in range(100):
                    file.write(bytes(100_000))

        message = refused(write)
        assert message.startswith(f"no space left on the disk of {disk}: r.csv: ")
        assert "had been written" in message
        assert list(disk.iterdir()) == []


def test_a_folder_that_is_read_only_is_one_line(tmp_path):
    def write(path):
        with whole_file(path):
            raise AssertionError("it can be written")

    with read_only(tmp_path / "disk") as disk:
        assert f"{disk / 'r.csv'}: can't be written (Read-only file system)" == refused(write, disk / "r.csv")
    (tmp_path / "file").touch()
    assert "can't be written" in refused(write, tmp_path / "file/r.csv")
