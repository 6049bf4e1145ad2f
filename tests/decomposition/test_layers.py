"""Networks as graphs: the layers found, the biases bound to them, and a network that is left as it was."""

import copy

import pytest
import torch
from complete import explain
from small import ByShape, Disordered, Repeated, Small, build, inputs, randomise
from torch import nn
from torch.nn import functional as F

from explanations.decomposition.decomposition import Decomposition
from explanations.decomposition.layers import trace_network
from explanations.decomposition.rewriting import IN_PLACE
from explanations.errors import InputError
from explanations.networks.files import build_network

VGG_SIDES = [224] * 2 + [112] * 2 + [56] * 3 + [28] * 3 + [14] * 3 + [1] * 3  # design.md
RESNET_SIDES = [112] + [56] * 3 + [28] * 4 + [14] * 6 + [7] * 3 + [1]


def sides(name: str, arguments: dict, size: int) -> list[int]:
    network = build_network("narrow" if "width" in arguments else "torchvision", name, arguments)
    graph = trace_network(network, torch.zeros(1, 3, size, size))
    shapes = [layer.node.meta["tensor_meta"].shape for layer in graph.layers]
    assert all(len(shape) == 2 or shape[2] == shape[3] for shape in shapes)
    return [shape[2] if len(shape) == 4 else 1 for shape in shapes]


def test_vgg16_has_13_convolutions_two_fully_connected_layers_and_its_output():
    graph = trace_network(build("vgg16"), torch.zeros(1, 3, 32, 32))
    relus = ["features." + str(index) for index in (1, 3, 6, 8, 11, 13, 15, 18, 20, 22, 25, 27, 29)]
    assert [layer.name for layer in graph.layers] == [*relus, "classifier.1", "classifier.4", "classifier.6"]
    assert [layer.index for layer in graph.layers] == list(range(1, 17))


def test_resnet50_has_its_stem_16_blocks_and_its_output():
    graph = trace_network(build("resnet50"), torch.zeros(1, 3, 32, 32))
    blocks = [f"layer{stage}.{block}" for stage, count in enumerate((3, 4, 6, 3), 1) for block in range(count)]
    names = [layer.name for layer in graph.layers]
    assert (names[0], names[-1], len(names)) == ("relu", "fc", 18)
    assert [name.rpartition(".")[0] for name in names[1:-1]] == blocks


def test_layers_sizes_at_224_pixels():
    vgg = {"width": 0.02, "hidden": 4, "size": 224, "num_classes": 3}
    resnet = {"width": 0.02, "stem_kernel": 7, "stem_stride": 2, "num_classes": 3}
    assert sides("vgg16", vgg, 224) == VGG_SIDES
    assert sides("resnet50", resnet, 224) == RESNET_SIDES


def test_full_size_networks_have_the_narrow_ones_layers():
    for name, wanted in (("vgg16", VGG_SIDES), ("resnet50", RESNET_SIDES)):
        with torch.device("meta"):
            network = build_network("torchvision", name, {})
        graph = trace_network(network, torch.zeros(1, 3, 224, 224, device="meta"))
        shapes = [layer.node.meta["tensor_meta"].shape for layer in graph.layers]
        assert [shape[2] if len(shape) == 4 else 1 for shape in shapes] == wanted


def test_each_vgg_bias_belongs_to_its_own_layer():
    operations = trace_network(build("vgg16"), torch.zeros(1, 3, 32, 32)).operations
    assert [operation.layer for operation in operations] == list(range(1, 17))
    convolutions = [name for name, module in build("vgg16").named_modules() if isinstance(module, nn.Conv2d)]
    assert [o.name for o in operations] == [*convolutions, "classifier.0", "classifier.3", "classifier.6"]


def test_each_resnet_bias_belongs_to_its_block():
    network = build("resnet50")
    graph = trace_network(network, torch.zeros(1, 3, 32, 32))
    blocks = [layer.name.rpartition(".")[0] for layer in graph.layers]
    found = {operation.name: operation.layer for operation in graph.operations}
    norms = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert sorted(found) == sorted([*norms, "fc"])
    assert (found["bn1"], found["fc"]) == (1, 18)
    for name in norms[1:]:
        assert found[name] == 1 + blocks.index(name.partition(".bn")[0].partition(".downsample")[0])
    assert sum("downsample" in name for name in norms) == 4


def test_modules_are_found_in_the_order_of_their_calls():
    graph = trace_network(randomise(Disordered()), torch.zeros(1, 3, 8, 8))
    assert [operation.name for operation in graph.operations] == ["first", "norm", "second", "branch", "top"]
    # the branch reads the input beside the first ReLU, so that this is no point through which all flows
    assert [(layer.index, layer.name) for layer in graph.layers] == [(1, "relu_1"), (2, "top")]
    assert [operation.layer for operation in graph.operations] == [1, 1, 1, 1, 2]


def test_a_reused_module_has_one_operation_for_each_call():
    graph = trace_network(randomise(Repeated()), torch.zeros(1, 3, 8, 8))
    assert [operation.name for operation in graph.operations] == ["step", "step_1", "top"]
    assert [layer.name for layer in graph.layers] == ["relu", "relu_1", "top"]


