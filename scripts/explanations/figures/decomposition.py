"""Figure 2's parts: layers side by side, activities on top, biases below, the sizes of their maps sketched above."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from explanations.figures.maps import draw_map, format_largest, format_sum
from explanations.figures.page import DOUBLE_COLUMN, on_page, place, write

LEFT, RIGHT, GAP = 0.36, 0.07, 0.055  # inches
SKETCH = 0.38  # the top of a row's sketches, below the top of the row
UNDER_SKETCH, BETWEEN = 0.29, 0.3  # what stands between sketches and activities, and these and biases, for labels
ROW = 2.32  # of each row but the first, with panels of SIDE
LAYERS, SIDE = 18, 0.45  # of a row, at most; of a panel, at most
ENDS = ", its end below it"  # what the scale says of panels


@dataclass(frozen=True)
class Layer:
    """A layer's attributions of one image and their gross sums A."""

    activity: np.ndarray  # (H, W)
    bias: np.ndarray | None  # (H, W), None without biases
    activity_sum: float
    bias_sum: float


@dataclass(frozen=True)
class Row:
    """Layers side by side: where their panels are, in inches from the page's left and top.

    `largest` is what a panel's side may be at most, which says where the parts of the row stand.
    """

    layers: Sequence[int]
    top: float
    lefts: np.ndarray
    sides: np.ndarray
    largest: float = SIDE

    @property
    def activity(self) -> float:
        """The top of the activities."""
        return self.top + SKETCH + self.largest + UNDER_SKETCH

    @property
    def bias(self) -> float:
        """The top of the biases."""
        return self.activity + self.largest + BETWEEN


def arrange(
    shapes: Sequence[tuple[int, int]],
    layers: Sequence[int] | None = None,
    top: float = 0.0,
    largest: float = SIDE,
) -> list[Row]:
    """The rows of panels of all layers, or of those chosen: larger maps get larger panels, by the logarithm of size.

    `shapes` are those of all layers' maps; `top` is that of the first row, `largest` the largest side of a panel.
    """
    layers = range(len(shapes)) if layers is None else layers
    sizes = np.sqrt([height * width for height, width in (shapes[l] for l in layers)])
    weights = 1 + np.log(sizes) / np.log(max(2, *sizes))
    parts = np.array_split(np.arange(len(layers)), math.ceil(len(layers) / LAYERS))
    space = [DOUBLE_COLUMN - LEFT - RIGHT - GAP * (len(part) - 1) for part in parts]
    scale = min(
        largest / weights.max(), *(inches / weights[part].sum() for inches, part in zip(space, parts, strict=True))
    )
    rows = []
    for number, part in enumerate(parts):
        sides = weights[part] * scale
        lefts = LEFT + np.concatenate([[0], (sides + GAP).cumsum()[:-1]])
        rows.append(Row([layers[k] for k in part], top + number * ROW, lefts, sides, largest))
    return rows


def sketch_layers(figure: Figure, row: Row, shapes: list[tuple[int, int]]) -> None:
    """Rectangles in proportion to the layers' sizes, with one label for neighbours of equal size."""
    largest, bottom = max(row.sides), row.top + SKETCH + max(row.sides)
    page_width, page_height = figure.get_size_inches()
    runs = [list(run) for _, run in groupby(range(len(row.layers)), lambda k: shapes[row.layers[k]])]
    ends = {run[0]: run[-1] for run in runs}
    for k, (l, left, side) in enumerate(zip(row.layers, row.lefts, row.sides, strict=True)):
        height, width = (max(0.02, largest * length / max(map(max, shapes))) for length in shapes[l])
        corner = on_page(figure, left + (side - width) / 2, bottom)
        box = Rectangle(corner, width / page_width, height / page_height, facecolor="#DDDDDD", edgecolor="#666666")
        box.set_linewidth(0.5)
        figure.add_artist(box)
        write(figure, left + side / 2, bottom + 0.09, f"{l}", ha="center", va="center", fontsize=6)
        if k in ends:
            middle = (left + row.lefts[ends[k]] + row.sides[ends[k]]) / 2
            size = "×".join(map(str, shapes[l]))
            write(figure, middle, row.top + SKETCH - 0.05, size, ha="center", va="center", fontsize=6)
    write(figure, 0.2, row.top + SKETCH + largest / 2, "size", rotation=90, ha="center", va="center")
    write(figure, 0.28, bottom + 0.09, "$l$ =", ha="right", va="center", fontsize=6)


def draw_panels(figure: Figure, row: Row, layers: list[Layer]) -> None:
    """A row's activities, and its biases below where layers have any: gross sums over them, the scale's end below."""
    shown = [layers[l] for l in row.layers]
    activities = [(each.activity, each.activity_sum) for each in shown]
    biases = [(each.bias, each.bias_sum) for each in shown]
    for top, maps, name in (
        (row.activity, activities, "activity\n$a^{h,l}$"),
        (row.bias, biases, "bias\n$a^{b,l}$"),
    ):
        for left, side, (values, total) in zip(row.lefts, row.sides, maps, strict=True):
            if values is not None:
                ax = place(figure, left, top, side, side)
                draw_map(ax, values)
                ax.set_title(format_sum(total), loc="center", fontsize=6, pad=2)
                if values.size == 1:
                    continue  # its number is the gross sum
                below = {"ha": "center", "va": "top", "fontsize": 6, "color": "#666666"}
                ax.annotate(format_largest(values), (0.5, 0), (0, -1.5), "axes fraction", "offset points", **below)
        middle = top + max(row.sides) / 2
        write(figure, 0.2, middle, name, rotation=90, ha="center", va="center")


def outline(figure: Figure, row: Row, layer: int) -> None:
    """What a row has of the dashed line round the activity of `layer` and the biases above it."""
    label, low, edge = 0.155, 0.13, 0.04  # low: below the ends of scales
    tops, bottoms = (
        (row.activity - label, row.bias - label),
        (row.activity + low, row.bias + low),
    )
    above = [k for k, l in enumerate(row.layers) if l > layer]
    end = row.lefts[-1] + row.sides[-1] + edge
    if layer in row.layers:
        here = row.layers.index(layer)
        start, middle = row.lefts[here] - GAP / 2, row.lefts[here] + row.sides[here] + GAP / 2
        bottom = bottoms[0] + row.sides[here]
        corners = [(start, tops[0]), (middle, tops[0])]
        if above:
            lowest = bottoms[1] + max(row.sides[above])
            corners += [(middle, tops[1]), (end, tops[1]), (end, lowest), (middle, lowest), (middle, tops[1])]
        corners += [(middle, bottom), (start, bottom), (start, tops[0])]
    elif above:
        start, lowest = row.lefts[0] - GAP / 2, bottoms[1] + max(row.sides)
        corners = [(start, tops[1]), (end, tops[1]), (end, lowest), (start, lowest), (start, tops[1])]
    else:
        return
    x, y = np.array([on_page(figure, *corner) for corner in corners]).T
    figure.add_artist(Line2D(x, y, color="black", linewidth=0.8, linestyle=(0, (4, 2.5))))
