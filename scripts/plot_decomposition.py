"""Draw figure 2: all attributions of one image, and one complete decomposition of its score (Eqs 11–15).

In:  a network file, the manifest and its folder of images, the attribution shard that holds the image.
Out: the figure, as PDF and PNG: activities on top, biases below, at their own resolutions, gross sums over them; a
     dashed line goes round the activity of one layer and the biases of all layers above it. Layers without biases
     leave their place empty; networks of many layers fill several rows.
"""

from pathlib import Path

from explanations.command import run_command
from explanations.data.images import load_images
from explanations.data.pictures import as_rgb
from explanations.decomposition.layer_bias import layer_bias
from explanations.errors import check_range
from explanations.figures.decomposition import ENDS, RIGHT, ROW, Layer, arrange, draw_panels, outline, sketch_layers
from explanations.figures.maps import draw_scale, format_sum, frame_only
from explanations.figures.names import network_title
from explanations.figures.page import DOUBLE_COLUMN, figure_parser, journal_figure, place, write
from explanations.files.descriptions import read_description
from explanations.files.manifests import read_manifest
from explanations.files.shards import ShardReader, numbered
from explanations.text import plain

HEIGHT = 2.98  # inches: of the page with one row


def main(
    network: Path,
    manifest: Path,
    images: Path,
    shards: list[Path],
    pdf: Path,
    png: Path,
    dpi: float,
    image: int,
    layer: int | None,
) -> None:
    description, rows = read_description(network), read_manifest(manifest)
    check_range("figures.fig2.image", image, low=0, high=len(rows) - 1)
    with ShardReader(shards) as reader:
        reader.check_manifest(rows, manifest)
        top = len(reader.layer_names) - 1
        layer = top // 2 if layer is None else layer
        check_range("figures.fig2.layer", layer, low=0, high=top - 1)
        layers = [read_layer(reader, image, l) for l in range(top + 1)]
        without_position = bool(reader.read("activity_elsewhere", [image]).any())
        score, target = float(reader.read("score", [image])[0]), int(reader.read("target", [image])[0])
        name = reader.identity["network"]
    picture = as_rgb(load_images([rows[image].picture(images, manifest)], description.framing)[0])
    kept = [layers[layer].activity_sum, sum(above.bias_sum for above in layers[layer + 1 :])]
    shapes = [each.activity.shape for each in layers]
    places = arrange(shapes)
    height = HEIGHT + ROW * (len(places) - 1)
    with journal_figure(pdf, png, dpi, DOUBLE_COLUMN, height, layout=None) as figure:
        explained = plain(description.name_classes(rows)[target])
        title = f"{network_title(name)}: the score of class “{explained}” for one image, "
        write(figure, 0.06, 0.06, title + f"$f_c$ = {format_sum(score)}", fontsize=7.5, va="top")
        for row in places:
            sketch_layers(figure, row, shapes)
            draw_panels(figure, row, layers)
            outline(figure, row, layer)
        first = places[0]
        ax = place(figure, first.lefts[0], first.bias, first.sides[0], first.sides[0])
        ax.imshow(picture, interpolation="nearest")
        ax.set_title("image", loc="center", fontsize=6, pad=2)
        frame_only(ax)
        total = rf"Dashed line: $A^{{h,{layer}}} + \sum_{{l'={layer + 1}}}^{{{top}}} A^{{b,l'}}$"
        numbers = f" = {kept[0]:.3f} + {kept[1]:.3f} = {sum(kept):.3f}".replace("+ -", "− ").replace("-", "−")
        write(figure, 0.06, height - 0.2, f"{total}{numbers};  $f_c$ = {score:.3f}", va="center")
        note = ", with what has no position" if without_position else ""
        right = {"ha": "right", "va": "top", "fontsize": 6.5}
        write(figure, DOUBLE_COLUMN - RIGHT, 0.07, f"over each panel: its gross sum $A${note}", **right)
        draw_scale(place(figure, DOUBLE_COLUMN - 1.45, height - 0.26, 0.9, 0.07), ENDS)


def read_layer(reader: ShardReader, image: int, layer: int) -> Layer:
    """A layer's activity and the sum of its biased operations (Eqs 11, 12), with their gross sums (Eq. 14)."""
    biases = [maps[0] for maps in reader.bias_maps(layer, [image])]
    return Layer(
        activity=reader.read(numbered("activity", layer), [image])[0],
        bias=layer_bias(biases) if biases else None,
        activity_sum=float(reader.gross_sum(layer, [image])[0]),
        bias_sum=float(reader.bias_sum(layer, [image])[0]),
    )


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="attribution shards with the image")
    parser.add_argument("--image", type=int, required=True, help="by index in the manifest")
    parser.add_argument("--layer", type=int, help="that the dashed line starts at; if not given, the middle one")
    run_command(parser, main)
