"""Draw figure 7: example saliency maps of several images, by network and method.

In:  one or more networks' files of example maps of the same images (make_example_maps.py).
Out: the figure, as PDF and PNG: a row for each image, with its class and the decisions that differ from it, a column
     for each of a network's methods; each map on its own scale, from its minimum to its maximum; objects outlined where
     their masks are known. Networks that have no
     room side by side stand below each other.
"""

from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.figure import Figure

from explanations.command import run_command
from explanations.errors import InputError
from explanations.figures.examples import Examples, draw_colours, outline_mask, read_examples
from explanations.figures.maps import frame_only
from explanations.figures.names import count_images, letter_panels, network_title, title_method
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure, place, write
from explanations.figures.style import SALIENCY_MAP
from explanations.text import plain

LEFT, TOP, GAP, BLOCK = 0.06, 0.55, 0.04, 0.1  # inches; BLOCK: between networks
SIDE, COLUMNS = 0.9, 10  # of a panel, at most; of maps side by side, at most, but for one network
LABEL, WRAP = 1.2, 15  # the width of a row's label, in panels and in letters


def main(examples: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    shown = [read_examples(path) for path in examples]
    for path, other in zip(examples, shown, strict=True):
        if not np.array_equal(other.image, shown[0].image):
            raise InputError(f"{path}: holds other images than {examples[0]}")
    count, lines = len(shown[0].image), fill_lines(shown)
    side = min(SIDE, *(measure_panel(line) for line in lines))
    block = TOP + count * (side + GAP)
    height = len(lines) * block + 0.32
    letters = letter_panels()
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, height, layout=None) as figure:
        for number, line in enumerate(lines):
            draw_images(figure, number * block, side, line)
            left = LEFT + (1 + LABEL) * (side + GAP)
            for each in line:
                left += BLOCK
                draw_maps(figure, left, number * block, side, each, next(letters))
                left += (side + GAP) * len(each.methods)
        draw_colours(figure, height, "saliency, each panel's own scale", ("min", "max"))


def fill_lines(shown: list[Examples]) -> list[list[Examples]]:
    """The networks that stand side by side: as many as have COLUMNS methods together, or one with more."""
    lines: list[list[Examples]] = []
    for each in shown:
        if not lines or sum(len(other.methods) for other in (*lines[-1], each)) > COLUMNS:
            lines.append([])
        lines[-1].append(each)
    return lines


def measure_panel(line: list[Examples]) -> float:
    """The side of a panel, in inches, with which networks fill the page's width."""
    columns = 1 + LABEL + sum(len(each.methods) for each in line)
    return (DOUBLE_COLUMN - LEFT - 0.06 - BLOCK * len(line)) / columns - GAP


def draw_images(figure: Figure, top: float, side: float, line: list[Examples]) -> None:
    """The images, a row each, with their classes and what the line's networks decide instead."""
    pitch, first = side + GAP, line[0]
    for row, true in enumerate(first.classes):
        said = [true, *(describe_decision(each, row, alone=len(line) == 1) for each in line)]
        lines = [part for text in said for part in wrap(text, WRAP, max_lines=2 if true else 3, placeholder="…")]
        middle = top + TOP + row * pitch + side / 2
        text = "\n".join(map(plain, lines))
        write(figure, LEFT, middle, text, va="center", fontsize=6, linespacing=1.15)
        ax = place(figure, LEFT + LABEL * pitch, top + TOP + row * pitch, side, side)
        ax.imshow(first.rgb[row], interpolation="nearest")
        outline_mask(ax, first, row)
        frame_only(ax)
    titled = {"va": "bottom", "fontsize": 6.5}
    named = "Class (and other\ndecisions)" if any(first.classes) else "Decisions"
    write(figure, LEFT + LABEL * pitch + side / 2, top + TOP - 0.05, "Image", ha="center", **titled)
    write(figure, LEFT, top + 0.08, count_images([len(first.image)]), va="top", fontsize=7.5)
    write(figure, LEFT, top + TOP - 0.05, named, **titled)


def describe_decision(examples: Examples, row: int, *, alone: bool) -> str:
    """A decision as a row has it: in brackets beside the class, empty if it is that; without a name if `alone`."""
    true, decision = examples.classes[row], examples.targets[row]
    if alone and not true:
        return decision
    said = f"{network_title(examples.network)}: {decision}"
    return "" if decision == true else f"({said})" if true else said


def draw_maps(figure: Figure, left: float, top: float, side: float, examples: Examples, letter: str) -> None:
    """A network's maps, a column for each method."""
    write(figure, left, top + 0.08, f"({letter}) {network_title(examples.network)}", va="top", fontsize=7.5)
    for column, method in enumerate(examples.methods):
        x = left + column * (side + GAP)
        title = {"ha": "center", "va": "bottom", "fontsize": 6.5}
        write(figure, x + side / 2, top + TOP - 0.05, title_method(method), **title)
        for row, values in enumerate(examples.maps[:, column]):
            ax = place(figure, x, top + TOP + row * (side + GAP), side, side)
            ax.imshow(values, cmap=SALIENCY_MAP, interpolation="nearest")
            outline_mask(ax, examples, row)
            frame_only(ax)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--examples", type=Path, nargs="+", required=True, help="a network's maps each (HDF5)")
    run_command(parser, main)
