"""Modules that stand in a traced graph for some of the network's own."""

import torch
from torch import Tensor, fx, nn

from explanations.decomposition.closed_forms import batch_norm_bias


class FoldedConvolution(nn.Module):
    """A convolution and the batch normalisation after it, in evaluation mode, as one convolution (Suppl. Eq. 9)."""

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d):
        super().__init__()
        self.convolution, self.norm = convolution, norm
        self._folded: tuple[Tensor, Tensor] | None = None
        self._versions: list[int] = []  # of the tensors that it was folded from

    def forward(self, x: Tensor) -> Tensor:
        """γ/σ · conv(x) + (β − γμ/σ)."""
        versions = [tensor._version for tensor in (*self.parameters(), *self.buffers())]
        if self._folded is None or versions != self._versions:
            self._folded, self._versions = self._fold(), versions
        return self.convolution._conv_forward(x, *self._folded)

    @torch.no_grad()
    def _fold(self) -> tuple[Tensor, Tensor]:
        scale = torch.rsqrt(self.norm.running_var + self.norm.eps)
        if self.norm.affine:
            scale = scale * self.norm.weight
        weight = self.convolution.weight
        return weight * scale.view(-1, *[1] * (weight.dim() - 1)), batch_norm_bias(self.norm)


class SelfAttention(nn.Module):
    """Multi-head attention that returns its output alone, without the attention's weights."""

    def __init__(self, attention: nn.MultiheadAttention):
        super().__init__()
        self.attention = attention

    def forward(self, *args, **kwargs) -> Tensor:
        """The attention's output."""
        return self.attention(*args, **kwargs)[0]

    def is_plain(self, node: fx.Node) -> bool:
        """Whether a call is self-attention of (n, T, C) tokens, without masks or extra keys."""
        attention = self.attention
        plain = attention.batch_first and attention._qkv_same_embed_dim
        plain &= attention.bias_k is None and not attention.add_zero_attn
        masks = ("key_padding_mask", "attn_mask", "is_causal")
        plain &= not any(node.kwargs.get(key) for key in masks) and len(node.args) == 3
        return bool(plain) and len(set(node.args)) == 1
