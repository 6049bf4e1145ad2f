"""Train a network on a folder of labelled images.

In:  the manifest of training images and its folder, the manifest of test images and its folder; and of easier images
     to begin with, if the network needs them.
Out: a network file (safetensors), described in its metadata, with its accuracy on the test images.

AdamW, a one-cycle learning rate, clipped gradients. On a CPU, the same seed on the same machine gives the same weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from explanations.command import run_command, step_parser
from explanations.data.images import read_batches
from explanations.errors import InputError, check_choice, check_range
from explanations.files.classes import FEWEST
from explanations.files.descriptions import NetworkDescription
from explanations.files.framing import Framing, Picture
from explanations.files.manifests import UNLABELLED, ManifestRow, read_manifest
from explanations.flags import dictionary
from explanations.networks.channels import adapt_normalisation, count_channels
from explanations.networks.devices import PRECISIONS, compute_in, place_network, use_device
from explanations.networks.evaluation import LabelledImages
from explanations.networks.files import build_network, preprocess, save_network
from explanations.networks.outputs import check_outputs, check_training
from explanations.networks.sources.registry import SOURCES, find_source
from explanations.progress import ProgressBar

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)  # of RGB
CLIP = 1.0  # the largest norm of a gradient
ASKED = 20  # a GPU is asked for the loss of one in so many steps: it would wait each time
HELD = 2**31  # bytes of images that are held in memory, decoded; more are read anew in every epoch


@dataclass(frozen=True)
class Training:
    """How a network is trained: passes over the images, images in a step, AdamW's largest learning rate and decay.

    `start_epochs` are passes over easier images, before the others; `precision` is that of the passes.
    """

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    start_epochs: int = 0
    precision: str = "float32"

    def __post_init__(self):
        check_range("training.start_epochs", self.start_epochs, low=0)
        check_range("training.epochs", self.epochs, low=1)
        check_range("training.batch", self.batch, low=2)
        check_range("training.learning_rate", self.learning_rate, low=0, open_low=True)
        check_range("training.weight_decay", self.weight_decay, low=0)
        check_choice("training.precision", self.precision, PRECISIONS)


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
    start_images: Path | None = None,
    start: Path | None = None,
    start_epochs: int = 0,
    precision: str = "float32",
    device: str = "cpu",
    recipe: dict | None = None,
) -> None:
    check_range("--size", size, low=1)
    settings = Training(epochs, batch, learning_rate, weight_decay, start_epochs, precision)
    chosen = use_device(device, threads)
    torch.manual_seed(seed)
    rows = read_manifest(train_images)
    classes = name_classes(rows, train_images)
    check_classes(classes, train, arguments)
    library = find_source(source)
    arguments = {**library.training_arguments(constructor, arguments), "num_classes": len(classes)}
    channels = count_channels(source, arguments)
    network = build_network(source, constructor, arguments)
    normalisation = adapt_normalisation(MEAN, STD, channels)
    made = source, constructor, arguments, tuple(classes), size, *normalisation, size
    description = NetworkDescription(*made, constructor_hash=library.hash_constructor(constructor))
    check_outputs(network, constructor, channels, size, len(classes), "images.size")
    check_training(network, constructor, channels, size, len(classes))
    test = LabelledImages.read(test_images, images, description, threads)
    if (test.labels == UNLABELLED).any():
        raise InputError(f"{test_images}: holds images without labels; a network that is trained here needs them")
    place_network(network, chosen, precision)
    images_of = partial(TrainingImages.read_listed, framing=description.framing, batch=batch, threads=threads)
    phases = [(images_of(start_images, start), start_epochs)] if start_epochs else []
    fit(network, [*phases, (images_of(train_images, train), epochs)], description, settings)
    record = {**asdict(settings), "seed": seed, "device": describe_device(chosen), "torch": torch.__version__}
    record |= {"train_images": len(rows), **test.record_accuracy(network)}
    if recipe:
        record["recipe"] = recipe
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


class TrainingImages:
    """n image files and their (n,) labels in full batches, since batch normalisation is best fed with these.

    They are held in memory, decoded, if they are few enough; else every epoch reads them anew.
    """

    @classmethod
    def read_listed(cls, manifest: Path, folder: Path, framing: Framing, batch: int, threads: int) -> "TrainingImages":
        """The images of a manifest, in a folder."""
        rows = read_manifest(manifest)
        pictures, labels = [row.picture(folder, manifest) for row in rows], [row.label for row in rows]
        return cls(pictures, torch.tensor(labels), framing, batch, threads)

    def __init__(self, pictures: Sequence[Picture], labels: Tensor, framing: Framing, batch: int, threads: int):
        if batch > len(pictures):
            allowed = f"allowed is at most the number of training images, {len(pictures)}"
            raise InputError(f"training.batch is {batch}; {allowed}")
        self.pictures, self.labels, self.framing = pictures, labels, framing
        self.batch, self.threads = batch, threads
        fits = len(pictures) * framing.channels * framing.size**2 <= HELD
        self.held = np.concatenate(list(self.read(torch.arange(len(pictures)).split(batch)))) if fits else None

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.pictures) // self.batch

    def read(self, indices: Sequence[Tensor]) -> Iterator[np.ndarray]:
        """Batches of images by their numbers, each (b, channels, H, W) uint8."""
        return read_batches(([self.pictures[index] for index in part] for part in indices), self.framing, self.threads)

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of images (batch, channels, H, W), uint8, and labels (batch,), in a new random order."""
        order = torch.randperm(len(self.pictures)).split(self.batch)[: len(self)]
        pixels = self.read(order) if self.held is None else (self.held[part.numpy()] for part in order)
        for part, images in zip(order, map(torch.from_numpy, pixels), strict=True):
            yield images, self.labels[part]


