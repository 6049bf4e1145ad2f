"""The minimal experiment, disturbed by faults: afterwards its numbers are the undisturbed run's, bit for bit.

`make check CHECKS=faults`. Slurm's faults are in test_slurm.py.
"""

import os
import re
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path

import h5py
import psutil
import pytest
from faults import full_disk, read_only
from interrupted import kill_snakemake, start_snakemake, wait_for, wait_for_networks, wait_for_step
from workflow_copy import (
    FEWER,
    LONGEST,
    RESULTS,
    ROOT,
    assert_same,
    assert_same_results,
    copy_workflow,
    read_arrays,
    read_page,
    snakemake,
)

pytestmark = [pytest.mark.workflow, pytest.mark.faults, pytest.mark.timeout(3600)]
SHARD = RESULTS / "attributions/vgg16/original/0.h5"
REMOVAL = RESULTS / "removal/vgg16/original-bilinear/activity-0.h5"
STEPS = {SHARD: "extract_attributions", REMOVAL: "measure_removal"}
# Python reads it at its start: the process is killed when half of what it writes is on the disk
KILLER = """
import os, signal, sys

def kill(event, arguments):
    if event == "os.rename" and ".part/" in str(arguments[0]):
        if os.path.isfile(arguments[0]):
            os.truncate(arguments[0], os.path.getsize(arguments[0]) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
"""


