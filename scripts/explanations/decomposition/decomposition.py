"""The complete decomposition of a class score at every layer, from one forward and one backward pass (Eqs 5–15).

For a network f, an image x, its class c and any layer l: f_c = Σ_ij a^{h,l} + Σ_{l'>l} Σ_ij a^{b,l'} (Eq. 13).
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch
from torch import Tensor, fx, nn

from explanations.decomposition.layers import BiasedOperation, Layer, NetworkGraph, list_mapped, trace_network
from explanations.decomposition.layouts import Layout
from explanations.decomposition.reductions import sum_channels, sum_channels_twice
from explanations.errors import InputError

# What a shard holds, by its names there: sums that must add up in double precision, the rest in single.
DOUBLE = {"score": "score", "activity_elsewhere": "activity_non_spatial", "bias_elsewhere": "bias_non_spatial"}
SINGLE = ("logits", "gradient", "gradcam", "activity", "bias", "fullgrad_feature")


@dataclass(frozen=True)
class Attributions:
    """Attributions of n images. Maps are signed sums over channels; a fully connected layer's map is (n, 1, 1).

    logits (n, C); target, score (n,); activity[l] (n, H_l, W_l) for l = 0…L+1; bias[k] and fullgrad_feature[k]
    (n, H, W) per biased operation k; gradient (n, H, W); gradcam (n, h, w). The share of values that have no position
    beside others that have one, as a class token's, is in activity_non_spatial (n, L+2) and bias_non_spatial (n, K):
    gross sums (Eq. 14) are those of map and share.
    """

    logits: Tensor
    target: Tensor
    score: Tensor
    activity: tuple[Tensor, ...]
    bias: tuple[Tensor, ...]
    fullgrad_feature: tuple[Tensor, ...]
    gradient: Tensor
    gradcam: Tensor
    activity_non_spatial: Tensor
    bias_non_spatial: Tensor

    def first(self, count: int) -> "Attributions":
        """The attributions of the first `count` images."""

        def cut(values: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
            return values[:count] if isinstance(values, Tensor) else tuple(value[:count] for value in values)

        return Attributions(**{entry.name: cut(getattr(self, entry.name)) for entry in fields(self)})

    def to_arrays(self) -> dict[str, np.ndarray | list[np.ndarray]]:
        """The datasets of a shard (files/shards.py), by name: arrays, or one array for each layer or operation."""

        def single(values: Tensor | tuple[Tensor, ...]) -> np.ndarray | list[np.ndarray]:
            return values.float().cpu().numpy() if isinstance(values, Tensor) else [single(value) for value in values]

        target = {"target": self.target.cpu().numpy()}
        double = {name: getattr(self, field).double().cpu().numpy() for name, field in DOUBLE.items()}
        return target | double | {name: single(getattr(self, name)) for name in SINGLE}


class Decomposition:
    """Attributions of a network's decisions; the network itself is neither changed nor hooked.

    Maps are made during the backward pass, from each gradient as it passes by, so that memory is hardly more than that
    of a plain pass.
    """

    layers: tuple[Layer, ...]
    operations: tuple[BiasedOperation, ...]
    mapped: list[Layer]  # the input, as layer 0, and the layers with positions

    def __init__(self, network: nn.Module, example: Tensor):
        """`example`: an input of the network, (1, 3, H, W); only its shape, dtype and device matter."""
        self._graph = trace_network(network, example)
        self.layers, self.operations = self._graph.layers, self._graph.operations
        self.mapped = list_mapped(self._graph, example)
        self._input, self._top = self.mapped[0], self.mapped[-1]

    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Attributions:
        """Explain `targets` (n,), by default the network's own decisions, for (n, 3, H, W) images."""
        images = images.detach().requires_grad_(True)
        recorder = Recorder(self._graph)
        activity: dict[int, tuple[Tensor, Tensor]] = {}  # by layer: map, non-spatial share
        bias: dict[int, tuple[Tensor, Tensor, Tensor]] = {}  # by operation: map, non-spatial share, per feature
        gradcam: list[Tensor] = []

        def explain_layer(layer: Layer, gradient: Tensor) -> None:
            value = recorder.values[layer.node]
            activity[layer.index] = activity_map(layer.layout, value, gradient)
            if layer is self._top:
                gradcam.append(grad_cam(layer.layout, value, gradient))

        def explain_operation(index: int, gradient: Tensor) -> None:
            bias[index] = bias_maps(self.operations[index], recorder.values, gradient)

        for layer in self.layers:
            recorder.watch(layer.node, partial(explain_layer, layer))
        for index, operation in enumerate(self.operations):
            recorder.watch(operation.node, partial(explain_operation, index))
        with torch.enable_grad():
            logits = recorder.run(images)
            target = logits.argmax(1) if targets is None else targets
            score = logits.gather(1, target[:, None])[:, 0]
            (gradient,) = torch.autograd.grad(score.sum(), images)
        with torch.no_grad():
            explain_layer(self._input, gradient)
            activity_maps, activity_shares = zip(*(activity[index] for index in sorted(activity)), strict=True)
            biases = [bias[index] for index in range(len(self.operations))]
            none = score.new_zeros(len(score), 0)
            return Attributions(
                logits=logits.detach(),
                target=target,
                score=score.detach(),
                activity=activity_maps,
                bias=tuple(attribution for attribution, _, _ in biases),
                fullgrad_feature=tuple(feature for _, _, feature in biases),
                gradient=gradient.abs().sum(1),
                gradcam=gradcam[0],
                activity_non_spatial=torch.stack(activity_shares, 1),
                bias_non_spatial=torch.stack([share for _, share, _ in biases], 1) if biases else none,
            )


