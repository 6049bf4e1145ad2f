"""Check a network of one's own, a Python file with a function build(**arguments), before it is trained or measured.

In:  the file.
Out: what was found of the network, in two lines, or the first thing that is wrong, in one: what build gives, logits of
     another shape, an output that depends on the rest of its batch or on random numbers, what can't be decomposed, sums
     that aren't the score (Eq. 13). Its weights are drawn by chance, and so are the images.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from explanations.command import run_command, step_parser
from explanations.decomposition.completeness import check_attributions
from explanations.decomposition.decomposition import Decomposition
from explanations.errors import InputError, check_range
from explanations.files.classes import FEWEST
from explanations.flags import dictionary
from explanations.networks.additions import find_additions
from explanations.networks.biases import count_biases
from explanations.networks.builders import CLASSES, takes_classes
from explanations.networks.channels import count_channels
from explanations.networks.files import build_network
from explanations.networks.outputs import check_outputs, check_training
from explanations.networks.sources.registry import OWN_CODE

IMAGES = 3
ALIKE = 1e-4  # of the largest logit: what rounding may make of it in another batch
TOLERANCE = 1e-5  # of the completeness gate, as attributions.tolerance


def main(path: Path, size: int, classes: int, arguments: dict | None = None) -> None:
    check_range("--size", size, low=1)
    check_range("--classes", classes, low=FEWEST)
    torch.manual_seed(0)
    counted, given = takes_classes(path), dict(arguments or {})
    if counted:
        given[CLASSES] = classes
    channels = count_channels(OWN_CODE, given)
    network = build_network(OWN_CODE, str(path), given)
    check_outputs(network, path.name, channels, size, classes, "--size")
    if counted:
        check_training(network, path.name, channels, size, classes)
    network.requires_grad_(False)
    images = torch.randn(IMAGES, channels, size, size)
    check_decisions(network, images, path)
    decomposed = describe_decomposition(network, images, path)
    trained = "can be trained here" if counted else f"has no argument {CLASSES}: needs weights"
    print(f"{path.name}: {trained}; {count_numbers(network):,} parameters, logits of {classes} classes")
    print(decomposed)


@torch.no_grad()
def check_decisions(network: nn.Module, images: Tensor, path: Path) -> None:
    """InputError unless the logits of an image are the same again, and without the other images."""
    logits = network(images)
    if not logits.isfinite().all():
        raise InputError(f"{path}: its logits hold NaN or infinite values")
    if not torch.equal(logits, network(images)):
        raise InputError(
            f"{path}: its logits of the same images differ in evaluation mode; none may be drawn by chance"
        )
    alone = torch.cat([network(image[None]) for image in images])
    if (alone - logits).abs().max() > ALIKE * logits.abs().max():
        raise InputError(f"{path}: its logits of an image depend on the other images of its batch")


def describe_decomposition(network: nn.Module, images: Tensor, path: Path) -> str:
    """The network's layers, biases and what stays of them, in a line; InputError if it can't be decomposed."""
    decomposition = Decomposition(network, images[:1])
    layers = [operation.layer for operation in decomposition.operations]
    names = [f"{path}: image {index}" for index in range(len(images))]
    check_attributions(decomposition(images), layers, names, TOLERANCE)
    additions = find_additions(network, tuple(images.shape[1:]))
    shown = sum(layer.layout.size != (1, 1) for layer in decomposition.layers)
    kept = [*additions.by_position, *additions.joined]
    said = f"{count_biases(network, additions.biases):,} biases"
    said += f", {', '.join(kept)} kept" if kept else ""
    return f"decomposed at {len(decomposition.layers)} layers, {shown} of them with a map; {said}"


def count_numbers(network: nn.Module) -> int:
    """How many parameters a network has."""
    return sum(parameter.numel() for parameter in network.parameters())


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("path", type=Path, help="the file")
    parser.add_argument("--arguments", type=dictionary, default={}, help="of its function, as {'width': 16}")
    parser.add_argument("--size", type=int, default=32, help="height and width of the images in pixels")
    parser.add_argument("--classes", type=int, default=10, help="how many there are")
    run_command(parser, main, writes=False)
