"""Decisions of a network for many images, exactly or faster; both are used alike."""

import math
import time
from collections.abc import Callable, Generator

import numpy as np
import torch
from torch import Tensor, nn

from explanations.errors import InputError
from explanations.networks.devices import compute_in
from explanations.networks.inference import optimise_for_inference, quicken

MISS = 1e-6  # probability that a clear decision's error is larger than its margin, at most
TAIL = 0.05  # the share of errors, the largest, by which that probability is judged
ENOUGH = 400  # errors, 20 of them in the tail; with fewer the margin is SAFETY times the largest
SAFETY = 4
SAMPLED = 128  # of so many decisions one is checked however clear it is
HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
DECIDED_IN = ("float32", "tf32", *HALVES)
AUTO = "auto"  # bfloat16 where its passes, with what is checked again, take less time than float32's; else float32
CHECKED = 0.1  # of fast passes so many are made again, about
TIMED, TURNS = 16, 3  # images of a pass that is timed, and how many of each; the first of them warms up


class ExactDecisions:
    """A network's logits (n, C) of (n, 3, H, W) inputs, for their decisions, in float32."""

    learns = False  # whether `measure` is of use for more than the logits that it returns

    def __init__(self, exact: Callable[[Tensor], Tensor]):
        self.exact = exact

    def steps(self, inputs: Tensor) -> Generator[None, None, Tensor]:
        """Logits (n, C) whose argmax is that of the float32 ones, as what a generator returns.

        It yields before it waits for the device.
        """
        return self.exact(inputs)
        yield

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

    A decision can only change if the error of its margin, between the two largest logits, is larger than the margin
    itself. It is clear if the margin, relative to the image's largest logit, is above what an error exceeds with a
    probability of MISS, by the errors seen (`error_bound`). They are measured, not assumed: on what `measure` is given,
    or else on all of the first batch; then on every decision that isn't clear and on one in SAMPLED of all. So
    `measure` must be given images of all kinds that come: errors on others may be larger by far, and too few of these
    are sampled at first. `passes`, `rechecked` and `missed` count images: all, those computed in float32 too, and clear
    ones whose decision differed nevertheless. In bfloat16 and float16 a last linear map stays in float32; what
    overflows is unclear.
    """

    learns = True

    def __init__(self, exact: nn.Module, precision: str, device: torch.device):
        self.exact, self.precision, self.device = exact, precision, device
        self.dtype = HALVES.get(precision, torch.float32)
        self.quick = quicken(exact, precision, self.dtype)
        self.errors = np.zeros(0)  # of margins, seen so far
        self.bound = math.inf  # of clear decisions' errors
        self.passes = self.rechecked = self.missed = 0

    def steps(self, inputs: Tensor) -> Generator[None, None, Tensor]:
        """As ExactDecisions.steps."""
        fast = self.compute(inputs)
        best = fast.topk(2, 1).values
        unclear = ~(best[:, 0] - best[:, 1] > self.bound * fast.abs().amax(1))  # NaN is unclear
        unclear |= ~fast.isfinite().all(1)
        checked = torch.arange(self.passes, self.passes + len(inputs), device=fast.device) % SAMPLED == 0
        self.passes += len(inputs)
        marked = fetch(unclear | checked)
        yield
        chosen = marked().nonzero()[:, 0].to(fast.device, non_blocking=True)
        self.rechecked += len(chosen)
        if not len(chosen):
            return fast
        exact, found = self.exact(inputs[chosen]), fast[chosen]
        differs = (found.argmax(1) != exact.argmax(1)) & ~unclear[chosen]
        fast[chosen] = exact
        seen = fetch(torch.stack([margin_errors(found, exact), differs.double()]))
        yield
        errors, differs = seen().numpy()
        self.missed += int(differs.sum())
        self._learn(errors)
        return fast

    def measure(self, inputs: Tensor) -> Tensor:
        """The float32 logits (n, C), on which the fast ones' errors are measured."""
        exact = self.exact(inputs)
        self._learn(margin_errors(self.compute(inputs), exact).cpu().numpy())
        self.passes += len(inputs)
        self.rechecked += len(inputs)
        return exact

    def compute(self, inputs: Tensor) -> Tensor:
        """Logits (n, C) in the fast precision, nothing checked."""
        with compute_in("tf32" if self.precision == "tf32" else "float32", self.device):
            return self.quick(inputs.to(self.dtype)).float()

    def _learn(self, errors: np.ndarray) -> None:
        self.errors = np.concatenate([self.errors, errors])
        self.bound = error_bound(self.errors)

    def share(self) -> str:
        """What to say beside the progress: how much of the work is done in float32 too."""
        return f"{self.rechecked / max(self.passes, 1):.1%} of passes in float32 too"

    def summary(self) -> str:
        """What to say at the end: what the checks in float32 gave, in a line."""
        largest = self.errors.max(initial=0)
        said = f"largest error of a margin {largest:.1e}, clear above {self.bound:.1e}, {self.missed} decisions missed"
        return f"{self.precision}: {self.share()}, {said}"


