"""Folders of labelled images that a network is tested on, and its accuracy on them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from explanations.command import InputError
from explanations.descriptions import NetworkDescription
from explanations.images import list_images, load_images
from explanations.networks import predict_logits


def list_test_images(folder: Path, description: NetworkDescription) -> tuple[list[Path], np.ndarray]:
    """The image files of <class>/<file> and their (n,) labels; InputError unless the classes are the network's."""
    classes, paths, labels = list_images(folder)
    if tuple(classes) != description.classes:
        raise InputError(f"{folder}: its class folders are not the network's {len(description.classes)} classes")
    return paths, labels


@dataclass(frozen=True)
class LabelledImages:
    """(n, 3, H, W) uint8 images and their (n,) labels, to test networks on."""

    images: Tensor
    labels: Tensor
    description: NetworkDescription

    @classmethod
    def load(
        cls, folder: Path, description: NetworkDescription, count: int | None = None, seed: int = 0
    ) -> "LabelledImages":
        """All images of <class>/<file>, or `count` of them drawn by seed if there are more."""
        paths, labels = list_test_images(folder, description)
        chosen = np.arange(len(paths))
        if count is not None and count < len(paths):
            chosen = np.sort(np.random.default_rng(seed).choice(len(paths), count, replace=False))
        images = load_images([paths[index] for index in chosen], description.framing)
        return cls(torch.from_numpy(images), torch.from_numpy(labels[chosen]), description)

    def accuracy(self, network: nn.Module) -> float:
        """Top-1 accuracy of a network."""
        decisions = predict_logits(network, self.images, self.description).argmax(1)
        return (decisions == self.labels).double().mean().item()


def measure_accuracy(network: nn.Module, description: NetworkDescription, folder: Path) -> dict:
    """Top-1 accuracy on the images of <class>/<file>, as a network file's record: accuracy, val_images."""
    tested = LabelledImages.load(folder, description)
    accuracy = tested.accuracy(network)
    print(f"accuracy on {len(tested.images)} images of {folder}: {accuracy:.4f}")
    return {"accuracy": accuracy, "val_images": len(tested.images)}
