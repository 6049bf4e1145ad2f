"""A network as a graph of operations: its layers, found as single-node cuts, and what each operation adds by itself.

Everything that the decomposition records is bound to a node of the graph, that is to one call of one operation:
modules that are used twice, branches that run out of order and in-place operations can't mix up what belongs where.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from explanations.decomposition.implicit_biases import Remainder, channel_bias, is_homogeneous, remainder
from explanations.decomposition.layouts import Layout, channels_first
from explanations.decomposition.operations import (
    BATCH_NORMS,
    has_parameters,
    is_activation,
    is_tensor,
    mark_as_flowing,
)
from explanations.decomposition.positions import PositionTracer
from explanations.decomposition.rewriting import (
    copy_overwritten,
    fold_batch_norms,
    make_single_outputs,
    overwrite_inputs,
    separate_outputs,
    write_out_of_place,
)
from explanations.decomposition.shares import Shares
from explanations.decomposition.tracing import run_example, trace
from explanations.errors import InputError

TRAINED = (*BATCH_NORMS, nn.modules.dropout._DropoutNd)  # what differs in training mode


@dataclass(frozen=True)
class Layer:
    """A point through which all of the computation flows: l in the paper; `name` is the qualified name of its node."""

    index: int
    name: str
    node: fx.Node
    layout: Layout

    @property
    def channels(self) -> int:
        """How many values it has at a position."""
        return self.layout.rows(torch.empty(self.node.meta["tensor_meta"].shape, device="meta")).shape[2]


@dataclass(frozen=True)
class BiasedOperation:
    """An operation that is not homogeneous, between layers l − 1 and l; `layer` is l.

    Exactly one of `bias` and `remainder` is set: `bias` gives a bias that is the same for every image and position, one
    value for each channel; `remainder` computes one that depends on the image.
    """

    name: str
    layer: int
    node: fx.Node
    layout: Layout
    bias: Callable[[], Tensor] | None
    remainder: Remainder | None


@dataclass(frozen=True)
class NetworkGraph:
    """A traced network: `layers` 1…L+1, the last of which is the output, the logits; its biased operations, in order.

    `kept` are the nodes whose values are needed after a pass: layers, and what remainders are computed from.
    """

    module: fx.GraphModule
    input: fx.Node
    layers: tuple[Layer, ...]
    operations: tuple[BiasedOperation, ...]
    kept: frozenset[fx.Node]


def list_mapped(graph: NetworkGraph, example: Tensor) -> list[Layer]:
    """The layers with more than one position, in order, before them the input, layer 0; Grad-CAM is of the last."""
    grid = Layout(channels_first(example.shape[1:]), tuple(example.shape[2:]), example.device)
    layers = (Layer(0, "input", graph.input, grid), *graph.layers)
    return [layer for layer in layers if layer.layout.size != (1, 1)]


def list_stages(mapped: Sequence[Layer]) -> list[Layer]:
    """Of layers with positions the last of each size of maps; the input if there is no other."""
    return list({layer.layout.size: layer for layer in mapped[1:] or mapped}.values())


def trace_network(network: nn.Module, example: Tensor) -> NetworkGraph:
    """Trace a classifier in evaluation mode; `example` is an input, (1, 3, H, W), of the weights' dtype.

    Raises InputError if the network can't be traced, with the operation that stopped it and the reason.
    """
    if network.training or any(module.training for module in network.modules() if isinstance(module, TRAINED)):
        raise InputError("the network is in training mode; its decomposition needs evaluation mode")
    module, names = _trace_and_rewrite(network, example)
    flow = _find_flow(module)
    mark_as_flowing(flow)
    positions = PositionTracer(module)
    with torch.no_grad():
        positions.run(example)
    shares = Shares(module, positions.cells)
    layers = []
    for index, node in enumerate(_find_cuts(module, flow), start=1):
        layout = positions.layout(node, example.device) if shares.has_map(node) else Layout(None)
        layers.append(Layer(index, names.get(node.name, node.name), node, layout))
    order = {node: index for index, node in enumerate(flow)}
    operations = []
    for node in flow[1:]:
        if is_homogeneous(module, node):
            continue
        name = names.get(node.name, node.name)
        layer = next(layer.index for layer in layers if order[layer.node] >= order[node])
        bias = channel_bias(module, node)
        if bias is None and not is_tensor(node):
            raise InputError(f"the network's {name} returns no single tensor of floats")
        computed = remainder(module, node) if bias is None else None
        layout = positions.layout(node, example.device)
        operations.append(BiasedOperation(name, layer, node, layout, bias, computed))
    needs = (operation.remainder.needs for operation in operations if operation.remainder)
    kept = frozenset(layer.node for layer in layers).union(*needs)
    overwrite_inputs(module, kept)
    return NetworkGraph(module, flow[0], tuple(layers), tuple(operations), kept)


def _trace_and_rewrite(network: nn.Module, example: Tensor) -> tuple[fx.GraphModule, dict[str, str]]:
    """The network's graph, in which each node returns one value and overwrites none, and its nodes' qualified names."""
    module, names = trace(network)
    fold_batch_norms(module)
    write_out_of_place(module)
    make_single_outputs(module)
    run_example(module, example)
    copy_overwritten(module)
    separate_outputs(module, names)
    return module, names


def _find_flow(module: fx.GraphModule) -> list[fx.Node]:
    """The nodes whose values are computed from the input and reach the output, in order; the first is the input."""
    nodes = list(module.graph.nodes)
    source = next(node for node in nodes if node.op == "placeholder")
    output = next(node for node in nodes if node.op == "output").args[0]
    below = {source}
    for node in nodes:
        is_value = "tensor_meta" in node.meta and node.op != "output"  # a shape is none
        if is_value and any(parent in below for parent in node.all_input_nodes):
            below.add(node)
    above, stack = set(), [output]
    while stack:
        node = stack.pop()
        if node not in above:
            above.add(node)
            stack += node.all_input_nodes
    return [node for node in nodes if node in below and node in above]


def _find_cuts(module: fx.GraphModule, flow: list[fx.Node]) -> list[fx.Node]:
    """The nodes of layers: nodes through which all of the computation flows, and the output.

    Of those between two operations with parameters it is the last one that is an activation function or a merge.
    """
    position = {node: index for index, node in enumerate(flow)}
    cuts: list[fx.Node] = []
    candidate = None
    furthest = 0  # the last user of any node before this one
    for index, node in enumerate(flow):
        if candidate is not None and has_parameters(module, node):
            cuts.append(candidate)
            candidate = None
        merges = sum(parent in position for parent in node.all_input_nodes) > 1
        if index and furthest <= index and is_tensor(node) and (merges or is_activation(module, node)):
            candidate = node
        furthest = max([furthest, *(position[user] for user in node.users if user in position)])
    if candidate is not None and candidate is not flow[-1]:
        cuts.append(candidate)
    return [*cuts, flow[-1]]
