"""Draw figure S8: how alike attribution maps are, by layer: activity and bias, and before and after biases go.

In:  the correlations of one or more networks (compare_attributions.py).
Out: the figure, as PDF and PNG, a panel for each network: the median over images, with the 10th and 90th percentile.
"""

import math
from pathlib import Path

from explanations.command import run_command
from explanations.figures.layers import label_layers
from explanations.figures.names import count_images, letter_panels, network_title
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure, lay_out
from explanations.figures.style import BLUE, GREEN, ORANGE
from explanations.files.tables import read_tables

COLUMNS = ("network", "comparison", "layer", "n", "p10", "median", "p90")
SERIES = {
    "bias": (BLUE, "o", "activity and bias"),
    "zeroed": (ORANGE, "s", "activity: original and biases set to zero"),
    "decayed": (GREEN, "^", "activity: original and biases decayed to zero"),
}
PANELS = 2  # in a row, at most
OFFSET = 0.2  # between the series, in layers


def main(correlations: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    table = read_tables(correlations, COLUMNS)
    networks = list(table.groupby("network", sort=False))
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 0.65 + 1.7 * math.ceil(len(networks) / PANELS)) as figure:
        axes, first = lay_out(figure, len(networks), PANELS)
        for letter, ax, (network, points) in zip(letter_panels(), axes, networks, strict=False):
            ax.axhline(0, color="black", linewidth=0.4, zorder=0)
            for order, (comparison, (colour, marker, label)) in enumerate(SERIES.items()):
                rows = points[(points["comparison"] == comparison) & (points["n"] > 0)].sort_values("layer")
                spread = [rows["median"] - rows["p10"], rows["p90"] - rows["median"]]
                style = {"color": colour, "marker": marker, "markersize": 3, "linewidth": 0.8, "elinewidth": 0.9}
                ax.errorbar(rows["layer"] + OFFSET * (order - 1), rows["median"], spread, label=label, **style)
            ax.set_title(f"({letter}) {network_title(network)}, {count_images(points[points['n'] > 0]['n'])}")
            label_layers(ax, range(int(points["layer"].max()) + 1), "layer $l$ (0: input)", min(PANELS, len(networks)))
        for ax in first:
            ax.set_ylabel("Pearson's ρ over positions\n(median, 10th–90th percentile)")
        axes[0].set_ylim(top=1.05)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--correlations", type=Path, nargs="+", required=True, help="a panel for each file")
    run_command(parser, main)
