"""Networks of timm: built by name, traced with its own leaves, and decomposed completely at every layer."""

import operator

import pytest
import torch
from complete import assert_complete, assert_same_logits_for_inference
from small import describe, module_biases, randomise
from torch import Tensor, fx, nn
from torch.nn import functional as F

from explanations.decomposition.decomposition import Decomposition
from explanations.decomposition.layers import trace_network
from explanations.errors import InputError
from explanations.networks.additions import find_additions
from explanations.networks.biases import named_tensors, zero_biases
from explanations.networks.files import build_network, load_network, save_network

ADDING = (operator.add, operator.iadd, operator.sub, torch.add, torch.sub, torch.addcmul, torch.maximum, "add", "sub")
# a small network of each kind, its arguments, the size of its images
NETWORKS = {
    "test_resnet": ({}, 64),
    "test_byobnet": ({}, 64),  # batch normalisation with its activation
    "test_efficientnet": ({}, 64),
    **{
        f"tf_efficientnet_lite{number}": ({}, 64) for number in range(3)
    },  # TensorFlow's padding; the photographs' networks
    "test_efficientnet_gn": ({}, 64),  # group normalisation
    "test_convnext": ({}, 64),
    "test_mambaout": ({}, 64),
    "test_nfnet": ({}, 64),  # standardised weights
    "test_vit": ({}, 64),  # a class token
    "test_vit4": ({}, 64),  # register tokens
    "test_vit_relpos": ({}, 160),
    "test_coatnet": ({}, 160),
    "test_maxvit": ({}, 160),  # windows as images
    "swin_tiny_patch4_window7_224": ({"depths": (2, 2), "embed_dim": 24, "img_size": 56, "num_heads": (2, 2)}, 56),
    "vit_small_patch16_dinov3": ({"depth": 2, "embed_dim": 48, "num_heads": 2}, 64),  # rotary embeddings
    "mobilevit_xxs": ({}, 64),
    "levit_conv_128s": ({"img_size": 64}, 64),  # keys before queries
    "repvit_m0_9": ({}, 64),  # two heads
    "mixer_s32_224": ({"img_size": 64}, 64),  # maps between tokens
    "poolformerv2_s12": ({}, 64),
    "skresnet18": ({}, 64),
    "edgenext_xx_small": ({}, 64),  # attention between channels
    "mvitv2_tiny": ({}, 64),  # functions that overwrite, and return more than one value
    "volo_d1_224": ({"img_size": 64}, 64),
    "hiera_tiny_224": ({"stages": (1, 1, 1, 1), "img_size": (64, 64)}, 64),
    "sequencer2d_s": ({"layers": (1, 1, 1, 1)}, 64),  # recurrent maps
    # parameters that modules of their own add
    "convnextv2_atto": ({"depths": (1, 1, 2, 1)}, 64),  # global response normalisation
    "swinv2_tiny_window8_256": ({"depths": (2, 2), "embed_dim": 24, "img_size": 64, "num_heads": (2, 2)}, 64),
    "eva02_tiny_patch14_224": ({"depth": 2, "embed_dim": 48, "img_size": 56, "num_heads": 2}, 56),
    "beit_base_patch16_224": ({"depth": 2, "embed_dim": 48, "img_size": 64, "num_heads": 2}, 64),
    "cait_xxs24_224": ({"depth": 2, "embed_dim": 48, "img_size": 64, "num_heads": 2}, 64),  # a class token of its own
    "resmlp_12_224": ({"img_size": 64}, 64),
    "caformer_s18": ({}, 64),  # activations that add
}
# whose statistics are float32's, so that in float64 too the decomposition has its rounding
IN_FLOAT32 = {
    "resnetv2_50d_frn": ({"layers": (1, 1, 1, 1)}, 64),  # filter response normalisation
    "resnetv2_50d_evos": ({"layers": (1, 1, 1, 1)}, 64),
}
WITHOUT_NORMALISATION = {"test_nfnet", "resmlp_12_224"}
OF_BATCHES = {
    *("test_resnet", "test_byobnet", "test_efficientnet", "test_coatnet", "test_maxvit", "mobilevit_xxs"),
    *(f"tf_efficientnet_lite{number}" for number in range(3)),
    *("levit_conv_128s", "repvit_m0_9", "skresnet18", "volo_d1_224"),
}
# what a module adds by itself, that no list of torch's modules has
OWN_BIASES = {
    "convnextv2_atto": "mlp.grn.bias",
    "swinv2_tiny_window8_256": "attn.q_bias",
    "eva02_tiny_patch14_224": "attn.v_bias",
    "beit_base_patch16_224": "attn.q_bias",
    "resmlp_12_224": "norm1.beta",
    "resnetv2_50d_frn": "norm1.tau",
    "resnetv2_50d_evos": "norm1.bias",
    "caformer_s18": "act1.bias",
    "poolformerv2_s12": "mlp.act.bias",
    "sequencer2d_s": "rnn_v.bias_hh_l0",
}


def build(name: str, arguments: dict) -> nn.Module:
    """A network of random weights; none of its parameters is 0, as scales of residual branches are at the start."""
    network = build_network("timm", name, {"num_classes": 10, **arguments}).requires_grad_(False)
    for parameter in network.parameters():
        if parameter.abs().max() < 0.01:
            parameter.uniform_(-0.5, 0.5)
    return randomise(network).double()


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_timm_decompose(name):
    arguments, size = NETWORKS[name]
    network = build(name, arguments)
    images = torch.randn(2, 3, size, size, dtype=torch.float64)
    decomposition, found = assert_complete(network, images, 1e-8)
    maps = [values for values in found.activity[1:] if values[0].numel() > 1]
    assert len(maps) >= len(decomposition.layers) / 3  # others are read through a normalisation, or by a class token
    assert_same_logits_for_inference(network, images, found.logits)


