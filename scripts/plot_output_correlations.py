"""Draw figure S4: how alike each network's outputs are before and after its biases are set to zero.

In:  the outputs' correlations, image by image, of the networks (survey_network.py).
Out: the figure, as PDF and PNG: a panel each for networks without and with batch normalisation; boxes of quartiles
     over images, and the mean, which the paper shows.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from explanations.command import run_command
from explanations.figures import (
    BLACK,
    DOUBLE_COLUMN,
    NORMALISATION,
    NORMALISATION_COLOURS,
    box_handle,
    count_images,
    draw_networks,
    figure_parser,
    group_networks,
    journal_figure,
    order_networks,
)
from explanations.tables import drop_missing, read_tables

COLUMNS = ("network", "biases", "normalisation", "image", "correlation")


def main(outputs: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    table = drop_missing(read_tables(outputs, COLUMNS), ["correlation"], outputs)
    networks = order_networks(table)
    groups = group_networks(networks)
    tallest = max(len(group) for _, group in groups)
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 0.95 + 0.17 * tallest) as figure:
        axes = figure.subplots(1, len(groups), squeeze=False, sharex=True)[0]
        for letter, ax, (key, group) in zip("abc", axes, groups, strict=False):
            names = list(group.index)
            found = table[table["network"].isin(names)]
            draw_networks(ax, found, "correlation", names, NORMALISATION_COLOURS[key])
            draw_means(ax, found, names)
            ax.set_title(f"({letter}) {NORMALISATION[key]},\n{count_images(found.groupby('network').size())}")
            ax.axvline(0, color="black", linewidth=0.4, zorder=0)
            ax.set_xlim(-1.03, 1.03)
        axes[len(axes) // 2].set_xlabel("Pearson's ρ of outputs, original and zeroed")
        handles = [box_handle(NORMALISATION_COLOURS[key], "quartiles and median over images") for key, _ in groups[:1]]
        handles += [Line2D([], [], color=BLACK, linestyle="none", marker="D", markersize=2.5, label="mean")]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)


def draw_means(ax: Axes, table: pd.DataFrame, names: list[str]) -> None:
    """The mean correlation of each network."""
    means = table.groupby("network")["correlation"].mean().loc[names]
    ax.plot(means, np.arange(len(names)), color=BLACK, linestyle="none", marker="D", markersize=2.5, zorder=3)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--outputs", type=Path, nargs="+", required=True, help="one file for each network")
    run_command(parser, main)
