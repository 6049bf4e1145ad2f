"""The paper's formulas written out: slow loops that share no code with scripts/explanations."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


def sum_maps(maps: list[Tensor]) -> list[list[float]]:
    """A (Eq. 14): [map][image]."""
    return [[sum(float(value) for value in image.flatten()) for image in each] for each in maps]


def decompositions(activity: list[Tensor], bias: list[Tensor], bias_layers: list[int]) -> np.ndarray:
    """The right side of Eq. 13, (images, layers)."""
    gross_activity, gross_bias = sum_maps(activity), sum_maps(bias)
    totals = np.empty((len(activity[0]), len(activity)))
    for image in range(totals.shape[0]):
        for layer in range(totals.shape[1]):
            total = gross_activity[layer][image]
            for gross, owner in zip(gross_bias, bias_layers, strict=True):
                if owner > layer:
                    total += gross[image]
            totals[image, layer] = total
    return totals


def non_spatial(activity: Tensor, bias: Tensor, bias_layers: list[int]) -> np.ndarray:
    """What has no position adds to Eq. 13, (images, layers), of (images, layers) activities and (images, k) biases."""
    totals = activity.double().numpy().copy()
    for image in range(totals.shape[0]):
        for layer in range(totals.shape[1]):
            totals[image, layer] += sum(
                float(value) for value, owner in zip(bias[image], bias_layers, strict=True) if owner > layer
            )
    return totals


def attribution(values: Tensor, gradient: Tensor) -> Tensor:
    """Σ_φ v_φij · g_φij of (C, H, W), by loops over channels and positions (Eqs 5, 11, 12)."""
    channels, height, width = values.shape
    result = torch.zeros(height, width, dtype=values.dtype)
    for i in range(height):
        for j in range(width):
            for phi in range(channels):
                result[i, j] += values[phi, i, j] * gradient[phi, i, j]
    return result


def slopes(f: Callable[[Tensor], Tensor], values: Tensor, step: float = 1e-6) -> Tensor:
    """∂f/∂v of every element on its own, by central differences."""
    result = torch.zeros_like(values)
    for index in np.ndindex(*values.shape):
        plus, minus = values.clone(), values.clone()
        plus[index] += step
        minus[index] -= step
        result[index] = (f(plus) - f(minus)) / (2 * step)
    return result


def expanded_biases(network: nn.Module, image: Tensor, target: int) -> dict[str, tuple[Tensor, Tensor]]:
    """By module: its bias at every position, (C, H, W) or (C,), and ∂f_c/∂b there, for one (3, H, W) image.

    Every biased operation is run without its bias, and a tensor of the output's size that holds the bias at every
    position is added: a leaf, whose gradient autograd gives.
    """
    leaves: dict[str, Tensor] = {}

    def without_bias(name: str, module: nn.Module, value: Tensor) -> Tensor:
        if isinstance(module, nn.Conv2d):
            plain = F.conv2d(value, module.weight, None, module.stride, module.padding, module.dilation, module.groups)
            bias = module.bias
        elif isinstance(module, nn.Linear):
            plain, bias = value @ module.weight.T, module.bias
        else:
            plain, bias = batch_norm_parts(module, value)
        shape = (1, -1, *[1] * (plain.dim() - 2))
        leaves[name] = bias.detach().view(shape).expand_as(plain).clone().requires_grad_(True)
        return plain + leaves[name]

    hooks = []
    for name, module in network.named_modules():
        biased = isinstance(module, nn.BatchNorm2d) or getattr(module, "bias", None) is not None
        if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d)) and biased:
            hooks.append(
                module.register_forward_hook(lambda m, args, _, name=name: without_bias(name, m, args[0].clone()))
            )
    score = network(image[None])[0, target]
    gradients = torch.autograd.grad(score, list(leaves.values()))
    for hook in hooks:
        hook.remove()
    return {name: (leaf.detach()[0], g[0]) for (name, leaf), g in zip(leaves.items(), gradients, strict=True)}


def batch_norm_parts(norm: nn.BatchNorm2d, value: Tensor) -> tuple[Tensor, Tensor]:
    """Suppl. Eq. 9 in evaluation mode, channel by channel: γ x / √(σ² + ε), and the bias β − γ μ / √(σ² + ε)."""
    parts, biases = [], []
    for channel in range(norm.num_features):
        deviation = (norm.running_var[channel] + norm.eps) ** 0.5
        parts.append(norm.weight[channel] * value[:, channel] / deviation)
        biases.append(norm.bias[channel] - norm.weight[channel] * norm.running_mean[channel] / deviation)
    return torch.stack(parts, 1), torch.stack(biases)


def rescale(values: np.ndarray) -> np.ndarray:
    """Eq. 10 of one map; 0 for a constant one."""
    low, high = min(values.flat), max(values.flat)
    result = np.zeros(values.shape)
    for index in np.ndindex(*values.shape):
        if high > low:
            result[index] = (values[index] - low) / (high - low)
    return result


def bilinear(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear interpolation of one map, pixels as areas: a target's centre is mapped to the source, edges repeated."""
    result = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            y = max((i + 0.5) * values.shape[0] / height - 0.5, 0)
            x = max((j + 0.5) * values.shape[1] / width - 0.5, 0)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, values.shape[0] - 1), min(left + 1, values.shape[1] - 1)
            v, h = y - top, x - left
            above = (1 - h) * values[top, left] + h * values[top, right]
            below = (1 - h) * values[bottom, left] + h * values[bottom, right]
            result[i, j] = (1 - v) * above + v * below
    return result


