"""What figures 5, 6, 9 to 16 and M share: panels over layers, with boxes, the gradient's baseline and tests.

A layer stands at its number. Layers that have no map, as a network's output, or whose map was not measured, leave their
place empty; where most would, as where one layer of each stage is measured, layers stand side by side.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from explanations.errors import InputError
from explanations.figures.style import GREY, lighten
from explanations.methods.names import MethodName, layers_of
from explanations.statistics.significance import ALPHA, is_significant, typeset_p

SPREAD = "boxes: quartiles and median; bars and bands: 95% bootstrap interval of the median"
TESTED = f"$p$: Wilcoxon's signed rank test, Holm-adjusted; grey: $p$ ≥ {ALPHA}"
ACTIVITY, BIAS = MethodName("activity"), MethodName("bias")
SIGNED_ACTIVITY = MethodName("activity", signed=True)
GRADIENT, INPUT, WITH_INPUT = (str(MethodName(kind)) for kind in ("gradient", "input", "activity_with_input"))
TICKS = 44  # numbers of layers that have room below a panel as wide as the page
UPRIGHT = 20  # p-values that have room side by side over such a panel


# --- methods -----------------------------------------------------------------------------------------------------


def list_layers(table: pd.DataFrame, kind: MethodName = ACTIVITY) -> list[int]:
    """The layers of a kind of methods in summaries, ascending; InputError if there is none."""
    layers = layers_of(kind, table["method"])
    if not layers:
        raise InputError(f"the tables given hold no method {kind}_<layer>")
    return layers


def name_single(layer: int, *, signed: bool = False) -> str:
    """The method that shows one layer's activity; at 0 the input's."""
    return str(MethodName("activity", layer, signed)) if signed or layer else INPUT


def name_aggregate(layer: int, *, signed: bool = False) -> str:
    """The method that averages the activities from a layer to the top (Eq. 16); from 0: with the input."""
    return str(MethodName("activity_from", layer, signed)) if signed or layer else WITH_INPUT


def select(table: pd.DataFrame, measure: str, methods: Sequence[str], key: str = "method") -> pd.DataFrame:
    """The rows of a measure in the order of `methods`; InputError if one is absent or there twice."""
    rows = table[table["measure"] == measure].set_index(key)
    missing = [method for method in methods if method not in rows.index]
    if missing:
        raise InputError(f"the tables given lack {measure} of {', '.join(missing)}")
    if rows.index.has_duplicates:
        raise InputError(f"the tables given hold {measure} of {rows.index[rows.index.duplicated()][0]} twice")
    return rows.loc[list(methods)]


# --- panels ------------------------------------------------------------------------------------------------------


def start_panel(ax: Axes, gradient: pd.Series, *, zero: bool = True) -> None:
    """What lies below a panel's boxes: a line at zero, and the gradient's median, of a row of statistics."""
    if zero:
        ax.axhline(0, color="black", linewidth=0.4, zorder=0.2)
    draw_baseline(ax, gradient, GREY)


def draw_baseline(ax: Axes, row: pd.Series, colour: str, linestyle="-") -> None:
    """A line across the panel at a method's median, in a band over its bootstrap interval."""
    ax.axhspan(row["ci_low"], row["ci_high"], color=colour, alpha=0.18, linewidth=0, zorder=0)
    ax.axhline(row["median"], color=colour, linestyle=linestyle, linewidth=1.1, zorder=0.5)


