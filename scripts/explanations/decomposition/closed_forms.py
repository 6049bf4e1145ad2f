"""Remainders m(u) − J_m(u)·u in closed form, of operations whose formula is known; x is the input, y the output."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# --- batch normalisation -----------------------------------------------------------------------------------------


def batch_norm_bias(norm: nn.BatchNorm2d) -> Tensor:
    """β − γ μ / √(σ² + ε) of a batch normalisation in evaluation mode, (C,) (Suppl. Eq. 9)."""
    if norm.affine:
        return normalisation_bias(norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.eps)
    return -norm.running_mean * torch.rsqrt(norm.running_var + norm.eps)


def normalisation_bias(mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    """β − γ μ / √(σ² + ε), of values for each channel, (C,) (Suppl. Eq. 9)."""
    return bias - weight * mean * torch.rsqrt(variance + epsilon)


# --- activation functions, element by element --------------------------------------------------------------------


def relu6_remainder(y: Tensor) -> Tensor:
    """6 where the input is cut off."""
    return y * (y >= 6)


def silu_remainder(x: Tensor, y: Tensor) -> Tensor:
    """−x² σ(x) σ(−x), of y = x σ(x)."""
    return y * (y - x)


def gelu_remainder(x: Tensor, y: Tensor) -> Tensor:
    """−x² φ(x), of y = x Φ(x); φ is the normal density."""
    square = x * x
    return square.mul(-0.5).exp_().mul_(square).mul_(-1 / math.sqrt(2 * math.pi))


def sigmoid_remainder(x: Tensor, y: Tensor) -> Tensor:
    """σ(x) − x σ(x) σ(−x)."""
    return y - x * y * (1 - y)


def hardswish_remainder(x: Tensor, y: Tensor) -> Tensor:
    """−x²/6 on the slope, of y = x · min(max(x + 3, 0), 6) / 6."""
    return torch.where(x.abs() < 3, x * x / -6, 0)


def hardsigmoid_remainder(x: Tensor, y: Tensor) -> Tensor:
    """1/2 on the slope and y beside it, of y = min(max(x + 3, 0), 6) / 6.

    It takes torch's own derivative, since gradients do: the factor 1/6 in it is rounded to float32, in float64 too.
    """
    return y - torch.ops.aten.hardsigmoid_backward(x, x)


ACTIVATIONS_BY_OUTPUT = {nn.ReLU6: relu6_remainder, F.relu6: relu6_remainder}
ACTIVATIONS_BY_BOTH = {
    **{nn.SiLU: silu_remainder, F.silu: silu_remainder, nn.Sigmoid: sigmoid_remainder, F.sigmoid: sigmoid_remainder},
    **{torch.sigmoid: sigmoid_remainder, "sigmoid": sigmoid_remainder, nn.GELU: gelu_remainder, F.gelu: gelu_remainder},
    **{nn.Hardswish: hardswish_remainder, F.hardswish: hardswish_remainder},
    **{nn.Hardsigmoid: hardsigmoid_remainder, F.hardsigmoid: hardsigmoid_remainder},
}


# --- layer normalisation and attention ---------------------------------------------------------------------------


def layer_norm_remainder(x: Tensor, y: Tensor, shape: Sequence[int], bias: Tensor | None, epsilon: float) -> Tensor:
    """β + (y − β) v/(v + ε) of y = γ (x − μ)/√(v + ε) + β; v is the variance over the last dimensions, of `shape`."""
    variance = x.var(tuple(range(-len(shape), 0)), correction=0, keepdim=True)
    share = variance / (variance + epsilon)
    return y * share if bias is None else torch.lerp(bias, y, share)


def attention_remainder(q: Tensor, k: Tensor, v: Tensor, key_offset: Tensor | None, scale: float) -> Tensor:
    """−ṗ v of softmax attention o = p v, (…, T, d), with p = softmax(s) and s = scale · q kᵀ.

    A dot is the derivative along the input. ṗ = p (ṡ − Σ p ṡ), and ṡ = 2 s where q, k and v are linear, so that
    o − ȯ = p v − ṗ v − p v. Where q and k have biases b_q and b_k, ṡ lacks scale · b_q kᵀ, which is `key_offset`,
    (…, 1, T), and scale · q b_kᵀ, which is the same for all keys and has no effect.
    """
    scores = scale * (q @ k.transpose(-2, -1))
    p = scores.softmax(-1)
    derivative = scores.mul_(2)
    if key_offset is not None:
        derivative -= key_offset
    derivative -= (p * derivative).sum(-1, keepdim=True)
    return -(derivative.mul_(p) @ v)


def self_attention_remainder(attention: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """b_o + W_o (b_v − ṗ v) of multi-head self-attention of tokens (n, T, C)."""
    heads, scale = attention.num_heads, attention.head_dim**-0.5
    projected = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)  # (n, T, 3·C)
    q, k, v = projected.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)  # (n, heads, T, C/heads)
    key_offset = None
    if attention.in_proj_bias is not None:
        b_q, _, b_v = attention.in_proj_bias.view(3, heads, 1, -1)
        key_offset = scale * (b_q @ k.transpose(-2, -1))  # (n, heads, 1, T)
    mixed = attention_remainder(q, k, v, key_offset, scale)
    if attention.in_proj_bias is not None:
        mixed += b_v  # p b_v = b_v: a token's weights add up to 1
    return attention.out_proj(mixed.transpose(1, 2).flatten(2))
