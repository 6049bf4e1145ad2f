import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import explanations
from explanations.decomposition.layer_bias import layer_bias, sum_pool

KINDS = {"numpy": np.asarray, "torch": torch.from_numpy}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def draw(*shape, dtype=np.float64):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def slow_pool(values, size):
    """Position by position, of (n, H, W)."""
    result = np.zeros((len(values), *size), values.dtype)
    for n, row, column in np.ndindex(values.shape):
        result[n, row * size[0] // values.shape[1], column * size[1] // values.shape[2]] += values[n, row, column]
    return result


@pytest.mark.parametrize(("sides", "size"), [((8, 8), (4, 4)), ((7, 5), (3, 2)), ((6, 4), (6, 4)), ((5, 9), (1, 1))])
def test_pools_by_sums(kind, sides, size):
    values = draw(2, *sides)
    np.testing.assert_allclose(np.asarray(sum_pool(kind(values), size)), slow_pool(values, size), atol=1e-12)


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        ([(2, 6, 6)], (6, 6)),
        ([(2, 6, 6), (2, 6, 6), (2, 6, 6)], (6, 6)),
        ([(2, 8, 8), (2, 4, 4), (2, 5, 7)], (4, 4)),
        ([(2, 1, 1), (2, 3, 3)], (3, 3)),  # a map of one position among larger ones is left out
        ([(2, 1, 1), (2, 1, 1)], (1, 1)),
        ([(2, 4, 1), (2, 4, 4)], (4, 1)),
    ],
)
def test_is_a_literal_sum_at_the_smallest_size(kind, shapes, size):
    maps = [draw(*shape) + k for k, shape in enumerate(shapes)]
    counted = [values for values in maps if values[0].size > 1] or maps
    wanted = sum(slow_pool(values, size) for values in counted)
    result = layer_bias([kind(values) for values in maps])
    assert type(result) is type(kind(maps[0]))
    np.testing.assert_allclose(np.asarray(result), wanted, atol=1e-12)


def test_takes_one_image(kind):
    maps = [draw(3, 8, 8), draw(3, 4, 4)]
    whole = np.asarray(layer_bias([kind(values) for values in maps]))
    np.testing.assert_array_equal(np.asarray(layer_bias([kind(values[1]) for values in maps])), whole[1])


def test_keeps_the_dtype(kind):
    result = layer_bias([kind(draw(2, 8, 8, dtype=np.float32)), kind(draw(2, 4, 4, dtype=np.float32))])
    assert np.asarray(result).dtype == np.float32


def test_of_one_size_numpy_adds_map_by_map():
    maps = [draw(5, 5, dtype=np.float32) * 10.0**k for k in range(6)]
    np.testing.assert_array_equal(layer_bias(maps), sum(maps))


@pytest.mark.parametrize("count", [1, 3, 40])
def test_of_tensors_is_torchs_own_sum(count):
    """Bit for bit what methods have been measured with: products with one-hot matrices, then torch's sum of a stack."""
    maps = [torch.from_numpy(draw(2, 9, 9, dtype=np.float32)) * 1.3**k for k in range(count)]
    maps.append(torch.from_numpy(draw(2, 4, 4, dtype=np.float32)))
    pool = F.one_hot(torch.arange(9) * 4 // 9, 4).float()
    pooled = [pool.T @ values @ pool for values in maps[:-1]]
    same = torch.eye(4)
    assert torch.equal(layer_bias(maps), torch.stack([*pooled, same.T @ maps[-1] @ same]).sum(0))


def test_needs_no_torch():
    code = "import sys; from explanations.decomposition import layer_bias; assert 'torch' not in sys.modules"
    scripts = Path(explanations.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(scripts)})
