"""The remainder m(u) − J_m(u)·u of any operation, by forward-mode differentiation: where no formula is known."""

import operator
from collections.abc import Mapping

import torch
from torch import Tensor, fx

from explanations.decomposition.operations import (
    GROUP_NORMS,
    attention_in_parts,
    flows,
    is_parameter,
    leaf_module,
)


def needed_values(node: fx.Node) -> tuple[fx.Node, ...]:
    """The nodes whose values an operation is computed from, parameters excepted."""
    return tuple(source for source in node.all_input_nodes if not is_parameter(source))


def differentiated_remainder(module: fx.GraphModule, node: fx.Node, values: Mapping[fx.Node, Tensor]) -> Tensor:
    """m(u) − J_m(u)·u of one operation of `module`, by torch.func.jvp at all inputs that depend on the image.

    `values` are those of `needed_values`; the result has the shape of the operation's output.
    """
    sources = [source for source in needed_values(node) if flows(source)]
    inputs = tuple(values[source] for source in sources)
    if _needs_channels_first(module, node):
        inputs = tuple(value.contiguous() for value in inputs)

    def call(*inputs: Tensor) -> Tensor:
        return _evaluate(module, node, {**values, **dict(zip(sources, inputs, strict=True))})

    with attention_in_parts():
        output, tangent = torch.func.jvp(call, inputs, inputs)
    return output - tangent


def _needs_channels_first(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether an operation is, or may hold, a group normalisation: its forward mode needs channels first in memory."""
    leaf = leaf_module(module, node)
    unknown = leaf is not None and not type(leaf).__module__.startswith("torch.nn")
    return unknown or GROUP_NORMS.includes(module, node)


def _evaluate(module: fx.GraphModule, node: fx.Node, values: Mapping[fx.Node, Tensor]) -> Tensor:
    """The value of one node; its inputs come from `values`, parameters from the module."""

    def value(source: fx.Node) -> object:
        return values[source] if source in values else operator.attrgetter(source.target)(module)

    args, kwargs = fx.map_arg((node.args, node.kwargs), value)
    if node.op == "call_module":
        return module.get_submodule(node.target)(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], node.target)(*args[1:], **kwargs)
    return node.target(*args, **kwargs)
