"""The style of all figures: settings of matplotlib, colours that colour-blind readers tell apart, boxes in a legend."""

from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.patches import Patch

STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same figure
    "mathtext.fontset": "dejavusans",
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.0,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "hatch.linewidth": 0.4,
    "pdf.fonttype": 42,  # embedded TrueType: text stays text
    "savefig.facecolor": "white",
}
# after Okabe & Ito and Tol
BLUE, RED, GREY, PURPLE = "#0072B2", "#CC3311", "#7A7A7A", "#8E3B9E"
ORANGE, GREEN, BLACK, NAVY, CYAN = "#E69F00", "#009E73", "#262626", "#1B2A6B", "#2BD9E8"
NORMALISATION_COLOURS = {"none": ORANGE, "batch": BLUE, "layer": GREEN}
SIGNED_MAP, SALIENCY_MAP = "RdBu_r", "magma"  # red positive, blue negative; dark to bright
BLUE_TO_CYAN = LinearSegmentedColormap.from_list("aggregates", [BLUE, CYAN])
PURPLE_TO_RED = LinearSegmentedColormap.from_list("signed aggregates", ["#7B3FB0", "#E8402A"])


def darken(colour, share: float = 0.45) -> tuple[float, ...]:
    """A colour mixed with `share` of black."""
    return tuple((1 - share) * value for value in to_rgb(colour))


def lighten(colour, share: float = 0.62) -> tuple[float, ...]:
    """A colour mixed with `share` of white."""
    return tuple(share + (1 - share) * value for value in to_rgb(colour))


def box_handle(colour, label: str, hatch: str | None = None) -> Patch:
    """A legend's entry for boxes of a colour."""
    return Patch(facecolor=lighten(colour), edgecolor=colour, linewidth=0.7, label=label, hatch=hatch)
