"""Example saliency maps of some images, and what figures of them share: figures 7 and P."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from explanations.figures.maps import frame_only
from explanations.figures.page import DOUBLE_COLUMN, place, write
from explanations.figures.style import SALIENCY_MAP
from explanations.files.hdf5 import read_hdf5


@dataclass(frozen=True)
class Examples:
    """A network's example maps of k images, by m methods."""

    network: str
    methods: list[str]
    image: np.ndarray  # (k,) index in the manifest
    rgb: np.ndarray  # (k, H, W, 3)
    maps: np.ndarray  # (k, m, H, W)
    classes: list[str]  # the images' labels, empty where there are none
    targets: list[str]  # the decisions
    runners_up: list[str]  # the likeliest classes but those
    probabilities: np.ndarray  # (k, 2) of the decision and the runner-up
    masks: np.ndarray | None = None  # (k, H, W), 1 inside the object, where that is known


def read_examples(path: Path) -> Examples:
    """Read a file of example maps; InputError, naming it, if it is none."""
    attributes = ("network", "methods", "classes", "target_classes", "runners_up")
    arrays, shown = read_hdf5(path, "file of example maps", ("image", "rgb", "maps", "probabilities"), attributes)
    network, methods, *texts = (shown[name] for name in attributes)
    images = (arrays[name] for name in ("image", "rgb", "maps"))
    return Examples(network, methods, *images, *texts, arrays["probabilities"], arrays.get("masks"))


def outline_mask(ax: Axes, examples: Examples, row: int) -> None:
    """A line round the object in a panel of one of the images; none where its mask isn't known, or marks nothing."""
    if examples.masks is None or not examples.masks[row].any():
        return
    around = np.pad(examples.masks[row], 1)  # closed at the image's edges too
    positions = np.arange(-1, len(around) - 1)
    for width, colour in ((1.6, "black"), (0.7, "white")):
        ax.contour(positions, positions, around, [0.5], colors=colour, linewidths=width)


def draw_colours(figure: Figure, height: float, name: str, ends: tuple[str, str]) -> None:
    """A bar of the maps' colours with its name and ends, at the foot of a page of some height in inches."""
    bar = place(figure, DOUBLE_COLUMN - 1.6, height - 0.25, 1.0, 0.07)
    bar.imshow(np.linspace(0, 1, 256)[None], cmap=SALIENCY_MAP, aspect="auto", extent=(0, 1, 0, 1))
    frame_only(bar)
    bar.set_xticks([0, 1], ends, fontsize=6)
    bar.tick_params(length=1.5, pad=1.5)
    text = {"ha": "right", "va": "center", "fontsize": 6.5}
    write(figure, DOUBLE_COLUMN - 1.66, height - 0.215, name, **text)