def fit(
    network: nn.Module,
    phases: Sequence[tuple[TrainingImages, int]],
    description: NetworkDescription,
    settings: Training,
) -> None:
    """Train in place, where the network is, on some images for so many epochs each; leaves evaluation mode on."""
    network.train()
    device, rate = next(network.parameters()).device, settings.learning_rate
    steps = sum(epochs * len(images) for images, epochs in phases)
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps)
    with ProgressBar("train", steps, "step") as bar:
        for images, epochs in phases:
            for pixels, labels in chain.from_iterable(images.epoch() for _ in range(epochs)):
                with compute_in(settings.precision, device):
                    logits = network(preprocess(pixels.to(device), description)).float()
                    loss = nn.functional.cross_entropy(logits, labels.to(device))
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), CLIP)
                optimiser.step()
                schedule.step()
                if bar.done % ASKED == 0 or bar.done + 1 == steps:
                    said = loss.item()
                    check_range(f"training.learning_rate is {rate:g}: the loss of step {bar.done + 1}", said)
                bar.advance(1, f"loss {said:.3f}")
    network.eval().requires_grad_(False)


def describe_device(device: torch.device) -> str:
    """What a network was trained on: a GPU's name, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--train-images", type=Path, required=True, help="manifest of training images")
    parser.add_argument("--train", type=Path, required=True, help="folder that its paths are below")
    parser.add_argument("--test-images", type=Path, required=True, help="manifest of test images")
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--output", type=Path, required=True, help="network file to write")
    parser.add_argument("--source", default="narrow", help=f"where its constructor is from: {', '.join(SOURCES)}")
    parser.add_argument("--constructor", required=True, help="the network's, as vgg16; of source file, the path")
    parser.add_argument("--arguments", type=dictionary, default={}, help="its keyword arguments, as a dictionary")
    parser.add_argument("--size", type=int, default=48, help="height and width of the input in pixels")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="the highest of the one-cycle schedule")
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the passes")
    parser.add_argument("--recipe", type=dictionary, default={}, help="what it is trained by, to be kept with it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start-images", type=Path, help="manifest of easier images to begin with")
    parser.add_argument("--start", type=Path, help="folder that its paths are below")
    parser.add_argument("--start-epochs", type=int, default=0, help="passes over these")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    run_command(parser, main)
