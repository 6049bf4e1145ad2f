"""A copy of the workflow to run in a folder of its own, what a run says it did, and whether two runs did the same."""

import multiprocessing
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import h5py
import numpy as np

ROOT = Path(__file__).parent.parent
TESTED = ("tests/minimal.yaml", "tests/families.yaml", "tests/fewer.yaml")
PARTS = ("Snakefile", "workflow", "config", "profiles", "scripts", "envs", *TESTED)
MINIMAL = ("--configfile", "tests/minimal.yaml")  # last: it takes as many files as follow
FAMILIES = (*MINIMAL, "tests/families.yaml")
FEWER = (*MINIMAL, "tests/fewer.yaml")
RESULTS = Path("results/minimal")
LONGEST = 2700  # seconds that a run may take
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["h5py", "snakemake.cli"])  # the rest of this file is small


def copy_workflow(folder: Path) -> Path:
    """Copy what a run needs, without results, to an empty folder."""
    for part in PARTS:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return folder


def snakemake(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Run Snakemake in a folder; its output, both streams in one, is the result's stdout.

    The process is forked from one that has imported Snakemake, which takes longer than most plans.
    """
    with tempfile.NamedTemporaryFile("r") as said:
        process = FORKED.Process(target=run_snakemake, args=(folder, arguments, dict(os.environ), said.name))
        process.start()
        process.join(LONGEST)
        if process.is_alive():
            process.kill()
            raise AssertionError(
                f"snakemake {' '.join(arguments)} is still there after {LONGEST} s:\n{said.read()[-6000:]}"
            )
        result = subprocess.CompletedProcess(["snakemake", *arguments], process.exitcode, said.read())
    if check and result.returncode:
        raise AssertionError(f"{' '.join(result.args)} ended with {result.returncode}:\n{result.stdout[-6000:]}")
    return result


def run_snakemake(folder: Path, arguments: tuple[str, ...], environment: dict[str, str], output: str) -> NoReturn:
    """Snakemake's command in this process, with an environment, all that it says in a file."""
    with open(output, "w") as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    from snakemake.cli import main  # there already, but not in tests that run no Snakemake

    main(list(arguments))


def read_log(folder: Path) -> str:
    """All that Snakemake has to say of the latest run in a folder, whatever it showed."""
    return max((folder / ".snakemake/log").iterdir()).read_text()


def planned_jobs(folder: Path, *arguments: str) -> dict[str, int]:
    """How many jobs of each rule a dry run plans, without the targets that only collect."""
    output = snakemake(folder, *arguments, "--dry-run", "--quiet", "rules").stdout
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}
    targets = ("total", "all", *arguments)
    return {name: count for name, count in jobs.items() if name not in targets and not re.fullmatch(r"fig\w+", name)}


@contextmanager
def edited(path: Path, change: Callable[[str], str]) -> Iterator[None]:
    """A file with another text, for a while; its age is restored with its text."""
    before, status = path.read_text(), path.stat()
    path.write_text(change(before))
    try:
        yield
    finally:
        path.write_text(before)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an HDF5 file."""
    with h5py.File(path) as file:
        arrays = {}
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return arrays


def assert_same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    """Equal arrays, bit for bit."""
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


def assert_same_results(first: Path, second: Path) -> None:
    """All that two runs of the minimal experiment made is equal, bit for bit: networks, arrays, tables and pictures."""

    def made(folder: Path) -> list[Path]:
        files = (path.relative_to(folder) for path in (folder / RESULTS).rglob("[!.]*") if path.is_file())
        return sorted(path for path in files if path.relative_to(RESULTS).parts[0] not in ("logs", "benchmarks"))

    assert made(first) == made(second)
    assert len(made(first)) > 100
    for path in made(first):
        if path.suffix == ".h5":
            assert_same(read_arrays(first / path), read_arrays(second / path))
        elif path.suffix != ".pdf" and path.name != "leaderboard.html":  # which tell when, and how long maps took
            assert read_page(first / path) == read_page(second / path), path


def read_page(path: Path) -> bytes:
    """A file's bytes; of a page, without what it says of the configuration's files, the machine and the libraries.

    Of the leaderboard, without its last column, the seconds that maps took.
    """
    page = re.sub(rb"<p>Made by: .*?</p>", b"", path.read_bytes(), flags=re.DOTALL)
    return re.sub(rb"<td[^<]*</td></tr>", b"", page) if path.name == "leaderboard.html" else page
