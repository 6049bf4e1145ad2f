"""What figures of the zoo share: networks in one order, in groups, a row for each."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from explanations.figures.names import NORMALISATION, network_title
from explanations.figures.style import darken, lighten


def order_networks(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each network, `network` as the index: in the order of NORMALISATION, then by biases."""
    networks = table.drop_duplicates("network").set_index("network")
    kinds = pd.Categorical(networks["normalisation"], list(NORMALISATION), ordered=True)
    return networks.assign(normalisation=kinds).sort_values(["normalisation", "biases"], kind="stable")


def group_networks(networks: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of order_networks by kind of normalisation, where there are any."""
    return list(networks.groupby("normalisation", observed=True))


def draw_networks(
    ax: Axes, table: pd.DataFrame, value: str, names: Sequence[str], colours, points: bool = False
) -> None:
    """A row for each network, from the top down: a box of quartiles of `value` with its median, and all points."""
    colours = [colours] * len(names) if isinstance(colours, str) else colours
    rng = np.random.default_rng(0)
    for place, (name, colour) in enumerate(zip(names, colours, strict=True)):
        values = table.loc[table["network"] == name, value].to_numpy(float)
        low, middle, high = np.percentile(values, [25, 50, 75])
        face, edge = lighten(colour), colour
        if points:
            spread = place + rng.uniform(-0.3, 0.3, len(values))
            ax.plot(values, spread, color=face, linestyle="none", marker=".", markersize=1.8, zorder=1)
            face, edge = "none", darken(colour)
        ax.barh(place, high - low, 0.62, low, color=face, edgecolor=edge, linewidth=0.6, zorder=2)
        ax.vlines(middle, place - 0.31, place + 0.31, edge, linewidth=1.4, zorder=2)
    ax.set_yticks(np.arange(len(names)), [network_title(name) for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