def psi(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Ψ (Eq. 9) of one map."""
    return bilinear(rescale(np.abs(values)), *size)


def removal(
    decide: Callable[[Tensor], Tensor],
    image: Tensor,
    target: int,
    order: list[int],
    grid: int | list[float],
    fill: float = 0.0,
) -> tuple[int, float]:
    """The grid index of the first flip and e there (Eq. 17) of one (C, H, W) image, pixels removed in `order`.

    The grid has so many equal steps, or is a list of shares of pixels. e is of the signal that is left: the norm of the
    pixels that are still the image's. What was filled in is not.
    """
    height, width = image.shape[1:]
    if isinstance(grid, list):
        counts = [round(share * height * width) for share in grid]
    else:
        counts = [round(step * height * width / grid) for step in range(1, grid + 1)]
    for step, count in enumerate(counts, start=1):
        perturbed, left = image.clone(), image.clone()
        for pixel in order[:count]:
            perturbed[:, pixel // width, pixel % width] = fill
            left[:, pixel // width, pixel % width] = 0
        if decide(perturbed[None]).argmax(1).item() != target:
            norm = sum(float(value) ** 2 for value in left.flatten()) ** 0.5
            return step, 1 - norm / sum(float(value) ** 2 for value in image.flatten()) ** 0.5
    return -1, 1.0


def ascending(values: np.ndarray, tie_order: list[int]) -> list[int]:
    """Pixels from least to most salient; equal ones as they come in `tie_order`."""
    place = {pixel: index for index, pixel in enumerate(tie_order)}
    return sorted(range(values.size), key=lambda pixel: (values.flat[pixel], place[pixel]))


def signed_ranks(differences: list[float], zeros: str = "wilcox") -> tuple[float, float, float]:
    """W₊, W₋ and z (normal approximation with the correction for ties) of Wilcoxon's test.

    Zeros are left out; or, with "pratt", ranked too, and their ranks dropped (mean, variance: Cureton 1967).
    """
    kept = [d for d in differences if d != 0 or zeros == "pratt"]
    sizes = [abs(d) for d in kept]
    ranks = []
    for size in sizes:
        smaller, equal = sum(s < size for s in sizes), sum(s == size for s in sizes)
        ranks.append(smaller + (equal + 1) / 2)
    positive = sum(r for r, d in zip(ranks, kept, strict=True) if d > 0)
    negative = sum(r for r, d in zip(ranks, kept, strict=True) if d < 0)
    n, none = len(kept), kept.count(0)
    ties = sum(sizes.count(size) ** 3 - sizes.count(size) for size in set(sizes) - {0})
    mean = (n * (n + 1) - none * (none + 1)) / 4
    variance = (n * (n + 1) * (2 * n + 1) - none * (none + 1) * (2 * none + 1)) / 24 - ties / 48
    return positive, negative, (min(positive, negative) - mean) / variance**0.5


def exact_signed_ranks(differences: list[float], zeros: str) -> float:
    """The two-sided p of Wilcoxon's test by all signs that the differences that aren't 0 could have."""
    kept = [d for d in differences if d != 0 or zeros == "pratt"]
    sizes = [abs(d) for d in kept]
    signed = [(sum(s < abs(d) for s in sizes) + (sizes.count(abs(d)) + 1) / 2, d > 0) for d in kept if d != 0]
    ranks = [rank for rank, _ in signed]
    observed = abs(sum(rank for rank, positive in signed if positive) - sum(ranks) / 2)
    sums = [sum(rank for k, rank in enumerate(ranks) if signs >> k & 1) for signs in range(2 ** len(ranks))]
    return sum(abs(value - sum(ranks) / 2) >= observed for value in sums) / len(sums)


def holm(p: list[float]) -> list[float]:
    """Holm's adjusted p-values: the k-th smallest of m times m − k + 1, never below a smaller one's, at most 1."""
    adjusted = []
    for mine in p:
        smaller = [other for other in sorted(p) if other <= mine]
        adjusted.append(min(1.0, max((len(p) - k) * other for k, other in enumerate(smaller))))
    return adjusted


def curve(
    score: Callable[[Tensor], Tensor], image: Tensor, order: list[int], grid: int, fill: float = 0.0
) -> list[list[float]]:
    """All of a network's scores of one (C, H, W) image after each step of the grid, pixels removed in `order`."""
    height, width = image.shape[1:]
    scores = []
    for step in range(grid + 1):
        perturbed = image.clone()
        for pixel in order[: round(step * height * width / grid)]:
            perturbed[:, pixel // width, pixel % width] = fill
        scores.append(score(perturbed[None])[0].tolist())
    return scores


def single_patches(
    score: Callable[[Tensor], Tensor], image: Tensor, side: int, fill: float = 0.0
) -> tuple[list[float], list[list[float]]]:
    """All of a network's scores of one (C, H, W) image, and without each of its side × side patches, row by row."""
    height, width = image.shape[1] // side, image.shape[2] // side
    without = []
    for row in range(side):
        for column in range(side):
            perturbed = image.clone()
            for y in range(row * height, (row + 1) * height):
                for x in range(column * width, (column + 1) * width):
                    perturbed[:, y, x] = fill
            without.append(score(perturbed[None])[0].tolist())
    return score(image[None])[0].tolist(), without


def patch_correlation(saliency: list[list[float]], drops: list[float], side: int) -> float:
    """Spearman's ρ between the drops of side × side patches and a map's sums over them (Hesse et al., 2024)."""
    height, width = len(saliency) // side, len(saliency[0]) // side
    sums = []
    for row in range(side):
        for column in range(side):
            rows = saliency[row * height : (row + 1) * height]
            sums.append(sum(value for line in rows for value in line[column * width : (column + 1) * width]))
    return spearman(drops, sums)


def spearman(first: list[float], second: list[float]) -> float:
    """Spearman's ρ: Pearson's correlation of ranks, of which equal values share theirs."""
    ranks = [
        [sum(other < value for other in each) + sum(other == value for other in each) / 2 for value in each]
        for each in (first, second)
    ]
    a, b = ([rank - sum(each) / len(each) for rank in each] for each in ranks)
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def insertion(
    score: Callable[[Tensor], Tensor], image: Tensor, order: list[int], grid: int, fill: float = 0.0
) -> list[list[float]]:
    """The scores as pixels are put back onto an image of which all are removed, in `order`."""
    height, width = image.shape[1:]
    scores = []
    for step in range(grid + 1):
        revealed = torch.full_like(image, fill)
        for pixel in order[: round(step * height * width / grid)]:
            revealed[:, pixel // width, pixel % width] = image[:, pixel // width, pixel % width]
        scores.append(score(revealed[None])[0].tolist())
    return scores


def softmax(logits: list[float]) -> list[float]:
    """The probabilities of logits."""
    powers = [math.exp(value - max(logits)) for value in logits]
    return [power / sum(powers) for power in powers]


def auc(values: list[float]) -> float:
    """The area under a curve by trapezoids, over an axis of length 1 (Petsiuk et al., 2018)."""
    width = 1 / (len(values) - 1)
    return sum(width * (before + after) / 2 for before, after in pairwise(values))


def aopc(most_relevant_first: list[float]) -> float:
    """AOPC of one image (Samek et al., 2017): 1/(L + 1) Σ_{k=0…L} f(x⁰) − f(xᵏ)."""
    return sum(most_relevant_first[0] - value for value in most_relevant_first) / len(most_relevant_first)


def abpc(least_relevant_first: list[float], most_relevant_first: list[float]) -> float:
    """ABPC of one image (the same): 1/(L + 1) Σ_{k=0…L} f(xᵏ_LeRF) − f(xᵏ_MoRF)."""
    pairs = list(zip(least_relevant_first, most_relevant_first, strict=True))
    return sum(least - most for least, most in pairs) / len(pairs)
