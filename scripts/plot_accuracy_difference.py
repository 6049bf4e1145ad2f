"""Draw figure S3: how much accuracy each network loses when its biases are set to zero.

In:  the accuracies of the networks (survey_network.py).
Out: the figure, as PDF and PNG: the difference of top-1 accuracy with its standard error over images, all networks
     (left), and those without batch normalisation on a scale of their own (right).
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from explanations.command import run_command
from explanations.figures.names import NORMALISATION, count_images, name_normalisations, network_title
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure
from explanations.figures.style import GREY, NORMALISATION_COLOURS
from explanations.figures.zoo import order_networks
from explanations.files.tables import read_tables

COLUMNS = ("network", "biases", "normalisation", "k", "n", "difference", "standard_error")


def main(accuracy: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    table = read_tables(accuracy, COLUMNS)
    networks = order_networks(table[table["k"] == 1])
    plain = networks[networks["normalisation"] == "none"]
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 0.95 + 0.16 * len(networks)) as figure:
        panels = [("a", "all networks", networks)]
        panels += [("b", NORMALISATION["none"], plain)] if len(plain) else []
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (letter, title, rows) in zip(axes, panels, strict=True):
            draw_differences(ax, rows)
            ax.set_title(f"({letter}) {title},\n{count_images(rows['n'])}")
            ax.set_xlabel("difference of top-1 accuracy (percentage points)")
        if len(plain):
            axes[1].axvline(-1, color=GREY, linewidth=0.7, linestyle=(0, (3, 2)), label="a loss of 1 point")
        style = {"linestyle": "none", "marker": "o", "markersize": 3.5}
        handles = [
            Line2D([], [], color=NORMALISATION_COLOURS[key], label=label, **style)
            for key, label in name_normalisations(networks["normalisation"]).items()
        ]
        limit = "a loss of 1 point, the paper's limit"
        handles += [Line2D([], [], color=GREY, linewidth=0.7, linestyle=(0, (3, 2)), label=limit)]
        title = "points and bars: mean difference (zeroed − original) and its standard error over images"
        figure.legend(handles=handles, title=title, title_fontsize=6, loc="outside lower center", ncols=3)


def draw_differences(ax: Axes, rows: pd.DataFrame) -> None:
    """A point with its error for each network, from the top down."""
    for height, (_, row) in enumerate(rows.iterrows()):
        colour = NORMALISATION_COLOURS[row["normalisation"]]
        value, error = 100 * row["difference"], 100 * row["standard_error"]
        ax.errorbar(value, height, xerr=error, color=colour, marker="o", markersize=3.5, capsize=2, elinewidth=1)
        ax.plot([0, value], [height, height], color=colour, linewidth=0.6, alpha=0.5)
    ax.axvline(0, color="black", linewidth=0.4)
    ax.set_yticks(np.arange(len(rows)), [network_title(name) for name in rows.index])
    ax.set_ylim(len(rows) - 0.4, -0.6)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--accuracy", type=Path, nargs="+", required=True, help="one file for each network")
    run_command(parser, main)