class Recorder(fx.Interpreter):
    """Runs a traced network node by node, keeps values of the graph's `kept`, and shows gradients to watchers."""

    def __init__(self, graph: NetworkGraph):
        super().__init__(graph.module)
        self.extra_traceback = False  # messages stay one line
        self.values: dict[fx.Node, Tensor] = {}  # without their history
        self._kept, self._watchers = {graph.input, *graph.kept}, defaultdict(list)

    def watch(self, node: fx.Node, watcher: Callable[[Tensor], None]) -> None:
        """Call `watcher` with the gradient of a node's value, in the backward pass."""
        self._watchers[node].append(watcher)

    def run(self, images: Tensor) -> Tensor:
        """The logits of images."""
        try:
            return super().run(images)
        finally:
            self.env.clear()  # its values hold watchers, which hold the recorder: a cycle that would outlive the pass

    def run_node(self, node: fx.Node) -> object:
        """Compute a node's value."""
        value = super().run_node(node)
        if node in self._kept:
            self.values[node] = value.detach() if isinstance(value, Tensor) else value
        if self._watchers[node] and value.grad_fn is None:
            raise InputError(f"the network's {node.name} has no derivative; its decomposition needs one")
        for watcher in self._watchers[node]:
            # a hook of the operation, not of the tensor, which another operation may overwrite
            output = value.output_nr
            value.grad_fn.register_prehook(lambda gradients, watcher=watcher, output=output: watcher(gradients[output]))
        return value


def activity_map(layout: Layout, value: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """a^h = Σ_φ h_φ ∂f_c/∂h_φ (Eqs 5, 11) as a map, (n, H, W), and the non-spatial share, (n,)."""
    return layout.split(sum_channels(layout.rows(value), layout.rows(gradient)))


def bias_maps(
    operation: BiasedOperation, values: dict[fx.Node, Tensor], gradient: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """a^b (Eq. 12) as a map, (n, H, W), the non-spatial share, (n,), and Σ_φ rescale(|a^b_φ|) of Eq. 8, (n, H, W)."""
    layout, rows = operation.layout, operation.layout.rows(gradient)
    bias = operation.remainder.compute(values) if operation.remainder else operation.bias()
    if operation.bias and bias.numel() == rows.shape[2]:
        by_row = by_cell = bias.flatten()
    else:
        bias = bias.expand_as(gradient)
        by_row, by_cell = layout.rows(bias), layout.cell_rows(bias)
    sums, rescaled = sum_channels_twice(layout.cell_rows(gradient), by_cell)
    attribution, share = layout.split(sums if layout.row_cells is None else sum_channels(rows, by_row))
    return attribution, share, layout.from_cells(rescaled)


def grad_cam(layout: Layout, value: Tensor, gradient: Tensor) -> Tensor:
    """[Σ_φ h_φ · mean_ij ∂f_c/∂h_φ]_+ of an activity (§2.4; Selvaraju et al., 2016), (n, H, W)."""
    weights = layout.cell_rows(gradient).mean(1)  # (n, C)
    return layout.from_cells((layout.cell_rows(value) @ weights[..., None])[..., 0]).relu()


def completeness_gap(attributions: Attributions, bias_layers: list[int]) -> tuple[Tensor, Tensor]:
    """By how much Eq. 13 fails, (n, L+2), and the sum of all terms' magnitudes, (n, L+2), to judge it by.

    Sums run in float64, over maps and non-spatial shares; `bias_layers` are the layers of the biased operations.
    """
    activity, share = attributions.activity, attributions.activity_non_spatial
    gross = torch.stack([_gross_sum(a) for a in activity], 1) + share
    size = torch.stack([_gross_sum(a.abs()) for a in activity], 1) + share.abs()
    shares = attributions.bias_non_spatial.unbind(1)
    for layer, bias, share in zip(bias_layers, attributions.bias, shares, strict=True):
        gross[:, :layer] += (_gross_sum(bias) + share)[:, None]  # a bias of layer l' counts for every l < l'
        size[:, :layer] += (_gross_sum(bias.abs()) + share.abs())[:, None]
    return gross - attributions.score.double()[:, None], size


def _gross_sum(attribution: Tensor) -> Tensor:
    """A: a map (n, H, W) summed over positions (Eq. 14), in float64."""
    return attribution.double().sum((1, 2))
