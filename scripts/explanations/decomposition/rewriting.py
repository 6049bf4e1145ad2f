"""Changes to a traced network's graph that leave its output as it is; the network itself is never changed.

After them each node returns one value, and no operation overwrites a value that the decomposition records.
"""

import copy
import operator
from collections import Counter
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import TensorMetadata
from torch.nn import functional as F

from explanations.decomposition.modules import FoldedConvolution, SelfAttention
from explanations.decomposition.operations import (
    ADDITIONS,
    BATCH_NORMS,
    CONVOLUTIONS,
    MOVING,
    called,
    leaf_module,
    shape_of,
)
from explanations.decomposition.tracing import describe_operation
from explanations.errors import InputError

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


# Their derivatives don't need the input that they overwrite, which is the output of FRESH or of an addition; nor do the
# derivatives of these.
IN_PLACE = {
    **dict.fromkeys((nn.ReLU, F.relu, torch.relu, "relu"), torch.relu_),
    **dict.fromkeys((nn.ReLU6, F.relu6), relu6_),
    **dict.fromkeys(ADDITIONS.calls, operator.iadd),
}
FRESH = (*CONVOLUTIONS, *BATCH_NORMS, FoldedConvolution, nn.Linear)  # which write their output to memory of its own


# --- before the network has run on an example --------------------------------------------------------------------


def fold_batch_norms(module: fx.GraphModule) -> None:
    """Replace a convolution without a bias and the batch normalisation after it by one convolution."""
    nodes = module.graph.nodes
    calls = Counter(node.target for node in nodes if node.op == "call_module")
    for node in list(nodes):
        norm = leaf_module(module, node)
        if not isinstance(norm, nn.BatchNorm2d) or not norm.track_running_stats or len(node.args) != 1:
            continue
        source = node.args[0]
        convolution = leaf_module(module, source)
        used_once = len(source.users) == 1 and calls[source.target] == calls[node.target] == 1
        if type(convolution) is nn.Conv2d and convolution.bias is None and used_once:
            module.set_submodule(node.target, FoldedConvolution(convolution, norm))
            node.args = source.args
            module.graph.erase_node(source)
    module.recompile()


def write_out_of_place(module: fx.GraphModule) -> None:
    """Replace operations that are known to overwrite their input by those that don't."""
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


def make_single_outputs(module: fx.GraphModule) -> None:
    """Let every attention return its output alone; InputError where the network uses the attention's weights."""
    for node in list(module.graph.nodes):
        attention = leaf_module(module, node)
        if not isinstance(attention, nn.MultiheadAttention):
            continue
        for user in list(node.users):
            if user.target is operator.getitem and user.args[1] == 1 and not user.users:
                module.graph.erase_node(user)
        if any(user.target is not operator.getitem or user.args[1] != 0 for user in node.users):
            raise InputError(f"the network uses the weights of the attention {node.target}, not its output alone")
        module.set_submodule(node.target, SelfAttention(attention))
        for user in list(node.users):
            user.replace_all_uses_with(node)
            module.graph.erase_node(user)
    module.recompile()


# --- after it: what an operation overwrites, and how many values it returns, is known -----------------------------


def copy_overwritten(module: fx.GraphModule) -> None:
    """Let operations that overwrite their inputs write on copies; InputError if such an input is used again."""
    order = {node: index for index, node in enumerate(module.graph.nodes)}
    for node in order:
        for source in node.meta.get("overwrites", ()):
            if any(order[user] > order[node] for user in source.users):
                raise InputError(
                    f"the network's {describe_operation(node)} overwrites {describe_operation(source)}, which is used "
                    "again; allowed are operations that return what they change"
                )
        if node.meta.get("overwrites"):
            _call_through(module, node, node, "on_copies", _on_copies)
    module.recompile()


def _on_copies(call: Callable, args: tuple, kwargs: dict) -> object:
    args, kwargs = fx.node.map_aggregate(
        (args, kwargs), lambda value: value.clone() if isinstance(value, Tensor) else value
    )
    return call(*args, **kwargs)


def separate_outputs(module: fx.GraphModule, names: dict[str, str]) -> None:
    """Where an operation returns several values, let each of them that is used have an operation that returns it alone.

    `names` is kept up to date. Operations that only move values stay as they are: they have no biases.
    """
    for node in list(module.graph.nodes):
        meta = node.meta.get("tensor_meta")
        several = isinstance(meta, tuple | list) and not isinstance(meta, TensorMetadata)
        if not several or not node.op.startswith("call") or MOVING.includes(module, node):
            continue
        for user in list(node.users):
            if user.target is not operator.getitem:
                continue
            if not user.users:
                module.graph.erase_node(user)
                continue
            index = user.args[1]
            user.args, user.kwargs, names[user.name] = node.args, node.kwargs, names[node.name]
            _call_through(module, node, user, f"output_{index}", partial(_take, index))
        if not node.users:
            module.graph.erase_node(node)
    module.recompile()


def _take(index: int | str, call: Callable, args: tuple, kwargs: dict) -> object:
    return call(*args, **kwargs)[index]


def _call_through(module: fx.GraphModule, node: fx.Node, by: fx.Node, name: str, change: Callable) -> None:
    """Let the node `by` call what `node` calls, through `change`, which gets the call, its args and its kwargs."""
    if node.op == "call_module":
        by.op, by.target = "call_module", f"{node.target}_{name}"
        module.add_submodule(by.target, _CalledThrough(module.get_submodule(node.target), change))
        return
    target = node.target

    def call(*args, **kwargs) -> object:
        if isinstance(target, str):  # a method
            return change(lambda value, *rest, **named: getattr(value, target)(*rest, **named), args, kwargs)
        return change(target, args, kwargs)

    call.__name__ = f"{target if isinstance(target, str) else target.__name__}_{name}"
    by.op, by.target = "call_function", call


class _CalledThrough(nn.Module):
    """A module that is called through a function."""

    def __init__(self, module: nn.Module, change: Callable):
        super().__init__()
        self.module, self.change = module, change

    def forward(self, *args, **kwargs) -> object:
        return self.change(self.module, args, kwargs)


# --- once it is known whose values are recorded ------------------------------------------------------------------


def overwrite_inputs(module: fx.GraphModule, kept: frozenset[fx.Node]) -> None:
    """Let activations and additions overwrite an input that nothing else reads and that is not in `kept`.

    That halves the memory that they touch. Gradients are not affected: they are read as they pass by.
    """
    fresh: set[fx.Node] = set()  # values in memory of their own
    for node in module.graph.nodes:
        if ADDITIONS.includes(module, node) or isinstance(leaf_module(module, node), FRESH):
            fresh.add(node)
        operation = IN_PLACE.get(called(module, node))
        if operation is None or any(node.kwargs.values()):
            continue
        for term in node.all_input_nodes:
            unread = term in fresh and term not in kept and len(term.users) == 1 and node.args.count(term) == 1
            if unread and shape_of(term) == shape_of(node):
                others = [other for other in node.args if other is not term]
                node.op, node.target, node.args, node.kwargs = "call_function", operation, (term, *others), {}
                break
    module.recompile()
