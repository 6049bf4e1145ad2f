"""Attention of vision transformers: attention rollout (Abnar & Zuidema, 2020), and the last layer's attention as it is.

Weights are seen as the network computes them, by watching torch's functions, whatever classes its modules have. Maps
are the same for every class.
"""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from explanations.decomposition.layers import NetworkGraph, trace_network
from explanations.decomposition.layouts import Layout
from explanations.decomposition.modules import FoldedConvolution
from explanations.decomposition.operations import CONVOLUTIONS, attention_in_parts, flows, leaf_module
from explanations.decomposition.rewriting import write_out_of_place
from explanations.errors import InputError
from explanations.methods.sources.base import Method, NotApplicableError


@dataclass(frozen=True)
class Attention:
    """One attention of a network: `node` is its operation, `cells` (T,) say where its tokens lie in a grid of `size`.

    Tokens without a position, a class token, have the number after the grid's last.
    """

    node: fx.Node
    cells: Tensor
    size: tuple[int, int]


def prepare(settings: Mapping, network: nn.Module, size: tuple[int, int], names: Sequence[str]) -> Method:
    """Rollout or raw attention; NotApplicableError for a network whose attention isn't of all tokens to all."""
    example = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0)).to(next(network.parameters()))
    try:
        graph = trace_network(copy.deepcopy(network), example)  # some networks keep what they were traced with
    except InputError as error:
        raise NotApplicableError(str(error)) from None
    write_out_of_place(graph.module)
    layers = find_layers(graph, example)
    if settings["name"] == "raw":
        layers = layers[-1:]
    layers = [place_tokens(graph, node, weights) for node, weights in layers]
    check_rollout(graph, layers)
    read = find_read(graph, layers[-1], example)

    @torch.no_grad()
    def make(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        known = {layer.node for layer in layers}
        weights = [found for node, found in watch(graph.module, images) if node in known]
        row = roll_out(weights, read) if settings["name"] == "rollout" else weights[-1].mean(1)[:, read].mean(1)
        return to_image(row, layers[-1], size)

    return Method(make)


def roll_out(weights: Sequence[Tensor], read: Tensor) -> Tensor:
    """The rows `read` (T,) of the product over layers of ½A + ½I, their mean, (n, T).

    A, (n, T, T), is the mean over heads of a layer's weights (n, heads, T, T); the last layer stands leftmost. Only
    rows that are read are multiplied.
    """
    row = read.float().expand(len(weights[0]), -1) / read.sum()  # (n, T)
    for layer in reversed(weights):
        mixed = layer.mean(1) / 2 + torch.eye(layer.shape[-1], device=layer.device) / 2
        row = (row[:, None] @ (mixed / mixed.sum(-1, keepdim=True)))[:, 0]
    return row


def to_image(row: Tensor, layer: Attention, size: tuple[int, int]) -> Tensor:
    """Values of tokens (n, T) as maps (n, H, W), those of tokens without a position left out."""
    height, width = layer.size
    grid = row.new_zeros(len(row), height * width + 1).index_add_(1, layer.cells.to(row.device), row)[:, :-1]
    grid = grid.unflatten(1, layer.size)[:, None]
    return F.interpolate(grid, size, mode="bilinear", align_corners=False)[:, 0]


# --- where attention is, and between which tokens ----------------------------------------------------------------


def find_layers(graph: NetworkGraph, example: Tensor) -> list[tuple[fx.Node, Tensor]]:
    """All attentions of a network, in order, with their weights of the example; NotApplicableError if there is none."""
    with torch.no_grad():
        found = watch(graph.module, example)
    if not found:
        raise NotApplicableError("the network has no attention")
    return found


def place_tokens(graph: NetworkGraph, node: fx.Node, weights: Tensor) -> Attention:
    """An attention with its tokens' positions; NotApplicableError unless all tokens attend to all, each with a place.

    `weights` are those of one image.
    """
    name, layout = (
        describe(node),
        next((operation.layout for operation in graph.operations if operation.node is node), Layout(None)),
    )
    if layout.parts > 1 or len(weights) > 1:
        raise NotApplicableError(f"the attention {name} is within windows of tokens, not between all")
    tokens = weights.shape[-1]
    if weights.shape[-2] != tokens:
        counts = f"{weights.shape[-2]} tokens to {tokens}"
        raise NotApplicableError(f"the attention {name} is of {counts}, not of all to all")
    count = layout.size[0] * layout.size[1]
    cells = torch.arange(count) if layout.row_cells is None else layout.row_cells.cpu()
    if layout.order == "none" or len(cells) % tokens:
        raise NotApplicableError(f"the attention {name} is not between tokens that lie in the image")
    heads = cells.view(-1, tokens)
    if (heads != heads[0]).any() or set(range(count)) - set(heads[0].tolist()):
        raise NotApplicableError(f"the attention {name} is not between tokens that cover the image")
    return Attention(node, heads[0], layout.size)


def check_rollout(graph: NetworkGraph, layers: Sequence[Attention]) -> None:
    """NotApplicableError if tokens change, or are mixed by a convolution, between attentions that are multiplied."""
    for layer in layers:
        if not torch.equal(layer.cells, layers[0].cells):
            counts = " and ".join(f"{len(one.cells)} in {describe(one.node)}" for one in (layers[0], layer))
            raise NotApplicableError(f"its attentions are between different tokens, {counts}")
    nodes = list(graph.module.graph.nodes)
    for node in nodes[nodes.index(layers[0].node) : nodes.index(layers[-1].node)]:
        leaf = leaf_module(graph.module, node)
        leaf = leaf.convolution if isinstance(leaf, FoldedConvolution) else leaf
        if isinstance(leaf, CONVOLUTIONS) and max(leaf.kernel_size) > 1 and flows(node):
            raise NotApplicableError(f"the convolution {describe(node)} mixes tokens between attentions")


def find_read(graph: NetworkGraph, layer: Attention, example: Tensor) -> Tensor:
    """Which tokens (T,) the network reads after its last attention: those that logits have a gradient by.

    The class token alone, or all that are averaged.
    """
    operation = next(operation for operation in graph.operations if operation.node is layer.node)
    values: list[Tensor] = []
    with torch.enable_grad():
        run = _Run(graph.module, lambda node, value: values.append(value) if node is layer.node else None)
        logits = run.run(example.clone().requires_grad_())
        weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1)).to(logits)
        gradient = torch.autograd.grad((logits * weights).sum(), values)[0]
    rows = operation.layout.rows(gradient).abs().sum(2)  # (1, heads or 1 · T)
    read = rows.view(-1, len(layer.cells)).sum(0) > 0
    if not read.any():
        raise NotApplicableError(f"nothing reads the attention {describe(layer.node)}")
    return read


