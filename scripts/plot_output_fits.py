"""Draw figure S5: the outputs without biases as a linear function of those with them, f^{b=0} = α f + β.

In:  the fits of the networks, one for each of some images (survey_network.py).
Out: the figure, as PDF and PNG: α (left) and β (right) of every network; points are fits, boxes their quartiles.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from explanations.command import run_command
from explanations.figures import (
    DOUBLE_COLUMN,
    GREY,
    NORMALISATION_COLOURS,
    draw_networks,
    figure_parser,
    journal_figure,
    name_normalisations,
    order_networks,
)
from explanations.tables import drop_missing, read_tables

COLUMNS = ("network", "biases", "normalisation", "image", "alpha", "beta", "largest_output")


def main(fits: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    table = drop_missing(read_tables(fits, COLUMNS), ["alpha", "beta"], fits)
    networks = order_networks(table)
    names = list(networks.index)
    colours = [NORMALISATION_COLOURS[key] for key in networks["normalisation"]]
    n = table.groupby("network").size()
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 0.95 + 0.19 * len(names)) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        outside = {}
        for ax, value in ((left, "alpha"), (right, "beta")):
            draw_networks(ax, table, value, names, colours, points=True)
            ax.axvline(0, color="black", linewidth=0.4, zorder=0)
            limits = choose_limits(table, value)
            ax.set_xlim(*limits)
            outside[value] = int((~table[value].between(*limits)).sum())
        left.axvline(1, color=GREY, linewidth=0.7, linestyle=(0, (3, 2)), zorder=0)
        left.set_title(f"(a) scale, {n.min()} fits" if n.nunique() == 1 else f"(a) scale, {n.min()}–{n.max()} fits")
        left.set_xlabel("α")
        right.set_title("(b) offset, and the range of outputs (grey)")
        right.set_xlabel("β (logits)")
        mark_range(right, table.groupby("network")["largest_output"].median().loc[names].to_numpy())
        handles = [
            Line2D([], [], color=NORMALISATION_COLOURS[key], linestyle="none", marker="s", label=label)
            for key, label in name_normalisations(networks).items()
        ]
        handles += [Line2D([], [], color=GREY, linewidth=0.7, linestyle=(0, (3, 2)), label="α = 1")]
        title = "points: one image each, fitted over the classes; boxes: quartiles and median over images"
        title += f"; {outside['alpha']} α and {outside['beta']} β lie beyond the axes" if any(outside.values()) else ""
        figure.legend(handles=handles, title=title, title_fontsize=6, loc="outside lower center", ncols=3)


def choose_limits(table: pd.DataFrame, value: str) -> tuple[float, float]:
    """An axis over the fits of networks without normalisation; destroyed networks may lie anywhere, far out too.

    α: with 0 and 1. β: over the range of the outputs that it is compared with.
    """
    if value == "beta":
        largest = 1.05 * table.groupby("network")["largest_output"].median().max()
        return -largest, largest
    shown = pd.concat([table.loc[table["normalisation"] == "none", value], pd.Series([0.0, 1.0])])
    margin = 0.25 * (shown.max() - shown.min())
    return shown.min() - margin, shown.max() + margin


def mark_range(ax: Axes, largest: np.ndarray) -> None:
    """Grey bars over ± the median of the largest |f_c|, which β is to be compared with."""
    ax.barh(np.arange(len(largest)), 2 * largest, 0.86, -largest, color="#EEEEEE", zorder=0)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--fits", type=Path, nargs="+", required=True, help="one file for each network")
    run_command(parser, main)
