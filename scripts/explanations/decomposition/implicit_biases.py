"""What an operation m adds by itself at its inputs u: the remainder m(u) − J_m(u)·u, its bias at the image (Eq. 12).

It is b for a convolution or linear map, β − γμ/σ for batch normalisation, 0 where m(tu) = t m(u) for every t > 0,
−m(u) for a product of two activities, and some function of u for whatever else is not homogeneous. Closed forms are
taken where they are known (closed_forms.py), forward-mode differentiation elsewhere (forward_mode.py).
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, fx, nn
from torch.nn import functional as F

from explanations.decomposition.closed_forms import (
    ACTIVATIONS_BY_BOTH,
    ACTIVATIONS_BY_OUTPUT,
    attention_remainder,
    batch_norm_bias,
    layer_norm_remainder,
    normalisation_bias,
    self_attention_remainder,
)
from explanations.decomposition.forward_mode import differentiated_remainder, needed_values
from explanations.decomposition.modules import FoldedConvolution, SelfAttention
from explanations.decomposition.operations import (
    ADDITIONS,
    BATCH_NORMS,
    CONVOLUTIONS,
    HOMOGENEOUS,
    PRODUCTS,
    QUOTIENTS,
    call_arguments,
    called,
    flows,
    is_parameter,
    is_tensor,
    leaf_module,
    shape_of,
)

Values = dict[fx.Node, Tensor]


@dataclass(frozen=True)
class Remainder:
    """How to compute a remainder, in the shape of the operation's output, from the values of the nodes in `needs`."""

    needs: tuple[fx.Node, ...]
    compute: Callable[[Values], Tensor]