@pytest.fixture
def folder(finished_fewer, tmp_path) -> Path:
    """A copy of the finished_fewer run, to disturb."""
    shutil.copytree(finished_fewer, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def leftovers(folder: Path) -> list[Path]:
    """What writers have begun and not removed."""
    return [*(folder / RESULTS).rglob(".*.part")]


def switch_off(folder: Path, check: str) -> None:
    """Take a check out of what a run looks at before its first job."""
    rules = folder / "workflow/rules/start.smk"
    rules.write_text(rules.read_text().replace(f"def {check}():", f"def {check}():\n    return\n"))


# --- a step that is killed -----------------------------------------------------------------------------------------


def steps_that_write() -> list[str]:
    """The scripts of all rules that make files of the minimal experiment."""
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    named = set(re.findall(r'sources(?:_of)?\(\s*"(\w+\.py)"', rules))
    none_here = {"estimate_cost.py", "fetch_network.py", "take_trained.py", "fetch_mnist.py", "compare_twins.py"}
    none_here |= {"make_masks.py", "measure_curves.py", "summarise_curves.py", "read_flips.py", "measure_sanity.py"}
    none_here |= {"measure_patches.py", "correlate_patches.py", "play_grid_game.py"}
    none_here |= {
        "compare_operators.py",
        "compare_measures.py",
        "measure_objects.py",
    }  # of targets and keys of their own
    assert none_here <= named
    return sorted(named - none_here)


@pytest.fixture(scope="module")
def jobs(finished_fewer, tmp_path_factory) -> tuple[Path, dict[str, tuple[str, list[Path]]]]:
    """A copy of the finished_fewer run; by script, the command and the outputs of one of its jobs."""
    folder = tmp_path_factory.mktemp("killed") / "copy"
    shutil.copytree(finished_fewer, folder, symlinks=True)
    plan = snakemake(folder, "--dry-run", "--forceall", "--printshellcmds", *FEWER).stdout
    found = re.findall(r"^    output: (.*)$(?s:.*?)^Shell command: (python scripts/(\w+\.py) .*)$", plan, re.MULTILINE)
    return folder, {script: (command, [folder / name for name in made.split(", ")]) for made, command, script in found}


def contents(paths: list[Path]) -> dict[Path, object]:
    """What files, or all files of folders, hold: arrays of HDF5, bytes of all others."""
    files = [file for path in paths for file in (path.rglob("[!.]*.*") if path.is_dir() else [path])]
    return {file: read_arrays(file) if file.suffix == ".h5" else read_page(file) for file in files}


def check_same(first: object, second: object) -> None:
    """Equal contents of two files."""
    if isinstance(first, dict):
        assert_same(first, second)
    else:
        assert first == second


@pytest.mark.parametrize("script", steps_that_write())
def test_a_step_may_be_killed_while_it_writes(jobs, tmp_path, script):
    """Nothing has a result's name then; the next run of the step makes it as ever, and removes what is left."""
    folder, commands = jobs
    command, made = commands[script]
    before = contents(made)
    for path in made:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    run = partial(subprocess.run, ["bash", "-c", command], cwd=folder, check=False)
    assert run(env={**os.environ, "PYTHONPATH": str(tmp_path)}).returncode == 128 + signal.SIGKILL
    assert leftovers(folder) and not all(path.exists() for path in made)
    assert run().returncode == 0
    assert leftovers(folder) == []
    after = contents(made)
    assert before.keys() == after.keys() and len(before) >= len(made)
    for path, content in before.items():
        check_same(content, after[path])


# --- two and three runs at once ----------------------------------------------------------------------------------


def test_other_runs_wait_for_the_first(finished_fewer, tmp_path):
    """Snakemake's own lock is gone as soon as any run in the folder has ended; ours lasts as long as its run."""
    folder = copy_workflow(tmp_path)
    first = start_snakemake(folder, str(SHARD), "--cores", "1", *FEWER)
    wait_for("no run", (folder / RESULTS / ".run").exists)
    for _ in range(2):
        refused = snakemake(folder, "fig1", "--cores", "1", *FEWER, "--nolock", check=False)
        assert refused.returncode != 0
        assert f"another run is at work in {RESULTS} (process {first.pid} on " in refused.stdout
    assert first.wait(LONGEST) == 0, (folder / "said.txt").read_text()
    snakemake(folder, "fig1", "--cores", "1", *FEWER)
    assert_same(read_arrays(finished_fewer / SHARD), read_arrays(folder / SHARD))


def test_two_runs_without_any_lock_make_the_right_result(finished_fewer, folder):
    """As where the file system has no locks: both write the same shard, at the same time."""
    before = read_arrays(folder / SHARD)
    (folder / SHARD).unlink()
    rules = folder / "workflow/rules/start.smk"
    rules.write_text(
        rules.read_text().replace("def refuse_second_writers():", "def refuse_second_writers():\n    return\n")
    )
    runs = [start_snakemake(folder, str(SHARD), "--cores", "1", "--nolock", *FEWER) for _ in range(3)]
    assert 0 in [run.wait(LONGEST) for run in runs]  # one may remove what it takes for another's incomplete result
    snakemake(folder, str(SHARD), "--cores", "2", *FEWER)
    assert_same(before, read_arrays(folder / SHARD))
    assert leftovers(folder) == []


# --- a run that is killed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
@pytest.mark.parametrize("result", [SHARD, REMOVAL])
def test_steps_that_outlive_their_run_are_named(folder, result, number):
    """A suspended step used to go on later, and write into the file that the next run had made."""
    before = read_arrays(folder / result)
    (folder / result).unlink()
    script = f"{STEPS[result]}.py"
    steps = folder / RESULTS / ".steps"
    steps.write_text("")
    run = start_snakemake(folder, str(result), "--cores", "2", *FEWER)
    step = wait_for_step(folder, script)
    wait_for(f"{script} never began", lambda: script in steps.read_text(), pause=0.001)
    step.suspend()
    run.send_signal(number)
    run.wait(LONGEST)
    snakemake(folder, *FEWER, "--unlock")
    refused = snakemake(folder, str(result), "--cores", "2", *FEWER, check=False)
    assert refused.returncode != 0
    assert f"{script} (process {step.pid}); end them first: kill {step.pid}" in refused.stdout
    assert not (folder / result).exists()
    step.terminate()
    step.resume()
    psutil.wait_procs([step], 60)
    snakemake(folder, str(result), "--cores", "2", *FEWER)
    assert_same(before, read_arrays(folder / result))
    assert leftovers(folder) == []


def test_a_step_that_goes_on_after_the_next_run_changes_nothing(folder):
    """Even if nothing names it: it writes into a file of its own, finds the result made, and leaves it."""
    before = read_arrays(folder / SHARD)
    (folder / SHARD).unlink()
    run = start_snakemake(folder, str(SHARD), "--cores", "2", *FEWER)
    step = wait_for_step(folder, "extract_attributions.py")
    wait_for("nothing written", lambda: leftovers(folder), pause=0.001)
    step.suspend()
    run.kill()
    run.wait(LONGEST)
    snakemake(folder, *FEWER, "--unlock")
    switch_off(folder, "refuse_steps")
    snakemake(folder, str(SHARD), "--cores", "2", *FEWER)
    made = (folder / SHARD).stat()
    step.resume()
    psutil.wait_procs([step], 120)
    assert (folder / SHARD).stat().st_ino == made.st_ino
    assert_same(before, read_arrays(folder / SHARD))
    assert leftovers(folder) == []


def test_a_whole_run_killed_half_way_ends_the_same(finished_fewer, tmp_path):
    folder = copy_workflow(tmp_path)
    run = start_snakemake(folder, "--cores", "2", *FEWER)
    wait_for_networks(folder)
    kill_snakemake(run)
    snakemake(folder, *FEWER, "--unlock")
    snakemake(folder, "--cores", "2", *FEWER)
    assert_same_results(finished_fewer, folder)
    assert leftovers(folder) == []


# --- disks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "size"), [(SHARD, "300k"), (RESULTS / "models/vgg16/original.safetensors", "16k"), (REMOVAL, "4k")]
)
def test_a_full_disk_is_one_line_and_leaves_nothing(folder, result, size):
    whole = (folder / result).read_bytes()
    shutil.rmtree(folder / result.parent)
    with full_disk(folder / result.parent, size) as disk:
        (disk / "keep").touch()  # Snakemake removes folders that are empty, which this one can't be
        run = snakemake(folder, str(result), "--cores", "2", *FEWER, check=False)
        assert run.returncode != 0
        assert f"error: no space left on the disk of {result.parent}: {result.name}: " in run.stdout
        assert "Traceback" not in run.stdout and "Exception ignored" not in run.stdout
        assert list(disk.iterdir()) == [disk / "keep"]
    snakemake(folder, str(result), "--cores", "2", *FEWER)
    assert (folder / result).read_bytes() == whole


