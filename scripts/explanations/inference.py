"""A network made faster for inference, with the same outputs: what removal, whose cost is forward passes, runs on."""

import operator
from collections import Counter

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from explanations.command import InputError
from explanations.devices import place_network
from explanations.tracing import trace


class PointwiseConvolution(nn.Module):
    """A convolution that adds another tensor, if given, and rectifies its output in the same pass (oneDNN's)."""

    def __init__(self, convolution: nn.Conv2d):
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        padding, stride, dilation = convolution.padding, convolution.stride, convolution.dilation
        self.geometry = [list(padding), list(stride), list(dilation), convolution.groups]

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """ReLU(convolution(x) + other)."""
        pointwise = torch.ops.mkldnn._convolution_pointwise
        if other is None:
            return pointwise(x, self.weight, self.bias, *self.geometry, "relu", [], "")
        return pointwise(x, other, self.weight, self.bias, *self.geometry, "add", None, "relu", [], "")


def optimise_for_inference(network: nn.Module, device: torch.device) -> nn.Module:
    """A copy on `device` with batch normalisation folded into convolutions; on a CPU, these add and rectify too.

    A network that calls one module twice, or that torch.fx can't trace, is taken as it is.
    """
    try:
        traced, _ = trace(network)
    except InputError:
        return place_network(network, device)
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    convolutions = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    if any(calls[name] != 1 for name in convolutions):
        return place_network(network, device)
    module = fuse(traced, no_trace=True)
    if device.type == "cpu" and torch.backends.mkldnn.is_available():
        _rectify_in_convolutions(module)
    return place_network(module, device)


def _rectify_in_convolutions(module: fx.GraphModule) -> None:
    """Replace ReLU(convolution(x)) and ReLU(convolution(x) + other) by one operation each."""
    graph = module.graph
    for node in list(graph.nodes):
        if node.op != "call_module" or not isinstance(module.get_submodule(node.target), nn.ReLU):
            continue
        before = node.args[0]
        if _is_single_convolution(module, before):
            convolution, others = before, ()
        elif before.target in (operator.add, operator.iadd) and len(before.users) == 1:
            found = [term for term in before.args if isinstance(term, fx.Node) and _is_single_convolution(module, term)]
            if not found:
                continue
            convolution = found[0]
            others = tuple(term for term in before.args if term is not convolution)
            if len(others) != 1 or not isinstance(others[0], fx.Node):
                continue
        else:
            continue
        module.set_submodule(convolution.target, PointwiseConvolution(module.get_submodule(convolution.target)))
        with graph.inserting_before(node):
            replacement = graph.call_module(convolution.target, (convolution.args[0], *others))
        node.replace_all_uses_with(replacement)
        for done in dict.fromkeys((node, before, convolution)):
            graph.erase_node(done)
    graph.lint()
    module.recompile()


def _is_single_convolution(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is a convolution in float with numeric padding whose output has one user."""
    if node.op != "call_module" or len(node.users) != 1:
        return False
    leaf = module.get_submodule(node.target)
    return type(leaf) is nn.Conv2d and leaf.padding_mode == "zeros" and not isinstance(leaf.padding, str)
