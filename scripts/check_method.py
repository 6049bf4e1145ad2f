"""Check a method of one's own, a Python file with a function explain(network, images, targets), before it is measured.

In:  the file.
Out: a line for each network that it was tried on, or the first thing that is wrong, in a line: the shape of its maps,
     NaN, a map that depends on what else is in the batch, random numbers without RANDOM = True, a network that was left
     changed, hooked or in training. Tried on are small networks with weights drawn by chance, of 32 × 32 pixels.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from explanations.command import run_command, step_parser
from explanations.errors import InputError, check_choice
from explanations.flags import dictionary
from explanations.methods.sources import file as source
from explanations.methods.sources.base import NotApplicableError, Untouched, make_maps
from explanations.networks.files import build_network

SIZE, CLASSES, IMAGES = 32, 10, 3
NETWORKS = {
    "vgg16": {"width": 0.0625, "hidden": 16, "size": SIZE},
    "resnet50": {"width": 0.0625, "stem_kernel": 3, "stem_stride": 1},
    "vit": {"hidden": 16, "size": SIZE},
}
ALIKE = 1e-3  # of the largest value: what rounding may make of a map in another batch


def main(path: Path, networks: list[str], settings: dict | None = None) -> None:
    for name in networks:
        check_choice("--networks", name, tuple(NETWORKS))
    torch.manual_seed(0)
    images, targets = torch.randn(IMAGES, 3, SIZE, SIZE), torch.tensor([1, 7, 1])
    for name in networks:
        network = build_network("narrow", name, {**NETWORKS[name], "num_classes": CLASSES}).requires_grad_(False)
        try:
            check(path, network, images, targets, settings or {})
        except NotApplicableError as error:
            print(f"{name}: not applicable, because {error}")
        except InputError as error:
            raise InputError(f"on {name}: {error}") from None
        else:
            print(f"{name}: maps (n, {SIZE}, {SIZE}), finite, the same alone and in batches; the network is as it was")


def check(path: Path, network: nn.Module, images: Tensor, targets: Tensor, settings: dict) -> None:
    """InputError, in one line, for what a method's maps or the network after it must not be."""
    method = source.prepare({**settings, "path": str(path)}, network, (SIZE, SIZE), [])
    places, untouched = list(range(len(images))), Untouched(network)
    whole = make_maps(method, images, targets, places, 0, len(images))
    untouched.check()
    if not torch.equal(whole, make_maps(method, images, targets, places, 0, len(images))):
        raise InputError(
            f"{path}: maps of the same images differ, with torch's, NumPy's and Python's generators seeded"
        )
    if not method.alone and not torch.equal(whole, make_maps(method, images, targets, places, 1, len(images))):
        raise InputError(f"{path}: draws random numbers; allowed with RANDOM = True in the file")
    for place in places:
        part = slice(place, place + 1)
        alone = make_maps(method, images[part], targets[part], [place], 0, 1)[0]
        if (alone - whole[place]).abs().max() > ALIKE * whole[place].abs().max():
            raise InputError(f"{path}: the map of an image depends on the other images of its batch")
    if len(images) > 1 and torch.equal(whole[0], whole[1]):
        print(f"{path}: note: maps of different images are equal")


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("path", type=Path, help="the file")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), help=f"to try it on: {', '.join(NETWORKS)}")
    parser.add_argument("--settings", type=dictionary, default={}, help="further keys of the method, as {'power': 2}")
    run_command(parser, main, writes=False)