def test_reused_in_place_relus_leave_the_records_alone():
    """A network with in-place ReLUs gives what its twin without them gives."""
    in_place, plain = randomise(Repeated().double()), randomise(Repeated().double())
    plain.load_state_dict(in_place.state_dict())
    plain.relu = nn.ReLU()
    found, wanted = (Decomposition(network, inputs(1, 8))(inputs(2, 8)) for network in (in_place, plain))
    for name in ("activity", "bias"):
        for a, b in zip(getattr(found, name), getattr(wanted, name), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)
    with torch.no_grad():
        first = F.relu(plain.step(inputs(2, 8)))
        second = F.relu(plain.step(first))
    weight = plain.top.weight[found.target][:, :, None, None].detach() / 64
    torch.testing.assert_close(found.activity[2], (second * weight).sum(1))
    assert not torch.equal(found.activity[1], found.activity[2])


def test_shapes_are_no_operations():
    graph = trace_network(randomise(ByShape()), torch.zeros(1, 3, 8, 8))
    assert {"size", "getattr_1", "view"}.isdisjoint(operation.name for operation in graph.operations)
    assert [layer.index for layer in graph.layers] == [1, 2, 3]


def hooks(network: nn.Module) -> list:
    return [
        hook
        for module in network.modules()
        for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        for hook in getattr(module, name).values()
    ]


@pytest.mark.parametrize("fails", [False, True], ids=["success", "exception"])
@pytest.mark.parametrize("name", ["vgg16", "resnet50", "repeated"])
def test_the_network_is_left_as_it_was(name, fails):
    network = (randomise(Repeated()) if name == "repeated" else build(name)).double()
    before = copy.deepcopy(network.state_dict())
    modules = dict(network.named_modules())
    attributes = {key: dict(vars(module)) for key, module in modules.items()}
    logits = network(inputs()).detach()
    decomposition = Decomposition(network, inputs(1))
    images = inputs()
    if fails:
        with pytest.raises(RuntimeError):
            decomposition(images[:, :2])
        with pytest.raises(RuntimeError, match="out of bounds"):
            decomposition(images, torch.tensor([0, 99]))
    else:
        decomposition(images)
    assert not hooks(network)
    assert dict(network.named_modules()) == modules
    for key, module in modules.items():
        assert vars(module).keys() == attributes[key].keys()
        assert getattr(module, "inplace", None) == attributes[key].get("inplace")
        assert not module.training
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[key]), key
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(network(inputs()), logits)
    assert not images.requires_grad
    torch.testing.assert_close(images, inputs(), rtol=0, atol=0)


class Wandering(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


class TwoOutputs(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)), x


class Detached(nn.Module):
    """A step through which no gradient passes, between two convolutions."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)

    def forward(self, x):
        return self.second(torch.relu(self.first(x).detach())).mean((2, 3))


class AttentionWeights(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(3, 1, batch_first=True)

    def forward(self, x):
        x = x.flatten(2).transpose(1, 2)
        return self.attention(x, x, x)[1].mean(1)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Wandering(), "Wandering can't be traced by torch.fx"),
        (TwoOutputs(), r"TwoOutputs returns \(mean, x\); allowed are classifiers that return one tensor, logits"),
        (AttentionWeights(), "uses the weights of the attention attention, not its output alone"),
    ],
)
def test_what_cannot_be_decomposed_is_refused(network, message):
    with pytest.raises(InputError, match=message) as raised:
        trace_network(network.eval(), torch.zeros(1, 3, 8, 8))
    assert "\n" not in str(raised.value)


def test_what_has_no_derivative_is_refused():
    with pytest.raises(InputError, match=r"the network's detach has no derivative; its decomposition needs one$"):
        explain(Detached().eval().requires_grad_(False), torch.zeros(1, 3, 8, 8))


def test_one_module_in_training_mode_is_refused():
    network = build("resnet50")
    network.layer2[0].bn1.train()
    with pytest.raises(InputError, match="training mode"):
        trace_network(network, torch.zeros(1, 3, 32, 32))


def overwritten(network: nn.Module, size: int = 8) -> list[str]:
    """The operations that overwrite their input, of a traced network."""
    nodes = trace_network(network.eval(), torch.zeros(1, 3, size, size)).module.graph.nodes
    return [node.name for node in nodes if node.target in IN_PLACE.values()]


class Shared(nn.Module):
    """A convolution whose output is read twice: by a ReLU, and by a sum behind it."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.top = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Linear(4, 5)

    def forward(self, x):
        y = self.first(x)
        return self.top((self.second(torch.relu(y)) + y).mean((2, 3)))


def test_only_what_nothing_else_reads_is_overwritten():
    assert len(overwritten(build("vgg16"), 32)) == 15  # all activations
    assert len(overwritten(build("resnet50"), 32)) == 49 + 16  # and all sums
    assert overwritten(Shared()) == ["add"]  # the second convolution's output
    assert overwritten(randomise(Small(nn.SiLU()))) == []  # whose input its bias is computed from


def test_pooling_comes_after_the_layer():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 5))
    graph = trace_network(network.eval(), torch.zeros(1, 3, 8, 8))
    assert [(layer.name, tuple(layer.node.meta["tensor_meta"].shape)) for layer in graph.layers] == [
        ("1", (1, 4, 8, 8)),
        ("4", (1, 5)),
    ]


@pytest.mark.parametrize("activation", [nn.ReLU6(), nn.SiLU(), F.relu, torch.tanh], ids=lambda a: str(a)[:20])
def test_any_activation_ends_a_layer(activation):
    graph = trace_network(randomise(Small(activation)), torch.zeros(1, 3, 8, 8))
    assert len(graph.layers) == 3
