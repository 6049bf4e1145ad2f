"""Draw figure 2: all attributions of one image, and one complete decomposition of its score (Eqs 11–15).

In:  a network file, the manifest and its folder of images, the attribution shard that holds the image.
Out: the figure, as PDF and PNG: activities on top, biases below, at their own resolutions, gross sums over them; a
     dashed line goes round the activity of one layer and the biases of all layers above it.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from explanations.command import InputError, check_range, run_command
from explanations.descriptions import read_description
from explanations.figures import (
    DOUBLE_COLUMN,
    draw_map,
    draw_scale,
    figure_parser,
    format_sum,
    frame_only,
    journal_figure,
    network_title,
    on_page,
    place,
    write,
)
from explanations.images import load_images
from explanations.manifests import read_manifest
from explanations.pictures import as_rgb
from explanations.shards import ShardReader, numbered
from explanations.text import plain

LEFT, RIGHT, GAP = 0.36, 0.07, 0.055  # inches
HEIGHT, SKETCH, ACTIVITY, BIAS = 2.66, 0.38, 1.12, 1.76  # of the page; tops of the rows


def main(
    network: Path,
    manifest: Path,
    images: Path,
    shards: list[Path],
    pdf: Path,
    png: Path,
    dpi: float,
    image: int,
    layer: int,
) -> None:
    description, rows = read_description(network), read_manifest(manifest)
    check_range("figures.fig2.image", image, low=0, high=len(rows) - 1)
    with ShardReader(shards) as reader:
        reader.check_manifest(rows, manifest)
        top = len(reader.layer_names) - 1
        check_range("figures.fig2.layer", layer, low=0, high=top - 1)
        activity = [reader.read(numbered("activity", l), [image])[0] for l in range(top + 1)]
        bias = [None, *(layer_bias(reader, image, l) for l in range(1, top + 1))]
        score, target = float(reader.read("score", [image])[0]), int(reader.read("target", [image])[0])
        name = reader.identity["network"]
    picture = as_rgb(load_images([rows[image].picture(images, manifest)], description.framing)[0])
    kept = [activity[layer].sum(dtype=float), sum(bias[l].sum(dtype=float) for l in range(layer + 1, top + 1))]
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, HEIGHT, layout=None) as figure:
        explained = plain(description.name_classes(rows)[target])
        title = f"{network_title(name)}: the score of class “{explained}” for one image, "
        write(figure, 0.06, 0.06, title + f"$f_c$ = {format_sum(score)}", fontsize=7.5, va="top")
        lefts, sides = arrange([len(a) for a in activity])
        sketch_layers(figure, lefts, sides, [len(a) for a in activity])
        draw_panels(figure, ACTIVITY, lefts, sides, activity)
        draw_panels(figure, BIAS, lefts, sides, bias)
        ax = place(figure, lefts[0], BIAS, sides[0], sides[0])
        ax.imshow(picture, interpolation="nearest")
        ax.set_title("image", loc="center", fontsize=6, pad=2)
        frame_only(ax)
        for row_top, text in ((ACTIVITY, "activity\n$a^{h,l}$"), (BIAS, "bias\n$a^{b,l}$")):
            write(figure, 0.2, row_top + sides[0] / 2, text, rotation=90, ha="center", va="center")
        outline(figure, lefts, sides, layer)
        total = rf"Dashed line: $A^{{h,{layer}}} + \sum_{{l'={layer + 1}}}^{{{top}}} A^{{b,l'}}$"
        numbers = f" = {kept[0]:.3f} + {kept[1]:.3f} = {sum(kept):.3f}".replace("+ -", "− ").replace("-", "−")
        write(figure, 0.06, HEIGHT - 0.2, f"{total}{numbers};  $f_c$ = {score:.3f}", va="center")
        right = {"ha": "right", "va": "top", "fontsize": 6.5}
        write(figure, DOUBLE_COLUMN - RIGHT, 0.07, "over each panel: its gross sum $A$", **right)
        draw_scale(place(figure, DOUBLE_COLUMN - 1.45, HEIGHT - 0.26, 0.9, 0.07))


def layer_bias(reader: ShardReader, image: int, layer: int) -> np.ndarray:
    """a^{b,l} of one image (Eq. 12), (H_l, W_l): the sum of the layer's biased operations."""
    keys = [numbered("bias", k) for k, found in enumerate(reader.operations, start=1) if found.layer == layer]
    maps = [reader.read(key, [image])[0] for key in keys]
    if not maps or any(found.shape != maps[0].shape for found in maps):
        raise InputError(f"{reader.paths[0]}: layer {layer} must have biases, all of one size, to be drawn as one map")
    return sum(maps)


