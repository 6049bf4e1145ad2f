"""A network as a graph whose operations can each be given a rule, by which relevance goes from its output to its input.

LRP's libraries know rules of modules, or of functions. Here every call of a module has a module of its own, batch
normalisation is merged into the linear map before it, and no operation overwrites its input. A network holds
operations of many names; what kind of rule each takes is told by what it does.
"""

import copy
import operator
from collections.abc import Mapping

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from explanations.decomposition.layers import trace_network
from explanations.decomposition.modules import FoldedConvolution, SelfAttention
from explanations.decomposition.operations import (
    ADDITIONS,
    BATCH_NORMS,
    CONVOLUTIONS,
    ELEMENTWISE_PRODUCTS,
    PASSING,
    PRODUCTS,
    QUOTIENTS,
    Kind,
    call_arguments,
    flows,
    is_activation,
    is_parameter,
    is_tensor,
    leaf_module,
    shape_of,
)
from explanations.decomposition.rewriting import relu6_, write_out_of_place
from explanations.decomposition.tracing import describe_operation
from explanations.errors import InputError
from explanations.methods.sources.base import NotApplicableError

LINEAR = Kind((*CONVOLUTIONS, nn.Linear))
SUMS = ADDITIONS | Kind(calls=(operator.sub, torch.sub, "sub"))
AVERAGES = Kind(
    (nn.AvgPool2d, nn.AdaptiveAvgPool2d),
    (F.avg_pool2d, F.adaptive_avg_pool2d, torch.mean, torch.sum, "mean", "sum"),
)
# whose gradient chooses: all relevance goes to what was chosen
CHOOSING = Kind(
    (nn.MaxPool2d, nn.AdaptiveMaxPool2d),
    (F.max_pool2d, torch.max_pool2d, F.adaptive_max_pool2d, torch.amax, "amax"),
)
PADDING = Kind((nn.ZeroPad2d,), (F.pad,))
SIGNS = Kind(calls=(operator.neg, torch.neg, "neg"))
SOFTMAX = Kind((nn.Softmax,), (F.softmax, torch.softmax, "softmax"))

WITHOUT_RULE = {  # what is said of kinds
    **{"attention": ", attention", "product": ", a product of two computed values", "softmax": ", a softmax"},
    "normalisation": ", a normalisation of each image by itself",
}


def untangle(network: nn.Module, size: tuple[int, int]) -> fx.GraphModule:
    """The network's graph as above; its weights are the network's own or copies, which rules may change.

    NotApplicableError if the network can't be traced.
    """
    weight = next(network.parameters())
    example = torch.zeros(1, 3, *size, dtype=weight.dtype, device=weight.device)
    try:
        module = trace_network(copy.deepcopy(network), example).module
    except InputError as error:
        raise NotApplicableError(str(error)) from None
    write_out_of_place(module)
    with torch.no_grad():
        _Noting(module).run(example)
    for index, node in enumerate(module.graph.nodes):
        if node.target is relu6_:
            node.target = F.relu6
        elif node.target is F.batch_norm:
            give_module(module, node, f"step_{index}", called_batch_norm(module, node), node.args[:1])
        elif node.op == "call_module":
            leaf = copy.deepcopy(leaf_module(module, node))
            if isinstance(leaf, FoldedConvolution):
                leaf = fuse_conv_bn_eval(leaf.convolution, leaf.norm)
            give_module(module, node, f"step_{index}", leaf, node.args, node.kwargs)
    merge_batch_norms(module)
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return module


def give_module(
    module: fx.GraphModule, node: fx.Node, name: str, leaf: nn.Module, args: tuple, kwargs: Mapping | None = None
) -> None:
    """Let a node call a module that nothing else calls."""
    module.add_submodule(name, leaf)
    node.op, node.target, node.args, node.kwargs = "call_module", name, args, dict(kwargs or {})


def called_batch_norm(module: fx.GraphModule, node: fx.Node) -> nn.BatchNorm2d:
    """The module of a call of F.batch_norm; NotApplicableError unless its statistics are the network's own."""
    asked = call_arguments(F.batch_norm, node)
    tensors = {key: asked[key] for key in ("running_mean", "running_var", "weight", "bias")}
    if asked["training"] or not all(is_parameter(tensor) for tensor in tensors.values()):
        raise NotApplicableError(f"{describe_operation(node)} has statistics of its batch, or no scale")
    tensors = {key: operator.attrgetter(tensor.target)(module).detach().clone() for key, tensor in tensors.items()}
    norm = nn.BatchNorm2d(len(tensors["weight"]), eps=asked["eps"]).to(tensors["weight"]).eval()
    norm.load_state_dict(tensors, strict=False)
    return norm


