"""Draw figures S1 and S2: the accuracy of every network as pixel values are scaled, or shifted.

In:  the networks' robustness (survey_network.py).
Out: the figure, as PDF and PNG: a panel for each network, those without batch normalisation first, in the colour of
     its kind of normalisation; written in it, the relative change of top-1 accuracy at ten times the pixel values, or
     when a full range is added, which is marked.
"""

from pathlib import Path
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from explanations.command import run_command
from explanations.errors import InputError
from explanations.figures.names import NORMALISATION, count_images, network_title
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure
from explanations.figures.style import BLACK, GREY, NORMALISATION_COLOURS
from explanations.figures.zoo import group_networks, order_networks
from explanations.files.tables import read_tables

COLUMNS = ("network", "biases", "normalisation", "classes", "change", "value", "n", "accuracy", "relative_change")
SHOWN = {"scale": 10.0, "shift": 1.0}  # the change whose effect is written, and tested in the findings
AXES = {"scale": "pixel values × s", "shift": "pixel values + d (d in full ranges)"}
CHANCE = (0, (1, 1.2))
PANELS = 6  # in a row, at most


def main(robustness: list[Path], change: str, pdf: Path, png: Path, dpi: float) -> None:
    table = read_tables(robustness, COLUMNS)
    table = table[table["change"] == change].sort_values("value")
    networks = order_networks(table)
    shown = table[table["value"] == SHOWN[change]].set_index("network")["relative_change"]
    if shown.empty or set(shown.index) != set(networks.index):
        raise InputError(f"the tables given lack the {change} {SHOWN[change]:g}; survey.{change}s must hold it")
    groups = [(key, list(group.index)) for key, group in group_networks(networks)]
    columns = min(PANELS, max(len(names) for _, names in groups))
    rows = [(key, names[start : start + columns]) for key, names in groups for start in range(0, len(names), columns)]
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 0.75 + 1.12 * len(rows)) as figure:
        axes = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey=True)
        for line, (key, names) in zip(axes, rows, strict=True):
            for ax in line[len(names) :]:
                ax.axis("off")
            for ax, name in zip(line, names, strict=False):
                draw_panel(ax, table, name, change, shown[name])
                ax.set_title(network_title(name), fontsize=6.5, loc="center", pad=3)
            line[0].set_ylabel("\n".join([*wrap(NORMALISATION[key], 20), "top-1 accuracy"]))
        label_axes(figure, axes, rows, change, f"{AXES[change]}; {count_images(table['n'])}")
        handles = [Line2D([], [], color=NORMALISATION_COLOURS[key], label=NORMALISATION[key]) for key, _ in groups]
        handles += [Line2D([], [], color=BLACK, linewidth=0.5, linestyle=CHANCE, label="chance")]
        where = "× 10" if change == "scale" else "+ 1"
        title = f"number: relative change of accuracy at {where}, which the circle marks"
        figure.legend(handles=handles, title=title, title_fontsize=6, loc="outside upper center", ncols=len(handles))


def draw_panel(ax: Axes, table: pd.DataFrame, name: str, change: str, relative: float) -> None:
    """One network's accuracy over those of all others, in grey; the relative change at one value is written."""
    for other, curve in table.groupby("network"):
        if other != name:
            ax.plot(curve["value"], curve["accuracy"], color="#DDDDDD", linewidth=0.5, zorder=1)
    curve = table[table["network"] == name]
    colour = NORMALISATION_COLOURS[curve["normalisation"].iloc[0]]
    marked = curve[curve["value"] == SHOWN[change]]
    ax.plot(marked["value"], marked["accuracy"], color=BLACK, marker="o", markersize=4.5, fillstyle="none", zorder=4)
    said = f"{relative:+.0%}".replace("-", "−")
    # where no curve goes: in the middle all are at their best
    ax.annotate(said, (0.53, 0.2), xycoords="axes fraction", ha="left", va="bottom", fontsize=6)
    ax.plot(curve["value"], curve["accuracy"], color=colour, linewidth=1.5, marker="o", markersize=1.8, zorder=3)
    ax.axvline(1 if change == "scale" else 0, color=GREY, linewidth=0.4, zorder=0)
    ax.axhline(1 / curve["classes"].iloc[0], color=BLACK, linewidth=0.5, linestyle=CHANCE, zorder=2)


def label_axes(figure: Figure, axes: np.ndarray, rows: list, change: str, name: str) -> None:
    """Ticks of the scale's or shift's own, on the lowest panel of each column."""
    first = axes[0, 0]
    first.set_ylim(0, 1.02)
    first.set_yticks([0, 0.5, 1])
    for ax in axes.flat:
        ax.tick_params(axis="x", labelsize=6)
    if change == "scale":
        first.set_xscale("log")
        first.set_xticks([1e-3, 1, 1e3])
        first.minorticks_off()
    else:
        first.set_xticks([-1, 0, 1], ["−1", "0", "1"])
    for line, (_, names), (_, below) in zip(axes[:-1], rows[:-1], rows[1:], strict=True):
        for ax in line[len(below) : len(names)]:  # nothing is below them
            ax.tick_params(labelbottom=True)
    figure.supxlabel(name, fontsize=7)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--robustness", type=Path, nargs="+", required=True, help="one file for each network")
    parser.add_argument("--change", choices=SHOWN, required=True)
    run_command(parser, main)
