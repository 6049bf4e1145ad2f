"""AttnLRP of LXT (Achtibat et al., 2024), LRP for transformers, and its variant without relevance of the softmax.

Rules are the library's functions, and zennit's γ-rule of linear maps, as LXT takes it for vision transformers. Its
explicit part alone is used, on the network's graph (see relevance.py): it asks nothing of the network's classes. The
efficient part changes classes for good and needs a version of transformers from before 5.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from lxt.explicit import functional, rules
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_flatten, tree_unflatten
from zennit.composites import LayerMapComposite
from zennit.rules import Gamma
from zennit.types import Convolution

from explanations.decomposition.modules import SelfAttention
from explanations.decomposition.operations import MATRIX_PRODUCTS, flows, leaf_module
from explanations.methods.sources.base import Method, NotApplicableError, reduce_channels
from explanations.methods.sources.relevance import give_module, kind_of, no_rule, relevance, untangle


def prepare(settings: Mapping, network: nn.Module, size: tuple[int, int], names: Sequence[str]) -> Method:
    """AttnLRP, or CP-LRP; NotApplicableError for a network without attention, or with an operation without a rule."""
    module = give_rules(untangle(network, size), settings["epsilon"], through_softmax=settings["name"] == "AttnLRP")
    gammas = [(Convolution, settings["conv_gamma"]), (nn.Linear, settings["linear_gamma"])]
    composite = LayerMapComposite([(kind, Gamma(gamma=gamma)) for kind, gamma in gammas])
    channels = settings["channels"] or "magnitude_of_sum"

    def make(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        with composite.context(module):
            found, gap = relevance(module, images, targets)
        prepared.gaps.append(gap)
        return reduce_channels(found, channels)

    prepared = Method(make)
    return prepared


def give_rules(module: fx.GraphModule, epsilon: float, *, through_softmax: bool) -> fx.GraphModule:
    """Let every operation of the graph send relevance down by a rule; linear maps with weights get theirs by hooks."""
    flowing = [node for node in module.graph.nodes if flows(node) and node.op != "placeholder"]
    kinds = {node: kind_of(module, node) for node in flowing}
    for index, (node, kind) in enumerate(kinds.items()):
        if kind not in ("linear", "passing"):
            step = choose_rule(node, kind, leaf_module(module, node), epsilon, through_softmax)
            give_module(module, node, f"rule_{index}", step, node.args, node.kwargs)
    if not {"attention", "softmax"} & set(kinds.values()):
        raise NotApplicableError("the network has no attention")
    module.recompile()
    return module


def choose_rule(node: fx.Node, kind: str, leaf: nn.Module | None, epsilon: float, through_softmax: bool) -> nn.Module:
    """A module that takes a node's arguments; NotApplicableError if the library has no rule for what it does."""
    call = leaf or (partial(_call_method, node.target) if node.op == "call_method" else node.target)
    if kind == "sum":  # not by epsilon_lrp, which multiplies in place what an addition gives both terms
        return Step(functional.add2)
    if kind in ("affine", "weighted"):
        return Step(partial(by_rule, call, lambda function, *inputs: rules.epsilon_lrp(function, epsilon, *inputs)))
    if kind == "activation":
        return Step(partial(by_rule, call, rules.identity))
    if kind == "product":
        return Step(multiply if node.target in MATRIX_PRODUCTS.calls else functional.mul2)
    if kind == "softmax" and (leaf is None or isinstance(leaf, nn.Softmax)):
        return Step(partial(softmax, through_softmax, None if leaf is None else leaf.dim))
    if kind == "normalisation":
        return Step(partial(normalise, leaf))
    if isinstance(leaf, SelfAttention) and leaf.is_plain(node):
        return HeadsOfAttention(leaf.attention, through_softmax)
    if kind == "attention" and leaf is None:
        return Step(partial(attend, through_softmax))
    raise no_rule("LXT", node, kind, leaf)


class Step(nn.Module):
    """A function in a graph's place for a module."""

    def __init__(self, function: Callable):
        super().__init__()
        self.function = function

    def forward(self, *args, **kwargs) -> Tensor:
        """What the function gives."""
        return self.function(*args, **kwargs)


def _call_method(name: str, value: Tensor, *args: object, **kwargs: object) -> Tensor:
    return getattr(value, name)(*args, **kwargs)


# --- rules -------------------------------------------------------------------------------------------------------


def by_rule(call: Callable, rule: Callable, *args: object, **kwargs: object) -> Tensor:
    """What a call gives, with a rule of the library that takes a function and the tensors that relevance goes to."""
    flat, form = tree_flatten((args, kwargs))
    places = [place for place, value in enumerate(flat) if isinstance(value, Tensor) and value.requires_grad]

    def function(*inputs: Tensor) -> Tensor:
        filled = list(flat)
        for place, value in zip(places, inputs, strict=True):
            filled[place] = value
        filled_args, filled_kwargs = tree_unflatten(filled, form)
        return call(*filled_args, **filled_kwargs)

    return rule(function, *(flat[place] for place in places)) if places else call(*args, **kwargs)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """A matrix product: half of the relevance to each factor, by ε; all to one if none goes to the other."""
    if a.requires_grad and b.requires_grad:
        return functional.matmul(a, b)
    return rules.epsilon_lrp(torch.matmul, 1e-6, a, b)


def softmax(through: bool, of_module: int | None, x: Tensor, dim: int | None = None, **kwargs: object) -> Tensor:
    """Softmax along the last dimension; relevance goes `through` it, or ends there."""
    if not through:
        return torch.softmax(x, dim if of_module is None else of_module).detach()
    return functional.softmax(x, dim if of_module is None else of_module)


def normalise(leaf: nn.LayerNorm | nn.RMSNorm | None, x: Tensor, *args: object, **kwargs: object) -> Tensor:
    """Layer normalisation over the last dimension: the standard deviation is a constant for relevance."""
    if leaf is not None:
        return functional.layer_norm(x, leaf.weight, leaf.bias, leaf.eps)
    asked = dict(zip(("normalized_shape", "weight", "bias", "eps"), args, strict=False)) | kwargs
    return functional.layer_norm(x, asked.get("weight"), asked.get("bias"), asked.get("eps", 1e-5))


def attend(
    through: bool, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *args, **kwargs
) -> Tensor:
    """Scaled dot-product attention of (n, heads, T, C), in parts."""
    scale = kwargs.get("scale") or query.shape[-1] ** -0.5
    scores = functional.mul2(multiply(query, key.transpose(-1, -2)), scale)
    if attn_mask is not None:
        scores = functional.add2(scores, attn_mask)
    return multiply(softmax(through, -1, scores), value)


class HeadsOfAttention(nn.Module):
    """torch's multi-head self-attention in parts, whose linear maps take rules by hooks."""

    def __init__(self, attention: nn.MultiheadAttention, through: bool):
        super().__init__()
        self.heads, self.through, width = attention.num_heads, through, attention.embed_dim
        self.inner = nn.Linear(width, 3 * width, bias=attention.in_proj_bias is not None)
        self.outer = nn.Linear(width, width, bias=attention.out_proj.bias is not None)
        self.inner.weight, self.inner.bias = attention.in_proj_weight, attention.in_proj_bias
        self.outer.weight, self.outer.bias = attention.out_proj.weight, attention.out_proj.bias

    def forward(self, x: Tensor, *args: object, **kwargs: object) -> Tensor:
        """Of tokens (n, T, C)."""
        parts = self.inner(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (3, n, heads, T, C / heads)
        return self.outer(attend(self.through, *parts).transpose(1, 2).flatten(2))
