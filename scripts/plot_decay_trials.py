"""Draw figure S7: decay with other numbers of decay steps, and at other temperatures.

In:  records of decay of one network (decay_biases.py): those that differ in the number of decay steps, and those that
     differ in the temperature T.
Out: the figure, as PDF and PNG, a panel for each: accuracy of the network being fine-tuned, before (thin) and after
     (thick) its biases reach zero, with bands of its standard error over images; its accuracy as trained (grey).
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from explanations.command import run_command
from explanations.errors import InputError
from explanations.figures.names import count_images, network_title
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure
from explanations.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED
from explanations.files.tables import RECORD_COLUMNS, read_tables

COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, BLACK)
MARKERS = "osD^vP"


def main(steps: list[Path], temperatures: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    panels = {"steps": (steps, "{:g} decay steps"), "temperature": (temperatures, "T = {:g}")}
    network = name_network(read_tables([*steps, *temperatures], RECORD_COLUMNS))
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 2.75) as figure:
        axes = figure.subplots(1, 2, sharey=True)
        for letter, ax, (key, (paths, text)) in zip("ab", axes, panels.items(), strict=True):
            table = read_tables(paths, RECORD_COLUMNS)
            draw_trials(ax, table, key, text)
            other = "temperature" if key == "steps" else "steps"
            same = f"T = {table[other].iloc[0]:g}" if other == "temperature" else f"{table[other].iloc[0]} decay steps"
            name = f"{network_title(network)}, {same}"
            ax.set_title(f"({letter}) {name}, {count_images(table['n'])}")
            ax.set_xlabel("training steps")
        axes[0].set_ylabel("top-1 accuracy")


def name_network(table: pd.DataFrame) -> str:
    """The network of all records; InputError if there are several."""
    networks = table["network"].unique()
    if len(networks) > 1:
        raise InputError(f"the records given are of {', '.join(networks)}; allowed are those of one network")
    return networks[0]


def draw_trials(ax: Axes, table: pd.DataFrame, key: str, text: str) -> None:
    """A line for each value of `key`; InputError if two records have the same."""
    trials = list(table.groupby(key))
    if any(record["phase"].duplicated().any() for _, record in trials):
        raise InputError(f"the records given hold a value of {key} twice; each must differ in it")
    ax.axhline(table["accuracy"][table["phase"] == 0].iloc[0], color=GREY, linewidth=0.8, linestyle=(0, (3, 2)))
    for number, (value, record) in enumerate(trials):
        colour = COLOURS[number % len(COLOURS)]
        record = record.sort_values("phase")
        zero = record[record["factor"] == 0]
        ax.plot(record["training_steps"], record["accuracy"], color=colour, linewidth=0.7)
        error = np.sqrt(record["accuracy"] * (1 - record["accuracy"]) / record["n"])
        low, high = record["accuracy"] - error, record["accuracy"] + error
        ax.fill_between(record["training_steps"], low, high, color=colour, alpha=0.15, linewidth=0)
        style = {"color": colour, "linewidth": 1.5, "marker": MARKERS[number % len(MARKERS)], "markersize": 3}
        ax.plot(zero["training_steps"], zero["accuracy"], **style, label=text.format(value))
    handles, labels = ax.get_legend_handles_labels()
    handles.append(Line2D([], [], color=GREY, linewidth=0.8, linestyle=(0, (3, 2))))
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "ncols": 3}
    title = "thin: while biases decay; thick: without biases\nbands: ± standard error over images"
    ax.legend(handles, [*labels, "as trained"], title=title, **below)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--steps", type=Path, nargs="+", required=True, help="records that differ in decay steps")
    parser.add_argument("--temperatures", type=Path, nargs="+", required=True, help="records that differ in T")
    run_command(parser, main)
