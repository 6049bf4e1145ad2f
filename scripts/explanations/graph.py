"""A network as a graph of operations: its layers, found as single-node cuts, and the remainder of every operation.

Everything that the decomposition records is bound to a node of the graph, that is to one call of one operation:
re-used modules, branches that run out of order and in-place operations can't mix up what belongs where.
"""

import copy
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torchvision.ops import stochastic_depth

from explanations.biases import BATCH_NORMS, CONVOLUTIONS
from explanations.command import InputError
from explanations.positions import MOVING_CALLS, Layout, PositionTracer
from explanations.tracing import run_example, trace

IN_PLACE = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
    torch.relu_: torch.relu,
}
ADDITIONS = (operator.add, torch.add, "add")
# m(tu) = t m(u) for t > 0: J_m(u)·u = m(u), the remainder is 0
HOMOGENEOUS_MODULES = (
    *(nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Identity, nn.Flatten, nn.Dropout, nn.Dropout2d, nn.ZeroPad2d),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.ChannelShuffle),
)
HOMOGENEOUS_CALLS = (
    *(F.relu, torch.relu, F.leaky_relu, F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.dropout, stochastic_depth),
    *(torch.mean, torch.sum, "mean", "sum"),
    *MOVING_CALLS,
)
PRODUCTS = (operator.mul, operator.truediv, torch.mul, torch.div, "mul", "div")
ACTIVATION_CALLS = (
    *(F.relu, torch.relu, F.leaky_relu, F.relu6, F.silu, F.gelu, F.hardswish, F.hardsigmoid),
    *(torch.sigmoid, torch.tanh, "relu", "sigmoid", "tanh"),
)


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

    `bias` gives its closed-form bias, in a shape that broadcasts against the output; where there is none (None) the
    remainder is computed at the input.
    """

    name: str
    layer: int
    node: fx.Node
    layout: Layout
    bias: Callable[[], Tensor] | None


@dataclass(frozen=True)
class NetworkGraph:
    """A traced network: `layers` 1…L+1 (the last is the output, the logits) and its biased operations, in order."""

    module: fx.GraphModule
    input: fx.Node
    layers: tuple[Layer, ...]
    operations: tuple[BiasedOperation, ...]


def trace_network(network: nn.Module, example: Tensor) -> NetworkGraph:
    """Trace a classifier in evaluation mode; `example` is an input, (1, 3, H, W), of the weights' dtype.

    Raises InputError if the network can't be traced, with the operation that stopped it and the reason.
    """
    if network.training:
        raise InputError("the network is in training mode; its decomposition needs evaluation mode")
    traced, names = trace(network)
    module = _with_single_outputs(_out_of_place(traced))
    run_example(module, names, example)
    flow = _tensor_flow(module)
    for node in flow:  # what is computed from parameters alone is no input of an operation
        node.meta["flows"] = True
    positions = PositionTracer(module)
    with torch.no_grad():
        positions.run(example)
    layers = tuple(
        Layer(index, names.get(node.name, node.name), node, positions.layout(node, example.device))
        for index, node in enumerate(_find_layers(module, flow), start=1)
    )
    position = {node: index for index, node in enumerate(flow)}
    operations = []
    for node in flow[1:]:
        if _is_homogeneous(module, node):
            continue
        layer = next(layer.index for layer in layers if position[layer.node] >= position[node])
        bias = _closed_form_bias(module, node)
        if bias is None and not _is_tensor(node):
            raise InputError(f"the network's {names.get(node.name, node.name)} returns no single tensor of floats")
        layout = positions.layout(node, example.device)
        operations.append(BiasedOperation(names.get(node.name, node.name), layer, node, layout, bias))
    return NetworkGraph(module, flow[0], layers, tuple(operations))


def remainder(module: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Tensor]) -> Tensor:
    """m(u) − J_m(u)·u of the operation at `node`, for the values of its inputs u: its implicit bias there."""
    sources = [source for source in node.all_input_nodes if source.meta.get("flows")]

    def call(*inputs: Tensor) -> Tensor:
        return _evaluate(module, node, values | dict(zip(sources, inputs, strict=True)))

    inputs = tuple(values[source] for source in sources)
    if _needs_order(module, node):
        inputs = tuple(value.contiguous() for value in inputs)
    with _differentiable_attention():
        output, tangent = torch.func.jvp(call, inputs, inputs)
    return output - tangent


def _needs_order(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether an operation is, or may hold, a group normalisation: its forward-mode derivative needs channels first."""
    leaf = _leaf(module, node)
    opaque = leaf is not None and not type(leaf).__module__.startswith("torch.nn")
    return opaque or isinstance(leaf, nn.GroupNorm) or node.target in (F.group_norm, torch.group_norm)


