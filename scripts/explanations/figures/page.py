"""The journal's page: a figure's flags, its size and files, and places on it in inches."""

import argparse
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from explanations.command import step_parser
from explanations.errors import check_range
from explanations.figures.style import STYLE
from explanations.files.writing import whole_file

# it warns of the dates in fonts that matplotlib brings, when a PDF takes them in
logging.getLogger("fontTools").setLevel(logging.ERROR)

DOUBLE_COLUMN = 6.75  # inches: the width of the page


def figure_parser(description: str | None) -> argparse.ArgumentParser:
    """A step's argument parser with the flags of every figure: --pdf, --png and --dpi."""
    parser = step_parser(description)
    parser.add_argument("--pdf", type=Path, required=True, help="vector figure to write")
    parser.add_argument("--png", type=Path, required=True, help="picture to write")
    parser.add_argument("--dpi", type=float, default=200, help="of the picture, and of maps in the vector figure")
    return parser


def check_dpi(dpi: float, name: str = "figures.dpi") -> None:
    """InputError, with the key or flag that names it, unless a figure can have so many pixels an inch."""
    check_range(name, dpi, low=50, high=1200)


@contextmanager
def journal_figure(
    pdf: Path, png: Path, dpi: float, width: float, height: float, layout: str | None = "constrained"
) -> Iterator[Figure]:
    """Give a figure of the page's style, in inches; on success write it as PDF and PNG, both or neither."""
    check_dpi(dpi)
    with rc_context(STYLE):
        figure = Figure((width, height), layout=layout)
        yield figure
        with whole_file(pdf) as whole_pdf, whole_file(png) as whole_png:
            figure.savefig(whole_pdf, dpi=dpi, metadata={"CreationDate": None})  # the same bytes on every run
            figure.savefig(whole_png, dpi=dpi)


def lay_out(figure: Figure, count: int, columns: int) -> tuple[list[Axes], list[Axes]]:
    """`count` panels on one scale, in rows of at most `columns`; and the first of each row, to name the axis at."""
    rows, columns = math.ceil(count / columns), min(count, columns)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for ax in axes.flat[count:]:
        ax.axis("off")
    return list(axes.flat[:count]), list(axes[:, 0])


def on_page(figure: Figure, left: float, top: float) -> tuple[float, float]:
    """A place in inches from the page's left and top, in the figure's coordinates."""
    width, height = figure.get_size_inches()
    return left / width, 1 - top / height


def write(figure: Figure, left: float, top: float, text: str, **options) -> None:
    """Text at a place in inches from the page's left and top."""
    figure.text(*on_page(figure, left, top), text, **options)


def place(figure: Figure, left: float, top: float, width: float, height: float, **options) -> Axes:
    """Axes by their place in inches from the page's left and top."""
    page_width, page_height = figure.get_size_inches()
    corner = on_page(figure, left, top + height)
    return figure.add_axes((*corner, width / page_width, height / page_height), **options)
