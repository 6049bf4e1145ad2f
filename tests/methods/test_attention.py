"""Attention rollout and raw attention: against matrix products written out, on networks of torchvision and timm."""

import pytest
import timm
import torch
from small import SIZE, Tokens, build
from torch.nn import functional as F
from torchvision.models import VisionTransformer
from torchvision.models.swin_transformer import SwinTransformer

from explanations.methods.sources.attention import prepare, roll_out
from explanations.methods.sources.base import NotApplicableError, Untouched, make_maps
from explanations.methods.sources.registry import count_passes

TARGETS = torch.tensor([1, 7, 1])
TIMM = {"depth": 2, "embed_dim": 16, "num_heads": 2, "img_size": 32, "patch_size": 8, "num_classes": 10}


def images(size=SIZE):
    return torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1))


def make(network, name, size=SIZE, **changes):
    prepared = prepare({"name": name}, network.eval().requires_grad_(False), (size, size), [])
    return make_maps(prepared, **{"images": images(size), "targets": TARGETS, "indices": [0, 1, 2]} | changes)


def torchvisions():
    torch.manual_seed(0)
    network = VisionTransformer(SIZE, 8, 2, 2, 16, 32, num_classes=10)
    torch.nn.init.normal_(network.heads.head.weight)  # torchvision's zeros read nothing
    return network


def timms(fused=True, **changes):
    torch.manual_seed(0)
    network = timm.create_model("vit_tiny_patch16_224", **TIMM | changes)
    for block in network.blocks:
        block.attn.fused_attn = fused
    return network


NETWORKS = {
    "narrow": lambda: build("vit", seed=3),
    "torchvision": torchvisions,
    "timm": timms,
    "timm, not fused": lambda: timms(fused=False),
    "timm, no class token": lambda: timms(class_token=False, global_pool="avg"),
    "deit, two class tokens": lambda: timm.create_model("deit_tiny_distilled_patch16_224", **TIMM),
}


def literal_weights(network, batch):
    """Each layer's weights (n, heads, T, T), from the tokens that its attention was given."""
    found = []

    def note(module, inputs):
        x = inputs[0]
        if isinstance(module, torch.nn.MultiheadAttention):
            heads, joint = module.num_heads, F.linear(x, module.in_proj_weight, module.in_proj_bias)
        else:
            heads, joint = module.num_heads, module.qkv(x)
        query, key, _ = joint.chunk(3, -1)
        size = x.shape[-1] // heads
        layer = torch.zeros(len(x), heads, x.shape[1], x.shape[1])
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            layer[:, head] = (query[..., part] @ key[..., part].transpose(1, 2) / size**0.5).softmax(-1)
        found.append(layer)

    kinds = (torch.nn.MultiheadAttention, timm.layers.Attention)
    hooks = [m.register_forward_pre_hook(note) for m in network.modules() if isinstance(m, kinds)]
    network(batch)
    for hook in hooks:
        hook.remove()
    return found


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_maps_are_products_of_attention(name):
    """Of the class tokens' rows, or of the mean of all patches' where those are averaged; of every batch."""
    network = NETWORKS[name]().eval()
    before = Untouched(network)
    maps = {method: make(network, method, seed=0, batch=2) for method in ("rollout", "raw")}
    before.check()
    layers = literal_weights(network, images())
    assert len(layers) == (3 if name == "narrow" else 2)
    classes = {"timm, no class token": 0, "deit, two class tokens": 2}.get(name, 1)
    product = torch.eye(layers[0].shape[-1])
    for layer in layers:
        product = (0.5 * layer.mean(1) + 0.5 * torch.eye(layer.shape[-1])) @ product
    for method, matrix in (("rollout", product), ("raw", layers[-1].mean(1))):
        row = matrix[:, :classes].mean(1) if classes else matrix.mean(1)
        patches = row[:, classes:].reshape(3, 1, 4, 4)
        wanted = F.interpolate(patches, (SIZE, SIZE), mode="bilinear", align_corners=False)[:, 0]
        assert torch.allclose(maps[method], wanted, rtol=1e-4, atol=1e-7), method
        assert float(wanted.std()) > 0


def test_rollout_by_hand():
    """½A + ½I is ((1, 0), (¼, ¾)) and above it ((¾, ¼), (0, 1)): the first row of their product is (13/16, 3/16)."""
    first, second = torch.tensor([[1, 0], [0.5, 0.5]]), torch.tensor([[0.5, 0.5], [0, 1]])
    layers = [first[None, None], torch.stack([second, second])[None]]
    assert roll_out(layers, torch.tensor([True, False])).tolist() == [[13 / 16, 3 / 16]]
    assert roll_out(layers, torch.tensor([True, True])).tolist() == [[17 / 32, 15 / 32]]


@pytest.mark.parametrize("by_class_token", [True, False])
def test_tokens_that_are_read_are_found(by_class_token):
    torch.manual_seed(0)
    network = Tokens(by_class_token)
    prepared = prepare({"name": "raw"}, network.eval(), (6, 8), [])
    batch = images(8)[:, :, :6]
    made = prepared.make(batch, TARGETS, [0, 1, 2])
    hidden = network.patches(batch).reshape(3, 4, 12).permute(0, 2, 1)
    hidden = network.norm(torch.cat([network.token.expand(3, -1, -1), hidden], 1) + network.places)
    _, attention = network.attention(hidden, hidden, hidden)
    row = attention[:, 0] if by_class_token else attention.mean(1)
    wanted = F.interpolate(row[:, 1:].reshape(3, 1, 3, 4), (6, 8), mode="bilinear", align_corners=False)[:, 0]
    assert torch.allclose(made, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("build_one", "size", "reason"),
    [
        (lambda: build("resnet50"), SIZE, "the network has no attention"),
        (
            lambda: SwinTransformer([2, 2], 8, [1, 1], [2, 2], [4, 4], num_classes=10),
            SIZE,
            "is within windows of tokens",
        ),
        (
            lambda: timm.create_model(
                "swin_tiny_patch4_window7_224", depths=(2, 2), embed_dim=8, img_size=56, num_heads=(2, 2)
            ),
            56,
            "is within windows of tokens",
        ),
        (
            lambda: timm.create_model("cait_xxs24_224", depth=1, img_size=32, embed_dim=16, num_heads=2),
            32,
            "is of 1 tokens to 5, not of all to all",
        ),
        (
            lambda: timm.create_model("pit_ti_224", img_size=64, base_dims=[4, 4, 4], heads=[1, 1, 1], depth=[1, 1, 1]),
            64,
            "its attentions are between different tokens, ",
        ),
    ],
)
def test_other_attention_says_why_not(build_one, size, reason):
    with pytest.raises(NotApplicableError, match=reason):
        make(build_one(), "rollout", size, seed=0, batch=3)


def test_it_takes_one_pass():
    assert {count_passes({"source": "attention", "name": name}, SIZE) for name in ("rollout", "raw")} == {1}
