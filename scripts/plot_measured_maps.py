"""Draw figure P: photographs, a network's decisions, and saliency maps with their own measurement by removal.

In:  a network's file of example maps (make_example_maps.py), the results of removal by these maps of these images.
Out: the figure, as PDF and PNG: a row for each image, with the decision and the runner-up and their probabilities; a
     column for each method, its map as heat over the image in grey, from its minimum to its 99th percentile. Below each
     map e₋ as a bar, with a tick at e₋ of the other images' maps ξ, and e₋ and δe₋ as numbers, the row's best in bold.
"""

from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from explanations.command import run_command
from explanations.errors import InputError
from explanations.figures.examples import Examples, draw_colours, read_examples
from explanations.figures.maps import frame_only
from explanations.figures.names import MEASURES, network_title, title_method
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure, place, write
from explanations.figures.style import BLUE, GREY, SALIENCY_MAP
from explanations.files.measurements import Measurements, read_measurements
from explanations.statistics.flips import never_flipped
from explanations.text import plain

LABEL, EDGE, GAP = 0.86, 0.06, 0.05  # inches: a row's label, the page's edge, between panels
TOP, FOOT, ROW = 0.36, 0.6, 0.1  # above the rows, below them, between two
BAR, NUMBERS = 0.055, 0.27  # heights below a map: of its bar, and of two lines of numbers
WIDEST = 1.1  # of a map
WRAP = 15  # letters in a line of a row's label
SHOWN = ("e_minus", "delta_e_minus")
DIM, CLEAR = 0.55, 0.85  # brightness of the grey image, opacity of the strongest heat
BRIGHTEST = (
    99  # percentile of a map from which on heat is strongest: a gradient's few largest values would hide the rest
)
DAGGER = " †: with ξ it never does."


@dataclass(frozen=True)
class Removed:
    """What removal measured of k images by m methods' maps: arrays (k, m)."""

    values: dict[str, np.ndarray]  # by measure
    never: np.ndarray  # whether the decision never flips
    never_noise: np.ndarray  # whether it never does by some other image's map


def main(examples: Path, measurements: list[Path], pdf: Path, png: Path, dpi: float) -> None:
    shown = read_examples(examples)
    removed = choose_removed(read_measurements(measurements), shown, examples)
    count, methods = len(shown.image), len(shown.methods)
    # the image is as high as a map with what stands below it
    below = GAP / 2 + BAR + NUMBERS
    free = DOUBLE_COLUMN - LABEL - 2 * EDGE - (1 + methods) * GAP - below
    side = min(free / (1 + methods), WIDEST)
    pitch = side + below + ROW
    height = TOP + count * pitch + FOOT
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, height, layout=None) as figure:
        draw_titles(figure, shown, side, side + below)
        for row in range(count):
            top = TOP + row * pitch
            draw_image(figure, top, side + below, shown, row)
            best = {measure: find_best(values[row]) for measure, values in removed.values.items()}
            for column in range(methods):
                left = place_map(column, side, side + below)
                draw_heat(figure, left, top, side, shown.rgb[row], shown.maps[row, column])
                draw_bar(figure, left, top + side + GAP / 2, side, removed, (row, column))
                marked = {measure: bool(best[measure][column]) for measure in SHOWN}
                draw_numbers(figure, left, top + side + GAP / 2 + BAR, side, removed, (row, column), marked)
        draw_colours(figure, height, "heat, each panel's own scale", ("min", "top 1%"))
        draw_key(figure, height, removed)


# --- what is measured --------------------------------------------------------------------------------------------


def choose_removed(results: Measurements, shown: Examples, path: Path) -> Removed:
    """The results of the images and methods shown; InputError if one wasn't measured, or on another network."""
    if results.settings["network"] != shown.network:
        raise InputError(
            f"{path}: is of {shown.network}; the removal results given are of {results.settings['network']}"
        )
    missing = sorted(set(shown.image.tolist()) - set(results.image.tolist()))
    if missing:
        raise InputError(f"{path}: holds image {missing[0]}; the removal results given don't")
    rows = [int(np.flatnonzero(results.image == index)[0]) for index in shown.image]

    def choose(of_method) -> np.ndarray:
        return np.stack([of_method(method)[rows] for method in shown.methods], 1)

    values = {
        name: choose(lambda method, name=name: results.measure(name, method)) for name in (*SHOWN, "e_minus_noise")
    }
    never, never_noise = (
        choose(lambda method, name=name: never_flipped(results, name, method)) for name in ("e_minus", "e_minus_noise")
    )
    return Removed(values, never, never_noise)


def find_best(values: np.ndarray) -> np.ndarray:
    """Whether each of a row's values is the largest; none is where all are missing."""
    known = np.where(np.isnan(values), -np.inf, values)
    return np.isfinite(known) & (known == known.max())


# --- what is drawn -----------------------------------------------------------------------------------------------


def place_map(column: int, side: float, image: float) -> float:
    """The left of a column of maps, in inches; `image` is the width of the images' column."""
    return EDGE + LABEL + image + GAP + column * (side + GAP)


def draw_titles(figure: Figure, shown: Examples, side: float, image: float) -> None:
    """The columns' titles."""
    titled = {"va": "bottom", "fontsize": 7}
    write(figure, EDGE, TOP - 0.05, f"{network_title(shown.network)}\ndecides", **titled)
    write(figure, EDGE + LABEL + image / 2, TOP - 0.05, "Image", ha="center", **titled)
    for column, method in enumerate(shown.methods):
        left = place_map(column, side, image)
        write(figure, left + side / 2, TOP - 0.05, title_method(method), ha="center", linespacing=1.05, **titled)


