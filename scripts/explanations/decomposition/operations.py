"""What the operations of a traced network are: torch's modules, functions and methods by kind, and questions to nodes.

A node of a torch.fx graph calls a module, a function, or a method of a value. Everything that the decomposition knows
of them by name stands here.
"""

import inspect
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torchvision.ops import stochastic_depth

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Kind:
    """A kind of operations: classes of modules, and calls, which are functions, or methods by name."""

    modules: tuple[type[nn.Module], ...] = ()
    calls: tuple[Callable | str, ...] = ()

    def __or__(self, other: "Kind") -> "Kind":
        return Kind(self.modules + other.modules, self.calls + other.calls)

    def includes(self, module: fx.GraphModule, node: fx.Node) -> bool:
        """Whether a node of `module` calls an operation of this kind."""
        if node.op == "call_module":
            return isinstance(leaf_module(module, node), self.modules)
        return node.op in ("call_function", "call_method") and node.target in self.calls


# --- kinds -------------------------------------------------------------------------------------------------------

# moves its input's values, or repeats or chooses some of them
MOVING = Kind(
    modules=(nn.Flatten, nn.Unflatten, nn.ChannelShuffle),
    calls=(
        *(torch.flatten, torch.reshape, torch.permute, torch.transpose, torch.swapaxes, torch.squeeze, torch.unsqueeze),
        *(torch.cat, torch.concat, torch.stack, torch.chunk, torch.split, torch.unbind, torch.roll, torch.flip),
        *("flatten", "reshape", "view", "permute", "transpose", "swapaxes", "squeeze", "unsqueeze", "contiguous"),
        *("chunk", "split", "unbind", "roll", "flip", "expand", "unflatten", operator.getitem),
    ),
)
# the same, or nothing at all in evaluation mode
PASSING = MOVING | Kind((nn.Identity, nn.Dropout), (F.dropout, stochastic_depth))

ADDITIONS = Kind(calls=(operator.add, torch.add, "add"))
ELEMENTWISE_PRODUCTS = Kind(calls=(operator.mul, torch.mul, "mul"))
MATRIX_PRODUCTS = Kind(calls=(operator.matmul, torch.matmul, torch.bmm, "matmul", "bmm"))
PRODUCTS = ELEMENTWISE_PRODUCTS | MATRIX_PRODUCTS
QUOTIENTS = Kind(calls=(operator.truediv, torch.div, "div"))
REDUCTIONS = Kind(calls=(torch.mean, torch.sum, torch.amax, torch.amin, "mean", "sum", "amax", "amin"))

# m(tu) = t m(u) for every t > 0
HOMOGENEOUS = Kind(
    modules=(
        *(nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Identity, nn.Flatten, nn.Dropout, nn.Dropout2d, nn.ZeroPad2d),
        *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.ChannelShuffle),
    ),
    calls=(
        *(F.relu, torch.relu, F.leaky_relu, F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d),
        *(F.dropout, stochastic_depth, torch.mean, torch.sum, "mean", "sum", *MOVING.calls),
    ),
)
ACTIVATION_CALLS = Kind(
    calls=(
        *(F.relu, torch.relu, F.leaky_relu, F.relu6, F.silu, F.gelu, F.hardswish, F.hardsigmoid),
        *(torch.sigmoid, torch.tanh, "relu", "sigmoid", "tanh"),
    )
)
GROUP_NORMS = Kind((nn.GroupNorm,), (F.group_norm, torch.group_norm))


# --- questions to nodes ------------------------------------------------------------------------------------------


def leaf_module(module: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The module that a node calls, if it calls one."""
    return module.get_submodule(node.target) if node.op == "call_module" else None


def called(module: fx.GraphModule, node: fx.Node) -> object:
    """What a node calls: the class of a module, a function, or a method's name."""
    leaf = leaf_module(module, node)
    return node.target if leaf is None else type(leaf)


def call_arguments(function: Callable, node: fx.Node) -> dict[str, object]:
    """All arguments of a function's call by name, with those that it takes by default."""
    bound = inspect.signature(function).bind(*node.args, **node.kwargs)
    bound.apply_defaults()
    return bound.arguments


def is_activation(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether an operation is an activation function."""
    leaf = leaf_module(module, node)
    if leaf is not None:
        return type(leaf).__module__ == nn.ReLU.__module__ and not isinstance(leaf, nn.MultiheadAttention)
    return ACTIVATION_CALLS.includes(module, node)


def has_parameters(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether an operation has parameters, of its module or as arguments."""
    leaf = leaf_module(module, node)
    if leaf is not None:
        return any(True for _ in leaf.parameters())
    return any(is_parameter(source) for source in node.all_input_nodes)


def is_parameter(node: object) -> bool:
    """Whether a node is a parameter or buffer of the network."""
    return isinstance(node, fx.Node) and node.op == "get_attr"


def is_tensor(node: fx.Node) -> bool:
    """Whether a node's value is one tensor of floats."""
    meta = node.meta.get("tensor_meta")
    return isinstance(meta, tuple) and hasattr(meta, "dtype") and meta.dtype.is_floating_point


def shape_of(node: fx.Node) -> torch.Size:
    """The shape of a node's value, a tensor, in the example that the network was traced with."""
    return node.meta["tensor_meta"].shape


def mark_as_flowing(nodes: list[fx.Node]) -> None:
    """Note that the nodes' values are computed from the image, and reach the output."""
    for node in nodes:
        node.meta["flows"] = True


def flows(argument: object) -> bool:
    """Whether an argument is a node whose value is computed from the image, not from parameters alone."""
    return isinstance(argument, fx.Node) and argument.meta.get("flows", False)


# --- attention ---------------------------------------------------------------------------------------------------


@contextmanager
def attention_in_parts() -> Iterator[None]:
    """Attention as matrix products and a softmax: fused, it has no forward-mode derivative, and hides its parts."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
