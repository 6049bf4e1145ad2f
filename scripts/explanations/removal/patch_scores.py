"""The class's score as an image is, and without each of its patches: what maps' patches are held against."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from explanations.networks.decisions import Decisions
from explanations.removal.operators.base import Operator
from explanations.removal.patches import split_patches
from explanations.removal.scans import Scan, ScansUnderWay
from explanations.removal.settings import OperatorSettings
from explanations.removal.tracing import trace_parts


@torch.no_grad()
def score_patches(
    decide: Decisions,
    inputs: Tensor,
    targets: Tensor,
    side: int,
    names: Sequence[str],
    settings: OperatorSettings,
    operator: Operator,
    batch: int,
    advance: Callable[[int], None],
) -> dict[str, np.ndarray]:
    """The `logit` of each image's class and its `probability` by softmax, (n, 1 + side²) f4.

    The first are those of the whole images (n, C, H, W), whose decisions are `targets` (n,); the others those without
    a patch, row by row. A patch is a scan of one step; batches, precision and errors are those of whole removals.
    """
    pixels = inputs[0, 0].numel()
    patches = split_patches(np.arange(pixels).reshape(inputs.shape[2:]), side)
    ranks = rank_first(patches, pixels).to(inputs.device)
    under_way = ScansUnderWay(inputs, [torch.tensor([0, patches.shape[1]])], operator, batch)
    scans = (Scan((image, patch), image, rank) for image in range(len(inputs)) for patch, rank in enumerate(ranks))
    arrays = {score: np.empty((len(inputs), 1 + side**2), np.float32) for score in ("logit", "probability")}
    parts = trace_parts(under_way, decide, inputs, targets, scans, names, settings, batch, advance)
    for (image, patch), traced in parts:
        for score, values in arrays.items():
            whole, without = getattr(traced, score).T
            values[image, 0], values[image, 1 + patch] = whole, without
    return arrays


def rank_first(patches: np.ndarray, pixels: int) -> Tensor:
    """The rank of each of `pixels` if those of one patch (P, k) go first, (P, pixels) int32; others follow in order."""
    others = np.ones((len(patches), pixels), bool)
    np.put_along_axis(others, patches, values=False, axis=1)
    orders = np.argsort(others, axis=1, kind="stable")
    return torch.from_numpy(np.argsort(orders, axis=1).astype(np.int32))
