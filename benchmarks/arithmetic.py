"""How much another kind of arithmetic changes: attributions and flips by other threads, instructions and precisions.

Prints, and writes as CSV, for the embedded experiment's two networks and each kind of arithmetic, against one thread
with all instructions in float32: the scans of a few methods whose flip is another, the largest change of a scan's e,
and that of a method's median δe₋. Maps are extracted anew in each. In: a run's networks, manifest and images
(`make reproduce`).
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from explanations.files.measurements import read_measurements
from explanations.files.writing import whole_file

SCRIPTS = Path(__file__).parent.parent / "scripts"
METHODS = ("gradient", "gradcam")
WITHOUT_ONEDNN = "import runpy, sys, torch; torch.backends.mkldnn.set_flags(False); sys.argv.pop(0); "
WITHOUT_ONEDNN += "sys.path.insert(0, sys.argv[0].rpartition('/')[0]); runpy.run_path(sys.argv[0], run_name='__main__')"
KINDS = {  # environment, threads, precision, whether oneDNN computes
    "one thread": ({}, 1, "float32", True),
    "two threads": ({}, 2, "float32", True),
    "AVX2": ({"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}, 1, "float32", True),
    "without oneDNN": ({}, 1, "float32", False),
    "bfloat16 first": ({}, 1, "bfloat16", True),
}
COLUMNS = ("network", "arithmetic", "scans", "flips", "e", "median")


def main(results: Path, networks: list[str], output: Path | None) -> None:
    rows = []
    for network in networks:
        usual = None
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as folder:
                found = measure(results, network, kind, Path(folder))
            usual = found if usual is None else usual
            rows.append((network, kind, *compare(found, usual)))
            print(*rows[-1], sep=", ", flush=True)
    if output is not None:
        with whole_file(output) as temporary, open(temporary, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


def measure(results: Path, network: str, kind: str, folder: Path) -> list[dict[str, np.ndarray]]:
    """Extraction and removal in a kind of arithmetic: each method's flips and e, as stored."""
    _, threads, precision, _ = KINDS[kind]
    common = ["--network", results / f"models/{network}/original.safetensors", "--manifest", results / "manifest.csv"]
    common += ["--images", results / "images/val", "--device", "cpu", "--threads", threads]
    shard, found = folder / "0.h5", []
    run(kind, "extract_attributions.py", *common, "--output", shard, "--name", network)
    for method in METHODS:
        output = folder / f"{method}.h5"
        flags = ["--shards", shard, "--method", method, "--grid", 50, "--precision", precision, "--output", output]
        run(kind, "measure_removal.py", *common, *flags)
        found.append(read_measurements([output]).values)
    return found


def run(kind: str, script: str, *flags: object) -> None:
    """Run a step in a kind of arithmetic; what it says ends this if it fails."""
    environment, _, _, with_onednn = KINDS[kind]
    start = [] if with_onednn else ["-c", WITHOUT_ONEDNN]
    command = [sys.executable, "-W", "ignore", *start, str(SCRIPTS / script), *map(str, flags)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{kind}, {script}: {done.stdout}{done.stderr}")


def compare(found: list[dict[str, np.ndarray]], usual: list[dict[str, np.ndarray]]) -> tuple[int, int, str, str]:
    """Scans, those with another flip, the largest change of an e, and of a method's median δe₋."""
    scans = other = 0
    change = medians = 0.0
    for values, wanted in zip(found, usual, strict=True):
        for name in wanted:
            if name.startswith("flip"):
                scans, other = scans + wanted[name].size, other + int((values[name] != wanted[name]).sum())
            elif name.startswith("e_"):
                change = max(change, np.abs(values[name] - wanted[name]).max())
        delta = [np.median(each["e_minus"] - each["e_minus_noise"]) for each in (values, wanted)]
        medians = max(medians, abs(delta[0] - delta[1]))
    return scans, other, f"{change:.4f}", f"{medians:.4f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results/embedded"))
    parser.add_argument("--networks", nargs="+", default=("vgg16", "resnet50"))
    parser.add_argument("--output", type=Path, help="CSV to write: docs/arithmetic.csv, which pages show")
    main(**vars(parser.parse_args()))
