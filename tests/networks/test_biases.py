"""What counts as a bias: in torch's own operations, and wherever else a network adds what it has learned."""

import pytest
import torch
from conftest import refused
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import FrozenBatchNorm2d

from explanations.networks.additions import Additions, find_additions
from explanations.networks.biases import count_biases, zero_biases

SIZE = (4, 6, 6)


class Called(nn.Module):
    """A function of a module and the images, with learned vectors `a` and `b` of 4 channels."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        self.a, self.b = (nn.Parameter(torch.randn(1, 4, 1, 1)) for _ in "ab")
        for name, module in modules.items():
            setattr(self, name, nn.Parameter(module) if isinstance(module, Tensor) else module)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def attend(self, x: Tensor) -> Tensor:
    tokens = x.flatten(2).transpose(1, 2)
    return self.attention(tokens, tokens, tokens)[0]


OPERATIONS = {
    "convolution": (nn.Conv2d(4, 4, 3), {"bias"}),
    "convolution without": (nn.Conv2d(4, 4, 3, bias=False), set()),
    "transposed convolution": (nn.ConvTranspose2d(4, 4, 3), {"bias"}),
    "linear": (nn.Linear(6, 4), {"bias"}),
    "batch normalisation": (nn.BatchNorm2d(4), {"bias", "running_mean"}),
    "without affine": (nn.BatchNorm2d(4, affine=False), {"running_mean"}),
    "of the batch": (nn.BatchNorm2d(4, track_running_stats=False), {"bias"}),
    "frozen": (nn.Sequential(nn.PReLU(), FrozenBatchNorm2d(4)), {"1.bias", "1.running_mean"}),
    "layer normalisation": (nn.LayerNorm(6), {"bias"}),
    "of whole images": (nn.LayerNorm(SIZE), {"bias"}),
    "root mean square": (nn.RMSNorm(6), set()),
    "group normalisation": (nn.GroupNorm(2, 4), {"bias"}),
    "instance normalisation": (nn.InstanceNorm2d(4, affine=True), {"bias"}),
    "slope": (nn.PReLU(), set()),
    "attention": (
        Called(attend, attention=nn.MultiheadAttention(4, 2, batch_first=True)),
        {"attention.in_proj_bias", "attention.out_proj.bias"},
    ),
    "recurrent": (
        Called(lambda self, x: self.rnn(x.flatten(2))[0], rnn=nn.LSTM(36, 3)),
        {"rnn.bias_ih_l0", "rnn.bias_hh_l0"},
    ),
}
ADDED = {
    "sum": (lambda self, x: x + self.a, {"a"}),
    "difference": (lambda self, x: self.a - x, {"a"}),
    "in place": (lambda self, x: x.clone().sub_(self.a), {"a"}),
    "scaled": (lambda self, x: torch.addcmul(self.b, self.a, x), {"b"}),
    "scaled by a constant": (lambda self, x: torch.addcmul(x, self.a, torch.full((1, 4, 1, 1), 0.5)), {"a"}),
    "each image's": (
        lambda self, x: torch.addmm(x.mean((2, 3)), torch.ones(len(x), 1), self.a[0, :, :, 0].T),
        {"a"},
    ),
    "after a product": (lambda self, x: x * self.a + self.b, {"b"}),
    "cut off": (lambda self, x: torch.maximum(x, self.a), {"a"}),
    "clamped": (lambda self, x: x.clamp(min=self.a), {"a"}),
    "one number": (lambda self, x: torch.relu(x) ** 2 * self.a + self.b[0, 0], {"b"}),
    "joined first": (
        lambda self, x: F.conv2d(x, torch.ones(8, 4, 1, 1), torch.cat([self.a, self.b]).flatten()),
        set("ab"),
    ),
    "written first": (lambda self, x: x + torch.zeros(2, 4, 1, 1).copy_(self.a), {"a"}),
    "partly zeroed": (lambda self, x: x + self.a.clone().index_fill_(1, torch.tensor([0, 2]), 0.0), {"a"}),
    "times a scale of activities": (lambda self, x: x * self.a - self.b * self.a.exp(), {"b"}),
    "normalised by hand": (lambda self, x: (x - self.a) / (1 + self.b.abs()), {"a"}),
    "mean of two": (lambda self, x: x + (self.a + self.b) / 2, set("ab")),
    "token": (lambda self, x: torch.cat([self.a.expand(2, -1, 6, 1), x], 3), set()),
    "token as a start": (
        lambda self, x: self.a + torch.cat([self.a.expand(2, -1, 6, 1), x], 3).mean((2, 3), True),
        set(),
    ),
    "token in a tensor of its own": (
        lambda self, x: torch.cat([torch.zeros_like(x) + self.a, x], 3).mean((2, 3)),
        set(),
    ),
    "mapped from a one": (lambda self, x: x.mean((2, 3)) + x.new_ones(len(x), 1) @ self.a[0, :, :, 0].T, {"a"}),
    "input beside the image": (lambda self, x: x * self.a.exp(), set()),
}
BY_POSITION = {
    "offsets": lambda self, x: x + self.places,
    "tokens' places": lambda self, x: x.flatten(2).transpose(1, 2) + self.places.flatten(1).T,
    "of a smaller grid": lambda self, x: x + F.interpolate(self.places[None, :, :3, :3], (6, 6), mode="bicubic"),
    "computed": lambda self, x: x + torch.tanh(self.places),
}


def find(module: nn.Module) -> set[str]:
    return set(find_additions(module, SIZE).biases)


@pytest.mark.parametrize("name", OPERATIONS)
def test_biases_of_an_operation(name):
    module, biases = OPERATIONS[name]
    assert find(module) == biases
    state = module.state_dict()
    assert count_biases(module, biases) == sum(state[key].numel() for key in biases)


@pytest.mark.parametrize("name", ADDED)
def test_what_is_added_by_hand(name):
    function, biases = ADDED[name]
    assert find(Called(function)) == biases


@pytest.mark.parametrize("name", BY_POSITION)
def test_what_differs_by_position_is_no_bias(name):
    additions = find_additions(Called(BY_POSITION[name], places=torch.randn(4, 6, 6)), SIZE)
    assert (additions.biases, additions.by_position) == ((), ("places",))


def test_each_bias_of_a_network_is_named_once_in_its_order():
    shared = nn.Linear(6, 6)
    network = nn.Sequential(nn.Conv2d(4, 4, 1), shared, nn.ReLU(), shared, nn.BatchNorm2d(4))
    assert find_additions(network, SIZE).biases == ("0.bias", "1.bias", "4.bias", "4.running_mean")


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (lambda self, x: x + self.a.exp(), "a"),
        (lambda self, x: x + self.a * self.b, "a, b"),
        (lambda self, x: torch.addcmul(x, self.a, self.b), "a, b"),
        (lambda self, x: x * self.a + self.a, "a"),
        (lambda self, x: x + (1 + self.a), "a"),
        (lambda self, x: torch.lerp(x, self.a, 0.3), "a"),
    ],
)
def test_what_can_not_be_decided_is_named(function, names):
    message = refused(find_additions, Called(function), SIZE)
    assert message.startswith(f"the network's {names} ")


def test_constants_are_no_biases():
    """What isn't learned stays: a shift of the input, a mask."""
    network = Called(lambda self, x: (x - 0.5) + self.mask + 3)
    network.register_buffer("mask", torch.full((6, 6), -100.0), persistent=False)
    assert find(network) == set()


