"""A network as a graph of operations: its layers, found as single-node cuts, and what each operation adds by itself.

Everything that the decomposition records is bound to a node of the graph, that is to one call of one operation:
re-used modules, branches that run out of order and in-place operations can't mix up what belongs where.
"""

import copy
import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from explanations.command import InputError
from explanations.operations import BATCH_NORMS, CONVOLUTIONS
from explanations.positions import Layout, PositionTracer
from explanations.remainders import (
    ADDITIONS,
    FoldedConvolution,
    Remainder,
    SelfAttention,
    channel_bias,
    is_activation,
    is_homogeneous,
    is_tensor,
    leaf_module,
    remainder,
)
from explanations.shares import Shares
from explanations.tracing import run_example, trace

OUT_OF_PLACE = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
    torch.relu_: torch.relu,
}


def relu6_(x: Tensor) -> Tensor:
    """ReLU6 that overwrites its input."""
    return F.relu6(x, inplace=True)


# whose derivatives don't need what they overwrite, nor those of FRESH what is overwritten
IN_PLACE = {
    **dict.fromkeys((nn.ReLU, F.relu, torch.relu, "relu"), torch.relu_),
    **dict.fromkeys((nn.ReLU6, F.relu6), relu6_),
    **dict.fromkeys(ADDITIONS, operator.iadd),
}
TRAINED = (*BATCH_NORMS, nn.modules.dropout._DropoutNd)  # what differs in training mode
FRESH = (*CONVOLUTIONS, *BATCH_NORMS, FoldedConvolution, nn.Linear)


@dataclass(frozen=True)
class Layer:
    """A point through which all of the computation flows: l in the paper; `name` is its node's qualified name."""

    index: int
    name: str
    node: fx.Node
    layout: Layout


@dataclass(frozen=True)
class BiasedOperation:
    """An operation that is not homogeneous: below layer `layer`, above layer `layer` − 1.

    Its bias is the same everywhere, `bias` gives one value for each channel, or depends on the image: `remainder`.
    """

    name: str
    layer: int
    node: fx.Node
    layout: Layout
    bias: Callable[[], Tensor] | None
    remainder: Remainder | None


@dataclass(frozen=True)
class NetworkGraph:
    """A traced network: `layers` 1…L+1 (the last is the output, the logits) and its biased operations, in order.

    Values of the nodes in `kept` are those of layers and those that remainders are computed from.
    """

    module: fx.GraphModule
    input: fx.Node
    layers: tuple[Layer, ...]
    operations: tuple[BiasedOperation, ...]
    kept: frozenset[fx.Node]


def trace_network(network: nn.Module, example: Tensor) -> NetworkGraph:
    """Trace a classifier in evaluation mode; `example` is an input, (1, 3, H, W), of the weights' dtype.

    Raises InputError if the network can't be traced, with the operation that stopped it and the reason.
    """
    if network.training or any(module.training for module in network.modules() if isinstance(module, TRAINED)):
        raise InputError("the network is in training mode; its decomposition needs evaluation mode")
    traced, names = trace(network)
    module = _with_single_outputs(_out_of_place(_fold_batch_norms(traced)))
    run_example(module, names, example)
    flow = _tensor_flow(module)
    for node in flow:  # what is computed from parameters alone is no input of an operation
        node.meta["flows"] = True
    positions = PositionTracer(module)
    with torch.no_grad():
        positions.run(example)
    shares = Shares(module, positions.cells)
    layers = tuple(
        Layer(
            index,
            names.get(node.name, node.name),
            node,
            positions.layout(node, example.device) if shares.has_map(node) else Layout(None),
        )
        for index, node in enumerate(_find_layers(module, flow), start=1)
    )
    position = {node: index for index, node in enumerate(flow)}
    operations = []
    for node in flow[1:]:
        if is_homogeneous(module, node):
            continue
        layer = next(layer.index for layer in layers if position[layer.node] >= position[node])
        bias = channel_bias(module, node)
        if bias is None and not is_tensor(node):
            raise InputError(f"the network's {names.get(node.name, node.name)} returns no single tensor of floats")
        computed = remainder(module, node) if bias is None else None
        layout = positions.layout(node, example.device)
        operations.append(BiasedOperation(names.get(node.name, node.name), layer, node, layout, bias, computed))
    needs = (operation.remainder.needs for operation in operations if operation.remainder)
    kept = frozenset(layer.node for layer in layers).union(*needs)
    _overwrite(module, kept)
    return NetworkGraph(module, flow[0], layers, tuple(operations), kept)


# --- the graph ---------------------------------------------------------------------------------------------------


