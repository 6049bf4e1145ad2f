"""Draw figure 3: the accuracy of every network before and after its biases are set to zero.

In:  the accuracies of the networks (survey_network.py).
Out: the figure, as PDF and PNG: networks in the order of their number of bias parameters; a bar's length is top-1
     accuracy, with its standard error over images; behind it, of networks with MANY classes, pale segments end at top-2
     to top-5.
"""

from math import sqrt
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from explanations.command import run_command
from explanations.figures.names import count_images, name_normalisations, network_title
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure
from explanations.figures.style import BLACK, NORMALISATION_COLOURS, lighten
from explanations.files.tables import read_tables

COLUMNS = ("network", "biases", "normalisation", "classes", "k", "n", "original", "zeroed")
PANELS = {"original": "as trained", "zeroed": "all biases set to zero"}
MANY = 100  # of few classes, five hold the right one soon, whatever a network has learned
SHADES = (0.0, 0.5, 0.62, 0.74, 0.86)  # of white, in the segments up to top-1, …, top-5
CHANCE = {1: (0, (1, 1.2)), 5: (0, (4, 1.5))}


def main(accuracy: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    table = read_tables(accuracy, COLUMNS)
    networks = table.drop_duplicates("network").sort_values("biases", kind="stable").set_index("network")
    shown = [k for k in range(1, len(SHADES) + 1) if k == 1 or networks["classes"].min() >= MANY]
    table = table[table["k"].isin(shown)]
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 3.9) as figure:
        axes = figure.subplots(2, 1, sharex=True, sharey=True)
        for letter, ax, (variant, title) in zip("ab", axes, PANELS.items(), strict=True):
            for x, name in enumerate(networks.index):
                rows = table[table["network"] == name].sort_values("k")
                colour = NORMALISATION_COLOURS[networks.loc[name, "normalisation"]]
                draw_bar(ax, x, rows[variant].to_list(), int(rows["n"].iloc[0]), colour)
            draw_chance(ax, networks["classes"], shown)
            ax.set_title(f"({letter}) {title}, {count_images(table['n'])}")
            ax.set_ylabel("accuracy" if len(shown) > 1 else "top-1 accuracy")
            ax.set_ylim(0, 1)
        labels = [f"{network_title(name)}\n{biases:,}" for name, biases in networks["biases"].items()]
        axes[1].set_xticks(
            range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor", linespacing=1.05
        )
        for ax in axes:
            ax.tick_params(axis="x", length=0)
        axes[1].set_xlim(-0.6, len(labels) - 0.4)
        axes[1].set_xlabel("network and its number of bias parameters")
        handles = [
            Patch(facecolor=NORMALISATION_COLOURS[key], label=label)
            for key, label in name_normalisations(networks["normalisation"]).items()
        ]
        if len(shown) > 1:
            handles += [Patch(facecolor=lighten(BLACK, SHADES[k - 1]), label=f"top-{k}") for k in shown]
        handles += [
            Line2D([], [], color=BLACK, linewidth=0.7, linestyle=style, label=f"chance, top-{k}")
            for k, style in CHANCE.items()
            if k in shown
        ]
        handles += [Line2D([], [], color=BLACK, linewidth=0.9, label="± standard error, top-1")]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5 if len(shown) > 1 else 3))


def draw_bar(ax: Axes, x: int, accuracies: list[float], n: int, colour: str) -> None:
    """A bar of segments that end at top-1, top-2, … accuracy of n images, and top-1's standard error."""
    start = 0.0
    for end, share in zip(accuracies, SHADES, strict=False):
        style = {"color": lighten(colour, share), "edgecolor": colour, "linewidth": 0.4}
        ax.bar(x, end - start, 0.72, start, **style)
        start = end
    first = accuracies[0]
    ax.errorbar(x, first, sqrt(first * (1 - first) / n), color=BLACK, elinewidth=0.9, capsize=1.5, capthick=0.9)


def draw_chance(ax: Axes, classes: pd.Series, shown: list[int]) -> None:
    """Lines at the accuracies of guessing, where all networks have the same number of classes."""
    if classes.nunique() == 1:
        for k, style in CHANCE.items():
            if k not in shown:
                continue
            ax.axhline(min(1, k / classes.iloc[0]), color=BLACK, linewidth=0.7, linestyle=style)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--accuracy", type=Path, nargs="+", required=True, help="one file for each network")
    run_command(parser, main)
