"""Maps at their own resolution on a signed scale, with their gross sums: figures 1, 2, 4 and 7."""

import numpy as np
from matplotlib.axes import Axes

from explanations.figures.style import SIGNED_MAP


def draw_map(ax: Axes, values: np.ndarray, limit: float | None = None):
    """A signed map (h, w) at its own resolution, red positive, blue negative; the scale's end is `limit` or max |a|."""
    limit = np.abs(values).max() if limit is None else limit
    image = ax.imshow(values, cmap=SIGNED_MAP, vmin=-(limit or 1), vmax=limit or 1, interpolation="nearest")
    frame_only(ax)
    return image


def draw_scale(ax: Axes, where: str = "") -> None:
    """A bar of the signed maps' colours, each panel on its own scale; `where` its end stands, if it does."""
    ax.imshow(np.linspace(-1, 1, 256)[None], cmap=SIGNED_MAP, aspect="auto", extent=(-1, 1, 0, 1))
    frame_only(ax)
    ax.set_xticks([-1, 0, 1], ["−max |a|", "0", "max |a|"], fontsize=6)
    ax.tick_params(length=1.5, pad=1.5)
    ax.set_title(f"each panel's own scale{where}", loc="center", fontsize=6, pad=2)


def format_largest(values: np.ndarray) -> str:
    """The end of a map's own scale, max |a|, in two digits: `±0.031`, `±2e-5`."""
    largest = float(np.abs(values).max())
    return f"±{largest:.2g}" if largest >= 1e-3 or not largest else f"±{largest:.0e}".replace("e-0", "e-")


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
