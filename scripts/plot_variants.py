"""Draw figures S9 and S11: saliency from each layer of a network as trained and after its biases decayed to zero.

In:  the summaries of layers (and, with --maps signed, of signed maps) of both variants, and the tests between them, of
     one or more networks.
Out: the figure, as PDF and PNG: for each network boxes of quartiles of the original (top left), of the other variant
     (top right), and of the paired difference (bottom) with the Wilcoxon p, Holm-adjusted; the input gradient in grey.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from explanations.command import run_command
from explanations.errors import InputError
from explanations.figures.layers import (
    GRADIENT,
    TESTED,
    add_legend,
    draw_boxes,
    find_places,
    gradient_handle,
    label_layers,
    list_layers,
    name_single,
    select,
    set_title_over_p,
    start_panel,
    write_p,
)
from explanations.figures.names import MEASURES, count_images, name_measure, network_title, variant_title
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure
from explanations.figures.style import BLACK, BLUE, box_handle
from explanations.files.tables import read_tables

TESTS = ("network", "family", "measure", "method_a", "variant_a", "variant_b", "median_difference", "log10_p_holm")
AXIS = "layer $l$ (0: input)"
NAMES = {True: "signed maps", False: "saliency maps $|a|$"}  # by whether they are signed
COLOURS = {True: BLACK, False: BLUE}


def main(
    statistics: list[Path], comparisons: list[Path], measure: str, maps: str, pdf: Path, png: Path, dpi: float
) -> None:
    table, tests = read_tables(statistics), read_tables(comparisons, TESTS)
    tests = tests[tests["family"].isin(["variant", "variant_signed"])]
    signed = maps == "signed"
    networks = list(table.groupby("network", sort=False))
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 0.7 + 3.6 * len(networks)) as figure:
        grid = figure.add_gridspec(2 * len(networks), 2)
        for row, (network, rows) in enumerate(networks):
            left = figure.add_subplot(grid[2 * row, 0])
            upper = [left, figure.add_subplot(grid[2 * row, 1], sharey=left)]
            lower = figure.add_subplot(grid[2 * row + 1, :])
            draw_network(upper, lower, rows, tests[tests["network"] == network], measure, signed)
        handles = [box_handle(COLOURS[signed], f"{NAMES[signed]} (and $p$)" if signed else NAMES[signed])]
        handles += [box_handle(COLOURS[False], NAMES[False])] if signed else []
        add_legend(figure, [*handles, gradient_handle()], f"\n{TESTED}")


def draw_network(
    upper: Sequence[Axes], lower: Axes, table: pd.DataFrame, tests: pd.DataFrame, measure: str, signed: bool
) -> None:
    """A network's two variants side by side, and their difference; InputError unless the tests compare these two."""
    network, layers = table["network"].iloc[0], [0, *list_layers(table)]
    variants = list(dict.fromkeys([*tests["variant_b"], *tests["variant_a"]]))  # the difference is a − b
    if len(variants) != 2 or set(table["variant"]) != set(variants):
        there = " and ".join(table["variant"].unique())
        compared = " and ".join(variants) or "no variants"
        raise InputError(f"{network}: the summaries are of {there}; the tests compare {compared}")
    for ax, variant in zip(upper, variants, strict=True):
        rows = table[table["variant"] == variant]
        single = select(rows, measure, [name_single(l, signed=signed) for l in layers])
        start_panel(ax, select(rows, measure, [GRADIENT]).iloc[0])
        draw_boxes(ax, find_places(layers), single, COLOURS[signed], 0.66)
        label_layers(ax, layers, AXIS, columns=2)
        ax.set_title(f"{network_title(network, variant)}, {count_images(single['n'])}")
    upper[0].set_ylabel(name_measure(measure))
    draw_differences(lower, tests, measure, layers, signed)
    pair = " − ".join(variant_title(variant) for variant in reversed(variants))
    set_title_over_p(lower, f"paired difference: {pair}", len(layers))


def draw_differences(ax: Axes, tests: pd.DataFrame, measure: str, layers: list[int], signed: bool) -> None:
    """Boxes of paired differences by layer; with signed maps, the unsigned ones beside them."""
    gradient = select(tests, measure, [GRADIENT], "method_a").rename(columns={"median_difference": "median"})
    start_panel(ax, gradient.iloc[0])
    x, shift, width = find_places(layers), *((0.2, 0.36) if signed else (0, 0.6))
    found = select(tests, measure, [name_single(l, signed=signed) for l in layers], "method_a")
    draw_boxes(ax, x - shift, found, COLOURS[signed], width, "_difference")
    if signed:
        other = select(tests, measure, [name_single(l) for l in layers], "method_a")
        draw_boxes(ax, x + shift, other, COLOURS[False], width, "_difference")
    write_p(ax, x - shift, found["log10_p_holm"].to_numpy(), ["black"] * len(x))
    label_layers(ax, layers, AXIS)
    ax.set_ylabel(name_measure(measure, "difference of ", "\n"))


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--statistics", type=Path, nargs="+", required=True, help="summaries of both variants")
    parser.add_argument("--comparisons", type=Path, nargs="+", required=True, help="tests across variants")
    parser.add_argument("--measure", choices=MEASURES, default="delta_e_minus")
    parser.add_argument("--maps", choices=("saliency", "signed"), default="saliency", help="ranked by |a| or by a")
    run_command(parser, main)
