"""Train a network on a folder of labelled images.

In:  the manifest of training images and its folder, the manifest of test images and its folder.
Out: a network file (safetensors), described in its metadata, with its accuracy on the test images.

AdamW, a one-cycle learning rate, clipped gradients. The same seed on the same machine gives the same weights.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from explanations.command import dictionary, run_command, step_parser
from explanations.data.images import read_batches
from explanations.errors import InputError, check_range
from explanations.files.classes import FEWEST
from explanations.files.descriptions import NetworkDescription
from explanations.files.framing import Picture
from explanations.files.manifests import UNLABELLED, ManifestRow, read_manifest
from explanations.networks.channels import adapt_normalisation, count_channels
from explanations.networks.devices import place_network
from explanations.networks.evaluation import LabelledImages
from explanations.networks.files import build_network, preprocess, save_network
from explanations.networks.outputs import check_outputs, check_training
from explanations.networks.sources.registry import SOURCES, find_source
from explanations.progress import ProgressBar

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)  # of RGB
CLIP = 1.0  # the largest norm of a gradient


@dataclass(frozen=True)
class Training:
    """How a network is trained: passes over the images, images in a step, AdamW's largest learning rate and decay."""

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float

    def __post_init__(self):
        check_range("training.epochs", self.epochs, low=1)
        check_range("training.batch", self.batch, low=2)
        check_range("training.learning_rate", self.learning_rate, low=0, open_low=True)
        check_range("training.weight_decay", self.weight_decay, low=0)


def main(
    train_images: Path,
    train: Path,
    test_images: Path,
    images: Path,
    output: Path,
    source: str,
    constructor: str,
    arguments: dict,
    size: int,
    epochs: int,
    batch: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
    threads: int,
) -> None:
    check_range("--size", size, low=1)
    settings = Training(epochs, batch, learning_rate, weight_decay)
    check_range("--threads", threads, low=1)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    rows = read_manifest(train_images)
    classes = name_classes(rows, train_images)
    check_classes(classes, train, arguments)
    arguments = {**find_source(source).training_arguments(constructor, arguments), "num_classes": len(classes)}
    channels = count_channels(source, arguments)
    network = build_network(source, constructor, arguments)
    normalisation = adapt_normalisation(MEAN, STD, channels)
    description = NetworkDescription(source, constructor, arguments, tuple(classes), size, *normalisation, size)
    check_outputs(network, constructor, channels, size, len(classes), "images.size")
    check_training(network, constructor, channels, size, len(classes))
    test = LabelledImages.read(test_images, images, description, threads)
    if (test.labels == UNLABELLED).any():
        raise InputError(f"{test_images}: holds images without labels; a network that is trained here needs them")
    pictures, labels = [row.picture(train, train_images) for row in rows], torch.tensor([row.label for row in rows])
    fit(network, pictures, labels, description, settings)
    record = {**asdict(settings), "seed": seed, "train_images": len(rows), **test.record_accuracy(network)}
    save_network(output, network, description.with_variant("original", "trained from scratch", "", record))


def name_classes(rows: Sequence[ManifestRow], manifest: Path) -> list[str]:
    """The names of the classes of a manifest, by label; InputError unless labels are 0, 1, … without a gap."""
    names = {row.label: row.class_name for row in rows}
    if UNLABELLED in names:
        raise InputError(f"{manifest}: holds images without labels; a network can't be trained on them")
    missing = next((index for index, label in enumerate(sorted(names)) if label != index), None)
    if missing is not None:
        raise InputError(f"{manifest}: holds no image with label {missing}; allowed are labels 0, 1, … without a gap")
    return [names[label] for label in range(len(names))]


def check_classes(classes: Sequence[str], train: Path, arguments: dict) -> None:
    """InputError unless a folder's classes are two or more, and as many as the arguments say, if they do."""
    if len(classes) < FEWEST:
        raise InputError(f"{train}: holds one class, {classes[0]}; a network needs {FEWEST} or more to decide between")
    asked = arguments.get("num_classes")
    if asked not in (None, len(classes)):
        raise InputError(f"arguments.num_classes is {asked}; {train} holds {len(classes)} classes")


def fit(
    network: nn.Module,
    pictures: Sequence[Picture],
    labels: torch.Tensor,
    description: NetworkDescription,
    settings: Training,
) -> None:
    """Train in place on n images and their (n,) labels; leaves evaluation mode on."""
    place_network(network.train(), "cpu")
    batch, rate = settings.batch, settings.learning_rate
    steps = settings.epochs * (len(pictures) // batch)
    if not steps:
        raise InputError(
            f"training.batch is {batch}; allowed is at most the number of training images, {len(pictures)}"
        )
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps)
    with ProgressBar("train", steps, "step") as bar:
        for _ in range(settings.epochs):
            # batch normalisation is best fed with full batches
            order = [chosen for chosen in torch.randperm(len(pictures)).split(batch) if len(chosen) == batch]
            pixels = read_batches(([pictures[index] for index in chosen] for chosen in order), description.framing)
            for chosen, images in zip(order, map(torch.from_numpy, pixels), strict=True):
                loss = nn.functional.cross_entropy(network(preprocess(images, description)), labels[chosen])
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), CLIP)
                optimiser.step()
                schedule.step()
                check_range(f"training.learning_rate is {rate:g}: the loss of step {bar.done + 1}", loss.item())
                bar.advance(1, f"loss {loss.item():.3f}")
    network.eval().requires_grad_(False)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--train-images", type=Path, required=True, help="manifest of training images")
    parser.add_argument("--train", type=Path, required=True, help="folder that its paths are below")
    parser.add_argument("--test-images", type=Path, required=True, help="manifest of test images")
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--output", type=Path, required=True, help="network file to write")
    parser.add_argument("--source", default="narrow", help=f"where its constructor is from: {', '.join(SOURCES)}")
    parser.add_argument("--constructor", required=True, help="the network's constructor, e.g. vgg16")
    parser.add_argument("--arguments", type=dictionary, default={}, help="its keyword arguments, as a dictionary")
    parser.add_argument("--size", type=int, default=48, help="height and width of the input in pixels")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="the highest of the one-cycle schedule")
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    run_command(parser, main)
