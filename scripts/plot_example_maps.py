"""Draw figure 7: example saliency maps of several images, by network and method.

In:  one or more networks' files of example maps of the same images (make_example_maps.py).
Out: the figure, as PDF and PNG: a row for each image, with its class and the decisions that differ from it, a column
     for each of a network's methods; each map on its own scale, from its minimum to its maximum.
"""

from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import numpy as np

from explanations.command import InputError, run_command
from explanations.figures import (
    DOUBLE_COLUMN,
    SALIENCY_MAP,
    figure_parser,
    frame_only,
    journal_figure,
    network_title,
    place,
    write,
)
from explanations.hdf5 import read_hdf5
from explanations.methods import parse_method
from explanations.text import plain

LEFT, TOP, GAP, BLOCK = 0.06, 0.55, 0.04, 0.1  # inches; BLOCK: between networks
LABEL, WRAP = 1.2, 15  # the width of a row's label, in panels and in letters
METHODS = {
    "gradient": "Gradient",
    "input": "Input",
    "fullgrad": "FullGrad",
    "fullgrad_feature": "FullGrad\nper feature",
    "gradcam": "Grad-CAM",
    "activity_with_input": "All layers\nand input",
    "activity_from_1": "All layers",
}
LAYER_METHODS = {"activity": "Layer {}", "bias": "Bias of\nlayer {}", "activity_from": "Layers {}\nand up"}
LAYER_METHODS |= {"signed_activity": "Signed\nlayer {}", "signed_activity_from": "Signed\nfrom layer {}"}


@dataclass(frozen=True)
class Examples:
    """A network's example maps of k images."""

    network: str
    methods: list[str]
    image: np.ndarray  # (k,) index in the manifest
    rgb: np.ndarray  # (k, H, W, 3)
    maps: np.ndarray  # (k, methods, H, W)
    classes: list[str]
    targets: list[str]


def main(examples: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    found = [read_examples(path) for path in examples]
    for path, other in zip(examples, found, strict=True):
        if not np.array_equal(other.image, found[0].image):
            raise InputError(f"{path}: holds other images than {examples[0]}")
    count, columns = len(found[0].image), 1 + LABEL + sum(len(each.methods) for each in found)
    side = (DOUBLE_COLUMN - LEFT - 0.06 - BLOCK * len(found)) / columns - GAP
    pitch = side + GAP
    height = TOP + count * pitch + 0.32
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, height, layout=None) as figure:
        for row in range(count):
            true = found[0].classes[row]
            others = [
                f"({network_title(each.network)}: {each.targets[row]})" for each in found if each.targets[row] != true
            ]
            lines = [part for line in (true, *others) for part in wrap(line, WRAP, max_lines=2, placeholder="…")]
            text = "\n".join(map(plain, lines))
            write(figure, LEFT, TOP + row * pitch + side / 2, text, va="center", fontsize=6, linespacing=1.15)
            ax = place(figure, LEFT + LABEL * pitch, TOP + row * pitch, side, side)
            ax.imshow(found[0].rgb[row], interpolation="nearest")
            frame_only(ax)
        write(figure, LEFT + LABEL * pitch + side / 2, TOP - 0.05, "Image", ha="center", va="bottom", fontsize=6.5)
        write(figure, LEFT, 0.08, f"n = {count} images", va="top", fontsize=7.5)
        write(figure, LEFT, TOP - 0.05, "Class (and other\ndecisions)", va="bottom", fontsize=6.5)
        left = LEFT + (1 + LABEL) * pitch
        for letter, each in zip("abcdefgh", found, strict=False):
            left += BLOCK
            title = f"({letter}) {network_title(each.network)}"
            write(figure, left, 0.08, title, va="top", fontsize=7.5)
            for column, method in enumerate(each.methods):
                x = left + column * pitch
                write(figure, x + side / 2, TOP - 0.05, name_method(method), ha="center", va="bottom", fontsize=6.5)
                for row in range(count):
                    ax = place(figure, x, TOP + row * pitch, side, side)
                    ax.imshow(each.maps[row, column], cmap=SALIENCY_MAP, interpolation="nearest")
                    frame_only(ax)
            left += pitch * len(each.methods)
        bar = place(figure, DOUBLE_COLUMN - 1.6, height - 0.25, 1.0, 0.07)
        bar.imshow(np.linspace(0, 1, 256)[None], cmap=SALIENCY_MAP, aspect="auto", extent=(0, 1, 0, 1))
        frame_only(bar)
        bar.set_xticks([0, 1], ["min", "max"], fontsize=6)
        bar.tick_params(length=1.5, pad=1.5)
        write(
            figure,
            DOUBLE_COLUMN - 1.66,
            height - 0.215,
            "saliency, each panel's own scale",
            ha="right",
            va="center",
            fontsize=6.5,
        )


def read_examples(path: Path) -> Examples:
    """Read a file of example maps; InputError, naming it, if it is none."""
    attributes = ("network", "methods", "classes", "target_classes")
    arrays, found = read_hdf5(path, "file of example maps", ("image", "rgb", "maps"), attributes)
    network, methods, classes, targets = (found[name] for name in attributes)
    return Examples(network, methods, arrays["image"], arrays["rgb"], arrays["maps"], classes, targets)


def name_method(method: str) -> str:
    """A method's name as a column's title."""
    kind, layer = parse_method(method)
    return METHODS.get(method) or LAYER_METHODS[kind].format(layer)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--examples", type=Path, nargs="+", required=True, help="a network's maps each (HDF5)")
    run_command(parser, main)
