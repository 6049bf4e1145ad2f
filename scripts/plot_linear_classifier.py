"""Draw figure 1: a linear classifier's weights, and the complete decomposition of its scores (Eqs 1–4).

In:  the file that fit_linear_classifier.py writes.
Out: the figure, as PDF and PNG.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from explanations.command import run_command
from explanations.figures.maps import draw_map, format_sum, frame_only
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure, place
from explanations.files.hdf5 import read_hdf5

ARRAYS = ("weights", "images", "attributions", "scores")
PITCH, SIDE = 0.557, 0.515  # inches, from panel to panel and of a panel
LEFT, TOP, ROW = 0.08, 0.42, 0.80


def main(linear: Path, pdf: Path, png: Path, dpi: float) -> None:
    arrays, found = read_hdf5(linear, "file of a linear classifier", ARRAYS, ("accuracy", "test"))
    weights, images, attributions, scores = (arrays[name] for name in ARRAYS)
    accuracy, test = float(found["accuracy"]), int(found["test"])
    height = TOP + ROW * (1 + len(images)) - 0.18
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, height, layout=None) as figure:
        title = f"Linear classifier of digits without biases; accuracy {accuracy:.1%} on n = {test} test scans"
        figure.text(LEFT / DOUBLE_COLUMN, 1 - 0.06 / height, title, va="top", fontsize=7.5)
        text = {"ha": "center", "va": "center", "linespacing": 1.4}
        corner = place(figure, LEFT, TOP, SIDE, SIDE, frameon=False, xticks=[], yticks=[])
        corner.text(0.5, 0.5, "(a) weights\n" + r"$\partial f_c/\partial x$", transform=corner.transAxes, **text)
        draw_row(figure, TOP, weights, [f"$c$ = {c}" for c in range(len(weights))])
        for row, (image, maps, values) in enumerate(zip(images, attributions, scores, strict=True), start=1):
            ax = place(figure, LEFT, TOP + row * ROW, SIDE, SIDE)
            ax.imshow(image, cmap="Greys", interpolation="nearest")
            ax.set_title("(b) scan $x$" if row == 1 else "scan $x$", loc="center", fontsize=6.5, pad=3)
            frame_only(ax)
            labels = [f"$f_{c}$ = {format_sum(value)}" for c, value in enumerate(values)]
            draw_row(figure, TOP + row * ROW, maps, labels, int(values.argmax()))


def draw_row(figure: Figure, top: float, maps: np.ndarray, labels: list[str], decision: int = -1) -> None:
    """Maps (10, H, W), one for each class, on one colour scale; the decision's frame is black."""
    limit = float(np.abs(maps).max())
    for c, (values, label) in enumerate(zip(maps, labels, strict=True)):
        ax = place(figure, LEFT + 0.06 + (c + 1) * PITCH, top, SIDE, SIDE)
        drawn = draw_map(ax, values, limit)
        ax.set_title(label, loc="center", fontsize=6.5, pad=3)
        if c == decision:
            for spine in ax.spines.values():
                spine.set(linewidth=1.2, color="black")
    bar = place(figure, LEFT + 0.1 + (len(maps) + 1) * PITCH, top, 0.07, SIDE)
    ends = [-limit, 0, limit]
    figure.colorbar(drawn, cax=bar, ticks=ends)
    bar.set_yticklabels([format_sum(value) for value in ends], fontsize=6)
    bar.tick_params(length=1.5, pad=1.5)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--linear", type=Path, required=True, help="the classifier and its decompositions (HDF5)")
    run_command(parser, main)
