"""A network made faster for inference, with the same outputs: for removal, whose cost is forward passes."""

import copy
import operator
import sys
from collections import Counter

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._pytree import tree_leaves

from explanations.decomposition.operations import call_arguments, is_parameter, leaf_module
from explanations.decomposition.tracing import trace
from explanations.errors import InputError
from explanations.networks.devices import fastest_layout, place_network
from explanations.networks.modes import Mode
from explanations.networks.pooling import separate_poolings

TYPICAL = 4  # images in a batch, for which weights are reordered
LARGEST = 24 * 2**20  # bytes of an operation's output: glibc gives blocks above 32 MiB back to the system when freed


ACTIVATIONS = {nn.ReLU: ("relu", []), nn.ReLU6: ("hardtanh", [0.0, 6.0])}  # oneDNN's names and numbers


class PointwiseConvolution(nn.Module):
    """A convolution by oneDNN, and in the same pass the sum with another tensor and an activation, if given.

    Weights are reordered once, to the layout in which oneDNN reads them, not in every pass. Padding of TensorFlow's
    kind, more at the end than at the start, copies no image: with as much at the start, and a stride more there, the
    first outputs are the only ones too many.
    """

    def __init__(self, convolution: nn.Conv2d, activation: nn.Module | None = None):
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self.kernel, self.stride, self.dilation = convolution.kernel_size, convolution.stride, convolution.dilation
        self.padding = None if type(convolution) is not nn.Conv2d else convolution.padding  # None: TensorFlow's
        self.groups = convolution.groups
        self.activation = ACTIVATIONS[type(activation)] if activation else ("none", [])
        self.reordered: Tensor | None = None

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """activation(convolution(x) + other)."""
        if self.padding is not None:
            return self.convolve(x, list(self.padding), other)
        settings = zip(x.shape[2:], self.kernel, self.stride, self.dilation, strict=True)
        paddings, kept = zip(*(pad_at_start(*each) for each in settings), strict=True)
        return self.convolve(x, list(paddings))[:, :, kept[0], kept[1]]

    def convolve(self, x: Tensor, padding: list[int], other: Tensor | None = None) -> Tensor:
        """The same, with as much padding at both ends."""
        geometry = (padding, list(self.stride), list(self.dilation), self.groups)
        if self.reordered is None or self.reordered.dtype != self.weight.dtype:
            size = [TYPICAL, *x.shape[1:]]
            self.reordered = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *geometry, size)
        pointwise, activation = torch.ops.mkldnn._convolution_pointwise, self.activation
        if other is None:
            return pointwise(x, self.reordered, self.bias, *geometry, *activation, "")
        return pointwise(x, other, self.reordered, self.bias, *geometry, "add", None, *activation, "")

    def __getstate__(self) -> dict:
        """Copies reorder weights again: tensors in oneDNN's layout can't be copied."""
        return {**self.__dict__, "reordered": None}