@pytest.mark.parametrize("name", NETWORKS | IN_FLOAT32)
def test_zeroing_leaves_nothing_that_is_added(name):
    """Whatever is added to a zeroed network's activities, at all positions alike, is 0, and so is its remainder."""
    arguments, size = (NETWORKS | IN_FLOAT32)[name]
    network = build(name, arguments)
    additions = find_additions(network, (3, size, size))
    biases = set(additions.biases)
    assert biases >= module_biases(network).keys() - set(additions.by_position)
    assert any(bias.endswith(OWN_BIASES.get(name, "")) for bias in biases - module_biases(network).keys()) or (
        name not in OWN_BIASES
    )
    assert all(tensor.any() for tensor in named_tensors(network, biases).values())
    kind = "none" if name in WITHOUT_NORMALISATION else "batch" if name in OF_BATCHES else "layer"
    assert additions.normalisation == kind
    zero_biases(network, biases)
    assert_nothing_added(network, torch.randn(1, 3, size, size, dtype=torch.float64))


def assert_nothing_added(network: nn.Module, image: Tensor) -> None:
    """Go through the traced graph: each operation's bias and what it adds by itself must be 0, positions' apart."""
    graph = trace_network(network, image)
    module, seen = graph.module, 0
    values = Values(module)
    values.run(image)
    for operation in graph.operations:
        node = operation.node
        if operation.bias:
            assert not operation.bias().any(), operation.name
            seen += 1
        elif node.op == "call_module":
            leaf = module.get_submodule(node.target)
            assert not any(tensor.any() for tensor in module_biases(leaf).values()), operation.name
        elif node.target in ADDING:
            added = [term for term in node.all_input_nodes if not term.meta.get("flows")]
            by_position = any(sum(length > 1 for length in values.of[term].shape) > 1 for term in added)
            token = any(user.target is torch.cat for term in added for user in term.users)
            if added and not by_position and not token:
                assert not operation.remainder.compute(values.of).any(), operation.name
                seen += 1
        elif bias := node.kwargs.get("bias", node.args[2] if len(node.args) > 2 else None):
            assert node.target not in (F.linear, F.conv2d) or not values.of[bias].any(), operation.name
            seen += node.target in (F.linear, F.conv2d)
    assert seen


class Values(fx.Interpreter):
    """The values of all nodes."""

    def run(self, image: Tensor) -> object:
        self.of: dict[fx.Node, object] = {}
        with torch.no_grad():
            return super().run(image)

    def run_node(self, node: fx.Node) -> object:
        self.of[node] = super().run_node(node)
        value = self.of[node]
        self.of[node] = value.clone() if isinstance(value, Tensor) else value  # another may overwrite it
        return value


def test_images_of_a_batch_are_explained_as_alone():
    """Windows count as images in this network; each image's come back to it."""
    network = build("test_maxvit", {})
    images = torch.randn(3, 3, 160, 160, dtype=torch.float64)
    decomposition = Decomposition(network, images[:1])
    together, alone = decomposition(images), decomposition(images[2:])
    for name in ("activity", "bias"):
        for a, b in zip(getattr(together, name), getattr(alone, name), strict=True):
            torch.testing.assert_close(a[2:], b)


def test_one_that_cannot_be_traced_says_where():
    network = build_network("timm", "gemma4_vit_167m", {"num_classes": 10, "depth": 1, "embed_dim": 48, "num_heads": 2})
    with pytest.raises(InputError) as raised:
        trace_network(network, torch.zeros(1, 3, 64, 64))
    message = str(raised.value)
    assert message.startswith("Gemma4VitClassifier can't be traced by torch.fx in encoder (Gemma4VitEncoder), at line ")
    assert " of gemma4_vit.py, `if x.ndim != 4 or " in message
    assert message.endswith("control flow; the last operation traced is encoder.ne")
    assert "\n" not in message and "/" not in message


def test_round_trip(tmp_path):
    arguments = {"num_classes": 7}
    network = randomise(build_network("timm", "test_efficientnet", arguments))
    saved = describe(
        "vgg16", source="timm", constructor="test_efficientnet", arguments=arguments, classes=tuple("abcdefg")
    )
    save_network(tmp_path / "n.safetensors", network, saved)
    loaded, description = load_network(tmp_path / "n.safetensors")
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(loaded(images), network(images))
    assert description == saved and not loaded.training


@pytest.mark.parametrize(
    ("constructor", "arguments", "message"),
    [
        ("resnet_18", {}, "constructor is resnet_18; of timm's the closest are resnet18, "),
        ("resnet18.nonsense", {}, "arguments of resnet18.nonsense: "),
        ("resnet18", {"wide": 1}, "arguments of resnet18: ResNet.__init__() got an unexpected keyword argument 'wide'"),
        ("resnet18", {"pretrained": True}, "arguments of resnet18: pretrained is not allowed; weights"),
        (
            "resnet18",
            {"checkpoint_path": "x"},
            "arguments of resnet18: checkpoint_path is not allowed; weights are none",
        ),
        ("vit_tiny_patch16_224", {"num_heads": 5}, "arguments of vit_tiny_patch16_224: "),
    ],
)
def test_unknown_networks(constructor, arguments, message):
    with pytest.raises(InputError) as raised:
        build_network("timm", constructor, arguments)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 200