def test_a_long_run_is_stopped_before_it_begins_if_the_disk_is_too_small(tmp_path):
    folder = copy_workflow(tmp_path / "copy")
    (folder / RESULTS).parent.mkdir()
    with full_disk(folder / RESULTS, "1m") as disk:
        run = snakemake(folder, "removal", "--cores", "2", *FEWER, check=False)
        assert run.returncode != 0
        said = rf"^no space left on the disk of {RESULTS}: needed about ([\d.]+) MB, ([\d.]+) MB are free"
        line = re.search(said, run.stdout, re.MULTILINE)
        assert line and float(line[1]) > float(line[2])
        assert {path.name for path in disk.iterdir()} <= {".run", ".steps"}


@pytest.mark.parametrize("place", [".snakemake", ".", "results"])
def test_a_folder_that_is_read_only_is_one_line(tmp_path, place):
    folder = copy_workflow(tmp_path / "copy")
    for made in (".snakemake/log", "results"):
        (folder / made).mkdir(parents=True)
    with read_only(folder / place):
        run = snakemake(folder, "fig1", "--cores", "1", *FEWER, check=False)
    assert run.returncode != 0
    assert "can't be written" in run.stdout
    assert "Traceback" not in run.stdout


# --- flipped bits ------------------------------------------------------------------------------------------------


DAMAGED = [  # a file, what of it is damaged, and a step that reads it
    ("models/vgg16/original.safetensors", None, SHARD),
    ("models/resnet50/decayed.safetensors", None, RESULTS / "attributions/resnet50/decayed/0.h5"),
    ("attributions/vgg16/original/0.h5", ("logits", 0), REMOVAL),
    ("attributions/vgg16/original/0.h5", ("activity/01", 3), RESULTS / "figures/fig2.png"),
    (
        "removal/vgg16/original-bilinear/activity-0.h5",
        ("e_minus", 0),
        RESULTS / "statistics/vgg16/original-bilinear-layers.csv",
    ),
    ("linear.h5", ("scores", 0), RESULTS / "figures/fig1.png"),
    ("examples/fig7-vgg16.h5", ("maps", 0), RESULTS / "figures/fig7.png"),
]


def find_byte(file: Path, part: tuple[str, int] | None) -> int:
    """A byte in the middle of a file, or of the chunk that holds a row of an HDF5 file's dataset."""
    if part is None:
        return file.stat().st_size // 2
    name, row = part
    with h5py.File(file) as arrays:
        dataset = arrays[name]
        chunk = dataset.id.get_chunk_info_by_coord((row, *[0] * (dataset.ndim - 1)))
    return chunk.byte_offset + chunk.size // 2


@pytest.mark.parametrize(("damaged", "part", "next_step"), DAMAGED)
def test_a_flipped_bit_is_named_and_mended_by_the_command_given(folder, damaged, part, next_step):
    """The file's size and time stay what they were, so that nothing but its content can tell."""
    file = folder / RESULTS / damaged
    place, status = find_byte(file, part), file.stat()
    content, made = bytearray(file.read_bytes()), contents([folder / next_step])
    content[place] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    for path in (next_step, next_step.with_suffix(".pdf")):
        (folder / path).unlink(missing_ok=True)
    run = snakemake(folder, str(next_step), "--cores", "2", *FEWER, check=False)
    assert run.returncode != 0
    said = rf"error: {RESULTS / damaged}: .*; make it again: snakemake (--cores all --force \S+ --configfile \S+ \S+)$"
    found = re.search(said, run.stdout, re.MULTILINE)
    assert found, run.stdout[-3000:]
    snakemake(folder, *found[1].split())
    snakemake(folder, str(next_step), "--cores", "2", *FEWER)
    for path, content in contents([folder / next_step]).items():
        check_same(made[path], content)


def test_a_flipped_bit_of_an_image_is_named(folder):
    image = next((folder / RESULTS / "images/val/3").glob("*.png"))
    status, content = image.stat(), bytearray(image.read_bytes())
    content[-30] ^= 1
    image.write_bytes(content)
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    survey = RESULTS / "survey/alexnet/accuracy.csv"
    (folder / survey).unlink()
    run = snakemake(folder, str(survey), "--cores", "2", *FEWER, check=False)
    assert run.returncode != 0
    assert f"{image.relative_to(folder)}: " in run.stdout and "Traceback" not in run.stdout
