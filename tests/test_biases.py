"""What counts as a bias, operation by operation, in hand-made networks."""

import pytest
import torch
from torch import nn

from explanations.biases import bias_tensors, count_biases, normalisation, zero_biases

OPERATIONS = {
    "convolution": (nn.Conv2d(3, 4, 3), {"bias"}),
    "convolution without": (nn.Conv2d(3, 4, 3, bias=False), set()),
    "transposed convolution": (nn.ConvTranspose2d(3, 4, 3), {"bias"}),
    "linear": (nn.Linear(3, 4), {"bias"}),
    "batch normalisation": (nn.BatchNorm2d(4), {"bias", "running_mean"}),
    "without affine": (nn.BatchNorm2d(4, affine=False), {"running_mean"}),
    "of the batch": (nn.BatchNorm2d(4, track_running_stats=False), {"bias"}),
    "layer normalisation": (nn.LayerNorm(4), {"bias"}),
    "group normalisation": (nn.GroupNorm(2, 4), {"bias"}),
    "instance normalisation": (nn.InstanceNorm2d(4, affine=True), {"bias"}),
    "attention": (nn.MultiheadAttention(4, 2), {"in_proj_bias", "out_proj.bias"}),
    "slope": (nn.PReLU(), set()),
    "embedding": (nn.Embedding(3, 4), set()),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_biases_of_an_operation(name):
    module, biases = OPERATIONS[name]
    assert {key for key, _ in bias_tensors(module)} == biases
    state = module.state_dict()
    assert count_biases(module) == sum(state[key].numel() for key in biases)


def test_a_shared_operation_counts_once():
    shared = nn.Linear(3, 3)
    assert count_biases(nn.Sequential(shared, nn.ReLU(), shared)) == 3


def test_zeroed_batch_normalisation_only_scales():
    """γ x / σ: what remains of batch normalisation (Suppl. Eq. 9)."""
    norm = nn.BatchNorm2d(2).eval()
    norm.weight.data, norm.bias.data = torch.tensor([2.0, 3.0]), torch.tensor([1.0, -1.0])
    norm.running_mean, norm.running_var = torch.tensor([0.5, 1.5]), torch.tensor([4.0, 0.25])
    zero_biases(norm)
    x = torch.randn(3, 2, 4, 4)
    wanted = x * torch.tensor([2.0 / (4 + 1e-5) ** 0.5, 3.0 / (0.25 + 1e-5) ** 0.5]).view(2, 1, 1)
    torch.testing.assert_close(norm(x), wanted)


def test_batch_normalisation_is_told_from_other_kinds():
    assert normalisation(nn.Sequential(nn.LayerNorm(3), nn.BatchNorm2d(3))) == "batch"
    assert normalisation(nn.Sequential(nn.Conv2d(3, 3, 1), nn.GroupNorm(1, 3))) == "layer"
    assert normalisation(nn.Sequential(nn.Conv2d(3, 3, 1), nn.LocalResponseNorm(5))) == "none"
