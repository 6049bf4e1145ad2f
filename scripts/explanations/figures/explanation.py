"""The figure of one explained image: decision, decomposition by layer, maps by method with their measures, the flip."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from explanations.explaining.explanation import ClassScore, Explanation, MeasuredMap
from explanations.figures.decomposition import ENDS, LEFT, RIGHT, Layer, arrange, draw_panels, sketch_layers
from explanations.figures.maps import draw_scale, format_sum, frame_only
from explanations.figures.names import MEASURES, title_method
from explanations.figures.page import DOUBLE_COLUMN, journal_figure, place, write
from explanations.figures.style import BLACK, BLUE, GREY, RED, SALIENCY_MAP
from explanations.files.measurements import NEVER
from explanations.text import plain

MARGIN, GAP = 0.06, 0.05  # inches
HEAD, PICTURE = 0.3, 1.55  # above the first panels; the side of the image
SUMS, PANEL = 0.95, 0.58  # the height of the sums' panel; the side of a layer's map, at most
SHOWN, COLUMNS = 8, 8  # layers whose maps are drawn, and methods side by side, at most
NAME = 34  # letters of a class's name that stand beside its bar
SQUARES = 28  # of the board that stands for removed pixels, along a side, about


def draw_explanation(pdf: Path, png: Path, dpi: float, found: Explanation, network: str) -> None:
    """Draw one image's figure as PDF and PNG; `network` is the network's title."""
    rows = -(-len(found.maps) // COLUMNS)
    side = (DOUBLE_COLUMN - 2 * MARGIN + GAP) / COLUMNS - GAP
    sums = HEAD + PICTURE + 0.5
    maps = sums + SUMS + 0.2
    methods = maps + 3 * PANEL + 1.2
    block = side + 0.95
    height = methods + 0.1 + rows * block + 0.18
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, height, layout=None) as figure:
        score = f"$f_c$ = {format_sum(found.target.logit)}"
        title = f"{network}: the score of class “{plain(found.target.name)}”, {score}"
        write(figure, MARGIN, 0.06, title, fontsize=7.5, va="top")
        draw_decision(figure, found)
        draw_sums(figure, sums, found)
        draw_layers(figure, maps, found)
        draw_methods(figure, methods, side, block, found)
        write(figure, MARGIN, height - 0.08, describe_removal(found), fontsize=6, va="bottom", color=GREY)


# --- the image, its classes, the flip ----------------------------------------------------------------------------


def draw_decision(figure: Figure, found: Explanation) -> None:
    """The image; the likeliest classes with their probabilities; the image when the decision flips."""
    draw_picture(place(figure, MARGIN, HEAD, PICTURE, PICTURE), found.pixels)
    left = MARGIN + PICTURE + 0.15
    right = DOUBLE_COLUMN - MARGIN - PICTURE - 0.15
    pitch = 0.265
    for number, each in enumerate(found.top):
        draw_class(figure, left, right - left, HEAD + number * pitch, each, each.index == found.target.index)
    bottom = HEAD + len(found.top) * pitch + 0.04
    if found.target.index not in {each.index for each in found.top}:
        draw_class(figure, left, right - left, bottom - 0.04, found.target, True)
        bottom += pitch
    if found.target.index != found.decision.index:
        note = "Maps explain the coloured class. Removal waits for\nthe network's own decision, the first, to change."
        write(figure, left, bottom, note, fontsize=6, va="top", color=GREY, linespacing=1.2)
    flipped = place(figure, DOUBLE_COLUMN - MARGIN - PICTURE, HEAD, PICTURE, PICTURE)
    if found.best is None or found.removed is None:
        frame_only(flipped)
        draw_picture(flipped, board(found.pixels.shape[0]))
        said = "By no map does the decision flip\nas the least salient pixels go first"
    else:
        draw_picture(flipped, np.where(found.removed[..., None], board(len(found.pixels)), found.pixels))
        method = " ".join(title_method(found.best.method).split())
        share = f"{found.removed.mean():.0%} of pixels are gone"
        said = f"The flip by the best map, “{method}”:\n{share}, $e_-$ = {found.best.stored['e_minus']:.2f}"
    below = {"fontsize": 6, "va": "top", "linespacing": 1.3}
    write(figure, MARGIN, HEAD + PICTURE + 0.06, "What the network sees", **below)
    write(figure, DOUBLE_COLUMN - MARGIN, HEAD + PICTURE + 0.06, said, ha="right", **below)


def draw_picture(ax: Axes, pixels: np.ndarray) -> None:
    """Pixels (H, W, 3) in a thin frame."""
    ax.imshow(pixels, interpolation="nearest")
    frame_only(ax)


def draw_class(figure: Figure, left: float, width: float, top: float, score: ClassScore, explained: bool) -> None:
    """A class in a line, over a bar of its probability; the one that is explained in colour."""
    name = plain(score.name)
    short = name if len(name) <= NAME else f"{name[: NAME - 1].rstrip()}…"
    colour = BLUE if explained else BLACK
    line = {"fontsize": 6.5, "va": "top", "color": colour}
    write(figure, left, top, short, fontweight="bold" if explained else "normal", **line)
    write(figure, left + width, top, format_share(score.probability), ha="right", **line)
    ax = place(figure, left, top + 0.135, width, 0.05)
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.barh(0.5, 1, 1, color="#EEEEEE")
    ax.barh(0.5, score.probability, 1, color=colour if explained else "#8C8C8C")


def format_share(value: float) -> str:
    """A probability in per cent, with a digit after the point where it is small."""
    if value < 0.0005:
        return "< 0.1%"
    return f"{value:.1%}" if value < 0.0995 else f"{value:.0%}"


def board(side: int) -> np.ndarray:
    """A board of grey squares, (side, side, 3) uint8, as programs show what is transparent: pixels that are removed."""
    cells = np.arange(side) // max(1, round(side / SQUARES))
    odd = (cells[:, None] + cells) % 2
    return np.repeat(np.where(odd, 255, 214).astype(np.uint8)[..., None], 3, 2)


# --- the decomposition -------------------------------------------------------------------------------------------


def draw_sums(figure: Figure, top: float, found: Explanation) -> None:
    """At every layer the activity's gross sum and that of all biases above it, which add up to the score (Eq. 13)."""
    last, score = len(found.layers) - 1, found.target.logit
    ax = place(figure, LEFT + 0.1, top + 0.12, DOUBLE_COLUMN - LEFT - 0.1 - RIGHT, SUMS - 0.32)
    layers = np.arange(last + 1)
    activity = [layer.activity_sum for layer in found.layers]
    above = [layer.above for layer in found.layers]
    ax.axhline(0, color="#999999", linewidth=0.5)
    ax.bar(layers - 0.2, activity, 0.38, color=BLUE, label="$A^{h,l}$, activity of the layer")
    ax.bar(layers + 0.2, above, 0.38, color=RED, label=r"$\Sigma_{l'>l}\,A^{b,l'}$, biases of all higher layers")
    ax.axhline(score, color=BLACK, linewidth=0.8, linestyle=(0, (4, 2.5)), label="$f_c$, their sum at every layer")
    step = -(-(last + 1) // 32)
    ax.set(xlim=(-0.6, last + 0.6), xticks=range(0, last + 1, step))
    ax.tick_params(labelsize=6, pad=1.5)
    ax.locator_params(axis="y", nbins=4)
    ax.margins(y=0.12)
    ax.legend(loc="lower right", bbox_to_anchor=(1.005, 0.97), ncols=3, fontsize=6, borderaxespad=0, columnspacing=1.2)
    write(figure, MARGIN, top - 0.02, "Gross sums by layer", fontsize=7, va="top")
    write(figure, LEFT + 0.06, top + SUMS - 0.11, "$l$ =", ha="right", va="center", fontsize=6)


def draw_layers(figure: Figure, top: float, found: Explanation) -> None:
    """The maps of some layers' activities and biases, as figure 2 has them."""
    shapes = [layer.activity.shape for layer in found.layers]
    layers = [Layer(each.activity, each.bias, each.activity_sum, each.bias_sum) for each in found.layers]
    (row,) = arrange(shapes, choose_layers(shapes), top - 0.06, PANEL)
    sketch_layers(figure, row, shapes)
    draw_panels(figure, row, layers)
    write(figure, MARGIN, top, "Maps of layers, their gross sums over them", fontsize=7, va="top")
    draw_scale(place(figure, DOUBLE_COLUMN - 1.45, top + 0.1, 0.9, 0.07), ENDS)


def choose_layers(shapes: Sequence[tuple[int, int]], most: int = SHOWN) -> list[int]:
    """At most so many layers with more than one position: the input, the last of each size of map, and between these.

    Where there are more sizes, some of these layers, evenly; the first and the last are always among them.
    """
    layers = [l for l, (height, width) in enumerate(shapes) if height * width > 1]
    if len(layers) <= most:
        return layers
    ends = [l for l, following in zip(layers, [*layers[1:], None], strict=True) if _ends(shapes, l, following)]
    chosen = sorted({0, *ends})
    if len(chosen) > most:
        return [chosen[k] for k in np.linspace(0, len(chosen) - 1, most).round().astype(int)]
    while len(chosen) < most:
        between = [(sum(low < l < high for l in layers), low, high) for low, high in pairwise(chosen)]
        _, low, high = max(between, key=lambda gap: gap[0])
        inside = [l for l in layers if low < l < high]
        chosen = sorted([*chosen, inside[len(inside) // 2]])
    return chosen


def _ends(shapes: Sequence[tuple[int, int]], layer: int, following: int | None) -> bool:
    """Whether the next layer's map is of another size."""
    return following is None or shapes[following] != shapes[layer]


# --- methods -----------------------------------------------------------------------------------------------------


def draw_methods(figure: Figure, top: float, side: float, block: float, found: Explanation) -> None:
    """Each method's map over its measures; the best map's in bold."""
    heading = "Maps of methods, each on its own scale, dark to bright, and what removal in their order gives"
    write(figure, MARGIN, top, heading, fontsize=7, va="top")
    for number, each in enumerate(found.maps):
        row, column = divmod(number, COLUMNS)
        left, first = MARGIN + column * (side + GAP), top + 0.45 + row * block
        ax = place(figure, left, first, side, side)
        ax.imshow(each.saliency, cmap=SALIENCY_MAP, interpolation="nearest")
        frame_only(ax)
        best = each is found.best
        title = {"ha": "center", "va": "bottom", "fontsize": 6.5, "linespacing": 1.1}
        write(
            *(figure, left + side / 2, first - 0.04, title_method(each.method)),
            **title,
            fontweight="bold" if best else "normal",
        )
        draw_measures(figure, left, first + side + 0.05, side, each, best)


def draw_measures(figure: Figure, left: float, top: float, side: float, each: MeasuredMap, best: bool) -> None:
    """A map's e₋, e₊ and their differences from noise maps', a line each."""
    for line, name in enumerate(("e_minus", "delta_e_minus", "e_plus", "delta_e_plus")):
        y = top + line * 0.105
        never = each.flip_minus if name == "e_minus" else each.flip_plus if name == "e_plus" else None
        text = format_measure(each.measure(name), name.startswith("delta"), never == NEVER)
        style = {"fontsize": 6, "va": "top", "color": BLUE if best and name == "e_minus" else BLACK}
        write(figure, left + 0.1, top + line * 0.105, MEASURES[name], **style)
        write(figure, left + side - 0.1, y, text, ha="right", fontweight="bold" if best and not line else None, **style)


def format_measure(value: float, signed: bool, never: bool) -> str:
    """A measure in two digits, with a true minus sign; a mark where the decision never flips."""
    if np.isnan(value):
        return "–"
    text = f"{value:+.2f}" if signed else f"{value:.2f}"
    return text.replace("-", "−") + "*" * never


def describe_removal(found: Explanation) -> str:
    """What the measures are, in a line, with the noise maps' number."""
    count = len(found.references)
    never = any(NEVER in (each.flip_minus, each.flip_plus) for each in found.maps)
    noise = f"{count} other image{'s' * (count > 1)}"
    parts = [
        "$e_-$, $e_+$: signal gone at the flip, least and most salient pixels first",
        rf"$\delta$: less that by maps of {noise}",
    ]
    parts += ["*: never flips in this order"] * never
    return ";  ".join(parts)
