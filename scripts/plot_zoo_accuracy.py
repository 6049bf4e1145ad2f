"""Draw figure 3: the accuracy of every network before and after its biases are set to zero.

In:  the accuracies of the networks (survey_network.py).
Out: the figure, as PDF and PNG: networks in the order of their number of bias parameters; a bar's length is top-5
     accuracy, its pale segments end at top-1 to top-4.
"""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from explanations.command import run_command
from explanations.figures import (
    BLACK,
    DOUBLE_COLUMN,
    NORMALISATION_COLOURS,
    count_images,
    figure_parser,
    journal_figure,
    lighten,
    name_normalisations,
    network_title,
)
from explanations.tables import read_tables

COLUMNS = ("network", "biases", "normalisation", "classes", "k", "n", "original", "zeroed")
PANELS = {"original": "as trained", "zeroed": "all biases set to zero"}
SHADES = (0.86, 0.74, 0.62, 0.5, 0.0)  # of white, in the segments up to top-1, …, top-5
CHANCE = {1: (0, (1, 1.2)), 5: (0, (4, 1.5))}


def main(accuracy: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    table = read_tables(accuracy, COLUMNS)
    networks = table.drop_duplicates("network").sort_values("biases", kind="stable").set_index("network")
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 3.9) as figure:
        axes = figure.subplots(2, 1, sharex=True, sharey=True)
        for letter, ax, (variant, title) in zip("ab", axes, PANELS.items(), strict=True):
            for place, name in enumerate(networks.index):
                rows = table[table["network"] == name].sort_values("k")
                draw_bar(ax, place, rows[variant].to_list(), NORMALISATION_COLOURS[networks.loc[name, "normalisation"]])
            draw_chance(ax, networks["classes"])
            ax.set_title(f"({letter}) {title}, {count_images(table['n'])}")
            ax.set_ylabel("accuracy")
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
            for key, label in name_normalisations(networks).items()
        ]
        handles += [Patch(facecolor=lighten(BLACK, share), label=f"top-{k}") for k, share in enumerate(SHADES, start=1)]
        handles += [
            Line2D([], [], color=BLACK, linewidth=0.7, linestyle=style, label=f"chance, top-{k}")
            for k, style in CHANCE.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=5)


def draw_bar(ax: Axes, place: int, accuracies: list[float], colour: str) -> None:
    """A bar of segments that end at top-1, top-2, … accuracy."""
    start = 0.0
    for end, share in zip(accuracies, SHADES[-len(accuracies) :], strict=True):
        style = {"color": lighten(colour, share), "edgecolor": colour, "linewidth": 0.4}
        ax.bar(place, end - start, 0.72, start, **style)
        start = end


def draw_chance(ax: Axes, classes: pd.Series) -> None:
    """Lines at the accuracies of guessing, where all networks have the same number of classes."""
    if classes.nunique() == 1:
        for k, style in CHANCE.items():
            ax.axhline(min(1, k / classes.iloc[0]), color=BLACK, linewidth=0.7, linestyle=style)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--accuracy", type=Path, nargs="+", required=True, help="one file for each network")
    run_command(parser, main)
