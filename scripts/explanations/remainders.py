"""What an operation m adds by itself at its inputs u: the remainder m(u) − J_m(u)·u, its bias at the image (Eq. 12).

It is b for a convolution or linear map, β − γμ/σ for batch normalisation, 0 where m(tu) = t m(u), −m(u) for a product
of two activities, and some function of u for whatever else is not homogeneous. Formulas are given where they are
known; elsewhere forward-mode differentiation finds J_m(u)·u.
"""

import inspect
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torchvision.ops import stochastic_depth

from explanations.operations import BATCH_NORMS, CONVOLUTIONS, attention_in_parts
from explanations.positions import MATRIX_PRODUCTS, MOVING_CALLS

ADDITIONS = (operator.add, torch.add, "add")
ELEMENTWISE_PRODUCTS = (operator.mul, torch.mul, "mul")
PRODUCTS = (*ELEMENTWISE_PRODUCTS, *MATRIX_PRODUCTS)
QUOTIENTS = (operator.truediv, torch.div, "div")
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
ACTIVATION_CALLS = (
    *(F.relu, torch.relu, F.leaky_relu, F.relu6, F.silu, F.gelu, F.hardswish, F.hardsigmoid),
    *(torch.sigmoid, torch.tanh, "relu", "sigmoid", "tanh"),
)

Values = dict[fx.Node, Tensor]


@dataclass(frozen=True)
class Remainder:
    """How to compute a remainder, in the shape of the operation's output, from the values of the nodes in `needs`."""

    needs: tuple[fx.Node, ...]
    compute: Callable[[Values], Tensor]


class FoldedConvolution(nn.Module):
    """A convolution and the batch normalisation behind it, in evaluation mode, as one convolution (Suppl. Eq. 9)."""

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d):
        super().__init__()
        self.convolution, self.norm = convolution, norm
        self._folded: tuple[Tensor, Tensor] | None = None
        self._versions: list[int] = []  # of the tensors that it was folded from

    def forward(self, x: Tensor) -> Tensor:
        """γ/σ · conv(x) + (β − γμ/σ)."""
        versions = [tensor._version for tensor in (*self.parameters(), *self.buffers())]
        if self._folded is None or versions != self._versions:
            self._folded, self._versions = self._fold(), versions
        return self.convolution._conv_forward(x, *self._folded)

    @torch.no_grad()
    def _fold(self) -> tuple[Tensor, Tensor]:
        scale = torch.rsqrt(self.norm.running_var + self.norm.eps)
        if self.norm.affine:
            scale = scale * self.norm.weight
        weight = self.convolution.weight
        return weight * scale.view(-1, *[1] * (weight.dim() - 1)), batch_norm_bias(self.norm)


class SelfAttention(nn.Module):
    """Multi-head attention that returns its output alone, without the weights."""

    def __init__(self, attention: nn.MultiheadAttention):
        super().__init__()
        self.attention = attention

    def forward(self, *args, **kwargs) -> Tensor:
        """The attention's output."""
        return self.attention(*args, **kwargs)[0]

    def is_plain(self, node: fx.Node) -> bool:
        """Whether a call is self-attention of (n, T, C) tokens, without masks or extra keys."""
        attention = self.attention
        plain = attention.batch_first and attention._qkv_same_embed_dim
        plain &= attention.bias_k is None and not attention.add_zero_attn
        masks = ("key_padding_mask", "attn_mask", "is_causal")
        plain &= not any(node.kwargs.get(key) for key in masks) and len(node.args) == 3
        return bool(plain) and len(set(node.args)) == 1


def batch_norm_bias(norm: nn.BatchNorm2d) -> Tensor:
    """β − γ μ / √(σ² + ε) per channel (Suppl. Eq. 9)."""
    if norm.affine:
        return _norm_bias(norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.eps)
    return -norm.running_mean * torch.rsqrt(norm.running_var + norm.eps)


