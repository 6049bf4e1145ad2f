"""What every figure shares: the journal's page, one style, names and colours, boxes of quartiles, signed maps."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from explanations.command import InputError, check_range, step_parser
from explanations.methods import layers_of
from explanations.text import plain
from explanations.writing import whole_file

SINGLE_COLUMN, DOUBLE_COLUMN = 3.25, 6.75  # inches
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
    "pdf.fonttype": 42,  # embedded TrueType: text stays text
    "savefig.facecolor": "white",
}
# told apart by colour-blind readers, after Okabe & Ito and Tol
BLUE, RED, GREY, PURPLE = "#0072B2", "#CC3311", "#7A7A7A", "#8E3B9E"
ORANGE, GREEN, BLACK, NAVY, CYAN = "#E69F00", "#009E73", "#262626", "#1B2A6B", "#2BD9E8"
SIGNED_MAP, SALIENCY_MAP = "RdBu_r", "magma"  # red positive, blue negative; dark to bright
BLUE_TO_CYAN = LinearSegmentedColormap.from_list("aggregates", [BLUE, CYAN])
PURPLE_TO_RED = LinearSegmentedColormap.from_list("signed aggregates", ["#7B3FB0", "#E8402A"])

SPREAD = "boxes: quartiles and median; bars and bands: 95% bootstrap interval of the median"
TESTED = "$p$: Wilcoxon's signed rank test, Holm-adjusted; grey: $p$ ≥ 0.05"
NETWORKS = {
    **{"vgg16": "VGG-16", "resnet50": "ResNet-50", "alexnet": "AlexNet", "vgg11": "VGG-11", "vgg19": "VGG-19"},
    **{"squeezenet": "SqueezeNet", "inception_v1": "Inception-v1", "vgg16_bn": "VGG-16-BN", "googlenet": "GoogLeNet"},
    **{"resnet18": "ResNet-18", "densenet": "DenseNet", "mobilenet_v2": "MobileNet-V2"},
    **{"shufflenet_v2": "ShuffleNet-V2", "mnasnet": "MNASNet"},
    **{"efficientnet": "EfficientNet", "convnext": "ConvNeXt", "vit": "ViT"},
    **{"vgg13": "VGG-13", "squeezenet1_1": "SqueezeNet-1.1"},
    **{"inception_v1_bn": "Inception-v1-BN", "inception_v3": "Inception-v3", "inception_v4": "Inception-v4"},
    **{"inception_resnet_v2": "Inc.-ResNet-v2", "nasnet_large": "NASNet-Large", "pnasnet_large": "PNASNet-Large"},
    **{"resnet101": "ResNet-101", "resnet152": "ResNet-152", "resnetv2_50": "ResNet-v2-50"},
    **{"resnetv2_101": "ResNet-v2-101", "mobilenet_v1": "MobileNet-V1", "mobilenet_v2_140": "MobileNet-V2 1.4"},
}
NORMALISATION = {  # in the order of figures
    "none": "without batch or layer normalisation",
    "batch": "with batch normalisation",
    "layer": "with layer normalisation",
}
NORMALISATION_COLOURS = {"none": ORANGE, "batch": BLUE, "layer": GREEN}
VARIANTS = {"original": "original", "zeroed": "biases set to zero", "decayed": "biases decayed to zero"}
MEASURES = {
    "e_minus": r"$e_-$",
    "e_plus": r"$e_+$",
    "e_delta": r"$e_\Delta$",
    "e_minus_noise": r"$e_-^{\,\xi}$",
    "e_plus_noise": r"$e_+^{\,\xi}$",
    "e_delta_noise": r"$e_\Delta^{\,\xi}$",
    "delta_e_minus": r"$\delta e_-$",
    "delta_e_plus": r"$\delta e_+$",
    "delta_e_delta": r"$\delta e_\Delta$",
}


def figure_parser(description: str | None) -> argparse.ArgumentParser:
    """A step's argument parser with the flags of every figure: --pdf, --png and --dpi."""
    parser = step_parser(description)
    parser.add_argument("--pdf", type=Path, required=True, help="vector figure to write")
    parser.add_argument("--png", type=Path, required=True, help="picture to write")
    parser.add_argument("--dpi", type=float, default=200, help="of the picture, and of maps in the vector figure")
    return parser


