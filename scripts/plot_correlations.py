"""Draw figure S8: how alike attribution maps are, by layer: activity and bias, and before and after biases go.

In:  the correlations of one or more networks (compare_attributions.py).
Out: the figure, as PDF and PNG, one panel per network: the median over images, with the 10th and 90th percentile.
"""

from pathlib import Path

from explanations.command import run_command
from explanations.figures import (
    BLUE,
    DOUBLE_COLUMN,
    GREEN,
    ORANGE,
    count_images,
    figure_parser,
    journal_figure,
    label_layers,
    network_title,
)
from explanations.tables import read_tables

COLUMNS = ("network", "comparison", "layer", "n", "p10", "median", "p90")
SERIES = {
    "bias": (BLUE, "o", "activity and bias"),
    "zeroed": (ORANGE, "s", "activity: original and biases set to zero"),
    "decayed": (GREEN, "^", "activity: original and biases decayed to zero"),
}
OFFSET = 0.2  # between the series, in layers


def main(correlations: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    table = read_tables(correlations, COLUMNS)
    networks = list(table.groupby("network", sort=False))
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, 2.35) as figure:
        axes = figure.subplots(1, len(networks), squeeze=False, sharey=True)[0]
        for letter, ax, (network, found) in zip("abcdefgh", axes, networks, strict=False):
            ax.axhline(0, color="black", linewidth=0.4, zorder=0)
            for place, (comparison, (colour, marker, label)) in enumerate(SERIES.items()):
                rows = found[(found["comparison"] == comparison) & (found["n"] > 0)].sort_values("layer")
                spread = [rows["median"] - rows["p10"], rows["p90"] - rows["median"]]
                style = {"color": colour, "marker": marker, "markersize": 3, "linewidth": 0.8, "elinewidth": 0.9}
                ax.errorbar(rows["layer"] + OFFSET * (place - 1), rows["median"], spread, label=label, **style)
            ax.set_title(f"({letter}) {network_title(network)}, {count_images(found[found['n'] > 0]['n'])}")
            label_layers(ax, int(found["layer"].max()), "layer $l$ (0: input)")
        axes[0].set_ylabel("Pearson's ρ over positions\n(median, 10th–90th percentile)")
        axes[0].set_ylim(top=1.05)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--correlations", type=Path, nargs="+", required=True, help="a panel for each file")
    run_command(parser, main)
