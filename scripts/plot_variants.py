"""Draw figures S9 and S11: saliency from each layer of a network as trained and after its biases decayed to zero.

In:  the summaries of layers (and, with --maps signed, of signed maps) of both variants, and the tests between them.
Out: the figure, as PDF and PNG: boxes of quartiles of the original (top left), of the other variant (top right), and
     of the paired difference (bottom) with the Wilcoxon p, Holm-adjusted; the input gradient in grey.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from explanations.command import InputError, run_command
from explanations.figures import (
    BLACK,
    BLUE,
    DOUBLE_COLUMN,
    GREY,
    MEASURES,
    TESTED,
    VARIANTS,
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
from explanations.tables import read_tables

TEST_COLUMNS = ("family", "measure", "method_a", "n", "variant_a", "variant_b", "median_difference", "log10_p_holm")
SIGNED, UNSIGNED = "signed maps", "saliency maps $|a|$"


def main(
    statistics: list[Path], comparisons: list[Path], measure: str, maps: str, pdf: Path, png: Path, dpi: float
) -> None:
    table, tests = read_tables(statistics), read_tables(comparisons, TEST_COLUMNS)
    tests = tests[tests["family"].isin(["variant", "variant_signed"])]
    variants = [tests[column].iloc[0] for column in ("variant_b", "variant_a")]  # the difference is a − b
    if set(table["variant"]) != set(variants):
        raise InputError(f"{comparisons[0]}: compares {' and '.join(variants)}; the summaries are of other variants")
    top = top_layer(table)
    signed = maps == "signed"
    name, colour = (SIGNED, BLACK) if signed else (UNSIGNED, BLUE)
    methods = {UNSIGNED: ["input", *(f"activity_{l}" for l in range(1, top + 1))]}
    methods[SIGNED] = [f"signed_activity_{l}" for l in range(top + 1)]
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 4.3) as figure:
        grid = figure.add_gridspec(2, 2)
        first = figure.add_subplot(grid[0, 0])
        upper = [first, figure.add_subplot(grid[0, 1], sharey=first)]
        for ax, variant in zip(upper, variants, strict=True):
            found = table[table["variant"] == variant]
            rows = select(found, measure, methods[name])
            draw_layers(ax, rows, select(found, measure, ["gradient"]).iloc[0], colour)
            title = network_title(found["network"].iloc[0], variant)
            ax.set_title(f"{title}, {count_images(rows['n'])}")
        first.set_ylabel(name_measure(measure))
        lower = figure.add_subplot(grid[1, :])
        draw_differences(lower, tests, measure, methods, signed)
        pair = " − ".join(VARIANTS.get(variant, variant) for variant in reversed(variants))
        lower.set_title(f"paired difference: {pair}", pad=15)
        lower.set_ylabel(name_measure(measure, "difference of ", "\n"))
        handles = [box_handle(colour, f"{name} (and $p$)" if signed else name)]
        handles += [box_handle(BLUE, UNSIGNED)] if signed else []
        handles += [Line2D([], [], color=GREY, label="input gradient (median)")]
        add_legend(figure, handles, f"\n{TESTED}")


def draw_layers(ax: Axes, rows: pd.DataFrame, baseline: pd.Series, colour: str) -> None:
    """Boxes by layer over the gradient's line."""
    ax.axhline(0, color="black", linewidth=0.4, zorder=0.2)
    draw_baseline(ax, baseline, GREY)
    draw_boxes(ax, np.arange(len(rows)), rows, colour, 0.66)
    label_layers(ax, len(rows) - 1, "layer $l$ (0: input)")


def draw_differences(ax: Axes, tests: pd.DataFrame, measure: str, methods: dict[str, list[str]], signed: bool) -> None:
    """Boxes of paired differences by layer; with signed maps, the unsigned ones beside them."""
    names = {"median_difference": "median"}
    ax.axhline(0, color="black", linewidth=0.4, zorder=0.2)
    draw_baseline(ax, select(tests, measure, ["gradient"], "method_a").rename(columns=names).iloc[0], GREY)
    found = select(tests, measure, methods[SIGNED if signed else UNSIGNED], "method_a")
    x = np.arange(len(found))
    shift, width = (0.2, 0.36) if signed else (0, 0.6)
    draw_boxes(ax, x - shift, found, BLACK if signed else BLUE, width, "_difference")
    if signed:
        other = select(tests, measure, methods[UNSIGNED], "method_a")
        draw_boxes(ax, x + shift, other, BLUE, width, "_difference")
    colours = ["black"] * len(x)
    write_p(ax, x - shift, found["log10_p_holm"].to_numpy(), colours)
    label_layers(ax, len(x) - 1, "layer $l$ (0: input)")


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--statistics", type=Path, nargs="+", required=True, help="summaries of both variants")
    parser.add_argument("--comparisons", type=Path, nargs=1, required=True, help="tests across variants")
    parser.add_argument("--measure", choices=MEASURES, default="delta_e_minus")
    parser.add_argument("--maps", choices=("saliency", "signed"), default="saliency", help="ranked by |a| or by a")
    run_command(parser, main)
