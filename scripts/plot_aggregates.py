"""Draw figures 6, M, S10, S14, S15 and S16: single layers against aggregates of layers.

In:  the summaries of layers and aggregates of one or more networks; with --maps signed, those of layers and signed
     maps of one or more variants. Each network and variant gets a column of panels, in the order given.
Out: the figure, as PDF and PNG: a row of panels for each measure; boxes of quartiles of single layers and of the
     averages from l₀ to the top (Eq. 16), lines at the medians of the gradient and FullGrad baselines. With
     --comparisons, a mark over each layer says whether the average of all layers beats it.

At 0 a single layer is the input's attribution, an aggregate takes in all layers and the input.
"""

from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D

from explanations.command import run_command
from explanations.figures import (
    BLACK,
    BLUE,
    BLUE_TO_CYAN,
    CYAN,
    DOUBLE_COLUMN,
    GREY,
    MEASURES,
    NAVY,
    PURPLE,
    PURPLE_TO_RED,
    add_legend,
    box_handle,
    count_images,
    draw_baseline,
    draw_boxes,
    figure_parser,
    journal_figure,
    label_layers,
    list_layers,
    name_measure,
    network_title,
    select,
)
from explanations.shards import ShardReader
from explanations.tables import COMPARISON_COLUMNS, read_tables

WIDTH = 0.36  # of a box, in layers
COLUMNS = 3  # of panels, at most
LAYERS = "layer $l$, or lowest layer $l_0$ of an aggregate (0: input)"
SHORT = "$l$, or lowest $l_0$ (0: input)"
BETTER = {"color": CYAN, "marker": "^", "markersize": 3, "linestyle": "none", "markeredgecolor": BLUE}
WORSE = {"color": NAVY, "marker": "v", "markersize": 3, "linestyle": "none"}
TESTED_MARKS = "average of all layers against the layer, $p$ < 0.05 (Wilcoxon's signed rank test, Holm-adjusted)"
DASHES = (0, (4, 1.2))  # where FullGrad meets the gradient, both are seen
SIZE_LINE = {"color": "#999999", "linewidth": 0.6, "linestyle": (0, (3, 2))}


def main(
    statistics: list[Path],
    measures: list[str],
    reverse: list[str],
    fullgrad: list[str],
    maps: str,
    shards: list[Path],
    comparisons: list[Path],
    pdf: Path,
    png: Path,
    dpi: float,
) -> None:
    table = read_tables(statistics)
    signed = maps == "signed"
    columns = list(table.groupby(["network", "variant"], sort=False))
    lines = [columns[start : start + COLUMNS] for start in range(0, len(columns), COLUMNS)]
    sizes = read_sizes(shards)
    tests = read_tables(comparisons, COMPARISON_COLUMNS) if comparisons else None
    several = len({variant for (_, variant), _ in columns}) > 1
    height = 0.98 + 1.5 * len(measures) * len(lines) + (0.3 if tests is not None else 0)
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, height) as figure:
        shape = (len(lines) * len(measures), len(lines[0]))
        grid = figure.subplots(*shape, squeeze=False, sharey="row").reshape(len(lines), len(measures), shape[1])
        for line, block in zip(lines, grid, strict=True):
            for axes in block.T[len(line) :]:
                for ax in axes:
                    ax.axis("off")
            for ((network, variant), found), axes in zip(line, block.T, strict=False):
                layers = sorted({0, *list_layers(found, "signed_activity" if signed else "activity")})
                for ax, measure in zip(axes, measures, strict=True):
                    if network in sizes:
                        mark_sizes(ax, {l: sizes[network][l] for l in layers}, named=measure == measures[0])
                    draw_panel(ax, found, measure, layers, signed)
                    if tests is not None:
                        mark_tests(ax, tests[tests["network"] == network], measure, layers)
                    if network in fullgrad:
                        draw_baseline(ax, select(found, measure, ["fullgrad"]).iloc[0], PURPLE, DASHES)
                    label_layers(ax, layers[-1], LAYERS if shape[1] < COLUMNS else SHORT)
                for ax in axes[:-1]:
                    ax.set_xlabel("")
                    ax.tick_params(labelbottom=False)
                shown = found[(found["measure"] == measures[0]) & (found["method"] == "gradient")]
                title = network_title(network, variant if several else None)
                axes[0].set_title(f"{title}, {count_images(shown['n'])}", pad=16 if sizes else 5)
            for ax, measure in zip(block[:, 0], measures, strict=True):
                ax.set_ylabel(name_measure(measure) + ("\naxis reversed" if measure in reverse else ""))
                if measure in reverse:
                    ax.invert_yaxis()  # shared with the row's other panels
        draw_legend(figure, signed, bool(fullgrad), bool(sizes), tests is not None)


