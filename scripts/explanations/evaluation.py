"""Accuracy of a network on a folder of labelled images."""

from pathlib import Path

import torch
from torch import nn

from explanations.command import InputError
from explanations.descriptions import NetworkDescription
from explanations.images import list_images, load_images
from explanations.networks import predict_logits


def measure_accuracy(network: nn.Module, description: NetworkDescription, folder: Path) -> dict:
    """Top-1 accuracy on the images of <class>/<file>, as a network file's record: accuracy, val_images."""
    classes, paths, labels = list_images(folder)
    if tuple(classes) != description.classes:
        raise InputError(f"{folder}: its class folders are not the network's {len(description.classes)} classes")
    images = torch.from_numpy(load_images(paths, description.size))
    correct = predict_logits(network, images, description).argmax(1) == torch.from_numpy(labels)
    accuracy = correct.double().mean().item()
    print(f"accuracy on {len(correct)} images of {folder}: {accuracy:.4f}")
    return {"accuracy": accuracy, "val_images": len(correct)}
