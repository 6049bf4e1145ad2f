"""Extraction and removal of photographs by their steps, in every precision: what each takes, and whether flips agree.

Prints and writes, as CSV: seconds of each step with its start, passes per second, and the scans whose flip is not
float32's. In: a run's folder with lite0's network and the manifest (see gpu.sh).
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

SCRIPTS = Path(__file__).parent.parent / "scripts"
PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
METHODS = ("activity_from",)


def main(output: Path, run: Path, images: Path, grid: int, batch: int, device: str) -> None:
    output.mkdir(parents=True, exist_ok=True)
    network, manifest, shard = run / "models/lite0/original.safetensors", run / "manifest.csv", output / "shard.h5"
    common = ["--network", network, "--manifest", manifest, "--images", images, "--device", device, "--threads", "8"]
    rows = [{"step": "extraction", **step("extract_attributions.py", *common, "--output", shard, "--name", "lite0")}]
    print(rows[-1], flush=True)
    for method in METHODS:
        wanted = None
        for precision in PRECISIONS:
            file = output / f"{method}-{precision}.h5"
            flags = [
                "--shards",
                shard,
                "--method",
                method,
                "--precision",
                precision,
                "--grid",
                grid,
                "--batch",
                batch,
                "--layers",
                "stages",
            ]
            taken = step("measure_removal.py", *common, "--output", file, *flags)
            found = read_flips(file)
            wanted = found if wanted is None else wanted
            differ = sum(int((found[name] != wanted[name]).sum()) for name in wanted)
            scans = sum(values.size for values in found.values())
            row = {"step": f"removal {method}", "precision": precision, "scans": scans, "differ": differ}
            rows.append(row | taken)
            print(rows[-1], flush=True)
            file.unlink()
    shard.unlink()
    pd.DataFrame(rows).to_csv(output / "gpu_removal.csv", index=False)


def step(script: str, *flags: object) -> dict:
    """Run a step: its seconds, and what it printed last of passes per second and of checks."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPTS / script, *map(str, flags)], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{script}: {done.stdout}{done.stderr}")
    said = done.stdout + done.stderr
    rates = re.findall(r"([0-9]+) passes/s", said)
    checks = [line for line in said.splitlines() if "decisions missed" in line]
    seconds = time.perf_counter() - start
    return {"seconds": round(seconds, 1), "passes/s": int(rates[-1]) if rates else "", "checks": "".join(checks)}


def read_flips(path: Path) -> dict[str, np.ndarray]:
    """The grid index of every flip."""
    with h5py.File(path) as file:
        return {name: file[name][:] for name in file if name.startswith("flip")}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of gpu_removal.csv")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--grid", type=int, default=100)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--device", default="auto")
    main(**vars(parser.parse_args()))
