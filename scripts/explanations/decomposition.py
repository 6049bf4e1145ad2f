"""The complete decomposition of a class score at every layer, from one forward and one backward pass (Eqs 5–15).

For a network f, an image x, its class c and any layer l: f_c = Σ_ij a^{h,l} + Σ_{l'>l} Σ_ij a^{b,l'} (Eq. 13).
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor, fx, nn

from explanations.graph import BiasedOperation, Layer, remainder, trace_network
from explanations.positions import Layout, channels_first
from explanations.saliency import rescale


@dataclass(frozen=True)
class Attributions:
    """Attributions of n images. Maps are signed sums over channels; a fully connected layer's map is (n, 1, 1).

    logits (n, C); target, score (n,); activity[l] (n, H_l, W_l) for l = 0…L+1; bias[k] and fullgrad_feature[k]
    (n, H, W) per biased operation k; gradient (n, H, W); gradcam (n, h, w). What has no position beside maps that have,
    a class token's share, is in activity_elsewhere (n, L+2) and bias_elsewhere (n, K), so that gross sums are whole.
    """

    logits: Tensor
    target: Tensor
    score: Tensor
    activity: tuple[Tensor, ...]
    bias: tuple[Tensor, ...]
    fullgrad_feature: tuple[Tensor, ...]
    gradient: Tensor
    gradcam: Tensor
    activity_elsewhere: Tensor
    bias_elsewhere: Tensor

    def first(self, count: int) -> "Attributions":
        """The attributions of the first `count` images."""

        def cut(values: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
            return values[:count] if isinstance(values, Tensor) else tuple(value[:count] for value in values)

        return Attributions(**{entry.name: cut(getattr(self, entry.name)) for entry in fields(self)})


class Decomposition:
    """Attributions of a network's decisions; the network itself is neither changed nor hooked."""

    layers: tuple[Layer, ...]
    operations: tuple[BiasedOperation, ...]

    def __init__(self, network: nn.Module, example: Tensor):
        """`example`: an input of the network, (1, 3, H, W); only its shape, dtype and device matter."""
        graph = trace_network(network, example)
        self.layers, self.operations = graph.layers, graph.operations
        self._module = graph.module
        self._input = graph.input
        self._input_layout = Layout(channels_first(example.shape[1:]), tuple(example.shape[2:]), example.device)
        output = graph.layers[-1].node
        implicit = [op for op in graph.operations if op.bias is None]
        self._sources = {source for op in implicit for source in op.node.all_input_nodes}
        recorded = [layer.node for layer in graph.layers] + [op.node for op in graph.operations]
        self._explained = list(dict.fromkeys([self._input, *recorded]))  # where the gradient is needed
        extra = [node for node in self._sources if node.op != "get_attr" and node not in self._explained]
        self._recorded = [*self._explained, *extra]
        self._output = output
        _return_nodes(graph.module, self._recorded)

    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Attributions:
        """Explain `targets` (n,), by default the network's own decisions, for (n, 3, H, W) images."""
        images = images.detach().requires_grad_(True)
        with torch.enable_grad():
            values = dict(zip(self._recorded, self._module(images), strict=True))
            values[self._input] = images
            logits = values[self._output]
            target = logits.argmax(1) if targets is None else targets
            score = logits.gather(1, target[:, None])[:, 0]
            gradients = torch.autograd.grad(score.sum(), [values[node] for node in self._explained])
        gradient = dict(zip(self._explained, gradients, strict=True))
        values = {node: value.detach() if isinstance(value, Tensor) else value for node, value in values.items()}
        with torch.no_grad():
            # whole attributions are as large as the activities: one at a time is reduced to its map
            biases = [self._bias_maps(op, values, gradient[op.node]) for op in self.operations]
            places = [(self._input, self._input_layout), *((layer.node, layer.layout) for layer in self.layers)]
            activity = [map_and_rest(layout, values[node] * gradient[node]) for node, layout in places]
            top, grid = [place for place in places if place[1].size != (1, 1)][-1]
            return Attributions(
                logits=logits.detach(),
                target=target,
                score=score.detach(),
                activity=tuple(found for found, _ in activity),  # Eq. 11; Eq. 5 at l = 0
                bias=tuple(found for found, _, _ in biases),
                fullgrad_feature=tuple(feature for _, _, feature in biases),
                gradient=gradient[self._input].abs().sum(1),
                gradcam=grad_cam(grid.spread(values[top]), grid.spread(gradient[top])),
                activity_elsewhere=torch.stack([rest for _, rest in activity], 1),
                bias_elsewhere=torch.stack([rest for _, rest, _ in biases], 1)
                if biases
                else score.new_zeros(len(score), 0),
            )

    def _bias_maps(
        self, operation: BiasedOperation, values: dict[fx.Node, Tensor], gradient: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """a^b (Eq. 12) as a map and what has no position, and Σ_φ rescale(abs(a^b_φ)), the inner sum of Eq. 8."""
        bias = remainder(self._module, operation.node, values) if operation.bias is None else operation.bias()
        attribution = bias * gradient
        spread = operation.layout.spread(attribution)
        return spread.sum(1), operation.layout.elsewhere(attribution), rescale(spread.abs()).sum(1)


def map_and_rest(layout: Layout, attribution: Tensor) -> tuple[Tensor, Tensor]:
    """An attribution summed over channels, (n, H, W), and the sum of what has no position, (n,)."""
    return layout.spread(attribution).sum(1), layout.elsewhere(attribution)


def grad_cam(activity: Tensor, gradient: Tensor) -> Tensor:
    """[Σ_φ h_φ · mean_ij ∂f_c/∂h_φ]_+ of an (n, C, H, W) activity (§2.4; Selvaraju et al., 2016)."""
    return (activity * gradient.mean((2, 3), keepdim=True)).sum(1).relu()


def completeness_gap(found: Attributions, bias_layers: list[int]) -> tuple[Tensor, Tensor]:
    """By how much Eq. 13 fails, (n, L+2), and the sum of all terms' magnitudes, (n, L+2), to judge it by.

    Sums run in float64 over maps (n, H, W) and what lies elsewhere; `bias_layers` are the operations' layers.
    """
    gross = torch.stack([_gross_sum(a) for a in found.activity], 1) + found.activity_elsewhere
    size = torch.stack([_gross_sum(a.abs()) for a in found.activity], 1) + found.activity_elsewhere.abs()
    for layer, attribution, rest in zip(bias_layers, found.bias, found.bias_elsewhere.unbind(1), strict=True):
        gross[:, :layer] += (_gross_sum(attribution) + rest)[:, None]  # a bias of layer l' counts for every l < l'
        size[:, :layer] += (_gross_sum(attribution.abs()) + rest.abs())[:, None]
    return gross - found.score.double()[:, None], size


def _gross_sum(attribution: Tensor) -> Tensor:
    """A: a map (n, H, W) summed over positions (Eq. 14), in float64."""
    return attribution.double().sum((1, 2))


def _return_nodes(module: fx.GraphModule, nodes: list[fx.Node]) -> None:
    """Make a traced module return the values of `nodes`, in one pass."""
    output = next(node for node in module.graph.nodes if node.op == "output")
    output.args = (tuple(nodes),)
    module.recompile()
