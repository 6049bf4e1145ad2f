"""Class activation maps, CAM (Zhou et al., 2016), of networks that end in a global average pooling and one linear map.

M_c = Σ_k w_ck f_k of the maps f that are pooled and the weights w of class c: its mean over positions, and the linear
map's bias, are the score. Behind the pooling may be nothing but what keeps its values, and the linear map; if that is
missing, as in SqueezeNet, whose last convolution has a map for each class, w is the identity, and M_c is the class's
own map. Maps are signed, and enlarged bilinearly.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from explanations.decomposition.layers import NetworkGraph, trace_network
from explanations.decomposition.operations import Kind, flows, is_tensor, leaf_module, shape_of
from explanations.decomposition.tracing import describe_operation
from explanations.methods.sources.base import Method, NotApplicableError
from explanations.methods.transform import upsample

KEEPING = Kind(  # whose output has the values of the input, in the same order
    modules=(nn.Flatten, nn.Identity, nn.Dropout),
    calls=(torch.flatten, torch.reshape, torch.squeeze, F.dropout, "flatten", "reshape", "view", "squeeze"),
)
POOLED = {
    1: (2, 3),
    3: (1, 2),
}  # dimensions of positions, by the one of channels, of maps (n, C, h, w) and (n, h, w, C)


def prepare(settings: Mapping, network: nn.Module, size: tuple[int, int], names: Sequence[str]) -> Method:
    """CAM; the network is traced on the first image, and refused there."""
    parts: list[tuple[fx.GraphModule, int, Tensor | None]] = []

    @torch.no_grad()
    def make(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        if not parts:
            parts.append(take_apart(trace_network(network, images[:1])))
        features, channels, weight = parts[0]
        maps = features(images).movedim(channels, 1)  # (n, K, h, w)
        if weight is None:
            weight = torch.eye(maps.shape[1]).to(maps)
        return upsample(torch.einsum("nk,nkhw->nhw", weight[targets], maps), size, "bilinear")

    return Method(make)


def take_apart(graph: NetworkGraph) -> tuple[fx.GraphModule, int, Tensor | None]:
    """What computes the maps that are pooled, their dimension of channels, and w (classes, K); None for the identity.

    NotApplicableError, naming the operation, for a network that ends in another way.
    """
    module, weight, end = graph.module, None, "its output"
    output = next(node for node in module.graph.nodes if node.op == "output")
    node = skip_keeping(module, output.args[0])
    if isinstance(last := leaf_module(module, node), nn.Linear):
        weight, end = last.weight, f"its linear map {describe_operation(node)}"
        node = skip_keeping(module, node.args[0])
    channels = find_channels(module, node)
    if channels is None:
        what = "the image" if node.op == "placeholder" else describe_operation(node)
        raise NotApplicableError(f"before {end} comes {what}, no global average pooling")
    if shape_of(node).numel() == shape_of(node.args[0]).numel():
        raise NotApplicableError(f"the maps before {describe_operation(node)} have one position")
    output.args = (node.args[0],)
    module.recompile()
    return module, channels, weight


def skip_keeping(module: fx.GraphModule, node: fx.Node) -> fx.Node:
    """The operation before those that keep their input's values, at and before a node."""
    while KEEPING.includes(module, node):
        node = node.args[0]
    return node


def find_channels(module: fx.GraphModule, node: fx.Node) -> int | None:
    """The dimension of channels of maps of which an operation gives the means over positions, and nothing else.

    It is tried on random numbers, whatever it is called. None if it gives something else.
    """
    source = node.args[0] if node.args else None
    if not flows(source) or node.all_input_nodes != [source]:
        return None
    if not is_tensor(source) or not is_tensor(node) or len(shape_of(source)) != 4:
        return None
    weights = next(module.parameters())
    maps = torch.randn(shape_of(source), generator=torch.Generator().manual_seed(0)).to(weights)
    found = getattr(fx.Interpreter(module), node.op)(node.target, (maps, *node.args[1:]), node.kwargs)
    for channels, positions in POOLED.items():
        means = maps.mean(positions)
        if found.numel() == means.numel() and torch.allclose(found.flatten(), means.flatten(), atol=1e-5):
            return channels
    return None
