"""Decisions of a network for many images, exactly or faster; both are used alike."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from explanations.networks.devices import compute_in
from explanations.networks.inference import optimise_for_inference

SAFETY = 4  # the margin of a clear decision, in largest errors seen; two errors of opposite sign would take 2
SAMPLED = 32  # of so many clear decisions one is checked


class ExactDecisions:
    """A network's logits (n, C) of (n, 3, H, W) inputs, for their decisions, in float32."""

    def __init__(self, exact: Callable[[Tensor], Tensor]):
        self.exact = exact

    def __call__(self, inputs: Tensor, targets: Tensor | None = None) -> Tensor:
        """Logits (n, C) whose argmax is that of the float32 ones; `targets` (n,) are the decisions that may flip."""
        return self.exact(inputs)

    def measure(self, inputs: Tensor) -> Tensor:
        """The float32 logits (n, C)."""
        return self.exact(inputs)

    def compute(self, inputs: Tensor) -> Tensor:
        """Logits (n, C) in the precision that is decided in, nothing checked."""
        return self.exact(inputs)

    def share(self) -> str:
        """What to say beside the progress: nothing."""
        return ""

    def summary(self) -> str:
        """What to say at the end, in a line: nothing."""
        return ""


class FastDecisions:
    """The same in a fast precision, and in float32 where that could change the decision.

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
        fast = self.compute(inputs)
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
        self.error = max(self.error, relative_errors(self.compute(inputs), exact).max().item())
        self.passes += len(inputs)
        self.rechecked += len(inputs)
        return exact

    def compute(self, inputs: Tensor) -> Tensor:
        """Logits (n, C) in the fast precision, nothing checked."""
        if self.half is not None:
            return self.half(inputs.to(torch.bfloat16)).float()
        with compute_in(self.precision, self.device):
            return self.exact(inputs)

    def share(self) -> str:
        """What to say beside the progress: how much of the work is done in float32 too."""
        return f"{self.rechecked / max(self.passes, 1):.1%} of passes in float32 too"

    def summary(self) -> str:
        """What to say at the end: what the checks in float32 gave, in a line."""
        return f"{self.precision}: {self.share()}, largest error {self.error:.1e}, {self.missed} decisions missed"


Decisions = ExactDecisions | FastDecisions


def relative_errors(logits: Tensor, exact: Tensor) -> Tensor:
    """The largest error of each image's logits (n, C), relative to its largest exact logit, (n,); f8.

    Where exact logits are all 0, as those of a black image without biases, logits of 0 have no error. What isn't
    finite is infinitely wrong: then no decision is clear any more.
    """
    size = exact.abs().amax(1).double().clamp(min=torch.finfo(torch.float64).tiny)
    error = (logits - exact).abs().amax(1).double() / size
    return error.nan_to_num(nan=torch.inf)


def decide_in(precision: str, network: nn.Module, device: torch.device) -> Decisions:
    """Decisions of a copy of a network on a device, computed in a precision: they are float32's.

    Decisions in float32 are exact; and on a CPU those in tf32, which no CPU has, and in bfloat16 if it has none.
    """
    exact = optimise_for_inference(network, device)
    fast_here = device.type != "cpu" or (precision == "bfloat16" and has_bfloat16())
    fast = precision != "float32" and fast_here
    return FastDecisions(exact, precision, device) if fast else ExactDecisions(exact)


def has_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
