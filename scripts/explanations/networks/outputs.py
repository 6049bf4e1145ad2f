"""What networks make of images: a row of logits for each, or a line that says why not. Images here have no content."""

import copy

import torch
from torch import Tensor, nn

from explanations.errors import InputError
from explanations.files.classes import FEWEST
from explanations.files.framing import CHANNELS

CANT_TAKE = (RuntimeError, ValueError, AssertionError)  # transformers, and timm, assert what they can take


@torch.no_grad()
def check_outputs(network: nn.Module, constructor: str, channels: int, size: int, classes: int, key: str) -> Tensor:
    """The logits (1, classes) of a black image; InputError if a network makes none of images of this kind.

    `key` is what the size comes from: a network's poolings may leave nothing of a small image.
    """
    try:
        logits = network(torch.zeros(1, channels, size, size))
    except Exception as error:  # a network's own code, timm's or a user's, can raise anything
        for other in CHANNELS:
            if other != channels and can_take(network, other, size):
                said = f"{constructor} takes images of {other} channels, not of {channels}"
                raise InputError(f"arguments of {constructor}: {said}") from None
        raise InputError(f"{key} is {size}; {constructor} can't take it: {describe_refusal(error)}") from None
    check_row(logits, constructor, 1, classes)
    return logits


def can_take(network: nn.Module, channels: int, size: int) -> bool:
    """Whether a network makes anything of a black image of so many channels and pixels."""
    try:
        network(torch.zeros(1, channels, size, size))
    except Exception:  # as above
        return False
    return True


def describe_refusal(error: Exception) -> str:
    """The first line of what a network raised; of other kinds than networks raise where images don't fit, the kind."""
    kind, (said, *_) = type(error).__name__, str(error).splitlines() or [""]
    return ": ".join(filter(None, ["" if said and isinstance(error, CANT_TAKE) else kind, said]))


@torch.no_grad()
def check_training(network: nn.Module, constructor: str, channels: int, size: int, classes: int) -> None:
    """InputError unless a network makes logits alone in training mode too; neither it nor random draws are changed.

    Some make more: auxiliary heads' logits, or those of a head that is distilled.
    """
    trained = copy.deepcopy(network).train()
    with torch.random.fork_rng(devices=[]):
        try:
            logits = trained(torch.zeros(2, channels, size, size))
        except Exception as error:  # as above
            said = f"{constructor} can't be trained on images of {size} pixels"
            raise InputError(f"{said}: {describe_refusal(error)}") from None
    check_row(logits, constructor, 2, classes, " in training")


def check_row(logits: object, constructor: str, images: int, classes: int, when: str = "") -> None:
    """InputError unless a network's output of images is a row of `classes` logits for each, of two classes or more."""
    if not isinstance(logits, Tensor):
        found = f"{constructor}'s output{when} is a {type(logits).__name__}"
        raise InputError(f"{found}; it must be logits alone, without those of auxiliary heads")
    if classes < FEWEST:
        raise InputError(f"{constructor} has {classes} output; a decision needs {FEWEST} or more")
    if logits.shape != (images, classes):
        raise InputError(
            f"{constructor}'s output{when} is {tuple(logits.shape)} for {images} images; it must be {(images, classes)}"
        )