def pad_at_start(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, slice]:
    """How much to pad at both ends for TensorFlow's outputs along an axis, and which of the outputs these are."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    extra = total % 2  # TensorFlow pads one more at the end
    return total // 2 + extra * stride, slice(extra, extra + outputs)


class InParts(nn.Module):
    """A network that takes a batch (n, C, H, W) in parts, so small that no operation's output is above LARGEST bytes.

    Larger blocks of memory are new ones each time, which the system clears page by page: half the time of networks
    that, like MobileNets, do little with large activities. How many images a part may have is found at the first call.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.images: int | None = None  # in a part

    def forward(self, inputs: Tensor) -> Tensor:
        """The network's outputs (n, …)."""
        if self.images is None:
            with _LargestOutput() as found:
                self.network(inputs[:1].clone())  # it may write into it
            self.images = max(1, LARGEST // found.size)
        if len(inputs) <= self.images:
            return self.network(inputs)
        return torch.cat([self.network(part) for part in inputs.split(self.images)])


class InLayout(nn.Module):
    """A network whose images (n, C, H, W) are laid out in memory as its weights are: what differs is copied."""

    def __init__(self, network: nn.Module, layout: torch.memory_format):
        super().__init__()
        self.network, self.layout = network, layout

    def forward(self, inputs: Tensor) -> Tensor:
        """The network's outputs (n, …)."""
        return self.network(inputs.contiguous(memory_format=self.layout))


class _LargestOutput(Mode):
    """Notes the size, in bytes, of the largest tensor that an operation returns, views left out."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 1

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        if not function.is_view:
            self.size = max([self.size] + [leaf.nbytes for leaf in tree_leaves(output) if isinstance(leaf, Tensor)])
        return output


def optimise_for_inference(network: nn.Module, device: torch.device) -> nn.Module:
    """A copy on `device` with batch normalisation folded into convolutions; on a CPU, these add and activate too.

    On a CPU, max pooling goes by rows and columns, and batches are taken in parts as well; on a GPU, images are laid
    out as weights are. A network that calls one module twice, or that torch.fx can't trace, is otherwise taken as it
    is.
    """
    module = _fold(network)
    on_cpu = device.type == "cpu"
    if on_cpu and isinstance(module, fx.GraphModule):
        separate_poolings(module)
        if torch.backends.mkldnn.is_available():
            _fuse_pointwise(module)
    module = place_network(module, device)
    return InParts(module) if on_cpu else InLayout(module, fastest_layout(device))


def quicken(exact: nn.Module, precision: str, dtype: torch.dtype) -> nn.Module:
    """A copy of what optimise_for_inference gives, for a fast precision with weights in `dtype`.

    If it ends with a linear map, that stays in float32, since rounding the logits themselves would be a large part of
    their error.
    """
    quick = copy.deepcopy(exact).to(dtype)
    inner = quick.network if isinstance(quick, (InParts, InLayout)) else quick
    last = _last_module(inner)
    if isinstance(last, nn.Linear) and dtype is not torch.float32:
        last.float().register_forward_pre_hook(lambda _, inputs: tuple(each.float() for each in inputs))
    if isinstance(quick, InLayout):
        device = next(exact.parameters()).device
        return InLayout(place_network(inner, device, precision), fastest_layout(device, precision))
    return quick


def _last_module(network: nn.Module) -> nn.Module | None:
    """The module whose output is the network's; None where that isn't known."""
    if not isinstance(network, fx.GraphModule):
        return network if isinstance(network, nn.Linear) else None
    output = next(node for node in network.graph.nodes if node.op == "output").args[0]
    called = isinstance(output, fx.Node) and output.op == "call_module" and len(output.users) == 1
    return network.get_submodule(output.target) if called else None


def _fold(network: nn.Module) -> nn.Module:
    """A traced copy with batch normalisation folded into convolutions, or the network itself where that can't be."""
    try:
        traced, _ = trace(network)
    except InputError:
        return network
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    convolutions = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    if any(calls[name] != 1 for name in convolutions):
        return network
    _erase_checks(traced.graph)
    _fold_called_batch_norms(traced)
    return fuse(traced, no_trace=True)


def known_convolutions() -> tuple[type, ...]:
    """The kinds of convolutions that compute with their weights as they are, and pad with zeros or as TensorFlow."""
    layers = sys.modules.get("timm.layers")  # not imported: then no network has its modules
    return (nn.Conv2d, layers.Conv2dSame) if layers else (nn.Conv2d,)


def _erase_checks(graph: fx.Graph) -> None:
    """Erase the checks of dimensions that timm's batch normalisations make of their inputs, and what they read."""
    for node in reversed(graph.nodes):  # users first
        if node.target is torch._assert or (node.target in (getattr, operator.eq) and not node.users):
            graph.erase_node(node)


def _fold_called_batch_norms(module: fx.GraphModule) -> None:
    """Fold what `fuse` leaves, F.batch_norm as timm's modules call it, into the convolution before it."""
    for node in list(module.graph.nodes):
        if node.target is not F.batch_norm:
            continue
        settings = call_arguments(F.batch_norm, node)
        source = settings["input"]
        parameters = [settings[key] for key in ("running_mean", "running_var", "weight", "bias")]
        fixed = not settings["training"] and all(map(is_parameter, parameters))
        if not fixed or type(leaf_module(module, source)) not in known_convolutions() or len(source.users) != 1:
            continue
        mean, variance, weight, bias = (operator.attrgetter(parameter.target)(module) for parameter in parameters)
        folded = copy.deepcopy(leaf_module(module, source))
        folded.weight, folded.bias = fuse_conv_bn_weights(
            folded.weight, folded.bias, mean, variance, settings["eps"], weight, bias
        )
        module.set_submodule(source.target, folded)
        node.replace_all_uses_with(source)
        for done in (node, *parameters):
            if not done.users:
                module.graph.erase_node(done)


def _fuse_pointwise(module: fx.GraphModule) -> None:
    """Replace activation(convolution(x)), activation(convolution(x) + other) and convolution(x) by one operation each.

    What stands in between and does nothing is left out.
    """
    graph = module.graph
    for node in list(graph.nodes):
        if type(leaf_module(module, node)) is nn.Identity and len(node.args) == 1:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    for node in list(graph.nodes):
        activation = leaf_module(module, node)
        if type(activation) not in ACTIVATIONS:
            continue
        before = node.args[0]
        if _is_single_convolution(module, before):
            convolution, others = before, ()
        elif before.target in (operator.add, operator.iadd) and len(before.users) == 1:
            terms = [term for term in before.args if _is_single_convolution(module, term, (nn.Conv2d,))]
            if not terms:
                continue
            convolution = terms[0]
            others = tuple(term for term in before.args if term is not convolution)
            if len(others) != 1 or not isinstance(others[0], fx.Node):
                continue
        else:
            continue
        fused = PointwiseConvolution(module.get_submodule(convolution.target), activation)
        module.set_submodule(convolution.target, fused)
        with graph.inserting_before(node):
            replacement = graph.call_module(convolution.target, (convolution.args[0], *others))
        node.replace_all_uses_with(replacement)
        for done in dict.fromkeys((node, before, convolution)):
            graph.erase_node(done)
    for node in graph.nodes:
        if _is_convolution(module, node):
            module.set_submodule(node.target, PointwiseConvolution(module.get_submodule(node.target)))
    module.delete_all_unused_submodules()
    graph.lint()
    module.recompile()


def _is_convolution(module: fx.GraphModule, node: object, kinds: tuple[type, ...] = ()) -> bool:
    """Whether a node is a convolution in float32 of some kinds, or all that are known, with numeric padding."""
    leaf = leaf_module(module, node) if isinstance(node, fx.Node) else None
    if type(leaf) not in (kinds or known_convolutions()):
        return False
    return leaf.padding_mode == "zeros" and not isinstance(leaf.padding, str) and leaf.weight.dtype is torch.float32


def _is_single_convolution(module: fx.GraphModule, node: object, kinds: tuple[type, ...] = ()) -> bool:
    """The same, of an output with one user."""
    return _is_convolution(module, node, kinds) and len(node.users) == 1