def _norm_bias(mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    return bias - weight * mean * torch.rsqrt(variance + epsilon)


def leaf_module(module: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The module that a node calls, if it calls one."""
    return module.get_submodule(node.target) if node.op == "call_module" else None


def is_homogeneous(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether the remainder is 0 whatever the input; when in doubt the answer is no, and it is computed."""
    leaf = leaf_module(module, node)
    if leaf is not None:
        if isinstance(leaf, (*CONVOLUTIONS, nn.Linear)):
            return leaf.bias is None
        return isinstance(leaf, HOMOGENEOUS_MODULES)
    if node.target in (*PRODUCTS, *QUOTIENTS):  # by what the image doesn't change, and not of one by itself
        return _flowing(node) == [True, False] or (node.target in PRODUCTS and _flowing(node) == [False, True])
    if any(not source.meta.get("flows") for source in node.all_input_nodes if holds_numbers(source)):
        return False  # a parameter that is added or joined is a bias
    if node.target in ADDITIONS:
        return all(isinstance(term, fx.Node) for term in node.args)
    return node.target in HOMOGENEOUS_CALLS


def channel_bias(module: fx.GraphModule, node: fx.Node) -> Callable[[], Tensor] | None:
    """A remainder that is the same for every image and position, as a function.

    It gives one value for each channel, in a shape that broadcasts against the output.
    """
    leaf = leaf_module(module, node)
    if isinstance(leaf, nn.Linear):  # channels are last, whatever comes before
        return lambda: leaf.bias
    channels_first = (-1, *[1] * (len(node.meta["tensor_meta"].shape) - 2)) if is_tensor(node) else ()
    if isinstance(leaf, CONVOLUTIONS):
        return lambda: leaf.bias.view(channels_first)
    if node.target is F.batch_norm:
        return _called_batch_norm_bias(module, node, channels_first)
    norm = leaf.norm if isinstance(leaf, FoldedConvolution) else leaf
    if isinstance(norm, BATCH_NORMS) and norm.track_running_stats:
        return lambda: batch_norm_bias(norm).view(channels_first)
    return None


def _called_batch_norm_bias(
    module: fx.GraphModule, node: fx.Node, shape: tuple[int, ...]
) -> Callable[[], Tensor] | None:
    """As channel_bias, of F.batch_norm with statistics and parameters of the network's own."""
    settings = _arguments(F.batch_norm, node)
    keys = ("running_mean", "running_var", "weight", "bias")
    tensors = [settings[key] for key in keys]
    own = [isinstance(tensor, fx.Node) and tensor.op == "get_attr" for tensor in tensors]
    if settings["training"] or not all(own):
        return None

    def bias() -> Tensor:
        own_tensors = (operator.attrgetter(tensor.target)(module) for tensor in tensors)
        return _norm_bias(*own_tensors, settings["eps"]).view(shape)

    return bias


def remainder(module: fx.GraphModule, node: fx.Node) -> Remainder:
    """The remainder of an operation that depends on its input: by a formula, or by forward-mode differentiation."""
    return _formula(module, node) or _differentiated(module, node)


# --- formulas ----------------------------------------------------------------------------------------------------


def relu6_remainder(y: Tensor) -> Tensor:
    """6 where the input is cut off."""
    return y * (y >= 6)


def silu_remainder(x: Tensor, y: Tensor) -> Tensor:
    """−x² σ(x) σ(−x), of y = x σ(x)."""
    return y * (y - x)


def gelu_remainder(x: Tensor, y: Tensor) -> Tensor:
    """−x² φ(x), of y = x Φ(x); φ is the normal density."""
    square = x * x
    return square.mul(-0.5).exp_().mul_(square).mul_(-1 / math.sqrt(2 * math.pi))


def sigmoid_remainder(x: Tensor, y: Tensor) -> Tensor:
    """σ(x) − x σ(x) σ(−x)."""
    return y - x * y * (1 - y)


def hardswish_remainder(x: Tensor, y: Tensor) -> Tensor:
    """−x²/6 on the slope, of y = x · min(max(x + 3, 0), 6) / 6."""
    return torch.where(x.abs() < 3, x * x / -6, 0)


def hardsigmoid_remainder(x: Tensor, y: Tensor) -> Tensor:
    """1/2 on the slope, y beside it, of y = min(max(x + 3, 0), 6) / 6.

    By torch's own derivative: its sixth is one of float32, in float64 too, and so are the gradients that it gives.
    """
    return y - torch.ops.aten.hardsigmoid_backward(x, x)


def layer_norm_remainder(x: Tensor, y: Tensor, shape: Sequence[int], bias: Tensor | None, epsilon: float) -> Tensor:
    """β + (y − β) v/(v + ε) of y = γ (x − μ)/√(v + ε) + β; v is the variance over the last dimensions, of `shape`."""
    variance = x.var(tuple(range(-len(shape), 0)), correction=0, keepdim=True)
    share = variance / (variance + epsilon)
    return y * share if bias is None else torch.lerp(bias, y, share)


def attention_remainder(q: Tensor, k: Tensor, v: Tensor, key_offset: Tensor | None, scale: float) -> Tensor:
    """−ṗ v of softmax attention o = p v, (…, T, d), p = softmax(s), s = scale · q kᵀ.

    ṗ = p (ṡ − Σ p ṡ) is p's derivative along the input, ṡ that of s: 2 s where q, k and v are linear, which leaves
    o − ȯ = p v − ṗ v − p v. Where q and k have biases b_q, b_k, ṡ lacks scale · b_q k (`key_offset`, (…, 1, T)) and
    scale · q b_k, which is the same for all keys and drops out.
    """
    scores = scale * (q @ k.transpose(-2, -1))
    p = scores.softmax(-1)
    derivative = scores.mul_(2)
    if key_offset is not None:
        derivative -= key_offset
    derivative -= (p * derivative).sum(-1, keepdim=True)
    return -(derivative.mul_(p) @ v)


def self_attention_remainder(attention: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """b_o + W_o (b_v − ṗ v) of multi-head self-attention of tokens (n, T, C)."""
    heads, scale = attention.num_heads, attention.head_dim**-0.5
    projected = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)  # (n, T, 3·C)
    q, k, v = projected.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)  # (n, heads, T, C/heads)
    key_offset = None
    if attention.in_proj_bias is not None:
        b_q, _, b_v = attention.in_proj_bias.view(3, heads, 1, -1)
        key_offset = scale * (b_q @ k.transpose(-2, -1))  # (n, heads, 1, T)
    mixed = attention_remainder(q, k, v, key_offset, scale)
    if attention.in_proj_bias is not None:
        mixed += b_v  # p b_v = b_v: a token's weights add up to 1
    return attention.out_proj(mixed.transpose(1, 2).flatten(2))


OF_OUTPUT = {nn.ReLU6: relu6_remainder, F.relu6: relu6_remainder}
OF_BOTH = {
    **{nn.SiLU: silu_remainder, F.silu: silu_remainder, nn.Sigmoid: sigmoid_remainder, F.sigmoid: sigmoid_remainder},
    **{torch.sigmoid: sigmoid_remainder, "sigmoid": sigmoid_remainder, nn.GELU: gelu_remainder, F.gelu: gelu_remainder},
    **{nn.Hardswish: hardswish_remainder, F.hardswish: hardswish_remainder},
    **{nn.Hardsigmoid: hardsigmoid_remainder, F.hardsigmoid: hardsigmoid_remainder},
}


def _formula(module: fx.GraphModule, node: fx.Node) -> Remainder | None:
    leaf = leaf_module(module, node)
    operation = node.target if leaf is None else type(leaf)
    if operation in OF_OUTPUT:
        return Remainder((node,), lambda values: OF_OUTPUT[operation](values[node]))
    if leaf is None and _flowing(node) == [True, True]:  # homogeneous of degree 2, and of degree 0
        if operation in PRODUCTS:
            return Remainder((node,), lambda values: -values[node])
        if operation in QUOTIENTS:
            return Remainder((node,), lambda values: values[node])
    if operation is F.scaled_dot_product_attention and _is_plain_attention(node):
        scale = node.kwargs.get("scale") or node.args[0].meta["tensor_meta"].shape[-1] ** -0.5
        return Remainder(node.args, lambda values: attention_remainder(*(values[a] for a in node.args), None, scale))
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node) or not source.meta.get("flows"):
        return None
    if operation in OF_BOTH:
        if (node.kwargs.get("approximate") or getattr(leaf, "approximate", "none")) != "none":
            return None
        return Remainder((source, node), lambda values: OF_BOTH[operation](values[source], values[node]))
    if operation is nn.LayerNorm:
        settings = (leaf.normalized_shape, leaf.bias, leaf.eps)
        return Remainder((source, node), lambda values: layer_norm_remainder(values[source], values[node], *settings))
    if operation is F.layer_norm:
        shape, bias, epsilon = (_arguments(F.layer_norm, node)[key] for key in ("normalized_shape", "bias", "eps"))
        if isinstance(bias, fx.Node) and bias.op != "get_attr":
            return None

        def compute(values: Values) -> Tensor:
            beta = operator.attrgetter(bias.target)(module) if isinstance(bias, fx.Node) else bias
            return layer_norm_remainder(values[source], values[node], shape, beta, epsilon)

        return Remainder((source, node), compute)
    if isinstance(leaf, SelfAttention) and leaf.is_plain(node):
        return Remainder((source,), lambda values: self_attention_remainder(leaf.attention, values[source]))
    return None