def _fold_batch_norms(module: fx.GraphModule) -> fx.GraphModule:
    """Let convolutions without biases do what the batch normalisation behind them does: β − γμ/σ is their bias."""
    nodes = module.graph.nodes
    calls = Counter(node.target for node in nodes if node.op == "call_module")
    for node in list(nodes):
        norm = leaf_module(module, node)
        if not isinstance(norm, nn.BatchNorm2d) or not norm.track_running_stats or len(node.args) != 1:
            continue
        source = node.args[0]
        convolution = leaf_module(module, source)
        single = len(source.users) == 1 and calls[source.target] == calls[node.target] == 1
        if type(convolution) is nn.Conv2d and convolution.bias is None and single:
            module.set_submodule(node.target, FoldedConvolution(convolution, norm))
            node.args = source.args
            module.graph.erase_node(source)
    module.recompile()
    return module


def _out_of_place(module: fx.GraphModule) -> fx.GraphModule:
    """Replace what overwrites its input; the network itself is left as it is."""
    for node in module.graph.nodes:
        if node.op == "call_function":
            node.target = OUT_OF_PLACE.get(node.target, node.target)
            if node.kwargs.get("inplace"):
                node.update_kwarg("inplace", False)
        elif node.op == "call_method" and node.target.endswith("_") and not node.target.endswith("__"):
            node.target = node.target.rstrip("_")
        elif node.op == "call_module" and getattr(module.get_submodule(node.target), "inplace", False):
            leaf = copy.copy(module.get_submodule(node.target))
            leaf.inplace = False
            module.set_submodule(node.target, leaf)
    module.recompile()
    return module


def _overwrite(module: fx.GraphModule, kept: frozenset[fx.Node]) -> None:
    """Let activations and additions overwrite their input where nothing else reads it, but for the values in `kept`.

    That halves the memory that they touch. Gradients are recorded as they pass, so that they don't mind.
    """
    fresh: set[fx.Node] = set()  # values in memory of their own
    for node in module.graph.nodes:
        leaf = leaf_module(module, node)
        adds = leaf is None and node.target in ADDITIONS
        if adds or isinstance(leaf, FRESH):
            fresh.add(node)
        operation = IN_PLACE.get(node.target if leaf is None else type(leaf))
        if operation is None or any(node.kwargs.values()):
            continue
        for term in node.all_input_nodes:
            single = term in fresh and term not in kept and len(term.users) == 1 and node.args.count(term) == 1
            if single and term.meta["tensor_meta"].shape == node.meta["tensor_meta"].shape:
                others = [other for other in node.args if other is not term]
                node.op, node.target, node.args, node.kwargs = "call_function", operation, (term, *others), {}
                break
    module.recompile()


def _with_single_outputs(module: fx.GraphModule) -> fx.GraphModule:
    """Let every attention return one tensor, where the network takes only the first of its two."""
    for node in list(module.graph.nodes):
        if node.op != "call_module" or not isinstance(module.get_submodule(node.target), nn.MultiheadAttention):
            continue
        for user in list(node.users):
            if user.target is operator.getitem and user.args[1] == 1 and not user.users:
                module.graph.erase_node(user)
        if any(user.target is not operator.getitem or user.args[1] != 0 for user in node.users):
            raise InputError(f"the network uses the weights of the attention {node.target}, not its output alone")
        module.set_submodule(node.target, SelfAttention(module.get_submodule(node.target)))
        for user in list(node.users):
            user.replace_all_uses_with(node)
            module.graph.erase_node(user)
    module.recompile()
    return module


def _tensor_flow(module: fx.GraphModule) -> list[fx.Node]:
    """The nodes whose values are computed from the input and reach the output, in order; the first is the input."""
    nodes = list(module.graph.nodes)
    source = next(node for node in nodes if node.op == "placeholder")
    output = next(node for node in nodes if node.op == "output").args[0]
    below = {source}
    for node in nodes:
        if any(parent in below for parent in node.all_input_nodes) and node.op != "output":
            if "tensor_meta" not in node.meta:  # a shape is not a value
                continue
            below.add(node)
    above, stack = set(), [output]
    while stack:
        node = stack.pop()
        if node not in above:
            above.add(node)
            stack += node.all_input_nodes
    return [node for node in nodes if node in below and node in above]


def _find_layers(module: fx.GraphModule, flow: list[fx.Node]) -> list[fx.Node]:
    """Single-node cuts, one per stage: its last activation function or merge; and the output."""
    position = {node: index for index, node in enumerate(flow)}
    layers: list[fx.Node] = []
    candidate = None
    furthest = 0  # the last user of any node before this one
    for index, node in enumerate(flow):
        if candidate is not None and _has_parameters(module, node):
            layers.append(candidate)
            candidate = None
        merges = sum(parent in position for parent in node.all_input_nodes) > 1
        if index and furthest <= index and is_tensor(node) and (merges or is_activation(module, node)):
            candidate = node
        furthest = max([furthest, *(position[user] for user in node.users if user in position)])
    if candidate is not None and candidate is not flow[-1]:
        layers.append(candidate)
    return [*layers, flow[-1]]


def _has_parameters(module: fx.GraphModule, node: fx.Node) -> bool:
    leaf = leaf_module(module, node)
    if leaf is not None:
        return any(True for _ in leaf.parameters())
    return any(parent.op == "get_attr" for parent in node.all_input_nodes)
