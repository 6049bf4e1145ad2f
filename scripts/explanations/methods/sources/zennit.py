"""LRP of zennit (Anders et al., 2021): rules of single layers, and its composites of them.

The library knows rules of modules alone, merges batch normalisation only where modules stand in the order of their
calls, and adds branches up by a list of classes. Here all is found from the network's graph (see relevance.py), and an
operation without a rule is a reason, not a gradient passed on unseen. A module for each call; convolutions that have
batch normalisation merged into them; sums of branches as the library's Sum; ε for other linear maps without weights;
activations pass relevance on.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, fx, nn
from zennit import composites, rules
from zennit.core import Composite
from zennit.layer import Sum
from zennit.types import Activation, Convolution

from explanations.decomposition.operations import flows, leaf_module
from explanations.methods.sources.base import Method, reduce_channels
from explanations.methods.sources.relevance import give_module, kind_of, no_rule, relevance, untangle

LAYERS = (Convolution, nn.Linear)


def prepare(
    settings: Mapping, network: nn.Module, size: tuple[int, int], names: Sequence[str], bounds: Tensor
) -> Method:
    """LRP by a composite; `bounds` (2, C, 1, 1) are the lowest and highest values that pixels have.

    NotApplicableError for a network with an operation that the library has no rule for.
    """
    module = give_rules(untangle(network, size))
    channels = settings["channels"] or "magnitude_of_sum"

    def make(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        with compose(settings, module, bounds).context(module):
            found, gap = relevance(module, images, targets)
        prepared.gaps.append(gap)
        return reduce_channels(found, channels)

    prepared = Method(make)
    return prepared


def compose(settings: Mapping, module: nn.Module, bounds: Tensor) -> Composite:
    """A composite of the library, or one of a single rule."""
    name, given = settings["name"], {key: settings[key] for key in ("epsilon", "gamma") if key in settings}
    kinds = [(Constant, rules.Norm()), (Elementwise, rules.Pass())]
    if name == "EpsilonGammaBox":
        given |= {"low": bounds[:1], "high": bounds[1:]}
    if name.startswith("Epsilon") and name != "Epsilon":
        return getattr(composites, name)(**given, layer_map=kinds)
    last = [child for child, leaf in module.named_modules() if isinstance(leaf, LAYERS)][-1]
    rule = {
        "Epsilon": lambda: rules.Epsilon(**given),
        "Gamma": lambda: rules.Gamma(gamma=given["gamma"]),
        "ZPlus": rules.ZPlus,
        "AlphaBeta": lambda: rules.AlphaBeta(alpha=1 + settings["beta"], beta=settings["beta"]),
    }[name]()
    layers = [*kinds, *composites.layer_map_base(), (LAYERS, rule)]
    names = [((last,), rules.Epsilon(epsilon=given["epsilon"]))] if name == "Gamma" else []
    return composites.NameLayerMapComposite(name_map=names, layer_map=layers)


def give_rules(module: fx.GraphModule) -> fx.GraphModule:
    """Make a module of every operation that takes a rule; NotApplicableError, naming the first that has none."""
    for index, node in enumerate(list(module.graph.nodes)):
        if not flows(node) or node.op == "placeholder":
            continue
        kind, leaf = kind_of(module, node), leaf_module(module, node)
        known = leaf is None or kind != "activation" or isinstance(leaf, Activation)
        if kind not in ("linear", "sum", "affine", "activation", "passing") or not known:
            raise no_rule("zennit", node, kind, leaf)
        if kind == "sum":
            with module.graph.inserting_before(node):
                pair = module.graph.call_function(stack, node.args)
            give_module(module, node, f"sum_{index}", Sum(), (pair,))
        elif kind in ("affine", "activation") and leaf is None:
            place = next(place for place, argument in enumerate(node.args) if flows(argument))
            rest = {"rest": node.args[:place] + node.args[place + 1 :], "named": node.kwargs}
            made = (Constant if kind == "affine" else Elementwise)(node.op, node.target, place)
            give_module(module, node, f"call_{index}", made, (node.args[place],), rest)
    module.recompile()
    return module


def stack(*terms: Tensor) -> Tensor:
    """Terms of a sum, along a last dimension."""
    return torch.stack(torch.broadcast_tensors(*terms), -1)


class Call(nn.Module):
    """A function, or a method, as a module of the one argument that is computed from the image.

    Rules call it again, with that argument alone: what else it was last given is kept.
    """

    def __init__(self, op: str, target: Callable | str, place: int):
        super().__init__()
        self.op, self.target, self.place = op, target, place

    def forward(self, x: Tensor, rest: tuple | None = None, named: Mapping | None = None) -> Tensor:
        """What it gives."""
        if rest is not None:
            self.rest, self.named = rest, named
        args = (*self.rest[: self.place], x, *self.rest[self.place :])
        if self.op == "call_method":
            return getattr(args[0], self.target)(*args[1:], **self.named)
        return self.target(*args, **self.named)


class Constant(Call):
    """A linear map of one value by constants, without weights of a layer: a mean, a factor, a number added."""


class Elementwise(Call):
    """An activation."""
