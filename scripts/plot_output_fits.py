"""Draw figure S5: the outputs without biases as a linear function of those with them, f^{b=0} = α f + β.

In:  the fits of the networks, one for each of some images (survey_network.py).
Out: the figure, as PDF and PNG: α (left) and β (right) of every network; points are fits, boxes their quartiles.
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from explanations.command import run_command
from explanations.figures.names import name_normalisations
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure
from explanations.figures.style import GREY, NORMALISATION_COLOURS
from explanations.figures.zoo import draw_networks, order_networks
from explanations.files.tables import drop_missing, read_tables

COLUMNS = ("network", "biases", "normalisation", "image", "alpha", "beta", "largest_output")


def main(fits: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    table = drop_missing(read_tables(fits, COLUMNS), ["alpha", "beta"], fits)
    networks = order_networks(table)
    names = list(networks.index)
    colours = [NORMALISATION_COLOURS[key] for key in networks["normalisation"]]
    n = table.groupby("network").size()
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 0.95 + 0.19 * len(names)) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for ax, value in ((left, "alpha"), (right, "beta")):
            draw_networks(ax, table, value, names, colours, points=True)
            ax.axvline(0, color="black", linewidth=0.4, zorder=0)
            scale_axis(ax, table[value], 1.5 if value == "alpha" else 1.1 * table["largest_output"].max())
        left.axvline(1, color=GREY, linewidth=0.7, linestyle=(0, (3, 2)), zorder=0)
        left.set_title(f"(a) scale, {n.min()} fits" if n.nunique() == 1 else f"(a) scale, {n.min()}–{n.max()} fits")
        left.set_xlabel("α")
        right.set_title("(b) offset, and the range of outputs (grey)")
        right.set_xlabel("β (logits)")
        mark_range(right, table.groupby("network")["largest_output"].median().loc[names].to_numpy())
        handles = [
            Line2D([], [], color=NORMALISATION_COLOURS[key], linestyle="none", marker="s", label=label)
            for key, label in name_normalisations(networks["normalisation"]).items()
        ]
        handles += [Line2D([], [], color=GREY, linewidth=0.7, linestyle=(0, (3, 2)), label="α = 1")]
        title = "points: one image each, fitted over the classes; boxes: quartiles and median over images"
        if any(ax.get_xscale() == "symlog" for ax in (left, right)):
            title += "\nfar from 0 axes are logarithmic"
        legend = figure.legend(handles=handles, title=title, title_fontsize=6, loc="outside lower center", ncols=3)
        legend.get_title().set_multialignment("center")


def scale_axis(ax: Axes, values: pd.Series, usual: float) -> None:
    """An axis that reaches all values: linear over ± `usual`, with more room, and logarithmic beyond, if need be."""
    farthest = values.abs().max()
    if farthest <= usual:
        ax.set_xlim(-usual if values.min() < -0.05 * usual or usual > 2 else -0.3 * usual, usual)
        return
    ax.set_xscale("symlog", linthresh=usual, linscale=1.5)
    powers = [10**k for k in range(math.ceil(math.log10(usual)), math.ceil(math.log10(farthest)) + 1)]
    inner = 1 if usual < 2 else 10 ** math.floor(math.log10(usual))
    marks = dict.fromkeys([0, inner, *powers])
    left = -1.2 * farthest if values.min() < -usual else -usual
    ticks = sorted({*marks, *(-mark for mark in marks)})
    ax.set_xlim(left, 1.2 * farthest)
    ax.set_xticks([tick for tick in ticks if left <= tick <= 1.2 * farthest])
    ax.set_xticks([], minor=True)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))


def mark_range(ax: Axes, largest: np.ndarray) -> None:
    """Grey bars over ± the median of the largest |f_c|, which β is to be compared with."""
    ax.barh(np.arange(len(largest)), 2 * largest, 0.86, -largest, color="#EEEEEE", zorder=0)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--fits", type=Path, nargs="+", required=True, help="one file for each network")
    run_command(parser, main)