@contextmanager
def journal_figure(
    pdf: Path, png: Path, dpi: float, width: float, height: float, layout: str | None = "constrained"
) -> Iterator[Figure]:
    """Give a figure of the page's style, in inches; on success write it as PDF and PNG, both or neither."""
    check_range("figures.dpi", dpi, low=50, high=1200)
    with rc_context(STYLE):
        figure = Figure((width, height), layout=layout)
        yield figure
        with whole_file(pdf) as whole_pdf, whole_file(png) as whole_png:
            figure.savefig(whole_pdf, dpi=dpi, metadata={"CreationDate": None})  # the same bytes on every run
            figure.savefig(whole_png, dpi=dpi)


def name_measure(measure: str, prefix: str = "", separator: str = " ") -> str:
    """A measure's symbol and unit, for an axis."""
    return f"{prefix}{MEASURES[measure]}{separator}(fraction of signal)"


def network_title(name: str, variant: str | None = None) -> str:
    """A network's name as a figure's text, with that of its variant if it matters."""
    title = NETWORKS.get(name, plain(name))
    return title if variant is None else f"{title}, {VARIANTS.get(variant, variant)}"


def order_networks(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each network, `network` as the index: in the order of NORMALISATION, then by biases."""
    networks = table.drop_duplicates("network").set_index("network")
    kinds = pd.Categorical(networks["normalisation"], list(NORMALISATION), ordered=True)
    return networks.assign(normalisation=kinds).sort_values(["normalisation", "biases"], kind="stable")


def group_networks(networks: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of order_networks by kind of normalisation, where there are any."""
    return list(networks.groupby("normalisation", observed=True))


def name_normalisations(networks: pd.DataFrame) -> dict[str, str]:
    """The kinds of normalisation that some of the networks have, with their names."""
    found = set(networks["normalisation"])
    return {kind: name for kind, name in NORMALISATION.items() if kind in found}


def count_images(n: pd.Series) -> str:
    """The number of images behind a panel: `n = 100 images`, or a range where some images were left out."""
    low, high = (int(n.min()), int(n.max())) if len(n) else (0, 0)
    return f"n = {high} images" if low == high else f"n = {low}–{high} images"


def select(table: pd.DataFrame, measure: str, methods: Sequence[str], key: str = "method") -> pd.DataFrame:
    """The rows of a measure in the order of `methods`; InputError if one is absent or there twice."""
    rows = table[table["measure"] == measure].set_index(key)
    missing = [method for method in methods if method not in rows.index]
    if missing:
        raise InputError(f"the tables given lack {measure} of {', '.join(missing)}")
    if rows.index.has_duplicates:
        raise InputError(f"the tables given hold {measure} of {rows.index[rows.index.duplicated()][0]} twice")
    return rows.loc[list(methods)]


def top_layer(table: pd.DataFrame) -> int:
    """The highest l of the methods activity_<l>."""
    return list_layers(table)[-1]


def list_layers(table: pd.DataFrame, kind: str = "activity") -> list[int]:
    """Each l of the methods <kind>_<l>, ascending; InputError if there is none."""
    layers = layers_of(kind, table["method"])
    if not layers:
        raise InputError(f"the tables given hold no method {kind}_<layer>")
    return layers


def darken(colour, share: float = 0.45) -> tuple[float, ...]:
    """A colour mixed with `share` of black."""
    return tuple((1 - share) * value for value in to_rgb(colour))


def lighten(colour, share: float = 0.62) -> tuple[float, ...]:
    """A colour mixed with `share` of white."""
    return tuple(share + (1 - share) * value for value in to_rgb(colour))


def draw_boxes(ax: Axes, x: np.ndarray, rows: pd.DataFrame, colours, width: float, suffix: str = "") -> None:
    """Boxes of quartiles with a line at the median and a bar over its bootstrap interval; `colours`: one, or one each.

    `suffix` is that of the quartiles' columns: "" or "_difference".
    """
    colours = [colours] * len(x) if isinstance(colours, str) else colours
    low, middle, high = (rows[f"{name}{suffix}"].to_numpy(float) for name in ("q25", "median", "q75"))
    light = [lighten(colour) for colour in colours]
    ax.use_sticky_edges = False  # margins below the boxes too
    ax.bar(x, high - low, width, low, color=light, edgecolor=colours, linewidth=0.5)
    ax.vlines(x, rows["ci_low"], rows["ci_high"], colours, linewidth=1.4)
    ax.hlines(middle, x - width / 2, x + width / 2, colours, linewidth=1.2)


def draw_networks(
    ax: Axes, table: pd.DataFrame, value: str, names: Sequence[str], colours, points: bool = False
) -> None:
    """A row for each network, from the top down: a box of quartiles of `value` with its median, and all points."""
    colours = [colours] * len(names) if isinstance(colours, str) else colours
    rng = np.random.default_rng(0)
    for place, (name, colour) in enumerate(zip(names, colours, strict=True)):
        values = table.loc[table["network"] == name, value].to_numpy(float)
        low, middle, high = np.percentile(values, [25, 50, 75])
        face, edge = lighten(colour), colour
        if points:
            spread = place + rng.uniform(-0.3, 0.3, len(values))
            ax.plot(values, spread, color=face, linestyle="none", marker=".", markersize=1.8, zorder=1)
            face, edge = "none", darken(colour)
        ax.barh(place, high - low, 0.62, low, color=face, edgecolor=edge, linewidth=0.6, zorder=2)
        ax.vlines(middle, place - 0.31, place + 0.31, edge, linewidth=1.4, zorder=2)
    ax.set_yticks(np.arange(len(names)), [network_title(name) for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)


def draw_baseline(ax: Axes, row: pd.Series, colour: str, linestyle="-") -> None:
    """A line across the panel at a method's median, in a band over its bootstrap interval."""
    ax.axhspan(row["ci_low"], row["ci_high"], color=colour, alpha=0.18, linewidth=0, zorder=0)
    ax.axhline(row["median"], color=colour, linestyle=linestyle, linewidth=1.1, zorder=0.5)


def box_handle(colour, label: str) -> Patch:
    """A legend's entry for boxes of a colour."""
    return Patch(facecolor=lighten(colour), edgecolor=colour, linewidth=0.7, label=label)


def add_legend(figure: Figure, handles: Sequence, note: str = "", columns: int | None = None, **options) -> None:
    """A legend below the panels, under a line that says what boxes, bars and bands are."""
    title = f"{SPREAD}{note}"
    legend = figure.legend(
        handles=handles,
        title=title,
        title_fontsize=6,
        loc="outside lower center",
        ncols=columns or len(handles),
        **options,
    )
    legend.get_title().set_multialignment("center")


def format_p(log10_p: float) -> str:
    """A p-value: two digits down to 0.001, from there the nearest power of ten."""
    if log10_p > -2:
        return f"{10**log10_p:.2f}"
    return f"{10**log10_p:.3f}" if log10_p > -3 else rf"$10^{{{round(log10_p)}}}$"


def write_p(ax: Axes, x: np.ndarray, log10_p: np.ndarray, colours: Sequence[str]) -> None:
    """A line of p-values over a panel, one above each x, grey where p ≥ 0.05."""
    below = np.asarray(log10_p) < np.log10(0.05)
    for position, value, significant, colour in zip(x, log10_p, below, colours, strict=True):
        text = {"color": colour if significant else GREY, "fontsize": 6, "ha": "center", "va": "bottom"}
        ax.annotate(format_p(value), (position, 1.0), (0, 4), ax.get_xaxis_transform(), "offset points", **text)
    text = {"fontsize": 6, "ha": "right", "va": "bottom"}
    ax.annotate("$p$", (0, 1.0), (-4, 4), "axes fraction", "offset points", **text)


def label_layers(ax: Axes, top: int, name: str = "layer $l$") -> None:
    """An axis of layers 0…top."""
    ax.set_xlim(-0.6, top + 0.6)
    ax.set_xticks(range(top + 1))
    ax.set_xlabel(name)


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


def draw_map(ax: Axes, values: np.ndarray, limit: float | None = None):
    """A signed map (h, w) at its own resolution, red positive, blue negative; the scale's end is `limit` or max |a|."""
    limit = np.abs(values).max() if limit is None else limit
    image = ax.imshow(values, cmap=SIGNED_MAP, vmin=-(limit or 1), vmax=limit or 1, interpolation="nearest")
    frame_only(ax)
    return image


def draw_scale(ax: Axes) -> None:
    """A bar of the signed maps' colours, each panel on its own scale."""
    ax.imshow(np.linspace(-1, 1, 256)[None], cmap=SIGNED_MAP, aspect="auto", extent=(-1, 1, 0, 1))
    frame_only(ax)
    ax.set_xticks([-1, 0, 1], ["−max |a|", "0", "max |a|"], fontsize=6)
    ax.tick_params(length=1.5, pad=1.5)
    ax.set_title("each panel's own scale", loc="center", fontsize=6, pad=2)


def frame_only(ax: Axes) -> None:
    """Leave of the axes a thin frame all round."""
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=True, linewidth=0.4, color="#999999")


def format_sum(value: float) -> str:
    """A gross sum in about three digits, with a true minus sign."""
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    text = f"{value:.{digits}f}"
    return text.replace("-", "" if not text.strip("-0.") else "−")
