"""Draw figure S7: decay with other numbers of decay steps, and at other temperatures.

In:  records of decay of one network (decay_biases.py): those that differ in the number of decay steps, and those that
     differ in the temperature T.
Out: the figure, as PDF and PNG, a panel for each: accuracy of the network being fine-tuned, before (thin) and after
     (thick) its biases reach zero; its accuracy as trained (grey).
"""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from explanations.command import InputError, run_command
from explanations.figures import (
    DOUBLE_COLUMN,
    GREY,
    count_images,
    figure_parser,
    journal_figure,
    network_title,
)
from explanations.tables import RECORD_COLUMNS, read_tables

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC3311", "#8E3B9E", "#262626")
MARKERS = "osD^vP"


def main(steps: list[Path], temperatures: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    panels = {"steps": (steps, "{:g} decay steps"), "temperature": (temperatures, "T = {:g}")}
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 2.75) as figure:
        axes = figure.subplots(1, 2, sharey=True)
        for letter, ax, (key, (paths, text)) in zip("ab", axes, panels.items(), strict=True):
            table = read_tables(paths, RECORD_COLUMNS)
            draw_trials(ax, table, key, text)
            other = "temperature" if key == "steps" else "steps"
            same = f"T = {table[other].iloc[0]:g}" if other == "temperature" else f"{table[other].iloc[0]} decay steps"
            name = f"{network_title(table['network'].iloc[0])}, {same}"
            ax.set_title(f"({letter}) {name}, {count_images(table['n'])}")
            ax.set_xlabel("training steps")
        axes[0].set_ylabel("top-1 accuracy")


def draw_trials(ax: Axes, table: pd.DataFrame, key: str, text: str) -> None:
    """A line for each value of `key`; InputError if two records have the same."""
    trials = list(table.groupby(key))
    if any(found["phase"].duplicated().any() for _, found in trials):
        raise InputError(f"the records given hold a value of {key} twice; each must differ in it")
    ax.axhline(table["accuracy"][table["phase"] == 0].iloc[0], color=GREY, linewidth=0.8, linestyle=(0, (3, 2)))
    for number, (value, found) in enumerate(trials):
        colour = COLOURS[number % len(COLOURS)]
        found = found.sort_values("phase")
        zero = found[found["factor"] == 0]
        ax.plot(found["training_steps"], found["accuracy"], color=colour, linewidth=0.7)
        style = {"color": colour, "linewidth": 1.5, "marker": MARKERS[number % len(MARKERS)], "markersize": 3}
        ax.plot(zero["training_steps"], zero["accuracy"], **style, label=text.format(value))
    handles, labels = ax.get_legend_handles_labels()
    handles.append(Line2D([], [], color=GREY, linewidth=0.8, linestyle=(0, (3, 2))))
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "ncols": 3}
    ax.legend(handles, [*labels, "as trained"], title="thin: while biases decay; thick: without biases", **below)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--steps", type=Path, nargs="+", required=True, help="records that differ in decay steps")
    parser.add_argument("--temperatures", type=Path, nargs="+", required=True, help="records that differ in T")
    run_command(parser, main)
