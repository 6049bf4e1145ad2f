"""Make the saliency maps of a few images at the images' size, for a figure of examples (fig. 7).

In:  the manifest and its folder of images, a network's attribution shards.
Out: an HDF5 file: /image (k) index in the manifest, /rgb (k, H, W, 3) uint8, /maps (k, methods, H, W); attributes
     methods, classes (k: the images' labels as text), target_classes (k: the decisions), network.
"""

from pathlib import Path

import numpy as np

from explanations.attribution_maps import ShardMaps
from explanations.command import InputError, run_command, step_parser
from explanations.descriptions import file_hash, read_description
from explanations.hdf5 import set_attributes, write_dataset, write_hdf5
from explanations.images import load_images
from explanations.manifests import check_labels, read_manifest
from explanations.pictures import as_rgb
from explanations.saliency import UPSAMPLINGS, saliency_maps
from explanations.shards import ShardReader


def main(
    network: Path,
    manifest: Path,
    images: Path,
    shards: list[Path],
    output: Path,
    chosen: list[int],
    methods: list[str],
    upsampling: str,
) -> None:
    rows = read_manifest(manifest)
    for index in chosen:
        if not 0 <= index < len(rows):
            raise InputError(f"--chosen is {index}; {manifest} has images 0 to {len(rows) - 1}")
    description = read_description(network)
    check_labels(rows, len(description.classes), manifest)
    with ShardReader(shards, file_hash(network)) as reader:
        reader.check_manifest(rows, manifest)
        maps = ShardMaps(reader, chosen)
        found = np.stack([saliency_maps(method, maps, upsampling).numpy() for method in methods], 1)
        classes = description.name_classes(rows)
        targets = [classes[target] for target in reader.read("target", chosen)]
        name = reader.identity["network"]
    pixels = load_images([rows[index].picture(images, manifest) for index in chosen], description.framing)
    with write_hdf5(output) as file:
        write_dataset(file, "image", chosen)
        write_dataset(file, "rgb", as_rgb(pixels))
        write_dataset(file, "maps", found)
        shown = [rows[index].class_name for index in chosen]
        set_attributes(file, {"methods": methods, "classes": shown, "target_classes": targets, "network": name})


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="attribution shards of the network")
    parser.add_argument("--output", type=Path, required=True, help="HDF5 file to write")
    parser.add_argument("--chosen", type=int, nargs="+", required=True, help="images, by index in the manifest")
    parser.add_argument("--methods", nargs="+", required=True, help="saliency methods by name")
    parser.add_argument("--upsampling", choices=UPSAMPLINGS, default="bilinear")
    run_command(parser, main)
