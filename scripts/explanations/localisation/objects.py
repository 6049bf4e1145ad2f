"""Whether objects decide: images whole, without their object, and with nothing but that."""

import torch
from torch import Tensor

WHOLE, REMOVED, ALONE = "whole", "object removed", "object alone"


def view_objects(inputs: Tensor, inside: Tensor, fill: float) -> dict[str, Tensor]:
    """(n, C, H, W) inputs of a network as they are, and with what (n, H, W) masks mark, or all else, filled.

    `fill` is a value in the network's input space, for all channels: what a removed pixel becomes in §4.
    """
    marked = inside[:, None]
    return {
        WHOLE: inputs,
        REMOVED: torch.where(marked, fill, inputs),
        ALONE: torch.where(marked, inputs, fill),
    }
