"""What came out with networks of other seeds, which `make seeds` runs: the verdicts on single networks, as a table."""

import re
from pathlib import Path

import pandas as pd

from explanations.figures.names import network_title
from gather_facts import describe_findings

COLUMNS = ["seed", "claim", "network", "verdict", "quantity", "estimate"]


def find_seeds(results: Path) -> dict[int, Path]:
    """The findings of each seed's run below a folder, results/seed<n>/findings.csv."""
    found = {path: re.fullmatch(r"seed(\d+)", path.parent.name) for path in results.glob("seed*/findings.csv")}
    return dict(sorted((int(match[1]), path) for path, match in found.items() if match))


def gather_seeds(seeds: dict[int, Path], networks: list[str]) -> pd.DataFrame:
    """The verdicts and estimates of all seeds on these networks; what is found of groups of networks is left out."""
    titles = set(map(network_title, networks))
    rows = [{"seed": seed, **row} for seed, path in seeds.items() for row in describe_findings(path)]
    return pd.DataFrame([row for row in rows if row["network"] in titles], columns=COLUMNS)