def _is_plain_attention(node: fx.Node) -> bool:
    """Whether q, k and v alone, each from the image, go into an attention: no mask, no dropout, no grouping."""
    extra = {key: value for key, value in node.kwargs.items() if key != "scale"}
    return len(node.args) == 3 and not any(extra.values()) and _flowing(node) == [True] * 3


# --- forward-mode differentiation --------------------------------------------------------------------------------


def _differentiated(module: fx.GraphModule, node: fx.Node) -> Remainder:
    """By torch.func.jvp at all inputs that depend on the image."""
    needs = tuple(source for source in node.all_input_nodes if source.op != "get_attr")
    sources = [source for source in needs if source.meta.get("flows")]

    def compute(values: Values) -> Tensor:
        def call(*inputs: Tensor) -> Tensor:
            return _evaluate(module, node, values | dict(zip(sources, inputs, strict=True)))

        inputs = tuple(values[source] for source in sources)
        if _needs_order(module, node):
            inputs = tuple(value.contiguous() for value in inputs)
        with attention_in_parts():
            output, tangent = torch.func.jvp(call, inputs, inputs)
        return output - tangent

    return Remainder(needs, compute)


def _needs_order(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether an operation is, or may hold, a group normalisation: its forward-mode derivative needs channels first."""
    leaf = leaf_module(module, node)
    opaque = leaf is not None and not type(leaf).__module__.startswith("torch.nn")
    return opaque or isinstance(leaf, nn.GroupNorm) or node.target in (F.group_norm, torch.group_norm)


def _evaluate(module: fx.GraphModule, node: fx.Node, values: Values) -> Tensor:
    """The value of one node; its inputs come from `values`, parameters from the module."""
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda source: _value(module, source, values))
    if node.op == "call_module":
        return module.get_submodule(node.target)(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], node.target)(*args[1:], **kwargs)
    return node.target(*args, **kwargs)


def _value(module: fx.GraphModule, source: fx.Node, values: Values) -> object:
    return values[source] if source in values else operator.attrgetter(source.target)(module)


# --- nodes -------------------------------------------------------------------------------------------------------


def holds_numbers(node: fx.Node) -> bool:
    """Whether a node is a parameter or computed from one or from the input: no shape, no index."""
    return node.op == "get_attr" or is_tensor(node)


def is_tensor(node: fx.Node) -> bool:
    """Whether a node's value is a tensor of floats."""
    meta = node.meta.get("tensor_meta")
    return isinstance(meta, tuple) and hasattr(meta, "dtype") and meta.dtype.is_floating_point


def is_activation(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether an operation is an activation function."""
    leaf = leaf_module(module, node)
    if leaf is not None:
        return type(leaf).__module__ == nn.ReLU.__module__ and not isinstance(leaf, nn.MultiheadAttention)
    return node.target in ACTIVATION_CALLS


def _arguments(function: Callable, node: fx.Node) -> dict[str, object]:
    """All arguments of a function's call by name, with those that it takes by default."""
    bound = inspect.signature(function).bind(*node.args, **node.kwargs)
    bound.apply_defaults()
    return bound.arguments


def _flowing(node: fx.Node) -> list[bool]:
    """Of each argument, whether it is computed from the image."""
    return [isinstance(term, fx.Node) and bool(term.meta.get("flows")) for term in node.args]
