"""Draw figure 4: activity attributions of every layer for one image, with biases and after they decayed to zero.

In:  network files of both variants, the manifest and its folder of images, the attribution shards that hold the image.
Out: the figure, as PDF and PNG: maps at their own resolutions, gross sums over them (Eq. 14); without biases all sums
     equal the score.
"""

import math
from pathlib import Path

from explanations.command import InputError, check_range, run_command
from explanations.descriptions import read_description
from explanations.figures import (
    DOUBLE_COLUMN,
    VARIANTS,
    draw_map,
    draw_scale,
    figure_parser,
    format_sum,
    frame_only,
    journal_figure,
    network_title,
    place,
    write,
)
from explanations.images import load_images
from explanations.manifests import read_manifest
from explanations.pictures import as_rgb
from explanations.shards import ShardReader, numbered
from explanations.text import plain

PITCH, SIDE, LEFT = 0.662, 0.605, 0.06  # inches
TOP, ROW, TIER = 0.78, 0.76, 1.72  # top of the first row of maps; from (a) to (b); from the lower to the upper layers


def main(
    networks: list[Path], manifest: Path, images: Path, shards: list[Path], pdf: Path, png: Path, dpi: float, image: int
) -> None:
    rows, descriptions = read_manifest(manifest), [read_description(path) for path in networks]
    check_range("figures.fig4.image", image, low=0, high=len(rows) - 1)
    if not len(networks) == len(shards) == 2:
        raise InputError("--networks and --shards take two files each, of the original and of the other variant")
    found = []
    for path, description in zip(shards, descriptions, strict=True):
        with ShardReader([path]) as reader:
            reader.check_manifest(rows, manifest)
            maps = [reader.read(numbered("activity", l), [image])[0] for l in reader.layers]
            score, target = reader.read("score", [image])[0], reader.read("target", [image])[0]
            explained = plain(description.name_classes(rows)[target])
            found.append((reader.identity["variant"], maps, score, explained))
            name = reader.identity["network"]
    picture = as_rgb(load_images([rows[image].picture(images, manifest)], descriptions[0].framing)[0])
    layers = len(found[0][1])
    half = math.ceil(layers / 2)
    height = TOP + TIER + ROW + SIDE + 0.05
    pitch = min(PITCH, (DOUBLE_COLUMN - LEFT - 0.05) / (half + 1))
    side = SIDE * pitch / PITCH
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, height, layout=None) as figure:
        title = (
            f"{network_title(name)}: activity attributions $a^{{h,l}}$ of one image and their gross sums $A^{{h,l}}$"
        )
        write(figure, LEFT, 0.06, title, va="top", fontsize=7.5)
        for tier, chosen in enumerate((range(half), range(half, layers))):
            for row, (_, maps, _, _) in enumerate(found):
                for column, l in enumerate(chosen, start=1):
                    ax = place(figure, LEFT + column * pitch, TOP + tier * TIER + row * ROW, side, side)
                    draw_map(ax, maps[l])
                    label = "" if row else f"$l$={l}, {'×'.join(map(str, maps[l].shape))}\n"
                    ax.set_title(label + format_sum(maps[l].sum(dtype=float)), loc="center", fontsize=6, pad=2)
                write(
                    figure, LEFT + pitch - 0.07, TOP + tier * TIER + row * ROW + side / 2, f"({'ab'[row]})", ha="right"
                )
        ax = place(figure, LEFT, TOP, side * 0.72, side * 0.72)
        ax.imshow(picture, interpolation="nearest")
        ax.set_title("image", loc="center", fontsize=6, pad=2)
        frame_only(ax)
        for row, (variant, _, score, target) in enumerate(found):
            text = f"({'ab'[row]}) {VARIANTS.get(variant, variant)}: score of class “{target}” "
            write(figure, LEFT, 0.24 + 0.14 * row, text + f"$f_c$ = {format_sum(score)}", va="top")
        draw_scale(place(figure, DOUBLE_COLUMN - 1.45, 0.22, 0.9, 0.07))


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    two = {"type": Path, "nargs": 2, "required": True, "metavar": ("ORIGINAL", "DECAYED")}
    parser.add_argument("--networks", **two, help="network files")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--shards", **two, help="attribution shards with the image")
    parser.add_argument("--image", type=int, required=True, help="by index in the manifest")
    run_command(parser, main)