def merge_batch_norms(module: fx.GraphModule) -> None:
    """Replace a linear map and the batch normalisation that alone reads it by one linear map (zennit's canonical form).

    trace_network merges those after convolutions without a bias.
    """
    for node in list(module.graph.nodes):
        norm = leaf_module(module, node)
        source = node.args[0] if isinstance(norm, BATCH_NORMS) else None
        linear = leaf_module(module, source) if isinstance(source, fx.Node) else None
        if not isinstance(linear, LINEAR.modules) or len(source.users) > 1 or not norm.track_running_stats:
            continue
        fuse = fuse_linear_bn_eval if isinstance(linear, nn.Linear) else fuse_conv_bn_eval
        module.set_submodule(source.target, fuse(linear, norm))
        node.replace_all_uses_with(source)
        module.graph.erase_node(node)


# --- what an operation does --------------------------------------------------------------------------------------


def kind_of(module: fx.GraphModule, node: fx.Node) -> str:
    """What a node does with what is computed from the image.

    linear: a module that is a linear map with weights; weighted: a function that is; sum: of several values; affine:
    a linear map without weights, of one value; activation: of each value by itself; passing: relevance goes where
    gradients go; softmax, attention, normalisation, product; "" for anything else.
    """
    flowing = [argument for argument in node.args if flows(argument)]
    leaf = leaf_module(module, node)
    if isinstance(leaf, SelfAttention) or node.target is F.scaled_dot_product_attention:
        return "attention"
    if LINEAR.includes(module, node):
        return "linear"
    if (PASSING | CHOOSING | PADDING).includes(module, node):
        return "passing"
    if node.target is F.linear and len(flowing) == 1:
        return "weighted"
    if isinstance(leaf, (nn.LayerNorm, nn.RMSNorm)) or node.target in (F.layer_norm, F.rms_norm):
        return "normalisation"
    if SOFTMAX.includes(module, node):
        return "softmax"
    if is_activation(module, node):
        return "activation"
    if len(flowing) > 1:
        if ADDITIONS.includes(module, node) and not node.kwargs:
            return "sum"
        return "product" if PRODUCTS.includes(module, node) else ""
    affine = (SUMS | SIGNS | AVERAGES | ELEMENTWISE_PRODUCTS | QUOTIENTS | Kind(BATCH_NORMS)).includes(module, node)
    divides = QUOTIENTS.includes(module, node) and not flows(node.args[0])
    if affine and flowing and not divides:
        return "affine"
    return "passing" if leaf is None and moves(node) else ""


def moves(node: fx.Node) -> bool:
    """Whether a function or method of one computed value alone only moves what is in it: it is tried on numbers."""
    sources = [source for source in node.all_input_nodes if "no tensor" not in source.meta]
    if len(sources) != 1 or not is_tensor(node) or shape_of(node).numel() != shape_of(sources[0]).numel():
        return False
    numbers = torch.arange(shape_of(node).numel(), dtype=torch.float32)

    def call(values: Tensor) -> Tensor:
        known = values.view(shape_of(sources[0]))
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda source: source.meta.get("no tensor", known))
        function = getattr(known, node.target) if node.op == "call_method" else node.target
        return function(*(args[1:] if node.op == "call_method" else args), **kwargs).flatten()

    moved = call(numbers)
    return torch.equal(moved.sort().values, numbers) and torch.equal(call(-numbers), -moved)


class _Noting(fx.Interpreter):
    """Runs a graph and notes in each node's meta what it gives if that is no tensor: a size, None."""

    def run_node(self, node: fx.Node) -> object:
        """Compute a node's value."""
        value = super().run_node(node)
        if "tensor_meta" not in node.meta and not isinstance(value, Tensor):
            node.meta["no tensor"] = value
        return value


def no_rule(library: str, node: fx.Node, kind: str, leaf: nn.Module | None) -> NotApplicableError:
    """What is said of an operation that a library has no rule for."""
    name = node.meta.get("qualified", node.name)
    said = WITHOUT_RULE.get(kind, f" ({type(leaf).__name__})" if leaf is not None else "")
    return NotApplicableError(f"{library} has no rule for {name}{said}")


def relevance(module: nn.Module, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """What comes down to images (n, C, H, W) of the score of each one's target, by the rules of a module.

    And how far its sum is from the score, relative to it, (n,): what biases take, above all. Rules stand in the place
    of gradients.
    """
    images = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        logits = module(images)
        scores = logits.gather(1, targets[:, None]).detach()
        start = torch.zeros_like(logits).scatter(1, targets[:, None], scores)
        (found,) = torch.autograd.grad(logits, images, start)
    gap = (found.flatten(1).sum(1) - scores[:, 0]).abs() / scores[:, 0].abs()
    return found.detach(), torch.where(scores[:, 0] == 0, 0, gap)
