"""Try every method with passes of its own on every network of the embedded experiment (`make applies`).

Out: docs/applies.csv, a row for each method and network, and why the method can't explain it, if it can't. Networks
     have weights drawn by chance, and methods few samples: whether a method applies depends on neither. Methods of
     libraries that aren't installed (`make extras`) keep the rows that the table has.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
import yaml

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from explanations.errors import InputError
from explanations.methods.sources.base import NotApplicableError, make_maps
from explanations.methods.sources.registry import SOURCES, check_extra, complete_settings, load_source
from explanations.networks.files import build_network

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs/applies.csv"
EMBEDDED = yaml.safe_load((ROOT / "config/config.yaml").read_text())
SIZE, CLASSES = EMBEDDED["images"]["size"], EMBEDDED["images"]["classes"]
FEW = {"n_steps": 2, "n_samples": 10, "noise_samples": 2, "masks": 4, "window": 48, "stride": 48, "patch": 48}


def main(output: Path) -> None:
    """Write the table, once all methods were tried."""
    rows = list(try_methods(read_rows(output)))
    with output.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["source", "method", "network", "reason"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of the table that there is; none if there is none."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def try_methods(known: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    """The rows of all methods, source by source; of a source whose library is absent, those that are `known`."""
    networks = list_networks()
    for source, entry in SOURCES.items():
        if entry.taken:  # of the user's own, or of another method
            continue
        try:
            check_extra(source)
        except InputError as error:
            print(f"{error}; its rows stay as they are")
            yield from (row for row in known if row["source"] == source)
            continue
        for name in entry.names:
            for network, arguments in networks.items():
                reason = try_method(source, name, arguments)
                yield {"source": source, "method": name, "network": network, "reason": reason}


def list_networks() -> dict[str, Mapping]:
    """The constructors and arguments of the embedded experiment's networks."""
    return {
        name: {"constructor": network["constructor"], **network["arguments"]}
        for name, network in EMBEDDED["networks"].items()
    }


def try_method(source: str, name: str, arguments: Mapping) -> str:
    """Why a method can't explain a network; empty if it can."""
    torch.manual_seed(0)
    constructor, arguments = arguments["constructor"], {k: v for k, v in arguments.items() if k != "constructor"}
    network = build_network("narrow", constructor, {**arguments, "num_classes": CLASSES}).requires_grad_(False)
    complete = complete_settings({"source": source} | ({"name": name} if name else {}))
    settings = complete | {key: value for key, value in FEW.items() if key in complete}
    try:
        bounds = [torch.tensor([-2.0, 2.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1)] if SOURCES[source].bounded else []
        prepared = load_source(source).prepare(settings, network, (SIZE, SIZE), ["a.png"], *bounds)
        make_maps(prepared, torch.randn(1, 3, SIZE, SIZE), torch.tensor([1]), [0], 0, 1)
    except NotApplicableError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=TABLE, help="the table")
    main(**vars(parser.parse_args()))