class Prepared(nn.Module):
    """The image is made ready inside, by a mean and deviation that are stored, not learned."""

    def __init__(self):
        super().__init__()
        self.top = nn.Conv2d(4, 4, 1)
        self.register_buffer("mean", torch.full((1, 4, 1, 1), 0.5))
        self.register_buffer("std", torch.full((1, 4, 1, 1), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        return self.top((x - self.mean) / self.std)


def test_making_the_image_ready_is_no_part_of_a_network():
    assert find_additions(Prepared(), SIZE) == Additions(("top.bias",), (), (), ("top.weight",), "none")


def test_maps_are_found_wherever_they_are():
    network = Called(attend, attention=nn.MultiheadAttention(4, 2, batch_first=True))
    assert find_additions(network, SIZE).maps == ("attention.in_proj_weight", "attention.out_proj.weight")
    network = Called(
        lambda self, x: F.conv2d(x * self.a, self.w * self.gain), w=torch.ones(4, 4, 1, 1), gain=torch.ones(4, 1, 1, 1)
    )
    assert find_additions(network, SIZE).maps == ("w",)


def test_searching_changes_nothing():
    network = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Dropout(), nn.BatchNorm2d(4)).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    find_additions(network, SIZE)
    assert network.training and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_zeroed_batch_normalisation_only_scales():
    """γ x / σ: what remains of batch normalisation (Suppl. Eq. 9)."""
    norm = nn.BatchNorm2d(2).eval()
    norm.weight.data, norm.bias.data = torch.tensor([2.0, 3.0]), torch.tensor([1.0, -1.0])
    norm.running_mean, norm.running_var = torch.tensor([0.5, 1.5]), torch.tensor([4.0, 0.25])
    zero_biases(norm, ["bias", "running_mean"])
    x = torch.randn(3, 2, 4, 4)
    wanted = x * torch.tensor([2.0 / (4 + 1e-5) ** 0.5, 3.0 / (0.25 + 1e-5) ** 0.5]).view(2, 1, 1)
    torch.testing.assert_close(norm(x), wanted)


NORMALISATIONS = {
    "both": (nn.Sequential(nn.LayerNorm(6), nn.BatchNorm2d(4)), "batch"),
    "frozen": (nn.Sequential(nn.PReLU(), FrozenBatchNorm2d(4)), "batch"),
    "group": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.GroupNorm(1, 4)), "layer"),
    "instance": (nn.InstanceNorm2d(4), "layer"),
    "root mean square": (nn.RMSNorm(6), "layer"),
    "of the response": (Called(lambda self, x: x * x.square().mean((2, 3), True).add(1e-6).rsqrt() + self.a), "layer"),
    "by a norm": (Called(lambda self, x: F.normalize(x)), "layer"),
    "of neighbours": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.LocalResponseNorm(5)), "none"),
    "of weights": (
        Called(
            lambda self, x: F.conv2d(x, F.batch_norm(self.w[None], None, None, training=True).view(4, 4, 1, 1)),
            w=torch.randn(4, 4),
        ),
        "none",
    ),
    "gate": (Called(lambda self, x: x * torch.sigmoid(x.mean((2, 3), True))), "none"),
    "pooling": (Called(lambda self, x: x.mean((2, 3)) / 2 + self.a.flatten()), "none"),
    "linear attention": (Called(lambda self, x: (x @ x) / (x @ x.sum(-1, True) + 1e-6)), "none"),
}


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_kinds_of_normalisation(name):
    network, kind = NORMALISATIONS[name]
    assert find_additions(network, SIZE).normalisation == kind