@contextmanager
def _differentiable_attention() -> Iterator[None]:
    """Fused attention has no forward-mode derivative; its plain form has."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


# --- the graph ---------------------------------------------------------------------------------------------------


def _out_of_place(module: fx.GraphModule) -> fx.GraphModule:
    """Replace what overwrites its input, so that recorded values stay as they were; the network is left as it is."""
    for node in module.graph.nodes:
        if node.op == "call_function":
            node.target = IN_PLACE.get(node.target, node.target)
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


class _Attention(nn.Module):
    """Multi-head attention that returns its output alone, without the weights."""

    def __init__(self, attention: nn.MultiheadAttention):
        super().__init__()
        self.attention = attention

    def forward(self, *args, **kwargs) -> Tensor:
        return self.attention(*args, **kwargs)[0]


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
        module.set_submodule(node.target, _Attention(module.get_submodule(node.target)))
        for user in list(node.users):
            user.replace_all_uses_with(node)
            module.graph.erase_node(user)
    module.recompile()
    return module


def _is_tensor(node: fx.Node) -> bool:
    meta = node.meta.get("tensor_meta")
    return isinstance(meta, tuple) and hasattr(meta, "dtype") and meta.dtype.is_floating_point


def _holds_numbers(node: fx.Node) -> bool:
    """Whether a node is a parameter or computed from one or from the input: no shape, no index."""
    return node.op == "get_attr" or _is_tensor(node)


def _tensor_flow(module: fx.GraphModule) -> list[fx.Node]:
    """The nodes whose values are computed from the input and reach the output, in order; the first is the input."""
    nodes = list(module.graph.nodes)
    source = next(node for node in nodes if node.op == "placeholder")
    output = next(node for node in nodes if node.op == "output").args[0]
    if not isinstance(output, fx.Node):
        raise InputError("the network returns more than one tensor; allowed are classifiers that return logits")
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
        if index and furthest <= index and _is_tensor(node) and (merges or _is_activation(module, node)):
            candidate = node
        furthest = max([furthest, *(position[user] for user in node.users if user in position)])
    if candidate is not None and candidate is not flow[-1]:
        layers.append(candidate)
    return [*layers, flow[-1]]


def _leaf(module: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return module.get_submodule(node.target) if node.op == "call_module" else None


def _has_parameters(module: fx.GraphModule, node: fx.Node) -> bool:
    leaf = _leaf(module, node)
    if leaf is not None:
        return any(True for _ in leaf.parameters())
    return any(parent.op == "get_attr" for parent in node.all_input_nodes)


def _is_activation(module: fx.GraphModule, node: fx.Node) -> bool:
    leaf = _leaf(module, node)
    if leaf is not None:
        return type(leaf).__module__ == nn.ReLU.__module__ and not isinstance(leaf, nn.MultiheadAttention)
    return node.target in ACTIVATION_CALLS


def _is_homogeneous(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether the remainder is 0 whatever the input; when in doubt the answer is no, and it is computed."""
    leaf = _leaf(module, node)
    if leaf is not None:
        if isinstance(leaf, (*CONVOLUTIONS, nn.Linear)):
            return leaf.bias is None
        return isinstance(leaf, HOMOGENEOUS_MODULES)
    if node.target in PRODUCTS:  # by what the image doesn't change, and not of one by itself
        flowing = [isinstance(term, fx.Node) and bool(term.meta.get("flows")) for term in node.args]
        return flowing == [True, False] or (flowing == [False, True] and node.target in (operator.mul, torch.mul))
    if any(not source.meta.get("flows") for source in node.all_input_nodes if _holds_numbers(source)):
        return False  # a parameter that is added or joined is a bias
    if node.target in ADDITIONS:
        return all(isinstance(term, fx.Node) for term in node.args)
    return node.target in HOMOGENEOUS_CALLS


def _closed_form_bias(module: fx.GraphModule, node: fx.Node) -> Callable[[], Tensor] | None:
    leaf = _leaf(module, node)
    if isinstance(leaf, nn.Linear):  # channels are last, whatever comes before
        return lambda: leaf.bias
    channels_first = (-1, *[1] * (len(node.meta["tensor_meta"].shape) - 2)) if _is_tensor(node) else ()
    if isinstance(leaf, CONVOLUTIONS):
        return lambda: leaf.bias.view(channels_first)
    if isinstance(leaf, BATCH_NORMS) and leaf.track_running_stats:
        return lambda: batch_norm_bias(leaf).view(channels_first)
    return None


def batch_norm_bias(norm: nn.BatchNorm2d) -> Tensor:
    """β − γ μ / √(σ² + ε) per channel (Suppl. Eq. 9)."""
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.affine:
        return norm.bias - norm.weight * norm.running_mean * scale
    return -norm.running_mean * scale


def _evaluate(module: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Tensor]) -> Tensor:
    """The value of one node; its inputs come from `values`, parameters from the module."""

    def value(source: fx.Node) -> object:
        if source in values:
            return values[source]
        return operator.attrgetter(source.target)(module)

    args, kwargs = fx.map_arg((node.args, node.kwargs), value)
    if node.op == "call_module":
        return module.get_submodule(node.target)(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], node.target)(*args[1:], **kwargs)
    return node.target(*args, **kwargs)
