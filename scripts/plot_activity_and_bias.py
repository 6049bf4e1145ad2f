"""Draw figures 5, S12 and S13: saliency from each layer's activities against that from its biases.

In:  the summaries of networks' layers and biases, and the tests of one against the other (compare_methods.py).
Out: the figure, as PDF and PNG, one panel per network and measure: boxes of quartiles, the input-gradient baseline, and
     over each pair the Wilcoxon p, Holm-adjusted over the panel's layers, in the colour of the larger of the two.

At layer 0 the input attributions stand against the gradient. Layers without biases have no pair.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from explanations.command import run_command
from explanations.figures.layers import (
    BIAS,
    GRADIENT,
    TESTED,
    add_legend,
    draw_boxes,
    find_places,
    gradient_handle,
    hide_labels_between,
    label_layers,
    list_layers,
    name_single,
    select,
    set_title_over_p,
    start_panel,
    write_p,
)
from explanations.figures.names import MEASURES, count_images, name_measure, network_title
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure
from explanations.figures.style import BLACK, BLUE, RED, box_handle
from explanations.files.tables import COMPARISON_COLUMNS, read_tables

WIDTH = 0.34  # of a box, in layers
HATCH = "/////"


def main(
    statistics: list[Path], comparisons: list[Path], measures: list[str], pdf: Path, png: Path, dpi: float
) -> None:
    tests = read_tables(comparisons, COMPARISON_COLUMNS)
    tests = tests[tests["family"] == "bias"]
    networks = list(read_tables(statistics).groupby("network", sort=False))
    height = 0.55 + (0.4 + 1.7 * len(measures)) * len(networks)
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, height) as figure:
        grid = figure.subplots(len(networks) * len(measures), 1, squeeze=False).reshape(len(networks), len(measures))
        for (network, table), axes in zip(networks, grid, strict=True):
            for ax, measure in zip(axes, measures, strict=True):
                draw_panel(ax, table, tests[tests["network"] == network], measure)
            hide_labels_between(axes)
            shown = select(table, measures[0], [GRADIENT, name_single(0)])
            title = f"{network_title(network)}, {table['upsampling'].iloc[0]} upsampling, {count_images(shown['n'])}"
            set_title_over_p(axes[0], title, len(list_layers(table, BIAS)) + 1)
        handles = [
            box_handle(BLUE, "activity attributions"),
            box_handle(RED, "bias attributions", HATCH),
            gradient_handle(),
        ]
        add_legend(figure, handles, f"\n{TESTED}, else the colour of the larger (at $l$ = 0: input against gradient)")


def draw_panel(ax: Axes, table: pd.DataFrame, tests: pd.DataFrame, measure: str) -> None:
    """One measure of one network: pairs of boxes by layer, the baseline, and a p-value over each pair."""
    layers, biased = np.array([0, *list_layers(table)]), np.array(list_layers(table, BIAS))
    start_panel(ax, select(table, measure, [GRADIENT]).iloc[0])
    places, sides = find_places(layers), find_places(layers, biased)
    activity = select(table, measure, [name_single(l) for l in layers])
    draw_boxes(ax, np.where(layers, places - WIDTH / 2 - 0.02, 0), activity, BLUE, WIDTH)
    bias = select(table, measure, [str(BIAS.at(l)) for l in biased])
    draw_boxes(ax, sides + WIDTH / 2 + 0.02, bias, RED, WIDTH, hatch=HATCH)
    pairs = np.array([0, *biased])
    tested = select(tests, measure, [name_single(l) for l in pairs], key="method_a")
    colours = np.where(tested["effect_size"] > 0, BLUE, np.where(pairs, RED, BLACK))
    write_p(ax, find_places(layers, pairs), tested["log10_p_holm"].to_numpy(), list(colours))
    ax.set_ylabel(f"{name_measure(measure)}\nhigher is better")
    label_layers(ax, layers, "layer $l$ (0: input)")


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--statistics", type=Path, nargs="+", required=True, help="summaries of layers and of biases")
    parser.add_argument("--comparisons", type=Path, nargs="+", required=True, help="tests of the family bias")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=["delta_e_minus"], help="a panel for each")
    run_command(parser, main)