Decisions = ExactDecisions | FastDecisions


def fetch(tensor: Tensor) -> Callable[[], Tensor]:
    """Copy a tensor to the CPU once the device comes to it; what is returned waits for it."""
    if tensor.device.type != "cuda":
        return lambda: tensor
    copied = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
    done = torch.cuda.Event()
    done.record()

    def wait() -> Tensor:
        done.synchronize()
        return copied

    return wait


def relative_errors(logits: Tensor, exact: Tensor) -> Tensor:
    """The largest error of each image's logits (n, C), relative to its largest exact logit, (n,); f8.

    Where exact logits are all 0, as those of a black image without biases, logits of 0 have no error. What isn't
    finite is infinitely wrong: then no decision is clear any more.
    """
    return _relative((logits - exact).abs().amax(1), exact)


def margin_errors(logits: Tensor, exact: Tensor) -> Tensor:
    """How far the margin of each image's decision by logits (n, C) is off, relative as in relative_errors, (n,); f8.

    The margin is that of the largest logit over all others; by the exact logits it is negative if these decide
    otherwise. So a decision differs only if the error is at least its margin.
    """
    chosen = logits.argmax(1, keepdim=True)
    found, wanted = (values.gather(1, chosen) - values for values in (logits, exact))  # 0 at the chosen
    found, wanted = (margins.scatter(1, chosen, torch.inf).amin(1) for margins in (found, wanted))
    return _relative((found - wanted).abs(), exact)


def _relative(error: Tensor, exact: Tensor) -> Tensor:
    size = exact.abs().amax(1).double().clamp(min=torch.finfo(torch.float64).tiny)
    return (error.double() / size).nan_to_num(nan=torch.inf)


def error_bound(errors: np.ndarray) -> float:
    """What an error exceeds with a probability of MISS, by the (n,) errors seen; n at least 1.

    The largest of them, a share TAIL, are taken for the tail of an exponential distribution, which is above that of
    rounding errors' sums, nearly normal. With fewer than ENOUGH it is SAFETY times the largest; and never less than
    the largest.
    """
    largest = float(errors.max())
    if len(errors) < ENOUGH or not math.isfinite(largest):
        return SAFETY * largest
    tail = np.sort(errors)[-round(TAIL * len(errors)) :]
    return max(largest, float(tail[0] + (tail - tail[0]).mean() * math.log(TAIL / MISS)))


def decide_in(
    precision: str, network: nn.Module, device: torch.device, shape: tuple[int, int, int] | None = None
) -> Decisions:
    """Decisions of a copy of a network on a device, computed in a precision: they are float32's.

    Decisions in float32 are exact; and on a CPU those in tf32, which no CPU has, and in a half precision that it has
    not. In AUTO they are whichever is faster here, of images of `shape` (C, H, W); InputError for a half precision that
    an operation of the network hasn't got.
    """
    exact = optimise_for_inference(network, device)
    asked = "bfloat16" if precision == AUTO else precision
    if asked == "float32" or not (device.type != "cpu" or has_half(asked)):
        return ExactDecisions(exact)
    fast = FastDecisions(exact, asked, device)
    if shape is None:
        return fast
    images = torch.randn(TIMED, *shape, device=device).contiguous(memory_format=torch.channels_last)
    plain, reason = ExactDecisions(exact), find_missing(fast, images[:1])
    if reason and precision != AUTO:
        raise InputError(
            f"precision is {precision}; the network doesn't compute in it ({reason}); "
            f"allowed are float32, and {AUTO}, which takes it then"
        )
    slow = precision == AUTO and (reason or time_passes(fast, images) * (1 + CHECKED) >= time_passes(plain, images))
    return plain if slow else fast


@torch.no_grad()
def find_missing(decide: Decisions, images: Tensor) -> str:
    """Why decisions can't be computed, as torch says it, or nothing: an operation may be missing in a precision."""
    try:
        decide.compute(images)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return ""


@torch.no_grad()
def time_passes(decide: Decisions, images: Tensor) -> float:
    """Seconds of a pass of some images, the least of a few."""
    seconds = []
    for _ in range(TURNS):
        start = time.perf_counter()
        fetch(decide.compute(images))()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def has_half(precision: str) -> bool:
    """Whether this CPU computes in a half precision, bfloat16 or float16."""
    if not torch.backends.mkldnn.is_available():
        return False
    supported = {
        "bfloat16": torch.ops.mkldnn._is_mkldnn_bf16_supported,
        "float16": torch.ops.mkldnn._is_mkldnn_fp16_supported,
    }
    return precision in supported and supported[precision]()