def arrange(sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The left edges and sides of panels, in inches: larger layers get larger panels, by the logarithm of size."""
    weights = 1 + np.log(sizes) / np.log(max(2, *sizes))
    space = DOUBLE_COLUMN - LEFT - RIGHT - GAP * (len(sizes) - 1)
    sides = weights / weights.sum() * space
    return LEFT + np.concatenate([[0], (sides + GAP).cumsum()[:-1]]), sides


def sketch_layers(figure: Figure, lefts: np.ndarray, sides: np.ndarray, sizes: list[int]) -> None:
    """Squares in proportion to the layers' sizes, with one label for neighbours of equal size."""
    for l, (left, side, size) in enumerate(zip(lefts, sides, sizes, strict=True)):
        length = max(0.02, sides[0] * size / max(sizes))
        corner = on_page(figure, left + (side - length) / 2, SKETCH + sides[0])
        square = Rectangle(corner, length / DOUBLE_COLUMN, length / HEIGHT, facecolor="#DDDDDD", edgecolor="#666666")
        square.set_linewidth(0.5)
        figure.add_artist(square)
        write(figure, left + side / 2, SKETCH + sides[0] + 0.09, f"{l}", ha="center", va="center", fontsize=6)
        if l == 0 or sizes[l - 1] != size:
            last = max(k for k in range(l, len(sizes)) if all(s == size for s in sizes[l : k + 1]))
            middle = (left + lefts[last] + sides[last]) / 2
            write(figure, middle, SKETCH - 0.05, f"{size}×{size}", ha="center", va="center", fontsize=6)
    write(figure, 0.2, SKETCH + sides[0] / 2, "size", rotation=90, ha="center", va="center")
    write(figure, 0.28, SKETCH + sides[0] + 0.09, "$l$ =", ha="right", va="center", fontsize=6)


def draw_panels(
    figure: Figure, top: float, lefts: np.ndarray, sides: np.ndarray, maps: list[np.ndarray | None]
) -> None:
    """A row of maps with their gross sums over them; None is left out."""
    for left, side, values in zip(lefts, sides, maps, strict=True):
        if values is not None:
            ax = place(figure, left, top, side, side)
            draw_map(ax, values)
            ax.set_title(format_sum(values.sum(dtype=float)), loc="center", fontsize=5.8, pad=2)


def outline(figure: Figure, lefts: np.ndarray, sides: np.ndarray, layer: int) -> None:
    """The dashed line round the activity of `layer` and the biases above."""
    label, low = 0.155, 0.04
    start, middle, end = lefts[layer] - GAP / 2, lefts[layer] + sides[layer] + GAP / 2, lefts[-1] + sides[-1] + 0.04
    first = (ACTIVITY - label, ACTIVITY + sides[layer] + low)
    second = (BIAS - label, BIAS + sides[layer + 1] + low)
    corners = [(start, first[0]), (middle, first[0]), (middle, second[0]), (end, second[0]), (end, second[1])]
    corners += [(middle, second[1]), (middle, second[0]), (middle, first[1]), (start, first[1]), (start, first[0])]
    x, y = np.array([on_page(figure, *corner) for corner in corners]).T
    figure.add_artist(Line2D(x, y, color="black", linewidth=0.8, linestyle=(0, (4, 2.5))))


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="attribution shards with the image")
    parser.add_argument("--image", type=int, required=True, help="by index in the manifest")
    parser.add_argument("--layer", type=int, default=6, help="whose decomposition the dashed line goes round")
    run_command(parser, main)