def draw_legend(figure: Figure, signed: bool, fullgrad: bool, sizes: bool, tested: bool) -> None:
    """What the panels hold, below them."""
    colours = PURPLE_TO_RED if signed else BLUE_TO_CYAN
    entries = {
        f"single layers' {'signed' if signed else 'saliency'} maps": box_handle(BLACK if signed else NAVY, ""),
        "averages from $l_0$ to the top": tuple(box_handle(colours(share), "") for share in (0.0, 0.5, 1.0)),
        "input gradient": Line2D([], [], color=GREY),
    }
    if fullgrad:
        entries["FullGrad"] = Line2D([], [], color=PURPLE, linestyle=DASHES)
    if sizes:
        entries["size of layers changes"] = Line2D([], [], **SIZE_LINE)
    note = ""
    if tested:
        entries["all layers beat the layer"] = Line2D([], [], **BETTER)
        entries["all layers lose to it"] = Line2D([], [], **WORSE)
        note = f"\ntriangles: {TESTED_MARKS}"
    add_legend(
        figure,
        list(entries.values()),
        note,
        4 if tested else None,
        labels=list(entries),
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
    )


def draw_panel(ax: Axes, table: pd.DataFrame, measure: str, layers: list[int], signed: bool) -> None:
    """One measure of one network: boxes of single layers (left of each tick) and of aggregates (right)."""
    if signed:
        single = [f"signed_activity_{l}" for l in layers]
        aggregates = [f"signed_activity_from_{l}" for l in layers[:-1]]
    else:
        single = ["input", *(f"activity_{l}" for l in layers[1:])]
        aggregates = ["activity_with_input", *(f"activity_from_{l}" for l in layers[1:-1])]
    aggregates.append(single[-1])  # the top layer alone
    colours = PURPLE_TO_RED if signed else BLUE_TO_CYAN
    shades = [colours(share) for share in np.linspace(1, 0, len(layers))]
    if "delta" in measure:
        ax.axhline(0, color="black", linewidth=0.4, zorder=0.2)
    draw_baseline(ax, select(table, measure, ["gradient"]).iloc[0], GREY)
    ticks = np.array(layers)
    draw_boxes(ax, ticks - WIDTH / 2 - 0.02, select(table, measure, single), BLACK if signed else NAVY, WIDTH)
    draw_boxes(ax, ticks + WIDTH / 2 + 0.02, select(table, measure, aggregates), shades, WIDTH)


def mark_tests(ax: Axes, tests: pd.DataFrame, measure: str, layers: list[int]) -> None:
    """A mark over every layer that the average of all layers beats, or that beats it, by Wilcoxon's test."""
    methods = [f"activity_{l}" for l in layers[1:]]
    rows = select(tests[tests["family"] == "all_layers"], measure, methods, "method_b")
    significant = rows["log10_p_holm"] < np.log10(0.05)
    for style, sign in ((BETTER, 1), (WORSE, -1)):
        marked = significant & (np.sign(rows["effect_size"]) == sign)
        x = [l for l, mark in zip(layers[1:], marked, strict=True) if mark]
        if x:  # an empty line, unclipped, would break the layout
            ax.plot(x, [1.03] * len(x), transform=ax.get_xaxis_transform(), clip_on=False, **style)


def read_sizes(shards: Sequence[Path]) -> dict[str, dict[int, int]]:
    """The heights of each network's layers that have maps, by layer, for each network that a shard is given of."""
    sizes = {}
    for path in shards:
        with ShardReader([path]) as reader:
            sizes[reader.identity["network"]] = {l: height for l, (height, _) in reader.map_sizes().items()}
    return sizes


def mark_sizes(ax: Axes, sizes: dict[int, int], *, named: bool) -> None:
    """Vertical lines where the layers' size changes; `named`: each run of equal sizes is named over the panel."""
    runs = [list(run) for _, run in groupby(sizes, sizes.get)]
    for before, after in pairwise(runs):
        ax.axvline((before[-1] + after[0]) / 2, **SIZE_LINE, zorder=0.1)
    for run in runs if named else ():
        text = {"ha": "center", "va": "bottom", "fontsize": 5.8, "color": "#555555"}
        middle = ((run[0] + run[-1]) / 2, 1.0)
        ax.annotate(f"{sizes[run[0]]}", middle, (0, 6), ax.get_xaxis_transform(), "offset points", **text)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--statistics", type=Path, nargs="+", required=True, help="summaries (summarise_removal.py)")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, required=True, help="a row of panels for each")
    parser.add_argument("--reverse", nargs="*", default=[], help="measures whose axis is reversed")
    parser.add_argument("--fullgrad", nargs="*", default=[], help="networks whose FullGrad baseline is drawn")
    parser.add_argument("--maps", choices=("saliency", "signed"), default="saliency", help="ranked by |a| or by a")
    parser.add_argument("--shards", type=Path, nargs="*", default=[], help="one per network: mark its layers' sizes")
    parser.add_argument("--comparisons", type=Path, nargs="*", default=[], help="of networks' methods: mark the tests")
    run_command(parser, main)
