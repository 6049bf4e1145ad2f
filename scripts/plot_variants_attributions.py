"""Draw figure 4: activity attributions of every layer for one image, with biases and after they decayed to zero.

In:  network files of both variants, the manifest and its folder of images, the attribution shards that hold the image.
Out: the figure, as PDF and PNG: maps at their own resolutions, gross sums over them (Eq. 14); without biases all sums
     equal the score. Layers without positions are left out; networks of many layers fill several blocks of two rows.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explanations.command import run_command
from explanations.data.images import load_images
from explanations.data.pictures import as_rgb
from explanations.errors import InputError, check_range
from explanations.figures.maps import draw_map, draw_scale, format_sum, frame_only
from explanations.figures.names import network_title, variant_title
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure, place, write
from explanations.files.descriptions import NetworkDescription, read_description
from explanations.files.manifests import ManifestRow, read_manifest
from explanations.files.shards import ShardReader, numbered
from explanations.text import plain

PITCH, SIDE, LEFT = 0.662, 0.605, 0.06  # inches
TOP, ROW, BLOCK = 0.78, 0.76, 1.72  # top of the first row of maps; from (a) to (b); from a block to the next
LAYERS = 9  # side by side, at most


@dataclass(frozen=True)
class Explained:
    """One variant's attributions of the image."""

    network: str
    variant: str
    target: str
    score: float
    maps: dict[int, np.ndarray]  # by layer, (H_l, W_l)
    sums: dict[int, float]  # A^{h,l}


def main(
    networks: list[Path], manifest: Path, images: Path, shards: list[Path], pdf: Path, png: Path, dpi: float, image: int
) -> None:
    rows, descriptions = read_manifest(manifest), [read_description(path) for path in networks]
    check_range("figures.fig4.image", image, low=0, high=len(rows) - 1)
    if not len(networks) == len(shards) == 2:
        raise InputError("--networks and --shards take two files each, of the original and of the other variant")
    found = [read_explained(*pair, rows, manifest, image) for pair in zip(shards, descriptions, strict=True)]
    first, second = found
    if (first.network, list(first.maps)) != (second.network, list(second.maps)):
        raise InputError(f"{shards[1]}: is of {second.network}; allowed are shards of {first.network}, as {shards[0]}")
    picture = as_rgb(load_images([rows[image].picture(images, manifest)], descriptions[0].framing)[0])
    blocks = np.array_split(list(first.maps), math.ceil(len(first.maps) / LAYERS))
    height = TOP + BLOCK * (len(blocks) - 1) + ROW + SIDE + 0.05
    pitch = min(PITCH, (DOUBLE_COLUMN - LEFT - 0.05) / (len(blocks[0]) + 1))
    side = SIDE * pitch / PITCH
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, height, layout=None) as figure:
        name = network_title(first.network)
        title = f"{name}: activity attributions $a^{{h,l}}$ of one image and their gross sums $A^{{h,l}}$"
        write(figure, LEFT, 0.06, title, va="top", fontsize=7.5)
        for block, chosen in enumerate(blocks):
            for row, (letter, each) in enumerate(zip("ab", found, strict=True)):
                top = TOP + block * BLOCK + row * ROW
                for column, l in enumerate(chosen, start=1):
                    ax = place(figure, LEFT + column * pitch, top, side, side)
                    draw_map(ax, each.maps[l])
                    label = "" if row else f"$l$={l}, {'×'.join(map(str, each.maps[l].shape))}\n"
                    ax.set_title(label + format_sum(each.sums[l]), loc="center", fontsize=6, pad=2)
                write(figure, LEFT + pitch - 0.07, top + side / 2, f"({letter})", ha="right")
        ax = place(figure, LEFT, TOP, side * 0.72, side * 0.72)
        ax.imshow(picture, interpolation="nearest")
        ax.set_title("image", loc="center", fontsize=6, pad=2)
        frame_only(ax)
        for row, (letter, each) in enumerate(zip("ab", found, strict=True)):
            text = f"({letter}) {variant_title(each.variant)}: score of class “{each.target}” "
            write(figure, LEFT, 0.24 + 0.14 * row, text + f"$f_c$ = {format_sum(each.score)}", va="top")
        draw_scale(place(figure, DOUBLE_COLUMN - 1.45, 0.22, 0.9, 0.07))


def read_explained(
    path: Path, description: NetworkDescription, rows: list[ManifestRow], manifest: Path, image: int
) -> Explained:
    """The image's attributions in a shard, of the layers with more than one position."""
    with ShardReader([path]) as reader:
        reader.check_manifest(rows, manifest)
        target = int(reader.read("target", [image])[0])
        return Explained(
            network=reader.identity["network"],
            variant=reader.identity["variant"],
            target=plain(description.name_classes(rows)[target]),
            score=reader.read("score", [image])[0],
            maps={l: reader.read(numbered("activity", l), [image])[0] for l in reader.layers},
            sums={l: float(reader.gross_sum(l, [image])[0]) for l in reader.layers},
        )


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    two = {"type": Path, "nargs": 2, "required": True, "metavar": ("ORIGINAL", "DECAYED")}
    parser.add_argument("--networks", **two, help="network files")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--shards", **two, help="attribution shards with the image")
    parser.add_argument("--image", type=int, required=True, help="by index in the manifest")
    run_command(parser, main)
