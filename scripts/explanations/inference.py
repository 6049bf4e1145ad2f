"""A network made faster for inference, with the same decisions: what removal, whose cost is forward passes, runs on."""

import copy
import operator
from collections import Counter

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from explanations.command import InputError
from explanations.devices import compute_in, place_network
from explanations.tracing import trace

SAFETY = 4  # the margin of a clear decision, in largest errors seen; two errors of opposite sign would take 2
SAMPLED = 32  # of so many clear decisions one is checked


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


def decide_in(precision: str, network: nn.Module, device: torch.device) -> "nn.Module | FastDecisions":
    """A copy of a network on a device that gives logits (n, C) whose decisions are float32's, computed in a precision.

    What it gives in float32 are the network's logits, to rounding; likewise on a CPU in tf32, which none has, and in
    bfloat16 if it has none.
    """
    exact = optimise_for_inference(network, device)
    fast_here = device.type != "cpu" or (precision == "bfloat16" and has_bfloat16())
    return FastDecisions(exact, precision, device) if precision != "float32" and fast_here else exact


def has_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


class FastDecisions:
    """Logits (n, C) of (n, 3, H, W) inputs in a fast precision; in float32 where that could change the decision.

    A decision is clear if the two largest logits are further apart than SAFETY times the largest error of the fast
    ones that was ever seen, relative to the image's largest logit. An error moves both logits, so that two of them are
    the least margin; SAFETY leaves room for an error twice the largest seen. It is measured, not assumed: on what
    `measure` is given, or else on the whole of the first batch; then on every decision that isn't clear and on one in
    SAMPLED of those that are, so that it is known for all kinds of images that come. A decision against an image's
    target, a flip, ends a scan and is computed in float32 however clear it is. `passes`, `rechecked` and `missed`
    count images: all, those computed in float32 too, and clear ones whose decision differed nevertheless.
    """

    def __init__(self, exact: nn.Module, precision: str, device: torch.device):
        self.exact, self.precision, self.device = exact, precision, device
        self.half = copy.deepcopy(exact).to(torch.bfloat16) if precision == "bfloat16" else None
        self.error = 0.0
        self.passes = self.rechecked = self.missed = 0

    def __call__(self, inputs: Tensor, targets: Tensor | None = None) -> Tensor:
        """Logits (n, C) whose argmax is that of the float32 ones; `targets` (n,) are the decisions that may flip."""
        fast = self.compute_fast(inputs)
        best = fast.topk(2, 1).values
        unclear = ~(best[:, 0] - best[:, 1] > SAFETY * self.error * fast.abs().amax(1))  # NaN is unclear
        checked = torch.arange(self.passes, self.passes + len(inputs), device=fast.device) % SAMPLED == 0
        if targets is not None:
            checked |= fast.argmax(1) != targets
        chosen = (unclear | checked).nonzero()[:, 0] if self.passes else torch.arange(len(inputs), device=fast.device)
        self.passes += len(inputs)
        self.rechecked += len(chosen)
        if len(chosen):
            exact = self.exact(inputs[chosen])
            differs = (fast[chosen].argmax(1) != exact.argmax(1)) & ~unclear[chosen]
            known = self.error > 0
            error, missed = torch.stack([relative_errors(fast[chosen], exact).max(), differs.sum()]).tolist()
            self.missed += int(missed) if known else 0
            self.error = max(self.error, error)
            fast[chosen] = exact
        return fast

    def measure(self, inputs: Tensor) -> Tensor:
        """The float32 logits (n, C), on which the fast ones' error is measured."""
        exact = self.exact(inputs)
        self.error = max(self.error, relative_errors(self.compute_fast(inputs), exact).max().item())
        self.passes += len(inputs)
        self.rechecked += len(inputs)
        return exact

    def compute_fast(self, inputs: Tensor) -> Tensor:
        """Logits (n, C) in the fast precision, nothing checked."""
        if self.half is not None:
            return self.half(inputs.to(torch.bfloat16)).float()
        with compute_in(self.precision, self.device):
            return self.exact(inputs)

    def share(self) -> str:
        """How much of the work is done in float32 too."""
        return f"{self.rechecked / max(self.passes, 1):.1%} of passes in float32 too"

    def summary(self) -> str:
        """What was checked and found so far, in a line."""
        return f"{self.share()}, largest error {self.error:.1e}, {self.missed} decisions missed"


def relative_errors(found: Tensor, exact: Tensor) -> Tensor:
    """The largest error of each image's logits (n, C), relative to its largest exact logit, (n,); f8.

    Logits that are all 0, as those of a black image without biases, have no error if they are found to be 0. What
    isn't finite is infinitely wrong: then no decision is clear any more.
    """
    size = exact.abs().amax(1).double().clamp(min=torch.finfo(torch.float64).tiny)
    error = (found - exact).abs().amax(1).double() / size
    return error.nan_to_num(nan=torch.inf)


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
