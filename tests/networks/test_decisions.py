"""Decisions in a fast precision are float32's."""

import numpy as np
import pytest
import torch
from small import build, inputs
from torch import nn

from explanations.errors import InputError
from explanations.networks import decisions
from explanations.networks.decisions import (
    ENOUGH,
    MISS,
    SAFETY,
    SAMPLED,
    ExactDecisions,
    FastDecisions,
    decide_in,
    error_bound,
    has_half,
    margin_errors,
    relative_errors,
)
from explanations.networks.inference import optimise_for_inference

CPU = torch.device("cpu")


def decide_now(decide: ExactDecisions | FastDecisions, inputs: torch.Tensor) -> torch.Tensor:
    """What `steps` returns, waited for."""
    steps = decide.steps(inputs)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def removed(images: torch.Tensor) -> torch.Tensor:
    """Images with growing shares of their pixels at 0, as removal makes them."""
    random = torch.rand(1, 1, *images.shape[2:], generator=torch.Generator().manual_seed(1))
    return torch.cat([images * (random > share) for share in torch.linspace(0, 1, 20)])


@pytest.mark.skipif(not has_half("bfloat16"), reason="this CPU has no bfloat16")
@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_fast_decisions_are_the_exact_ones(name):
    network = build(name)
    exact, fast = decide_in("float32", network, CPU), decide_in("bfloat16", network, CPU)
    images = removed(inputs(8, dtype=torch.float32))
    with torch.no_grad():
        for part in images.split(16):
            assert torch.equal(decide_now(fast, part).argmax(1), decide_now(exact, part).argmax(1))
    assert fast.passes == len(images) and 0 < fast.errors.max() < 0.1
    assert fast.missed == 0


def test_clear_decisions_are_not_computed_again():
    """f = 100 x: errors are far below the gap between the classes, but where x is next to 0."""
    exact = nn.Linear(1, 2, bias=False)
    exact.weight.data = torch.tensor([[100.0], [-100.0]])
    fast = FastDecisions(exact, "bfloat16", CPU)
    with torch.no_grad():
        decide_now(fast, torch.linspace(1, 2, 64)[:, None])  # the first are all computed again
        before = fast.rechecked
        decide_now(fast, torch.full((2 * SAMPLED, 1), 1.2345))
        assert fast.rechecked - before == 2
        assert fast.summary().endswith("0 decisions missed") and "float32 too" in fast.summary()


