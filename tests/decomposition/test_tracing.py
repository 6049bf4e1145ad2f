"""What can't be traced, or run once traced, is named: the module, the line of its code, the operation, the reason."""

import pytest
import torch
from small import inputs, randomise
from torch import Tensor, nn
from torch.nn import functional as F

from explanations.decomposition.decomposition import Decomposition, completeness_gap
from explanations.decomposition.layers import trace_network
from explanations.errors import InputError


class Branching(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


class Length(nn.Module):
    def forward(self, x):
        return x.reshape(len(x), -1)


class Baked(nn.Module):
    def forward(self, x):
        return x.reshape(1, 3 * 36)


class Keyed(nn.Module):
    def forward(self, x):
        return {"a": 1}[x.shape[0]]


class Dictionary(nn.Module):
    def forward(self, x):
        return {"logits": x.mean((2, 3))}


class Two(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)), x


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


class Apart(nn.Module):
    """A network that uses a module which is none of its own."""

    def __init__(self):
        super().__init__()
        self.apart = [nn.Conv2d(3, 3, 1)]

    def forward(self, x):
        return self.apart[0](x)


class Folded(nn.Module):
    """A convolution for images of four channels, and the batch normalisation that it is folded with."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(4, 3, 1, bias=False), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(self.first(x))


def refused(network: nn.Module) -> str:
    with pytest.raises(InputError) as raised:
        trace_network(network.eval(), torch.zeros(1, 3, 8, 8))
    message = str(raised.value)
    assert "\n" not in message and __file__ not in message
    return message


def line(module: type[nn.Module], code: str) -> str:
    """Where a line of code stands in a class's forward, as a message says it."""
    return f"at line {module.forward.__code__.co_firstlineno + 1} of test_tracing.py, `{code}`"


CHOICE = "return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))"


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            Branching(),
            f"Branching can't be traced by torch.fx {line(Branching, CHOICE)}: symbolically traced variables cannot be "
            "used as inputs to control flow; the last operation traced is gt",
        ),
        (
            nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(Branching())),
            f"Sequential can't be traced by torch.fx in 1.0 (Branching), {line(Branching, CHOICE)}: symbolically "
            "traced variables cannot be used as inputs to control flow; the last operation traced is 1.0.gt",
        ),
        (
            nn.Sequential(nn.ReLU(), Length()),
            f"Sequential can't be traced by torch.fx in 1 (Length), {line(Length, 'return x.reshape(len(x), -1)')}: "
            "RuntimeError: 'len' is not supported in symbolic tracing by default. If you want this call to be "
            "recorded, please call torch.fx.wrap('len') at module scope; the last operation traced is 0",
        ),
        (
            Keyed(),
            "Keyed can't be traced by torch.fx " + line(Keyed, 'return {"a": 1}[x.shape[0]]') + ": KeyError: "
            "Proxy(getitem); the last operation traced is getitem",
        ),
        (
            Apart(),
            "Apart can't be traced by torch.fx in a module that it doesn't hold (Conv2d), "
            f"{line(Apart, 'return self.apart[0](x)')}: NameError: module is not installed as a submodule",
        ),
        (
            nn.Sequential(nn.Identity(), Baked()),
            "Sequential can't take an input of shape (1, 3, 8, 8) in 1 (Baked), "
            f"{line(Baked, 'return x.reshape(1, 3 * 36)')}: 1.reshape: RuntimeError: shape '[1, 108]' is invalid for "
            "input of size 192",
        ),
        (
            nn.Sequential(nn.Conv2d(4, 3, 1)),
            "Sequential can't take an input of shape (1, 3, 8, 8) in 0 (Conv2d): 0: RuntimeError: Given groups=1, "
            "weight of size [3, 4, 1, 1], expected input[1, 3, 8, 8] to have 4 channels, but got 3 channels instead",
        ),
        (
            Folded(),
            "Folded can't take an input of shape (1, 3, 8, 8) in norm (BatchNorm2d), "
            f"{line(Folded, 'return self.norm(self.first(x))')}: norm: RuntimeError: Given groups=1, weight of size "
            "[3, 4, 1, 1], expected input[1, 3, 8, 8] to have 4 channels, but got 3 channels instead",
        ),
        (
            TwoInputs(),
            "TwoInputs can't take an input of shape (1, 3, 8, 8): y: RuntimeError: Expected positional argument for "
            "parameter y, but one was not passed in!",
        ),
        (Dictionary(), "Dictionary returns {'logits': mean}; allowed are classifiers that return one tensor, logits"),
        (Two(), "Two returns (mean, x); allowed are classifiers that return one tensor, logits"),
        (
            nn.Conv2d(3, 3, 2),
            "Conv2d returns a value of shape (1, 3, 7, 7); allowed are logits, (images, classes)",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_errors_say_where_and_why(network, message):
    assert refused(network) == message


def test_scripted_networks_are_refused():
    with pytest.warns(DeprecationWarning, match="script"):
        network = torch.jit.script(nn.Sequential(nn.Conv2d(3, 3, 1)))
    assert refused(network).startswith("RecursiveScriptModule can't be traced by torch.fx: ")


# --- what is traced ----------------------------------------------------------------------------------------------


def assert_complete(network: nn.Module, found_in: set[str]) -> None:
    network = randomise(network.double())
    decomposition = Decomposition(network, inputs(1, 8))
    found = decomposition(inputs(2, 8))
    torch.testing.assert_close(found.logits, network(inputs(2, 8)))
    gap, size = completeness_gap(found, [operation.layer for operation in decomposition.operations])
    assert (gap.abs() <= 1e-12 * size).all()
    assert found_in <= {operation.name for operation in decomposition.operations}


class Optional(nn.Module):
    """A network with more arguments than the image: they keep their defaults, and their branches are followed."""

    def __init__(self):
        super().__init__()
        self.top = nn.Linear(3, 5)

    def forward(self, x: Tensor, mask: Tensor | None = None, *more, scale: int = 3, **named):
        if mask is not None or more or named:
            x = x * mask
        return self.top(x.mean((2, 3)) * scale)


class Maxima(nn.Module):
    """The values of a maximum, without its indices; a recurrent map, without its state."""

    def __init__(self):
        super().__init__()
        self.first, self.rows, self.top = nn.Conv2d(3, 4, 3), nn.LSTM(4, 4, batch_first=True), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.first(x)).max(3)[0].transpose(1, 2)
        x, _ = self.rows(x)
        return self.top(torch.max(x, 1)[0])


@torch.fx.wrap
def write_affine(values: Tensor) -> Tensor:
    values[:] = 2 * values + 1
    return values


class Overwriting(nn.Module):
    """A function that can't be traced, and writes on its input; `again` uses that afterwards."""

    def __init__(self, again: bool):
        super().__init__()
        self.again, self.first, self.top = again, nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = write_affine(x)
        return self.top(F.gelu(x + y if self.again else y).mean((2, 3)))


def test_other_arguments_keep_their_defaults():
    assert_complete(Optional(), {"top"})


def test_one_of_several_outputs():
    assert_complete(Maxima(), {"rows", "max"})


def test_what_overwrites_its_input_writes_on_a_copy():
    assert_complete(Overwriting(False), {"write_affine"})
    assert refused(Overwriting(True)) == (
        "the network's write_affine overwrites first, which is used again; allowed are operations that return what "
        "they change"
    )
