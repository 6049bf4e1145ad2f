"""Make the saliency maps of a few images at the images' size, for a figure of examples (figs 7 and P).

In:  the manifest and its folder of images, a network's attribution shards; with `--masks`, masks of objects. With
     `--measured`, of which layers removal measures maps, maps of others are refused: figure P shows what was measured
     of its maps.
Out: an HDF5 file: /image (k) index in the manifest, /rgb (k, H, W, 3) uint8, /maps (k, methods, H, W),
     with masks /masks (k, H, W) uint8, 1 inside the object,
     /probabilities (k, 2) of the decision and the runner-up; attributes methods, classes (k: the images' labels as
     text), target_classes (k: the decisions), runners_up (k: the likeliest classes but these), network.
"""

from pathlib import Path

import numpy as np
import torch

from explanations.command import run_command, step_parser
from explanations.data.images import load_images
from explanations.data.masks import read_mask
from explanations.data.pictures import as_rgb
from explanations.errors import InputError
from explanations.files.descriptions import read_description
from explanations.files.hashes import file_hash
from explanations.files.hdf5 import set_attributes, write_dataset, write_hdf5
from explanations.files.manifests import check_labels, read_manifest
from explanations.files.shards import ShardReader
from explanations.methods.base import Maps
from explanations.methods.maps import ShardMaps
from explanations.methods.names import parse_method
from explanations.methods.saliency import LAYERS, list_methods, saliency_maps
from explanations.methods.transform import UPSAMPLINGS


def main(
    network: Path,
    manifest: Path,
    images: Path,
    shards: list[Path],
    output: Path,
    chosen: list[int],
    methods: list[str],
    upsampling: str,
    measured: str | None = None,
    masks: Path | None = None,
) -> None:
    rows = read_manifest(manifest)
    for index in chosen:
        if not 0 <= index < len(rows):
            raise InputError(f"--chosen is {index}; {manifest} has images 0 to {len(rows) - 1}")
    description = read_description(network)
    check_labels(rows, len(description.classes), manifest)
    with ShardReader(shards, file_hash(network)) as reader:
        reader.check_manifest(rows, manifest)
        maps, name = ShardMaps(reader, chosen), reader.identity["network"]
        if measured:
            check_measured(methods, maps, measured, name)
        found = np.stack([saliency_maps(parse_method(method), maps, upsampling).numpy() for method in methods], 1)
        classes = description.name_classes(rows)
        targets = reader.read("target", chosen)
        runners_up, probabilities = find_runners_up(reader.read("logits", chosen), targets)
    pixels = load_images([rows[index].picture(images, manifest) for index in chosen], description.framing)
    with write_hdf5(output) as file:
        write_dataset(file, "image", chosen)
        write_dataset(file, "rgb", as_rgb(pixels))
        write_dataset(file, "maps", found)
        write_dataset(file, "probabilities", probabilities)
        if masks:
            inside = np.stack([read_mask(rows[index], masks, description.framing) for index in chosen])
            write_dataset(file, "masks", inside.astype(np.uint8))
        texts = {"classes": [rows[index].class_name for index in chosen], "methods": methods, "network": name}
        texts |= {"target_classes": [classes[target] for target in targets]}
        set_attributes(file, texts | {"runners_up": [classes[index] for index in runners_up]})


def check_measured(methods: list[str], maps: Maps, layers: str, network: str) -> None:
    """InputError, naming the key, for a map that removal doesn't measure if it measures those of `layers`."""
    for place, method in enumerate(methods):
        measured = list(map(str, list_methods(parse_method(method).all_layers, maps, layers)))
        if method not in measured:
            allowed = ", ".join(measured) or "maps of another kind"
            what = f"figures.figP.methods.{network}.{place} is {method}, which is not measured"
            raise InputError(f"{what}; allowed are {allowed}, since networks.{network}.layers is {layers}")


def find_runners_up(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest class but the decision, (k,), and the probabilities of both, (k, 2), of logits (k, classes)."""
    probabilities = torch.from_numpy(logits).softmax(1).numpy()
    of_image = np.arange(len(targets))
    others = probabilities.copy()
    others[of_image, targets] = -1
    runners_up = others.argmax(1)
    return runners_up, np.stack([probabilities[of_image, targets], probabilities[of_image, runners_up]], 1)


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
    parser.add_argument("--masks", type=Path, help="folder with a mask for each image, of the same name")
    parser.add_argument("--measured", choices=LAYERS, help="layers whose maps are measured; left out: any map is shown")
    run_command(parser, main)
