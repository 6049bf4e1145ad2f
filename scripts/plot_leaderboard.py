"""Draw figure B: the methods that each network was explained by, in the order of their medians of δe₋.

In:  ranks and reasons of one or more networks (rank_methods.py); a shard of each, which has its layers.
Out: the figure, as PDF and PNG: medians with intervals that resample classes, the best first; bars beside them tie
     methods of which no two differ significantly; methods that can't explain the network are named below. Of single
     layers the top two are shown, of aggregates those of the top two and three layers and of all; neither biases alone
     nor signed maps. Ranks, ties and tests are those among all methods.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from explanations.command import run_command
from explanations.errors import InputError
from explanations.figures.names import count_images, letter_panels, name_measure, network_title
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure
from explanations.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE
from explanations.files.tables import read_tables
from explanations.methods.names import MethodName, parse_method
from explanations.statistics.layers import read_layers
from explanations.text import plain

COLUMNS = (
    "network",
    "measure",
    "method",
    "title",
    "source",
    "rank",
    "n",
    "median",
    "ci_low",
    "ci_high",
    "ties",
    "stable_images",
)
SOURCES = {  # colours and names of methods' sources
    "decomposition": (BLUE, "from the decomposition"),
    "controls": (GREY, "knows nothing of the network"),
    "mean": (PURPLE, "knows nothing of the image"),
    "file": (GREEN, "one's own"),
    "maps": (GREEN, "one's own"),
}
OTHERS = (ORANGE, "with passes of its own")
ROW, HEAD, FOOT = 0.145, 0.75, 0.55  # inches
SINGLE, AGGREGATE = MethodName("activity"), MethodName("activity_from")


def main(
    ranks: list[Path], reasons: list[Path], shards: list[Path], measure: str, pdf: Path, png: Path, dpi: float
) -> None:
    table, lacking = read_tables(ranks, COLUMNS), read_tables(reasons, ("network", "title", "reason"))
    table = table[table.measure == measure]
    if table.empty:
        raise InputError(f"{' '.join(map(str, ranks))}: no method has ranks of {measure}")
    networks = list(dict.fromkeys(table.network))
    layers = read_layers(shards)
    shown = {network: choose_rows(table[table.network == network], layers[network]) for network in networks}
    columns = min(2, len(networks))
    lines = [max(len(rows) for rows in list(shown.values())[k : k + columns]) for k in range(0, len(networks), columns)]
    height = sum(lines) * ROW + len(lines) * HEAD + FOOT
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, height) as figure:
        axes = figure.subplots(len(lines), columns, squeeze=False, height_ratios=lines)
        for ax in axes.flat[len(networks) :]:
            ax.axis("off")
        for letter, ax, network in zip(letter_panels(), axes.flat, networks, strict=False):
            draw_methods(ax, shown[network])
            ax.set_title(f"({letter}) {network_title(network)}, {count_images(shown[network].n)}")
            ax.set_xlabel(name_measure(measure))
            absent = lacking[lacking.network == network].title
            if len(absent):
                ax.annotate(
                    f"not applicable: {', '.join(map(plain, absent))}",
                    *((0, 0), (0, -28), "axes fraction", "offset points"),
                    fontsize=6,
                    color=GREY,
                    va="top",
                    wrap=True,
                )
        figure.legend(handles=list_handles(table), loc="outside lower center", ncols=4)


def choose_rows(rows: pd.DataFrame, layers: list[int]) -> pd.DataFrame:
    """The rows of a network's methods that are shown, the best first; `layers` are all that have maps."""
    names = {method: parse_own(method) for method in rows.method}
    singles = {SINGLE.at(layer) for layer in layers[-2:]}
    aggregates = {AGGREGATE.at(layer) for layer in (*layers[:1], *layers[-3:-1])}
    others = {name for name in names.values() if name is None or (name.layer is None and not name.signed)}
    kept = [names[method] in singles | aggregates | others for method in rows.method]
    return rows[kept].sort_values("rank", kind="stable")


def parse_own(method: str) -> MethodName | None:
    """A method of the decomposition as a name; None for others."""
    try:
        return parse_method(method)
    except InputError:
        return None


def draw_methods(ax: Axes, rows: pd.DataFrame) -> None:
    """A line for each method, the best on top, and bars that tie methods without a difference."""
    for place, row in enumerate(rows.itertuples()):
        colour = SOURCES.get(row.source, OTHERS)[0]
        ax.plot([row.ci_low, row.ci_high], [place, place], color=colour, linewidth=1.4)
        ax.plot(row.median, place, "o", color=colour, markersize=3.2)
    ax.axvline(0, color=BLACK, linewidth=0.5)
    ax.set_yticks(range(len(rows)), [f"{plain(row.title)}  {row.rank:.0f}" for row in rows.itertuples()])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    for number, (first, last) in enumerate(find_bars(rows.ties)):
        x = 1.02 + 0.022 * number
        ends = [first - 0.25, last + 0.25]
        ax.plot([x, x], ends, color=BLACK, linewidth=1.6, transform=ax.get_yaxis_transform(), clip_on=False)


def find_bars(ties: Iterable[str]) -> list[tuple[int, int]]:
    """The first and the last place of each tie of two or more, of methods in order; of nested ones the longest."""
    tied: dict[str, list[int]] = {}
    for place, numbers in enumerate(ties):
        for number in str(numbers).split():
            tied.setdefault(number, []).append(place)
    bars = list(dict.fromkeys((places[0], places[-1]) for places in tied.values() if len(places) > 1))
    return [bar for bar in bars if not any(a <= bar[0] and bar[1] <= b for a, b in bars if (a, b) != bar)]


def list_handles(table: pd.DataFrame) -> list[Line2D]:
    """The legend: the sources that there are, and what bars say."""
    entries = dict.fromkeys(SOURCES.get(source, OTHERS) for source in table.source)
    handles = [Line2D([], [], color=colour, marker="o", markersize=3.2, label=label) for colour, label in entries]
    return [*handles, Line2D([], [], color=BLACK, linewidth=1.6, label="bars: no two differ significantly")]


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--ranks", type=Path, nargs="+", required=True, help="one file for each network")
    parser.add_argument("--reasons", type=Path, nargs="+", required=True, help="one file for each network")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="attribution shards, one of each network")
    parser.add_argument("--measure", default="delta_e_minus", help="that methods are in the order of")
    run_command(parser, main)