class Shifted(nn.Module):
    """Two logits x and 0: in bfloat16 x is off by a fixed share."""

    def __init__(self, error: float):
        super().__init__()
        self.error = error
        self.register_buffer("dummy", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        off = self.error if x.dtype == torch.bfloat16 else 0.0
        return torch.cat([x + off, torch.full_like(x, 1.0)], 1)


@pytest.mark.parametrize("error", [-0.05, 0.05])
def test_unclear_decisions_are_float32s(error):
    fast = FastDecisions(Shifted(error), "bfloat16", CPU)
    for values in (torch.linspace(0, 2, 101), torch.linspace(0.5, 1.5, 101)):
        decisions = decide_now(fast, values[:, None]).argmax(1)
        assert torch.equal(decisions, (values < 1).long())
    assert fast.rechecked < fast.passes and not fast.missed


def test_a_decision_that_a_sample_finds_wrong_is_counted():
    """The error is small on the first batch and large later: samples notice, and the margin grows."""
    network = Shifted(0.0)
    fast = FastDecisions(network, "bfloat16", CPU)
    decide_now(fast, torch.linspace(1.01, 2, 32)[:, None])
    network.error = fast.quick.error = 0.9
    decide_now(fast, torch.full((SAMPLED, 1), 0.3))
    assert fast.missed == 1 and "1 decisions missed" in fast.summary()
    assert torch.equal(decide_now(fast, torch.full((8, 1), 0.3)).argmax(1), torch.ones(8).long())


def test_measured_logits_are_the_exact_ones():
    network, images = build("resnet50"), inputs(8, dtype=torch.float32)
    exact, fast = decide_in("float32", network, CPU), decide_in("bfloat16", network, CPU)
    with torch.no_grad():
        assert torch.equal(fast.measure(images), exact.measure(images))
    assert 0 < fast.errors.max() < 0.1


@pytest.mark.skipif(not has_half("bfloat16"), reason="this CPU has no bfloat16")
def test_a_black_image_does_not_hide_the_error_of_others():
    """Without biases its logits are 0, and so is their size, which errors are relative to."""
    fast = decide_in("bfloat16", build("vgg16", "zeroed"), CPU)
    images = inputs(4, dtype=torch.float32)
    images[2] = 0
    with torch.no_grad():
        decide_now(fast, images)
    assert 0 < fast.errors.max() < 0.1


def test_errors_that_are_not_finite_leave_no_decision_clear():
    exact = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    errors = relative_errors(exact + torch.tensor([[0.0, 0.1], [0.0, 0.1]]), exact)
    assert errors.tolist() == pytest.approx([0.05, 0.025])
    assert relative_errors(exact * torch.tensor([[1.0], [torch.nan]]), exact).tolist() == [0, torch.inf]


def test_a_margins_error_is_that_of_the_decision_made():
    """By the exact logits the decision made may be another's: its margin is negative then."""
    exact = torch.tensor([[4.0, 1.0, 2.0], [4.0, 1.0, 2.0], [4.0, 3.5, 2.0]])
    logits = torch.tensor([[4.0, 1.9, 2.0], [3.0, 1.0, 2.5], [3.8, 4.0, 2.0]])
    assert margin_errors(logits, exact).tolist() == pytest.approx([0.0, (2 - 0.5) / 4, (0.2 + 0.5) / 4])
    assert margin_errors(logits * torch.nan, exact).tolist() == [torch.inf] * 3


def test_the_bound_is_what_errors_exceed_with_the_stated_probability():
    random = np.random.default_rng(0)
    assert error_bound(random.exponential(size=10**6)) == pytest.approx(-np.log(MISS), rel=0.03)
    normal = np.abs(random.normal(size=10**5))
    assert 4.9 < error_bound(normal) < 7  # 4.9 is exceeded with that probability
    few = normal[: ENOUGH - 1]
    assert error_bound(few) == SAFETY * few.max()
    assert error_bound(np.append(normal, 30.0)) >= 30
    assert error_bound(np.append(normal, np.inf)) == np.inf


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_the_last_map_stays_in_float32(name):
    network = optimise_for_inference(build(name), CPU)
    fast = FastDecisions(network, "bfloat16", CPU)
    kinds = [module.weight.dtype for module in fast.quick.modules() if isinstance(module, nn.Linear)]
    assert kinds == [torch.bfloat16] * (len(kinds) - 1) + [torch.float32]
    with torch.no_grad():
        logits = fast.compute(inputs(4, dtype=torch.float32))
    assert not torch.equal(logits, logits.bfloat16().float())


def test_what_overflows_is_unclear():
    network = Shifted(0.0)
    fast = FastDecisions(network, "bfloat16", CPU)
    decide_now(fast, torch.linspace(1.01, 2, 32)[:, None])
    fast.quick.error = torch.inf
    before = fast.rechecked
    values = torch.full((8, 1), 0.3)
    assert torch.equal(decide_now(fast, values).argmax(1), torch.ones(8).long())
    assert fast.rechecked == before + 8 and fast.missed == 0 and fast.bound == torch.inf


def test_equal_logits_have_no_error_be_they_0_or_subnormal():
    exact = torch.tensor([[0.0, 0.0], [1e-44, 0.0], [0.0, 0.0], [1e-44, 0.0]])
    logits = exact + torch.tensor([[0.0, 0.0], [0.0, 0.0], [1e-30, 0.0], [1e-44, 0.0]])
    assert relative_errors(logits, exact).tolist()[:2] == [0, 0]
    assert relative_errors(logits, exact)[2] > 1e200 and relative_errors(logits, exact)[3] == 1


@pytest.mark.parametrize(("seconds", "fast"), [(0.5, True), (0.95, False), (2.0, False)])
def test_auto_is_whichever_is_faster_checks_included(monkeypatch, seconds, fast):
    monkeypatch.setattr(decisions, "has_half", lambda precision: True)
    timed = {FastDecisions: seconds, ExactDecisions: 1.0}
    monkeypatch.setattr(decisions, "time_passes", lambda decide, images: timed[type(decide)])
    assert isinstance(decide_in("auto", build("vgg16"), CPU, (3, 32, 32)), FastDecisions) is fast


def test_auto_is_float32_where_there_is_no_half(monkeypatch):
    monkeypatch.setattr(decisions, "has_half", lambda precision: False)
    assert isinstance(decide_in("auto", build("vgg16"), CPU, (3, 32, 32)), ExactDecisions)


@pytest.mark.skipif(not has_half("bfloat16"), reason="this CPU has no bfloat16")
def test_a_network_that_bfloat16_lacks_an_operation_of():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LocalResponseNorm(3), nn.Flatten(), nn.LazyLinear(2))
    network(torch.zeros(1, 3, 8, 8))
    assert isinstance(decide_in("auto", network, CPU, (3, 8, 8)), ExactDecisions)
    with pytest.raises(InputError, match=r"^precision is bfloat16; the network doesn't compute in it .*BFloat16.*auto"):
        decide_in("bfloat16", network, CPU, (3, 8, 8))


def test_passes_are_timed_whole(monkeypatch):
    """The least of those that come after the first."""
    clock = iter([0.0, 9.0, 10.0, 13.0, 20.0, 22.0])
    monkeypatch.setattr(decisions.time, "perf_counter", lambda: next(clock))
    assert decisions.time_passes(ExactDecisions(lambda images: images), torch.zeros(2)) == 2.0


def test_tf32_is_float32_on_a_cpu():
    assert not isinstance(decide_in("tf32", build("vgg16"), CPU), FastDecisions)


def test_exact_decisions_are_used_like_fast_ones_and_say_nothing():
    network, images = build("vgg16"), inputs(3, dtype=torch.float32)
    exact = decide_in("float32", network, CPU)
    assert isinstance(exact, ExactDecisions)
    with torch.no_grad():
        wanted = network(images)
        for logits in (decide_now(exact, images), exact.measure(images), exact.compute(images)):
            torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)
    assert exact.share() == exact.summary() == ""
