"""Draw figure S4: how alike each network's outputs are before and after its biases are set to zero.

In:  the outputs' correlations, image by image, of the networks (survey_network.py).
Out: the figure, as PDF and PNG: a panel each for networks without and with batch normalisation; boxes of quartiles
     over images, and the mean, which the paper shows. The axis is 1 − ρ, logarithmic: most ρ are close to 1.
"""

from pathlib import Path
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from explanations.command import run_command
from explanations.figures.names import NORMALISATION, count_images
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure
from explanations.figures.style import BLACK, GREY, NORMALISATION_COLOURS, box_handle
from explanations.figures.zoo import draw_networks, group_networks, order_networks
from explanations.files.tables import drop_missing, read_tables

LEAST = 1e-5  # of 1 − ρ that is shown: outputs that are the same lie there
TITLE = 24  # letters in a line
COLUMNS = ("network", "biases", "normalisation", "image", "correlation")


def main(outputs: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    table = drop_missing(read_tables(outputs, COLUMNS), ["correlation"], outputs)
    table["difference"] = (1 - table["correlation"]).clip(lower=LEAST)
    networks = order_networks(table)
    groups = group_networks(networks)
    quartiles = table.groupby("network")["difference"].quantile(0.25)
    left = 10 ** np.floor(np.log10(0.7 * quartiles.min()))
    tallest = max(len(group) for _, group in groups)
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 1.1 + 0.17 * tallest) as figure:
        axes = figure.subplots(1, len(groups), squeeze=False, sharex=True)[0]
        for letter, ax, (key, group) in zip("abc", axes, groups, strict=False):
            names = list(group.index)
            chosen = table[table["network"].isin(names)]
            draw_networks(ax, chosen, "difference", names, NORMALISATION_COLOURS[key])
            draw_means(ax, chosen, names)
            title = wrap(f"({letter}) {NORMALISATION[key]},", TITLE)
            ax.set_title("\n".join([*title, count_images(chosen.groupby("network").size())]))
            ax.axvline(1, color=GREY, linewidth=0.7, linestyle=(0, (3, 2)), zorder=0)
            ax.set_xscale("log")
            ax.set_xlim(left, 2.5)
        axes[len(axes) // 2].set_xlabel("1 − ρ, Pearson's of outputs, original and zeroed (left: alike)")
        handles = [box_handle(NORMALISATION_COLOURS[key], "quartiles and median over images") for key, _ in groups[:1]]
        handles += [Line2D([], [], color=BLACK, linestyle="none", marker="D", markersize=2.5, label="mean")]
        handles += [Line2D([], [], color=GREY, linewidth=0.7, linestyle=(0, (3, 2)), label="ρ = 0")]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)


def draw_means(ax: Axes, table: pd.DataFrame, names: list[str]) -> None:
    """The mean correlation of each network."""
    means = table.groupby("network")["difference"].mean().loc[names]
    ax.plot(means, np.arange(len(names)), color=BLACK, linestyle="none", marker="D", markersize=2.5, zorder=3)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--outputs", type=Path, nargs="+", required=True, help="one file for each network")
    run_command(parser, main)
