"""AttnLRP by LXT's rules: against the paper's formulas written out, on one transformer block; what it doesn't lose."""

import pytest
import torch
from small import CLASSES, SIZE, Tokens, build, inputs, module_biases, randomise_vectors
from torch.nn import functional as F
from torchvision.models.swin_transformer import SwinTransformer

from explanations.methods.sources.base import NotApplicableError, Untouched, make_maps
from explanations.methods.sources.registry import LXT, complete_settings, count_passes

pytest.importorskip("lxt", reason="an extra")

import timm

from explanations.methods.sources.lxt import prepare

TARGETS = torch.tensor([1, 3, 1])
LINEAR, CONVOLUTION = 0.05, 0.25  # γ
SHAPE = (6, 8)  # of Tokens' images: 3 × 4 patches


def ready(network, name, size=SHAPE, **settings):
    complete = complete_settings({"source": "lxt", "name": name, **settings})
    return prepare(complete, network.eval().requires_grad_(False), size, [])


def batch():
    return torch.randn(3, 3, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def tokens(by_class_token):
    torch.manual_seed(0)
    return randomise_vectors(Tokens(by_class_token)).double()


def gamma_rule(x, weight, bias, relevance, gamma):
    """Relevance of x (…, in) of a linear map: contributions of the output's sign count 1 + γ times."""
    output = x @ weight.T + bias
    parts = x[..., None, :] * weight  # (…, out, in)
    parts = torch.cat([parts, bias.expand(output.shape)[..., None]], -1)
    favoured = torch.where(output[..., None] > 0, parts.clamp(min=0), parts.clamp(max=0))
    boosted = parts + gamma * favoured
    shares = boosted / boosted.sum(-1, keepdim=True)
    return (shares[..., :-1] * relevance[..., None]).sum(-2)


def literal(network, image, target, through_softmax):
    """Relevance (3, H, W) of one image by the rules of Achtibat et al. (2024), one after the other, from the top."""
    attention, count = network.attention, 13
    patches = F.unfold(image[None], 2, stride=2)[0].T  # (12, 12): of patches by pixels
    embedded = patches @ network.patches.weight.flatten(1).T + network.patches.bias
    joined = torch.cat([network.token[0], embedded])
    x = joined + network.places[0]
    centred = x - x.mean(-1, keepdim=True)
    deviation = (centred.square().mean(-1, keepdim=True) + network.norm.eps).sqrt()
    y = centred / deviation * network.norm.weight + network.norm.bias
    q, k, v = (y @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, -1)
    heads = [slice(0, 2), slice(2, 4)]
    logits = [q[:, head] @ k[:, head].T / 2**0.5 for head in heads]
    weights = [each.softmax(-1) for each in logits]
    mixed = torch.cat([a @ v[:, head] for a, head in zip(weights, heads, strict=True)], -1)
    out = mixed @ attention.out_proj.weight.T + attention.out_proj.bias
    total = x + out
    before = total @ network.mix.weight.T + network.mix.bias
    after = F.gelu(before)
    last = after[0] if network.by_class_token else after.mean(0)
    scores = last @ network.top.weight.T + network.top.bias

    top = torch.zeros_like(scores)
    top[target] = scores[target]
    lowered = gamma_rule(last, network.top.weight, network.top.bias, top, LINEAR)
    r = torch.zeros_like(after)
    if network.by_class_token:
        r[0] = lowered
    else:
        r = after / after.sum(0) * lowered
    r = gamma_rule(total, network.mix.weight, network.mix.bias, r, LINEAR)  # through the activation as it is
    r_x, r_out = r * x / total, r * out / total
    r_mixed = gamma_rule(mixed, attention.out_proj.weight, attention.out_proj.bias, r_out, LINEAR)
    r_joint = torch.zeros(count, 12, dtype=x.dtype)
    for a, s, head in zip(weights, logits, heads, strict=True):
        for i in range(count):
            for j in range(count):
                for d in range(head.start, head.stop):
                    part = a[i, j] * v[j, d] * r_mixed[i, d] / mixed[i, d]
                    r_joint[j, 8 + d] += part / (2 if through_softmax else 1)
        if not through_softmax:
            continue
        r_a = (
            torch.stack(
                [(a[i, :, None] * v[:, head] * r_mixed[i, head] / mixed[i, head]).sum(-1) for i in range(count)]
            )
            / 2
        )
        r_s = s * (r_a - a * r_a.sum(-1, keepdim=True))
        raw = q[:, head] @ k[:, head].T
        for i in range(count):
            for j in range(count):
                part = q[i, head] * k[j, head] * r_s[i, j] / raw[i, j] / 2
                r_joint[i, head] += part
                r_joint[j, 4 + head.start : 4 + head.stop] += part
    r_y = gamma_rule(y, attention.in_proj_weight, attention.in_proj_bias, r_joint, LINEAR)
    jacobian = (torch.eye(4, dtype=x.dtype) - 1 / 4) * network.norm.weight[:, None]  # of a constant deviation
    r_x = r_x + torch.einsum("ti,tji,tj->ti", x, jacobian / deviation[..., None], r_y / y)
    r_joined = r_x * joined / x
    kernel = network.patches.weight.flatten(1)
    r_patches = gamma_rule(patches, kernel, network.patches.bias, r_joined[1:], CONVOLUTION)
    return F.fold(r_patches.T[None], SHAPE, 2, stride=2)[0]


@pytest.mark.parametrize("by_class_token", [True, False])
@pytest.mark.parametrize("name", LXT)
def test_maps_are_the_papers(name, by_class_token):
    network = tokens(by_class_token)
    prepared, before = ready(network, name, epsilon=1e-12), Untouched(network)
    made = make_maps(prepared, batch(), TARGETS, [0, 1, 2], 0, 2)
    before.check()
    for image, target, found in zip(batch(), TARGETS, made, strict=True):
        wanted = literal(network, image, int(target), name == "AttnLRP").sum(0).abs().float()
        assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-4 * float(wanted.max()))
        assert float(wanted.std()) > 0


