"""Draw figures 6, M, T, S10, S14, S15 and S16: single layers against aggregates of layers.

In:  the summaries of layers and aggregates of one or more networks; with --maps signed, those of layers and signed
     maps of one or more variants. Each network and variant gets a column of panels, in the order given.
Out: the figure, as PDF and PNG: a row of panels for each measure; boxes of quartiles of single layers and of the
     averages from l₀ to the top (Eq. 16), lines at the medians of the gradient and FullGrad baselines. With
     --comparisons, a mark over each layer says whether the average of all layers beats it; over signed maps of the
     variant compared, whether its average from there beats the other variant's. With --shards, a mark stands where a
     layer has no map.

At 0 a single layer is the input's attribution, an aggregate takes in all layers and the input.
"""

from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D

from explanations.command import run_command
from explanations.figures.layers import (
    ACTIVITY,
    GRADIENT,
    SIGNED_ACTIVITY,
    add_legend,
    are_few,
    draw_baseline,
    draw_boxes,
    find_edge,
    find_places,
    hide_labels_between,
    label_layers,
    list_layers,
    name_aggregate,
    name_single,
    select,
    start_panel,
)
from explanations.figures.names import MEASURES, count_images, name_measure, network_title
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure
from explanations.figures.style import BLACK, BLUE, BLUE_TO_CYAN, CYAN, GREY, NAVY, PURPLE, PURPLE_TO_RED, box_handle
from explanations.files.tables import COMPARISON_COLUMNS, read_tables
from explanations.methods.names import MethodName
from explanations.statistics.layers import read_sizes
from explanations.statistics.significance import ALPHA, is_significant

FULLGRAD = str(MethodName("fullgrad"))
WIDTH = 0.36  # of a box, in layers
MANY = 3  # columns of panels, whose axes have short names
LAYERS = "layer $l$, or lowest layer $l_0$ of an aggregate (0: input)"
SHORT = "$l$, or lowest $l_0$ (0: input)"
BETTER = {"color": CYAN, "marker": "^", "markersize": 3, "linestyle": "none", "markeredgecolor": BLUE}
WORSE = {"color": NAVY, "marker": "v", "markersize": 3, "linestyle": "none"}
WITHOUT_MAP = {"color": "#999999", "marker": "x", "markersize": 3, "linestyle": "none", "markeredgewidth": 0.6}
BY_TEST = f"$p$ < {ALPHA} (Wilcoxon's signed rank test, Holm-adjusted)"
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
    columns: int = 3,
) -> None:
    table = read_tables(statistics)
    signed = maps == "signed"
    panels = list(table.groupby(["network", "variant"], sort=False))
    lines = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    sizes = read_sizes(shards)
    tests = read_tables(comparisons, COMPARISON_COLUMNS) if comparisons else None
    several = len({variant for (_, variant), _ in panels}) > 1
    pad = 16 if sizes else 5 if tests is None else 12  # points: above the sizes' names, or the marks of the tests
    height = 0.98 + 1.5 * len(measures) * len(lines) + (0.3 if tests is not None else 0)
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, height) as figure:
        shape = (len(lines) * len(measures), len(lines[0]))
        grid = figure.subplots(*shape, squeeze=False, sharey="row").reshape(len(lines), len(measures), shape[1])
        for line, block in zip(lines, grid, strict=True):
            for ax in block[:, len(line) :].flat:
                ax.axis("off")
            for ((network, variant), rows), axes in zip(line, block.T, strict=False):
                layers = sorted({0, *list_layers(rows, SIGNED_ACTIVITY if signed else ACTIVITY)})
                for ax, measure in zip(axes, measures, strict=True):
                    if network in sizes:
                        mark_sizes(ax, sizes[network], layers, named=measure == measures[0])
                    draw_panel(ax, rows, measure, layers, signed)
                    if tests is not None:
                        better = -1 if measure in reverse else 1
                        own = tests[(tests["network"] == network) & (tests["variant_a"] == variant)]
                        mark_tests(ax, own, measure, layers, better, signed=signed)
                    if network in fullgrad:
                        draw_baseline(ax, select(rows, measure, [FULLGRAD]).iloc[0], PURPLE, DASHES)
                    label_layers(ax, layers, LAYERS if shape[1] < MANY else SHORT, shape[1])
                hide_labels_between(axes)
                title = network_title(network, variant if several else None)
                shown = select(rows, measures[0], [GRADIENT])
                axes[0].set_title(f"{title}, {count_images(shown['n'])}", pad=pad)
            for ax, measure in zip(block[:, 0], measures, strict=True):
                ax.set_ylabel(name_measure(measure) + ("\naxis reversed" if measure in reverse else ""))
                if measure in reverse:
                    ax.invert_yaxis()  # shared with the row's other panels
        gaps = any(find_gaps(each) for each in sizes.values())
        draw_legend(figure, signed, bool(fullgrad), bool(sizes), gaps, tests is not None)


