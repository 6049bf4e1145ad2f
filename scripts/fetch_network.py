"""Fetch a network of torchvision or timm with its weights, once per machine: published ones, or one's own.

In:  nothing but a name, or a file or address of the weights; of one's own, their classes too.
Out: a network file (safetensors), described in its metadata: how images are made ready for it, as the library states,
     its classes, where the weights came from and their SHA-256, which is checked if it is known.
"""

import ast
from pathlib import Path

import torch

from explanations.addresses import shown
from explanations.command import InputError, dictionary, run_command, step_parser
from explanations.descriptions import NetworkDescription, file_hash
from explanations.networks import check_outputs, save_network
from explanations.pretrained import fetch_weights, load_pretrained, look_up, name_classes, own_classes


def main(
    source: str,
    constructor: str,
    arguments: dict,
    weights: str,
    url: str,
    sha256: str,
    output: Path,
    classes: str | list[str] = "",
    key: str = "",
) -> None:
    own = own_classes(classes, arguments, url)
    published = look_up(source, constructor, weights, arguments, len(own))
    path = fetch_weights(published, url, sha256)
    arguments = {**arguments, "num_classes": published.classes}
    network, arguments = load_pretrained(source, constructor, weights, arguments, path, published, key)
    size, channels = published.framing.size, published.framing.channels
    logits = check_outputs(network, constructor, channels, size, published.classes, "the size of its images")
    if not torch.isfinite(logits).all():
        raise InputError(f"{path}: the network's output is no row of {published.classes} finite logits")
    description = NetworkDescription(
        source,
        constructor,
        arguments,
        own or name_classes(published.classes),
        size,
        published.mean,
        published.std,
        published.framing.resize,
        published.framing.interpolation,
        published.framing.squash,
        origin=shown(url) or published.hub or published.address,
        origin_hash=file_hash(path),
        record={"weights": weights},
    )
    save_network(output, network, description)
    print(f"{constructor} {weights} from {path}: {published.classes} classes, images of {size} pixels")
    if own or channels != 3:
        print(f"images are made ready with mean {describe(published.mean)} and deviation {describe(published.std)}")


def names_or_path(text: str) -> str | list:
    """A flag's value that is a list of names, ['cat', 'dog'], a file of them, or their number."""
    try:
        found = ast.literal_eval(text) if text.startswith("[") else text
    except (SyntaxError, ValueError):
        found = text
    return found


def describe(values: tuple[float, ...]) -> str:
    """Numbers in three digits."""
    return ", ".join(f"{value:.3g}" for value in values)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--source", required=True, help="the library: torchvision or timm")
    parser.add_argument("--constructor", required=True, help="the network's constructor, e.g. vgg16")
    parser.add_argument("--arguments", type=dictionary, default={}, help="its keyword arguments, as a dictionary")
    parser.add_argument("--weights", default="", help="the weights' name: IMAGENET1K_V1, or a tag of timm's")
    parser.add_argument("--url", default="", help="file or http address of the weights, in place of the library's")
    parser.add_argument("--sha256", default="", help="of the weights' file, in place of the published one")
    parser.add_argument("--key", default="", help="of weights in a file that holds several, e.g. state_dict_ema")
    parser.add_argument(
        "--classes", type=names_or_path, default="", help="of one's own weights: a number, a file of names, or a list"
    )
    parser.add_argument("--output", type=Path, required=True, help="network file to write")
    run_command(parser, main)