def draw_boxes(
    ax: Axes, x: np.ndarray, rows: pd.DataFrame, colours, width: float, suffix: str = "", hatch: str | None = None
) -> None:
    """Boxes of quartiles with a line at the median and a bar over its bootstrap interval; `colours`: one, or one each.

    `suffix` is that of the quartiles' columns: "" or "_difference"; a `hatch` tells boxes apart where colours are grey.
    """
    colours = [colours] * len(x) if isinstance(colours, str) else colours
    low, middle, high = (rows[f"{name}{suffix}"].to_numpy(float) for name in ("q25", "median", "q75"))
    light = [lighten(colour) for colour in colours]
    ax.use_sticky_edges = False  # margins below the boxes too
    ax.bar(x, high - low, width, low, color=light, edgecolor=colours, linewidth=0.5, hatch=hatch)
    ax.vlines(x, rows["ci_low"], rows["ci_high"], colours, linewidth=1.4)
    ax.hlines(middle, x - width / 2, x + width / 2, colours, linewidth=1.2)


def find_places(layers: Sequence[int], wanted: ArrayLike | None = None) -> np.ndarray:
    """Where some of an axis' `layers`, ascending from 0, stand on it; all of them if none are named."""
    wanted = np.asarray(layers if wanted is None else wanted)
    return np.searchsorted(layers, wanted) if are_few(layers) else wanted


def find_edge(layers: Sequence[int], below: int, above: int) -> float:
    """Where a line between two layers stands on an axis of `layers`, whether these two are among them or not."""
    return bisect_right(layers, below) - 0.5 if are_few(layers) else (below + above) / 2


def are_few(layers: Sequence[int]) -> bool:
    """Whether an axis' layers, from 0, would leave most places empty if each stood at its number."""
    return len(layers) * 2 <= layers[-1]


def label_layers(ax: Axes, layers: Sequence[int], name: str = "layer $l$", columns: int = 1) -> None:
    """An axis of layers, of one of `columns` panels side by side; of many layers, not all have their number."""
    places = find_places(layers)
    shown = layers if are_few(layers) else range(layers[-1] + 1)
    shown = shown[:: math.ceil(len(shown) / (TICKS // columns))]
    ax.set_xlim(-0.6, places[-1] + 0.6)
    ax.set_xticks(find_places(layers, shown), [str(layer) for layer in shown])
    ax.set_xlabel(name)


def hide_labels_between(axes: Sequence[Axes]) -> None:
    """Of panels one above the other over the same layers, only the lowest keeps its axis' name and numbers."""
    for ax in axes[:-1]:
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)


# --- tests -------------------------------------------------------------------------------------------------------


def write_p(ax: Axes, x: np.ndarray, log10_p: np.ndarray, colours: Sequence[str]) -> None:
    """A line of p-values over a panel as wide as the page, one above each x, grey where p ≥ ALPHA."""
    rotation = 0 if len(x) <= UPRIGHT else 90
    for position, value, significant, colour in zip(x, log10_p, is_significant(log10_p), colours, strict=True):
        text = {"color": colour if significant else GREY, "fontsize": 6, "ha": "center", "va": "bottom"}
        place = ((position, 1.0), (0, 4), ax.get_xaxis_transform(), "offset points")
        ax.annotate(typeset_p(value), *place, rotation=rotation, **text)
    text = {"fontsize": 6, "ha": "right", "va": "bottom"}
    ax.annotate("$p$", (0, 1.0), (-4, 4), "axes fraction", "offset points", **text)


def set_title_over_p(ax: Axes, title: str, count: int) -> None:
    """A panel's title, above its line of `count` p-values."""
    ax.set_title(title, pad=15 if count <= UPRIGHT else 27)


# --- legends -----------------------------------------------------------------------------------------------------


def gradient_handle() -> Line2D:
    """A legend's entry for the gradient's baseline."""
    return Line2D([], [], color=GREY, label="input gradient (median)")


def add_legend(figure: Figure, handles: Sequence, note: str = "", columns: int | None = None, **options) -> None:
    """A legend below the panels, under a line that says what boxes, bars and bands are."""
    title = f"{SPREAD}{note}"
    legend = figure.legend(
        handles=handles,
        title=title,
        title_fontsize=6,
        loc="outside lower center",
        ncols=columns or len(handles),
        **options,
    )
    legend.get_title().set_multialignment("center")