def describe(node: fx.Node) -> str:
    """The name of an attention, for a reason."""
    return node.meta.get("qualified", node.name)


# --- watching ----------------------------------------------------------------------------------------------------


def watch(module: fx.GraphModule, images: Tensor) -> list[tuple[fx.Node, Tensor]]:
    """Attentions by their nodes, with their weights (n, heads, T, S), in the order that a pass computes them in."""
    found: list[tuple[fx.Node, Tensor]] = []
    with attention_in_parts(), AttentionWeights() as seen:

        def note(node: fx.Node, value: object) -> None:
            found.extend((node, weights) for weights in seen.weights if flows(node))
            seen.weights.clear()

        _Run(module, note).run(images)
    return found


class _Run(fx.Interpreter):
    """Runs a graph and shows each node's value to `after`."""

    def __init__(self, module: fx.GraphModule, after: Callable[[fx.Node, object], None]):
        super().__init__(module)
        self.after = after

    def run_node(self, node: fx.Node) -> object:
        """Compute a node's value."""
        value = super().run_node(node)
        self.after(node, value)
        return value


class AttentionWeights(TorchFunctionMode):
    """Keeps the weights of each attention that is computed, (n, heads, T, S): of T tokens to S."""

    def __init__(self):
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        """What the function gives."""
        kwargs = kwargs or {}
        if func is F.multi_head_attention_forward:
            return self._watch_heads(args, kwargs)
        if func is F.scaled_dot_product_attention:
            self.weights.append(fused_weights(*args, **kwargs))
        result = func(*args, **kwargs)
        dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
        if getattr(func, "__name__", "") == "softmax" and result.dim() in (3, 4) and dim in (-1, result.dim() - 1):
            self.weights.append(result if result.dim() == 4 else result[:, None])
        return result

    def _watch_heads(self, args: tuple, kwargs: dict) -> tuple[Tensor, Tensor | None]:
        """torch's multi-head attention, asked for the weights of each head; it gives what it was asked for."""
        bound = inspect.signature(F.multi_head_attention_forward).bind(*args, **kwargs)
        bound.apply_defaults()
        asked = bound.arguments
        wanted, averaged = asked["need_weights"], asked["average_attn_weights"]
        all_heads = {"need_weights": True, "average_attn_weights": False}
        output, weights = F.multi_head_attention_forward(**asked | all_heads)
        self.weights.append(weights)
        return output, (weights.mean(1) if averaged else weights) if wanted else None


def fused_weights(query: Tensor, key: Tensor, value: Tensor, *args: object, **kwargs: object) -> Tensor:
    """The weights of torch's fused attention: what it makes of values that are one for one token alone."""
    count = key.shape[-2]
    ones = torch.eye(count, dtype=value.dtype, device=value.device).expand(*value.shape[:-2], count, count)
    return F.scaled_dot_product_attention(query, key, ones, *args, **kwargs)
