"""What came out on planted evidence (config/planted.yaml): how well each method's maps find the patch, as tables.

Of the networks whose tables are there.
"""

from pathlib import Path

import pandas as pd

from explanations.figures.names import network_title
from explanations.files.tables import read_tables
from explanations.localisation.measures import MEASURES
from gather_facts import plain

COLUMNS = ["network", "method", "title", "n", "delta_e_minus", *MEASURES]
OBJECTS = ["network", "image", "n", "accuracy", "ci_low", "ci_high", "chance"]


def gather_planted(results: Path, networks: list[str]) -> pd.DataFrame:
    """Each network's methods by δe₋, the best first: its median; the measures of localisation, means over n images."""
    tables = [pd.DataFrame(columns=COLUMNS)]
    for network in networks:
        folder = results / "statistics" / network
        if not all((folder / f"{name}.csv").exists() for name in ("leaderboard", "localisation")):
            continue
        ranks = read_tables([folder / "leaderboard.csv"], ("measure", "method", "title", "rank", "n", "median"))
        ranks = ranks[ranks.measure == "delta_e_minus"].sort_values("rank").rename(columns={"median": "delta_e_minus"})
        found = read_tables([folder / "localisation.csv"], ("measure", "method", "mean"))
        means = found.pivot(index="method", columns="measure", values="mean")
        table = ranks.drop(columns="measure").join(means, on="method", how="inner")
        tables.append(table.assign(network=network_title(network))[COLUMNS])
    return pd.concat(tables, ignore_index=True).map(shorten)


def gather_objects(results: Path, networks: list[str]) -> pd.DataFrame:
    """Each network's accuracy on whole images, without their patch, and with the patch alone."""
    paths = [results / "statistics" / network / "objects.csv" for network in networks]
    table = read_tables([path for path in paths if path.exists()], OBJECTS)[OBJECTS]
    return table.assign(network=table.network.map(network_title)).map(shorten)


def shorten(value: object) -> object:
    """A number to as many digits as facts have; all else as it is."""
    return plain(value) if isinstance(value, float) else value