def is_homogeneous(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether the remainder is 0 whatever the input; when in doubt the answer is no, and it is computed."""
    leaf = leaf_module(module, node)
    if isinstance(leaf, (*CONVOLUTIONS, nn.Linear)):
        return leaf.bias is None
    if leaf is not None:
        return HOMOGENEOUS.includes(module, node)
    factors = [flows(factor) for factor in node.args]  # linear in one of them, but not in both, nor in a divisor
    if PRODUCTS.includes(module, node):
        return factors in ([True, False], [False, True])
    if QUOTIENTS.includes(module, node):
        return factors == [True, False]
    if any(not flows(source) for source in node.all_input_nodes if is_parameter(source) or is_tensor(source)):
        return False  # a parameter, or what is computed from one, that is added or joined is a bias
    if ADDITIONS.includes(module, node):
        return all(isinstance(term, fx.Node) for term in node.args)  # a number that is added is a bias
    return HOMOGENEOUS.includes(module, node)


# --- biases that don't depend on the image -----------------------------------------------------------------------


def channel_bias(module: fx.GraphModule, node: fx.Node) -> Callable[[], Tensor] | None:
    """A remainder that is the same for every image and position, as a function; None if it is not.

    The function gives one value for each channel, in a shape that broadcasts against the output.
    """
    leaf = leaf_module(module, node)
    if isinstance(leaf, nn.Linear):  # channels are last, whatever comes before
        return lambda: leaf.bias
    shape = (-1, *[1] * (len(shape_of(node)) - 2)) if is_tensor(node) else ()  # channels first
    if isinstance(leaf, CONVOLUTIONS):
        return lambda: leaf.bias.view(shape)
    if node.target is F.batch_norm:
        return _called_batch_norm_bias(module, node, shape)
    norm = leaf.norm if isinstance(leaf, FoldedConvolution) else leaf
    if isinstance(norm, BATCH_NORMS) and norm.track_running_stats:
        return lambda: batch_norm_bias(norm).view(shape)
    return None


def _called_batch_norm_bias(
    module: fx.GraphModule, node: fx.Node, shape: tuple[int, ...]
) -> Callable[[], Tensor] | None:
    """The same of F.batch_norm, if its statistics and parameters are the network's own."""
    settings = call_arguments(F.batch_norm, node)
    tensors = [settings[key] for key in ("running_mean", "running_var", "weight", "bias")]
    if settings["training"] or not all(is_parameter(tensor) for tensor in tensors):
        return None
    return lambda: normalisation_bias(*(_parameter(module, tensor) for tensor in tensors), settings["eps"]).view(shape)


def _parameter(module: fx.GraphModule, node: fx.Node) -> Tensor:
    return operator.attrgetter(node.target)(module)


# --- remainders that depend on the image -------------------------------------------------------------------------


def remainder(module: fx.GraphModule, node: fx.Node) -> Remainder:
    """The remainder of an operation that depends on its input: in closed form, or by forward-mode differentiation."""
    return closed_form(module, node) or Remainder(needed_values(node), partial(differentiated_remainder, module, node))


def closed_form(module: fx.GraphModule, node: fx.Node) -> Remainder | None:
    """The remainder of an operation whose formula is known, called in a way in which the formula holds; else None."""
    operation = called(module, node)
    if operation in ACTIVATIONS_BY_OUTPUT:
        return Remainder((node,), lambda values: ACTIVATIONS_BY_OUTPUT[operation](values[node]))
    if [flows(factor) for factor in node.args] == [True, True]:
        if PRODUCTS.includes(module, node):  # homogeneous of degree 2
            return Remainder((node,), lambda values: -values[node])
        if QUOTIENTS.includes(module, node):  # of degree 0
            return Remainder((node,), lambda values: values[node])
    if operation is F.scaled_dot_product_attention and _is_plain_attention(node):
        scale = node.kwargs.get("scale") or shape_of(node.args[0])[-1] ** -0.5
        return Remainder(node.args, lambda values: attention_remainder(*(values[a] for a in node.args), None, scale))
    if not node.args or not flows(node.args[0]):
        return None
    return _closed_form_of_one_input(module, node, node.args[0])


def _closed_form_of_one_input(module: fx.GraphModule, node: fx.Node, source: fx.Node) -> Remainder | None:
    """The same, of operations whose remainder is computed from their first argument, `source`."""
    leaf, operation = leaf_module(module, node), called(module, node)
    if operation in ACTIVATIONS_BY_BOTH:
        if (node.kwargs.get("approximate") or getattr(leaf, "approximate", "none")) != "none":
            return None
        return Remainder((source, node), lambda values: ACTIVATIONS_BY_BOTH[operation](values[source], values[node]))
    if operation is nn.LayerNorm:
        settings = (leaf.normalized_shape, leaf.bias, leaf.eps)
        return Remainder((source, node), lambda values: layer_norm_remainder(values[source], values[node], *settings))
    if operation is F.layer_norm:
        return _called_layer_norm_remainder(module, node, source)
    if isinstance(leaf, SelfAttention) and leaf.is_plain(node):
        return Remainder((source,), lambda values: self_attention_remainder(leaf.attention, values[source]))
    return None


def _called_layer_norm_remainder(module: fx.GraphModule, node: fx.Node, source: fx.Node) -> Remainder | None:
    """The remainder of F.layer_norm, if its β is the network's own, or none."""
    settings = call_arguments(F.layer_norm, node)
    shape, bias, epsilon = (settings[key] for key in ("normalized_shape", "bias", "eps"))
    if isinstance(bias, fx.Node) and not is_parameter(bias):
        return None

    def compute(values: Values) -> Tensor:
        beta = None if bias is None else _parameter(module, bias)
        return layer_norm_remainder(values[source], values[node], shape, beta, epsilon)

    return Remainder((source, node), compute)


def _is_plain_attention(node: fx.Node) -> bool:
    """Whether q, k and v alone, each from the image, go into an attention: no mask, no dropout, no grouping."""
    extra = {key: value for key, value in node.kwargs.items() if key != "scale"}
    return not any(extra.values()) and [flows(argument) for argument in node.args] == [True] * 3
