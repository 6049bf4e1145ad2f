"""Formulas of remainders against forward-mode differentiation, which knows none of them."""

import copy
import operator

import pytest
import torch
from small import randomise
from torch import Tensor, nn
from torch.nn import functional as F

from explanations.decomposition import layers
from explanations.decomposition.closed_forms import batch_norm_bias
from explanations.decomposition.forward_mode import differentiated_remainder, needed_values
from explanations.decomposition.implicit_biases import closed_form
from explanations.decomposition.modules import FoldedConvolution

TOKENS = (2, 5, 8)


class Apply(nn.Module):
    """One operation, between linear maps of tokens: of their result, or of two or three results."""

    def __init__(self, operation, inputs: int = 1):
        super().__init__()
        self.operation, self.top = operation, nn.Linear(8, 3)
        self.maps = nn.ModuleList(nn.Linear(8, 8) for _ in range(inputs))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2)
        values = [linear(x) for linear in self.maps]
        x = self.operation(*values)
        x = x[0] if isinstance(self.operation, nn.MultiheadAttention) else x
        return self.top(x).mean(1)


def self_attention(**options) -> nn.Module:
    attention = nn.MultiheadAttention(8, 2, batch_first=True, **options)
    nn.init.normal_(attention.out_proj.weight)

    class Once(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = attention

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, x, x, need_weights=False)[0]

    return Once()


def functional_layer_norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, (8,), eps=0.1)


OPERATIONS = {
    "relu6": (nn.ReLU6(), 1),
    "relu6 by function": (F.relu6, 1),
    "silu": (nn.SiLU(), 1),
    "silu by function": (F.silu, 1),
    "gelu": (nn.GELU(), 1),
    "gelu by function": (F.gelu, 1),
    "sigmoid": (nn.Sigmoid(), 1),
    "sigmoid by function": (torch.sigmoid, 1),
    "hard swish": (nn.Hardswish(), 1),
    "hard sigmoid": (nn.Hardsigmoid(), 1),
    "layer norm": (nn.LayerNorm(8, eps=0.1), 1),
    "layer norm over tokens too": (nn.LayerNorm([5, 8], eps=0.1), 1),
    "layer norm without parameters": (nn.LayerNorm(8, eps=0.1, elementwise_affine=False), 1),
    "layer norm by function": (functional_layer_norm, 1),
    "product": (operator.mul, 2),
    "product by method": (lambda a, b: a.mul(b), 2),
    "square": (lambda a: a * a, 1),
    "quotient": (operator.truediv, 2),
    "matrix product": (lambda a, b: a.transpose(1, 2) @ b, 2),
    "attention": (F.scaled_dot_product_attention, 3),
    "attention with a scale": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.3), 3),
    "self-attention": (self_attention(), 1),
    "self-attention without biases": (self_attention(bias=False), 1),
}
ANYTHING_ELSE = {
    "tanh gelu": (nn.GELU(approximate="tanh"), 1),
    "softplus": (nn.Softplus(), 1),
    "cross-attention": (nn.MultiheadAttention(8, 2, batch_first=True), 3),
    "masked attention": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), 3),
    "attention of the first token": (self_attention(add_zero_attn=True), 1),
}


def traced(operation, inputs: int):
    """The node of the operation in the traced network, with the values of all nodes."""
    network = Apply(copy.deepcopy(operation), inputs)
    network = randomise(network.double())
    for module in network.modules():
        if isinstance(module, nn.LayerNorm) and module.elementwise_affine:
            nn.init.normal_(module.weight)
    images = torch.randn(2, 8, 1, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 12
    network_graph = layers.trace_network(network.eval(), images[:1])
    values = {}

    class All(torch.fx.Interpreter):
        def run_node(self, node):
            values[node] = super().run_node(node)
            return values[node]

    with torch.no_grad():
        All(network_graph.module).run(images)
    own = [op for op in network_graph.operations if not op.name.startswith(("maps", "top")) and op.remainder]
    return network_graph.module, own[-1].node, values


@pytest.mark.parametrize("name", OPERATIONS)
def test_formulas(name, monkeypatch):
    monkeypatch.setattr(layers, "overwrite_inputs", lambda module, kept: None)  # inputs are needed twice here
    module, node, values = traced(*OPERATIONS[name])
    formula = closed_form(module, node)
    assert formula is not None
    result = formula.compute({need: values[need] for need in formula.needs})
    wanted = differentiated_remainder(module, node, {need: values[need] for need in needed_values(node)})
    assert wanted.abs().max() > 1e-3
    torch.testing.assert_close(result, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ANYTHING_ELSE)
def test_no_formula_is_taken_where_it_would_not_hold(name):
    module, node, _ = traced(*ANYTHING_ELSE[name])
    assert closed_form(module, node) is None


class CalledNorm(nn.BatchNorm2d):
    """A batch normalisation that torch.fx looks into, as timm's."""

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.1, self.eps)


def test_batch_normalisation_by_function_has_its_bias():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), CalledNorm(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).double()
    network = randomise(network)
    operation = layers.trace_network(network, torch.zeros(1, 3, 6, 6, dtype=torch.float64)).operations[1]
    torch.testing.assert_close(operation.bias(), batch_norm_bias(network[1]).view(-1, 1, 1))


@pytest.mark.parametrize("affine", [True, False])
def test_a_folded_convolution_is_both(affine):
    convolution = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False, padding_mode="reflect").double()
    norm = nn.BatchNorm2d(6, affine=affine).double()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    folded = FoldedConvolution(convolution, norm).eval()
    x = torch.randn(2, 4, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(folded(x), norm(convolution(x)))
    torch.testing.assert_close(folded(0 * x), batch_norm_bias(norm).view(1, -1, 1, 1).expand(2, 6, 5, 4))
    norm.running_mean.add_(1)
    torch.testing.assert_close(folded(x), norm(convolution(x)))
