"""Draw figures 5, S12 and S13: saliency from each layer's activities against that from its biases.

In:  the summaries of a network's layers and biases, and the tests of one against the other (compare_methods.py).
Out: the figure, as PDF and PNG, one panel per measure: boxes of quartiles, the input-gradient baseline, and over each
     pair the Wilcoxon p, Holm-adjusted over the panel's layers, in the colour of the larger of the two.

At layer 0 the input attributions stand against the gradient.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from explanations.command import run_command
from explanations.figures import (
    BLACK,
    BLUE,
    DOUBLE_COLUMN,
    GREY,
    MEASURES,
    RED,
    TESTED,
    add_legend,
    box_handle,
    count_images,
    draw_baseline,
    draw_boxes,
    figure_parser,
    journal_figure,
    label_layers,
    name_measure,
    network_title,
    select,
    top_layer,
    write_p,
)
from explanations.tables import COMPARISON_COLUMNS, read_tables

WIDTH = 0.34  # of a box, in layers


def main(
    statistics: list[Path], comparisons: list[Path], measures: list[str], pdf: Path, png: Path, dpi: float
) -> None:
    table = read_tables(statistics)
    tests = read_tables(comparisons, COMPARISON_COLUMNS)
    tests = tests[tests["family"] == "bias"]
    top = top_layer(table)
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 0.95 + 1.7 * len(measures)) as figure:
        axes = figure.subplots(len(measures), 1, squeeze=False, sharex=True)[:, 0]
        for ax, measure in zip(axes, measures, strict=True):
            draw_panel(ax, table, tests, measure, top)
        label_layers(axes[-1], top, "layer $l$ (0: input)")
        upsampling = table["upsampling"].iloc[0]
        shown = select(table, measures[0], ["gradient", "input"])
        title = f"{network_title(table['network'].iloc[0])}, {upsampling} upsampling, {count_images(shown['n'])}"
        axes[0].set_title(title, pad=15)
        handles = [box_handle(BLUE, "activity attributions"), box_handle(RED, "bias attributions")]
        handles.append(Line2D([], [], color=GREY, label="input gradient (median)"))
        add_legend(figure, handles, f"\n{TESTED}, else the colour of the larger (at $l$ = 0: input against gradient)")


def draw_panel(ax: Axes, table: pd.DataFrame, tests: pd.DataFrame, measure: str, top: int) -> None:
    """One measure: pairs of boxes by layer, the baseline, and a line of p-values."""
    layers = np.arange(top + 1)
    activity = ["input", *(f"activity_{l}" for l in layers[1:])]
    bias = [f"bias_{l}" for l in layers[1:]]
    ax.axhline(0, color="black", linewidth=0.4, zorder=0.2)
    draw_baseline(ax, select(table, measure, ["gradient"]).iloc[0], GREY)
    draw_boxes(ax, np.where(layers, layers - WIDTH / 2 - 0.02, 0), select(table, measure, activity), BLUE, WIDTH)
    draw_boxes(ax, layers[1:] + WIDTH / 2 + 0.02, select(table, measure, bias), RED, WIDTH)
    found = select(tests, measure, activity, key="method_a")
    worse = np.where(layers, RED, BLACK)
    colours = np.where(found["effect_size"] > 0, BLUE, worse)
    write_p(ax, layers, found["log10_p_holm"].to_numpy(), list(colours))
    ax.set_ylabel(name_measure(measure))


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--statistics", type=Path, nargs="+", required=True, help="summaries of layers and of biases")
    parser.add_argument("--comparisons", type=Path, nargs=1, required=True, help="tests of the family bias")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=["delta_e_minus"], help="a panel for each")
    run_command(parser, main)
