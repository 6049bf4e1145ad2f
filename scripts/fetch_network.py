"""Fetch a network with weights, once per machine: those that its source publishes, or one's own.

In:  nothing but a name, or a file or address of the weights; of one's own, their classes too.
Out: a network file (safetensors), described in its metadata: how images are made ready for it, as the source states,
     its classes, where the weights came from and their SHA-256, which is checked if it is known.
"""

import ast
from pathlib import Path

from explanations.command import run_command, step_parser
from explanations.flags import dictionary
from explanations.networks.fetching import fetch_network
from explanations.networks.files import save_network
from explanations.networks.places import Place
from explanations.networks.pretrained import NAMES


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
    package: str = "",
    package_version: str = "",
    file: str = "",
    names: str = NAMES[0],
    preprocessing: dict | None = None,
) -> None:
    place = Place(url, sha256, package, package_version, file)
    network, description, path = fetch_network(
        source, constructor, arguments, weights, place, classes, key, names, preprocessing
    )
    save_network(output, network, description)
    count, size = len(description.classes), description.size
    print(f"{constructor} {weights} from {path}: {count} classes, images of {size} pixels")
    print(f"images are made ready with mean {describe(description.mean)} and deviation {describe(description.std)}")


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
    parser.add_argument("--source", required=True, help="where its constructor is from: torchvision, timm or file")
    parser.add_argument("--constructor", required=True, help="the network's, as vgg16; of source file, the path")
    parser.add_argument("--arguments", type=dictionary, default={}, help="its keyword arguments, as a dictionary")
    parser.add_argument("--weights", default="", help="the weights' name: IMAGENET1K_V1, or a tag of timm's")
    parser.add_argument("--url", default="", help="file or http address of the weights, in place of the published")
    parser.add_argument("--sha256", default="", help="of the weights' file, in place of the published one")
    parser.add_argument("--key", default="", help="of weights in a file that holds several, e.g. state_dict_ema")
    parser.add_argument(
        "--classes", type=names_or_path, default="", help="of one's own weights: a number, a file of names, or a list"
    )
    parser.add_argument("--package", default="", help="Python package whose wheel, of hash --sha256, holds the weights")
    parser.add_argument("--package-version", default="", help="of the package")
    parser.add_argument("--file", default="", help="the weights' path in the package")
    parser.add_argument("--names", choices=NAMES, default=NAMES[0], help="how the file's tensors are told apart")
    parser.add_argument(
        "--preprocessing", type=dictionary, default={}, help="of images, where it isn't the library's: a dictionary"
    )
    parser.add_argument("--output", type=Path, required=True, help="network file to write")
    run_command(parser, main)
