"""FullGrad (Srinivas & Fleuret, 2019), rescaled as its authors' code does, with all biases of the decomposition.

The terms of Eq. 8 are the input's x ∂f/∂x and each biased operation's b ∂f/∂z, implicit biases among them. Magnitudes
|·| of an operation are rescaled by one minimum and one maximum for all of its features: those of the image, as in the
authors' code since the middle of 2020, or of the whole batch, as before. So a feature weighs by how large its term is
beside the operation's others; methods/fullgrad_feature.py rescales each feature by itself, as the paper has it. All are
enlarged bilinearly, corners aligned, and summed. An operation without positions would add the same to every pixel, and
is left out.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explanations.decomposition.decomposition import Recorder
from explanations.decomposition.layers import BiasedOperation, NetworkGraph, trace_network
from explanations.methods.sources.base import Method

EPSILON = {"image": 1e-6, "batch": 0.0}  # what the authors' code adds to the maximum


def prepare(settings: Mapping, network: nn.Module, size: tuple[int, int], names: Sequence[str]) -> Method:
    """FullGrad, normalised by image or by batch; the network is traced on the first image."""
    graphs: list[NetworkGraph] = []

    def make(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        if not graphs:
            graphs.append(trace_network(network, images[:1]))
        return explain(graphs[0], images, targets, settings["normalise"])

    return Method(make)


def explain(graph: NetworkGraph, images: Tensor, targets: Tensor, normalise: str) -> Tensor:
    """FullGrad's maps (n, H, W) of images (n, C, H, W), for the score of each one's target."""
    images, recorder = images.detach().requires_grad_(), Recorder(graph)
    maps = images.new_zeros(len(images), *images.shape[2:])

    def add(operation: BiasedOperation, gradient: Tensor) -> None:
        bias = operation.remainder.compute(recorder.values) if operation.remainder else operation.bias()
        terms = operation.layout.cell_rows(bias.expand_as(gradient) * gradient)  # (n, positions, features)
        maps.add_(enlarge(operation.layout.from_cells(add_rescaled(terms, normalise)), images.shape[2:]))

    for operation in graph.operations:
        if operation.layout.size != (1, 1):
            recorder.watch(operation.node, partial(add, operation))
    with torch.enable_grad():
        scores = recorder.run(images).gather(1, targets[:, None]).sum()
        (gradient,) = torch.autograd.grad(scores, images)
    with torch.no_grad():
        terms = (images * gradient).flatten(2).transpose(1, 2)
        return maps.add_(add_rescaled(terms, normalise).view_as(maps))


def add_rescaled(terms: Tensor, normalise: str) -> Tensor:
    """Σ_φ of the rescaled magnitudes of terms (n, positions, features), (n, positions); 0 where all are equal."""
    sizes = terms.abs()
    over = (1, 2) if normalise == "image" else (0, 1, 2)
    low = sizes.amin(over, keepdim=True)
    span = sizes.amax(over, keepdim=True) - low
    scale = torch.where(span > 0, 1 / (span + EPSILON[normalise]), 0)
    return ((sizes - low) * scale).sum(2)


def enlarge(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (n, h, w) brought to (n, H, W), bilinearly, corner pixels on corner pixels."""
    return F.interpolate(maps[:, None], size, mode="bilinear", align_corners=True)[:, 0]