@pytest.mark.parametrize("by_class_token", [True, False])
def test_nothing_is_lost_without_biases_and_softmax(by_class_token):
    """A class token and positions that are parameters take relevance, as biases do."""
    network = tokens(by_class_token)
    with torch.no_grad():
        for tensor in (network.token, network.places, *module_biases(network).values()):
            tensor.zero_()
        network.attention.out_proj.bias.zero_()
    prepared = ready(network, "CPLRP", epsilon=1e-12)
    make_maps(prepared, batch(), TARGETS, [0, 1, 2], 0, 3)
    assert float(prepared.gaps[0].max()) < 1e-2


def small_timm(fused=True, **changes):
    torch.manual_seed(0)
    settings = {"depth": 2, "embed_dim": 16, "num_heads": 2, "img_size": 32, "patch_size": 8, "num_classes": CLASSES}
    network = timm.create_model("vit_tiny_patch16_224", **settings | changes)
    for block in network.blocks:
        block.attn.fused_attn = fused
    return randomise_vectors(network)


@pytest.mark.parametrize("name", LXT)
def test_fused_attention_and_its_parts_are_the_same(name):
    images = inputs(3, SIZE, torch.float32)
    fused = ready(small_timm(), name, (SIZE, SIZE))
    parts = ready(small_timm(fused=False), name, (SIZE, SIZE))
    made = [make_maps(each, images, TARGETS, [0, 1, 2], 0, 2) for each in (fused, parts)]
    assert float(made[0].std()) > 0
    assert torch.allclose(made[0], made[1], rtol=1e-2, atol=1e-3 * float(made[0].max()))


@pytest.mark.parametrize("name", LXT)
def test_maps_of_the_embedded_transformer_do_not_depend_on_the_batch(name):
    network = build("vit", seed=3)
    images = inputs(3, SIZE, torch.float32)
    prepared = ready(network, name, (SIZE, SIZE))
    together = make_maps(prepared, images, TARGETS, [0, 1, 2], 0, 3)
    alone = make_maps(prepared, images[2:], TARGETS[2:], [2], 0, 1)
    assert together.isfinite().all() and torch.allclose(together[2:], alone, rtol=1e-2, atol=1e-3 * float(alone.max()))


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (lambda: build("resnet50"), "the network has no attention"),
        (lambda: build("convnext"), "the network has no attention"),
        (
            lambda: SwinTransformer([2, 2], 8, [1, 1], [2, 2], [4, 4], num_classes=CLASSES),
            "LXT has no rule for features.1.0.attn.shifted_window_attention",
        ),
    ],
)
def test_networks_that_it_can_not_explain(network, reason):
    with pytest.raises(NotApplicableError, match=reason):
        ready(network(), "AttnLRP", (SIZE, SIZE))


def test_it_takes_one_pass_and_its_way_back():
    assert {count_passes({"source": "lxt", "name": name}, SIZE) for name in LXT} == {3}