def draw_legend(figure: Figure, signed: bool, fullgrad: bool, sizes: bool, gaps: bool, tested: bool) -> None:
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
    if gaps:
        entries["layer without a map"] = Line2D([], [], **WITHOUT_MAP)
    note = ""
    if tested:
        names = (
            ("better than with biases", "worse") if signed else ("all layers beat the layer", "all layers lose to it")
        )
        entries |= {name: Line2D([], [], **style) for name, style in zip(names, (BETTER, WORSE), strict=True)}
        which = "averages without against with biases" if signed else "average of all layers against the layer"
        note = f"\ntriangles: {which}, {BY_TEST}"
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
    single = [name_single(l, signed=signed) for l in layers]
    aggregates = [*(name_aggregate(l, signed=signed) for l in layers[:-1]), single[-1]]  # the top layer alone
    colours = PURPLE_TO_RED if signed else BLUE_TO_CYAN
    shades = [colours(share) for share in np.linspace(1, 0, len(layers))]
    start_panel(ax, select(table, measure, [GRADIENT]).iloc[0], zero="delta" in measure)
    ticks = find_places(layers)
    draw_boxes(ax, ticks - WIDTH / 2 - 0.02, select(table, measure, single), BLACK if signed else NAVY, WIDTH)
    draw_boxes(ax, ticks + WIDTH / 2 + 0.02, select(table, measure, aggregates), shades, WIDTH)


def mark_tests(
    ax: Axes, tests: pd.DataFrame, measure: str, layers: list[int], better: int = 1, *, signed: bool = False
) -> None:
    """A mark over every layer that the average of all layers beats, or that beats it, by Wilcoxon's test.

    Of `signed` maps: over every average that beats that of the other variant, or is beaten. `better` is the sign of a
    difference that is better: −1 where the axis is reversed.
    """
    family, compared = ("variant_signed_from", layers[:-1]) if signed else ("all_layers", layers[1:])
    methods = [name_aggregate(l, signed=True) if signed else name_single(l) for l in compared]
    rows = tests[(tests["family"] == family) & (tests["measure"] == measure)]
    if rows.empty:  # of one layer there is no average, of the variant compared with no test, nor of e₋ by noise maps
        return
    rows = select(rows, measure, methods, "method_b")
    significant = is_significant(rows["log10_p_holm"])
    for style, sign in ((BETTER, better), (WORSE, -better)):
        marked = significant & (np.sign(rows["effect_size"]) == sign)
        x = find_places(layers, compared)[marked]
        if len(x):  # an empty line, unclipped, would break the layout
            ax.plot(x, [1.03] * len(x), transform=ax.get_xaxis_transform(), clip_on=False, **style)


def mark_sizes(ax: Axes, sizes: dict[int, int], layers: list[int], *, named: bool) -> None:
    """Vertical lines where the size of maps changes, of all layers that have any, by their height, measured or not.

    `named`: each run of equal sizes is named over the panel.
    """
    if gaps := [] if are_few(layers) else find_gaps(sizes):
        ax.plot(gaps, [0.03] * len(gaps), transform=ax.get_xaxis_transform(), **WITHOUT_MAP)
    runs = [list(run) for _, run in groupby(sizes, sizes.get)]
    for before, after in pairwise(runs):
        ax.axvline(find_edge(layers, before[-1], after[0]), **SIZE_LINE, zorder=0.1)
    for run in runs if named else ():
        left, right = find_edge(layers, run[0] - 1, run[0]), find_edge(layers, run[-1], run[-1] + 1)
        if left < right:  # a stage of which no layer is there has no room
            text = {"ha": "center", "va": "bottom", "fontsize": 6, "color": "#555555"}
            middle = ((left + right) / 2, 1.0)
            ax.annotate(f"{sizes[run[0]]}", middle, (0, 6), ax.get_xaxis_transform(), "offset points", **text)


def find_gaps(sizes: dict[int, int]) -> list[int]:
    """The layers below the top that have no map."""
    return sorted(set(range(max(sizes))) - set(sizes))


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--statistics", type=Path, nargs="+", required=True, help="summaries (summarise_removal.py)")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, required=True, help="a row of panels for each")
    parser.add_argument("--reverse", nargs="*", default=[], help="measures whose axis is reversed")
    parser.add_argument("--fullgrad", nargs="*", default=[], help="networks whose FullGrad baseline is drawn")
    parser.add_argument("--maps", choices=("saliency", "signed"), default="saliency", help="ranked by |a| or by a")
    parser.add_argument("--shards", type=Path, nargs="*", default=[], help="one per network: mark its layers' sizes")
    parser.add_argument("--columns", type=int, default=3, help="of panels, at most")
    parser.add_argument("--comparisons", type=Path, nargs="*", default=[], help="of networks' methods: mark the tests")
    run_command(parser, main)
