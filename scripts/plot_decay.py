"""Draw figure S6: the accuracy of networks while their biases decay.

In:  records of decay (decay_biases.py), a panel for each.
Out: the figure, as PDF and PNG: the profile of the biases (grey, on the right axis), the accuracy of the network being
     fine-tuned (orange) and of brute-force scaling to the same factor (blue, dashed).
"""

import math
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from explanations.command import run_command
from explanations.figures.names import count_images, letter_panels, network_title
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure, lay_out
from explanations.figures.style import BLUE, GREY, ORANGE
from explanations.files.tables import RECORD_COLUMNS, read_tables

PANELS = 2  # in a row, at most


def main(records: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 0.65 + 1.7 * math.ceil(len(records) / PANELS)) as figure:
        axes, first = lay_out(figure, len(records), PANELS)
        for letter, ax, path in zip(letter_panels(), axes, records, strict=False):
            record = read_tables([path], RECORD_COLUMNS)
            draw_record(ax, record)
            network, profile = record[["network", "profile"]].iloc[0]
            name = f"{network_title(network)}, {profile} profile"
            ax.set_title(f"({letter}) {name}, {count_images(record['n'])}")
            ax.set_xlabel("training steps")
            right = ax.secondary_yaxis("right")
            right.spines["right"].set_visible(True)
            right.spines["right"].set_color(GREY)
            right.tick_params(axis="y", colors=GREY)
            right.set_ylabel("factor of the biases", color=GREY)
        for ax in first:
            ax.set_ylabel("top-1 accuracy")
        axes[0].set_ylim(-0.03, 1.03)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)


def draw_record(ax: Axes, record: pd.DataFrame) -> None:
    """The profile and both accuracies, at the end of each decay step."""
    steps = record["training_steps"]
    ax.fill_between(steps, record["factor"], color="#E4E4E4", zorder=0)
    ax.plot(steps, record["factor"], color=GREY, linewidth=0.9, label="factor of the biases", zorder=1)
    brute = {"color": BLUE, "marker": "s", "markersize": 3.4, "fillstyle": "none", "linewidth": 0.9, "linestyle": "--"}
    ax.plot(steps, record["brute_force_accuracy"], **brute, label="brute force, same factor", zorder=3)
    tuned = {"color": ORANGE, "marker": "o", "markersize": 2.6, "linewidth": 1.1}
    ax.plot(steps, record["accuracy"], **tuned, label="fine-tuned", zorder=2)
    zero = steps[record["factor"] == 0].min()
    if zero < steps.max():
        ax.axvline(zero, color=GREY, linewidth=0.6, linestyle=(0, (3, 2)), zorder=0.5)
        text = {"fontsize": 6, "color": "#555555", "ha": "left", "va": "center"}
        ax.annotate("no biases", (zero, 0.5), (3, 0), textcoords="offset points", **text)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--records", type=Path, nargs="+", required=True, help="a panel for each")
    run_command(parser, main)
