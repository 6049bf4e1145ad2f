"""A stand-in for the `conda` command: what Snakemake asks of it, and no more.

Environments are really solved and installed, by rattler, from the channels in a folder of its own:

bin/conda, bin/activate   what Snakemake calls
channels/<name>           channels, made by channel.py
cache                     packages, unpacked once; environments hold links to their files
"""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

import yaml
from rattler import Gateway, VirtualPackage, install, solve
from rattler.exceptions import SolverError

VERSION = "24.7.1"  # the oldest that Snakemake accepts
COMMAND = '#!/bin/sh\nexec "{python}" "{script}" "{root}" "$@"\n'
ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'


def write_commands(root: Path) -> None:
    """Write the two commands, `conda` and `activate`, of a stand-in in this folder."""
    (root / "bin").mkdir()
    (root / "bin/activate").write_text(ACTIVATE)
    (root / "bin/conda").write_text(COMMAND.format(python=sys.executable, script=Path(__file__).resolve(), root=root))
    (root / "bin/conda").chmod(0o755)


async def create(root: Path, file: Path, prefix: Path) -> None:
    """Solve an environment file and install what it takes, below a prefix."""
    environment = yaml.safe_load(file.read_text())
    channels = [(root / "channels" / name).as_uri() for name in environment["channels"] if name != "nodefaults"]
    records = await solve(
        channels,
        environment["dependencies"],
        gateway=Gateway(cache_dir=root / "cache/repodata"),
        platforms=["linux-64", "noarch"],
        virtual_packages=VirtualPackage.detect(),
    )
    await install(records, prefix, cache_dir=root / "cache/packages", show_progress=False)


def main(root: Path, arguments: list[str]) -> str | None:
    """Do what is asked; what is wrong with it, if anything."""
    match arguments:
        case ["--version"]:
            print(f"conda {VERSION}")
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": str(root), "platform": "linux-64"}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", *flags]:
            parser = argparse.ArgumentParser(prog="conda env create")
            parser.add_argument("--file", type=Path, required=True)
            parser.add_argument("--prefix", type=Path, required=True)
            parser.add_argument("--quiet", action="store_true")
            parser.add_argument("--no-default-packages", action="store_true")
            given = parser.parse_args(flags)
            try:
                asyncio.run(create(root, given.file, given.prefix))
            except SolverError as error:
                return str(error)
        case ["clean", *_]:
            pass  # archives are unpacked straight from the channel, none is kept
        case _:
            return f"this stand-in for conda knows no `{' '.join(arguments)}`"
    return None


if __name__ == "__main__":
    error = main(Path(sys.argv[1]), sys.argv[2:])
    if error:
        print(error, file=sys.stderr)
    sys.stdout.flush()
    # Not by sys.exit: rattler's threads may outlive its work for a moment, and Python's end under them is a crash.
    os._exit(1 if error else 0)
