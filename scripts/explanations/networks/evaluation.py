"""Images that a network is tested on, and its accuracy on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from explanations.data.images import read_batches
from explanations.errors import InputError
from explanations.files.descriptions import NetworkDescription
from explanations.files.framing import Picture
from explanations.files.manifests import UNLABELLED, ManifestRow, read_manifest
from explanations.networks.files import predict_logits

BATCH = 64  # images in a forward pass


def mark(images: int, count: int, seed: int) -> np.ndarray:
    """Which images are drawn, (images,) bool: `count` of them by seed, or all if there are fewer."""
    marked = np.zeros(images, bool)
    marked[np.random.default_rng(seed).choice(images, min(count, images), replace=False)] = True
    return marked


def check_finite(finite: bool, where: str) -> None:
    """InputError unless a network's outputs are finite; `where` says with what input."""
    if not finite:
        raise InputError(f"the network's outputs hold NaN or infinite values ({where}); all must be finite")


def check_number(rows: Sequence[ManifestRow], description: NetworkDescription, manifest: Path) -> None:
    """InputError if images are of fewer classes than a network has, and its classes' names aren't known.

    Folders are numbered in order: where one is missing, all after it would be taken for other classes. Labels with
    gaps (not 0, 1, …) are numbers among a larger set's classes, which stay right.
    """
    labels = {row.label for row in rows if row.label != UNLABELLED}
    count = len(description.classes)
    if not description.named and labels == set(range(len(labels))) and 0 < len(labels) < count:
        counts = f"{manifest}: its images are of {len(labels)} classes, the network has {count}, and no names of them"
        raise InputError(f"{counts}; networks.<name>.classes can list the names")


def check_classes(rows: Sequence[ManifestRow], classes: Sequence[str], manifest: Path) -> None:
    """Raise an InputError unless every labelled image's class and label are a network's."""
    known = dict(enumerate(classes))
    for row in rows:
        if row.label == UNLABELLED or known.get(row.label) == row.class_name:
            continue
        if row.class_name not in classes:
            image_class = f"class {row.class_name} with label {row.label}"
            raise InputError(f"{manifest}: {image_class} is none of the network's {len(classes)} classes")
        own, held = classes.index(row.class_name), {row.class_name for row in rows}
        absent = [name for name in classes[:own] if name not in held]  # labels count the classes held
        why = f": the test images lack class {absent[0]}" if absent else ""
        mismatch = f"class {row.class_name} has label {row.label}, but {own} among the network's {len(classes)} classes"
        raise InputError(f"{manifest}: {mismatch}{why}")


@dataclass(frozen=True)
class LabelledImages:
    """Image files by their paths in manifests, preprocessed as a network's `description` says; their (n,) labels."""

    names: Sequence[str]
    pictures: Sequence[Picture]
    labels: np.ndarray
    description: NetworkDescription
    threads: int = 1

    @classmethod
    def read(cls, manifest: Path, folder: Path, description: NetworkDescription, threads: int = 1) -> "LabelledImages":
        """All images of a manifest, in a folder; InputError unless their classes are the network's."""
        rows = read_manifest(manifest)
        check_number(rows, description, manifest)
        check_classes(rows, description.name_classes(rows), manifest)
        names, pictures = [row.path for row in rows], [row.picture(folder, manifest) for row in rows]
        return cls(names, pictures, np.array([row.label for row in rows]), description, threads)

    def __add__(self, other: "LabelledImages") -> "LabelledImages":
        """These images, then others for the same network."""
        names, pictures = [*self.names, *other.names], [*self.pictures, *other.pictures]
        return replace(self, names=names, pictures=pictures, labels=np.concatenate([self.labels, other.labels]))

    def __len__(self) -> int:
        return len(self.pictures)

    def draw(self, count: int, seed: int) -> "LabelledImages":
        """`count` of the images, drawn by seed; all if there are fewer."""
        if count >= len(self):
            return self
        chosen = np.flatnonzero(mark(len(self), count, seed))
        names, pictures = ([values[index] for index in chosen] for values in (self.names, self.pictures))
        return replace(self, names=names, pictures=pictures, labels=self.labels[chosen])

    def batches(self, size: int = BATCH) -> Iterator[tuple[slice, Tensor]]:
        """Slices of the images, and each slice's images as a (n, 3, H, W) uint8 tensor, n at most `size`."""
        parts = [slice(start, start + size) for start in range(0, len(self), size)]
        pixels = read_batches((self.pictures[part] for part in parts), self.description.framing, self.threads)
        return zip(parts, map(torch.from_numpy, pixels), strict=True)

    def decisions(self, network: nn.Module) -> np.ndarray:
        """The class that a network predicts for each image, (n,); InputError if its outputs aren't finite."""
        decisions = []
        for part, images in self.batches():
            logits = predict_logits(network, images, self.description)
            finite = logits.isfinite().all(1).tolist()
            check_finite(all(finite), f"{self.pictures[part][finite.index(min(finite))].path}")
            decisions.append(logits.argmax(1).cpu())
        return torch.cat(decisions).numpy()

    def with_decisions(self, network: nn.Module) -> "LabelledImages":
        """The same images; those without a label get a network's decision for one."""
        if (self.labels != UNLABELLED).all():
            return self
        print("images without labels: accuracy is agreement with the decisions of the network as it came")
        return replace(self, labels=np.where(self.labels == UNLABELLED, self.decisions(network), self.labels))

    def accuracy(self, network: nn.Module) -> float:
        """Top-1 accuracy of a network."""
        return float((self.decisions(network) == self.labels).mean())

    def record_accuracy(self, network: nn.Module) -> dict:
        """Top-1 accuracy of a network as its file's record holds it: accuracy, test_images."""
        accuracy = self.accuracy(network)
        print(f"accuracy on {len(self)} test images: {accuracy:.4f}")
        return {"accuracy": accuracy, "test_images": len(self)}
