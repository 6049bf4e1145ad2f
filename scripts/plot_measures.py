"""Draw figure L: how far measures of saliency maps agree with ground truth, and with each other.

In:  the agreement of all measures of one or more networks (compare_measures.py).
Out: the figure, as PDF and PNG. Left: Spearman's ρ of each measure's order of methods with that of average precision
     within the objects' masks, and its interval, which resamples classes: of the measure as it is, and of its δ; of e
     by each removal operator. Without ground truth, ρ with the mean order is not shown, and the panel is empty. Right:
     ρ of all measures with each other, above the diagonal of their δ, below it of the measures as they are.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from explanations.command import run_command
from explanations.figures.names import MEASURES, letter_panels, network_title
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure
from explanations.figures.style import BLACK, BLUE, ORANGE, SIGNED_MAP
from explanations.files.tables import read_tables
from explanations.text import plain

COLUMNS = ("network", "measure_a", "operator_a", "measure_b", "operator_b", "methods", "n", "correlation")
TRUTH = "average_precision"
LOCALISATION = {
    "average_precision": "average precision",
    "rank_accuracy": "rank accuracy",
    "relative_energy": "energy inside",
    "pointing_game": "pointing game",
}
OF_SCORES = {  # by curves, by single patches
    **{"srg": "SRG", "aopc": "AOPC", "insertion": "insertion", "deletion": "deletion"},
    "patches": "single patches",
}
SCORES = {"probability": "p", "logit": "logit"}
DELTA = "delta_"
ROW, HEAD, FOOT = 0.125, 0.7, 0.45  # inches

Key = tuple[str, str]


def main(agreement: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    table = read_tables(agreement, COLUMNS)
    networks = list(dict.fromkeys(table.network))
    panels = {network: table[table.network == network] for network in networks}
    rows = [len(list_rows(list_keys(rows))) for rows in panels.values()]
    heights = [max(ROW * count, 2.3) + HEAD for count in rows]
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, sum(heights) + FOOT) as figure:
        grid = figure.subplots(len(networks), 2, squeeze=False, height_ratios=heights, width_ratios=[1, 1.15])
        letters = letter_panels()
        for (network, rows), (left, right) in zip(panels.items(), grid, strict=True):
            keys = list_keys(rows)
            several = len({operator for _, operator in keys if operator}) > 1
            about = f"{int(rows.methods.iloc[0])} methods, n = {int(rows.n.max())} images"
            draw_truth(left, rows, keys, several)
            left.set_title(f"({next(letters)}) {network_title(network)}, {about}")
            image = draw_matrix(right, rows, keys, several)
            right.set_title(f"({next(letters)}) {network_title(network)}: measures with each other")
            figure.colorbar(image, ax=right, label="Spearman's $ρ$ of the orders of methods", shrink=0.7)
        handles = [
            Line2D([], [], color=BLUE, marker="o", markersize=3.2, label="$δ$: less that by another image's map"),
            Line2D([], [], color=ORANGE, marker="o", markersize=3.2, fillstyle="none", label="as it is"),
        ]
        title = (
            f"left: $ρ$ with {LOCALISATION[TRUTH]} in the objects' masks; bars: 95% bootstrap interval, by classes\n"
            "right: above the diagonal by $δ$, below it by measures as they are; white: none"
        )
        figure.legend(handles=handles, title=title, title_fontsize=6, loc="outside lower center", ncols=2)


def list_keys(rows: pd.DataFrame) -> list[Key]:
    """The measures, each with its removal operator, in the table's order."""
    pairs = [*zip(rows.measure_a, rows.operator_a, strict=True), *zip(rows.measure_b, rows.operator_b, strict=True)]
    return list(dict.fromkeys(pairs))


def list_rows(keys: list[Key]) -> list[Key]:
    """The measures that have a row in the left panel: one for a measure and its δ; none of ground truth."""
    return list(dict.fromkeys((name.removeprefix(DELTA), operator) for name, operator in keys if operator))


def find_pair(rows: pd.DataFrame, first: Key, second: Key) -> pd.Series | None:
    """The row of two measures, in whatever order; None if there is none."""
    for a, b in ((first, second), (second, first)):
        found = rows[
            (rows.measure_a == a[0]) & (rows.operator_a == a[1]) & (rows.measure_b == b[0]) & (rows.operator_b == b[1])
        ]
        if len(found):
            return found.iloc[0]
    return None


def name_key(key: Key, several: bool) -> str:
    """A measure as a label; with its operator, if there are several, and the measure is one of e."""
    name, operator = key
    if name in LOCALISATION:
        return LOCALISATION[name]
    if name in MEASURES:
        return f"{MEASURES[name]}, {plain(operator)}" if several else MEASURES[name]
    measure, _, score = name.removeprefix(DELTA).rpartition("_")
    return f"{'$δ$' if name.startswith(DELTA) else ''}{OF_SCORES[measure]}, {SCORES[score]}"


def draw_truth(ax: Axes, rows: pd.DataFrame, keys: list[Key], several: bool) -> None:
    """A line for each measure: its agreement with ground truth as it is, and that of its δ."""
    names = list_rows(keys)
    for place, (name, operator) in enumerate(names):
        for prefix, colour, style, shift in (("", ORANGE, "none", 0.16), (DELTA, BLUE, "full", -0.16)):
            found = find_pair(rows, (prefix + name, operator), (TRUTH, ""))
            if found is None or np.isnan(found.correlation):
                continue
            ax.plot([found.ci_low, found.ci_high], [place + shift] * 2, color=colour, linewidth=1.2)
            ax.plot(found.correlation, place + shift, "o", color=colour, fillstyle=style, markersize=3.2)
    ax.axvline(0, color=BLACK, linewidth=0.5)
    ax.set_yticks(range(len(names)), [name_key(key, several) for key in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(-1.02, 1.02)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("Spearman's $ρ$ with ground truth")


def draw_matrix(ax: Axes, rows: pd.DataFrame, keys: list[Key], several: bool):
    """All measures with each other, by δ above the diagonal and as they are below it; white where there is no order."""
    names = list_rows(keys) + [key for key in keys if not key[1]]  # ground truth last, which has no δ
    pairs = zip(rows.measure_a, rows.operator_a, rows.measure_b, rows.operator_b, rows.correlation, strict=True)
    found = {}
    for measure_a, operator_a, measure_b, operator_b, correlation in pairs:
        a, b = (measure_a, operator_a), (measure_b, operator_b)
        found[a, b] = found[b, a] = correlation
    matrix = np.eye(len(names))
    for row, column in zip(*np.nonzero(matrix == 0), strict=True):
        prefix = DELTA if row < column else ""
        a, b = ((prefix + name if operator else name, operator) for name, operator in (names[row], names[column]))
        matrix[row, column] = found.get((a, b), np.nan)
    image = ax.imshow(matrix, cmap=SIGNED_MAP, vmin=-1, vmax=1, aspect="auto")
    labels = [name_key(key, several) for key in names]
    ax.set_xticks(range(len(names)), labels, rotation=90, fontsize=6)
    ax.set_yticks(range(len(names)), labels, fontsize=6)
    ax.tick_params(length=0)
    return image


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--agreement", type=Path, nargs="+", required=True, help="one file for each network")
    run_command(parser, main)
