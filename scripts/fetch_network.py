"""Fetch a pretrained network of torchvision or timm, once per machine.

In:  nothing but a name, or a file or address of the weights.
Out: a network file (safetensors), described in its metadata as the library states: how images are made ready for it,
     its classes, where the weights came from and their SHA-256, which is checked.
"""

from pathlib import Path

import torch

from explanations.command import InputError, dictionary, run_command, step_parser
from explanations.descriptions import NetworkDescription, file_hash
from explanations.networks import check_size, save_network
from explanations.pretrained import fetch_weights, load_pretrained, look_up, name_classes


def main(source: str, constructor: str, arguments: dict, weights: str, url: str, sha256: str, output: Path) -> None:
    published = look_up(source, constructor, weights, arguments)
    path = fetch_weights(published, url, sha256)
    arguments = {**arguments, "num_classes": published.classes}
    network, arguments = load_pretrained(source, constructor, weights, arguments, path)
    logits = check_size(network, constructor, published.framing.size)
    if logits.shape != (1, published.classes) or not torch.isfinite(logits).all():
        raise InputError(f"{path}: the network's output is no row of {published.classes} finite logits")
    description = NetworkDescription(
        source,
        constructor,
        arguments,
        name_classes(published.classes),
        published.framing.size,
        published.mean,
        published.std,
        published.framing.resize,
        published.framing.interpolation,
        published.framing.squash,
        origin=url or published.hub or published.address,
        origin_hash=file_hash(path),
        record={"weights": weights},
    )
    save_network(output, network, description)
    print(
        f"{constructor} {weights} from {path}: {published.classes} classes, images of {published.framing.size} pixels"
    )


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--source", required=True, help="the library: torchvision or timm")
    parser.add_argument("--constructor", required=True, help="the network's constructor, e.g. vgg16")
    parser.add_argument("--arguments", type=dictionary, default={}, help="its keyword arguments, as a dictionary")
    parser.add_argument("--weights", required=True, help="the weights' name: IMAGENET1K_V1, or a tag of timm's")
    parser.add_argument("--url", default="", help="file or http address of the weights, in place of the library's")
    parser.add_argument("--sha256", default="", help="of the weights' file, in place of the published one")
    parser.add_argument("--output", type=Path, required=True, help="network file to write")
    run_command(parser, main)
