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
    ranks = rank_pixels_by_patch(inputs.shape[2], inputs.shape[3], side).to(inputs.device)
    removed = len(split_patches(np.empty(inputs.shape[2:]), side)[0])
    under_way = ScansUnderWay(inputs, [torch.tensor([0, removed])], operator, batch)
    scans = (Scan((image, patch), image, rank) for image in range(len(inputs)) for patch, rank in enumerate(ranks))
    arrays = {score: np.empty((len(inputs), 1 + side**2), np.float32) for score in ("logit", "probability")}
    parts = trace_parts(under_way, decide, inputs, targets, scans, names, settings, batch, advance)
    for (image, patch), traced in parts:
        for score, values in arrays.items():
            whole, without = getattr(traced, score).T
            values[image, 0], values[image, 1 + patch] = whole, without
    return arrays


def rank_pixels_by_patch(height: int, width: int, side: int) -> Tensor:
    """Each pixel's rank if one patch's go first, (side², H·W) int32; the others follow row by row."""
    patches = split_patches(np.arange(height * width).reshape(height, width), side)
    others = np.ones((len(patches), height * width), bool)
    np.put_along_axis(others, patches, values=False, axis=1)
    orders = np.argsort(others, axis=1, kind="stable")
    return torch.from_numpy(np.argsort(orders, axis=1).astype(np.int32))