def draw_image(figure: Figure, top: float, side: float, shown: Examples, row: int) -> None:
    """An image, and beside it the decision and the runner-up, with the label where that is another class."""
    first, second = shown.probabilities[row]
    decided = "\n".join(map(plain, wrap(shown.targets[row], WRAP, max_lines=3, placeholder="…")))
    others = [f"then {shown.runners_up[row]},\xa0{first_digits(second)}"]
    if shown.classes[row] and shown.classes[row] != shown.targets[row]:
        others.append(f"labelled {shown.classes[row]}")
    lines = [line for text in others for line in wrap(text, WRAP + 2, max_lines=3, placeholder="…")]
    middle = top + side / 2
    write(figure, EDGE, middle - 0.11, decided, va="bottom", fontsize=7, fontweight="bold", linespacing=1.1)
    write(figure, EDGE, middle - 0.07, first_digits(first), va="top", fontsize=7)
    write(figure, EDGE, middle + 0.09, "\n".join(map(plain, lines)), va="top", fontsize=6, color=GREY, linespacing=1.15)
    ax = place(figure, EDGE + LABEL, top, side, side)
    ax.imshow(shown.rgb[row], interpolation="antialiased")
    frame_only(ax)


def draw_heat(figure: Figure, left: float, top: float, side: float, rgb: np.ndarray, values: np.ndarray) -> None:
    """A map (H, W) as heat over the image (H, W, 3) in dimmed grey; the stronger, the less of the image is seen."""
    grey = rgb @ np.array([0.299, 0.587, 0.114]) / 255 * DIM  # BT.601's weights of brightness
    strength = scale_heat(values)
    ax = place(figure, left, top, side, side)
    ax.imshow(grey, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
    ax.imshow(strength, cmap=SALIENCY_MAP, vmin=0, vmax=1, alpha=CLEAR * np.sqrt(strength), interpolation="antialiased")
    frame_only(ax)


def scale_heat(values: np.ndarray) -> np.ndarray:
    """A map (H, W) from 0 at its minimum to 1 at its 99th percentile and above; 0 if it is constant.

    A map that is its minimum nearly everywhere, as one of a single bright point, has no room below that percentile: it
    goes to 1 at its maximum.
    """
    low, high = values.min(), np.percentile(values, BRIGHTEST)
    if high <= low:
        high = values.max()
    return np.clip((values - low) / (high - low if high > low else 1), 0, 1)


def draw_bar(figure: Figure, left: float, top: float, side: float, removed: Removed, at: tuple[int, int]) -> None:
    """e₋ as a bar from 0 to 1, as wide as its map, with a tick at e₋ of other images' maps."""
    ax = place(figure, left, top, side, BAR)
    ax.set(xlim=(0, 1), ylim=(0, 1), facecolor="#E6E6E6", xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    e, noise = (removed.values[name][at] for name in ("e_minus", "e_minus_noise"))
    ax.barh(0.5, 0 if np.isnan(e) else e, 1, color=BLUE)
    if not np.isnan(noise):
        ax.axvline(noise, color="black", linewidth=1.2)


def draw_numbers(
    figure: Figure, left: float, top: float, side: float, removed: Removed, at: tuple[int, int], marked: dict[str, bool]
) -> None:
    """e₋ and δe₋ below a map, the row's best in bold; that the decision never flips is said instead of e₋."""
    for line, measure in enumerate(SHOWN):
        text = "never flips" if measure == "e_minus" and removed.never[at] else write_value(measure, removed, at)
        height = top + 0.03 + line * 0.115
        write(figure, left, height, MEASURES[measure], va="top", fontsize=6.5, color=GREY)
        style = {"fontweight": "bold", "color": to_rgb(BLUE)} if marked[measure] else {}
        write(figure, left + side, height, text, ha="right", va="top", fontsize=6.5, **style)


def write_value(measure: str, removed: Removed, at: tuple[int, int]) -> str:
    """A measure of a map in two digits, a difference with its sign; † where ξ's removal never flips the decision."""
    value = removed.values[measure][at]
    if np.isnan(value):
        return "not measured"
    text = f"{value:+.2f}" if measure.startswith("delta") else f"{value:.2f}"
    return text.replace("-", "−") + "†" * bool(measure.startswith("delta") and removed.never_noise[at])


def first_digits(probability: float) -> str:
    """A probability in percent: none is written as certain or impossible."""
    return {0: "<1%", 100: ">99%"}.get(round(100 * probability), f"{100 * probability:.0f}%")


def draw_key(figure: Figure, height: float, removed: Removed) -> None:
    """What the bars and numbers are."""
    lines = [
        f"Bar: {MEASURES['e_minus']}, the share of the image's signal that is gone when the decision flips, the least "
        "salient pixels removed first;",
        f"black tick: the same with the maps of other images, ξ; {MEASURES['delta_e_minus']} is the difference. "
        "Larger is better; the best of a row is bold." + DAGGER * bool(removed.never_noise.any()),
    ]
    write(figure, EDGE, height - FOOT + 0.02, "\n".join(lines), va="top", fontsize=6.5, linespacing=1.3)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--examples", type=Path, required=True, help="a network's maps (HDF5)")
    parser.add_argument("--measurements", type=Path, nargs="+", required=True, help="result files of removal")
    run_command(parser, main)
