"""Full-size networks on a GPU: extraction and removal as on the CPU, and removal in fast precisions as in float32."""

import copy

import pytest
import torch
import torchvision
from small import module_biases, randomise
from torch import Tensor, nn

from explanations.decomposition.decomposition import Attributions, Decomposition, completeness_gap
from explanations.files.measurements import NEVER
from explanations.networks.decisions import FastDecisions, decide_in
from explanations.networks.devices import place_network, use_device
from explanations.removal.operators import Fill
from explanations.removal.orders import removed_counts
from explanations.removal.scans import Scan, find_flips

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]
NAMES = ["vgg16", "resnet50"]
SIZE = 224
TOLERANCE = 1e-6  # of a map's L2 norm, in float64: in float32 a maximum next to a tie goes the other way here and there
TIE = 1e-4  # of the largest logit: float32's rounding through all layers
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def gpu() -> torch.device:
    return use_device("cuda", torch.get_num_threads())


@torch.no_grad()
def full_size(name: str) -> nn.Module:
    """A random network of 20 classes, whose mean logits, over images half removed, are 0: decisions flip.

    Its biases are small: the larger they are, the less its logits differ between images, beside rounding.
    """
    torch.manual_seed(0)
    network = randomise(torchvision.models.get_model(name, weights=None, num_classes=20)).requires_grad_(False)
    for bias in module_biases(network).values():
        bias *= 0.1
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    last.bias -= network(pictures(8) * (torch.rand(8, 1, SIZE, SIZE) > 0.5)).mean(0)
    return network


def pictures(count: int) -> Tensor:
    """Smooth random images, each of another colour, (count, 3, SIZE, SIZE)."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(count, 3, 14, 14, generator=generator) + 2 * torch.randn(count, 3, 1, 1, generator=generator)
    return nn.functional.interpolate(coarse, size=SIZE, mode="bilinear")


def attribute(network: nn.Module, images: Tensor, device: torch.device) -> tuple[Attributions, Decomposition]:
    placed = place_network(copy.deepcopy(network), device)
    decomposition = Decomposition(placed, torch.zeros(1, 3, SIZE, SIZE, dtype=images.dtype, device=device))
    return decomposition(images.to(device)), decomposition


@pytest.mark.parametrize("name", NAMES)
def test_extraction_in_float32_is_complete(gpu, name):
    found, decomposition = attribute(full_size(name), pictures(2), gpu)
    gap, size = completeness_gap(found, [operation.layer for operation in decomposition.operations])
    assert (gap.abs() <= 1e-5 * size).all()


@pytest.mark.parametrize("name", NAMES)
def test_extraction_is_complete_and_as_on_the_cpu(gpu, name):
    network, images = full_size(name).double(), pictures(2).double()
    found, decomposition = attribute(network, images, gpu)
    wanted, _ = attribute(network, images, CPU)
    gap, size = completeness_gap(found, [operation.layer for operation in decomposition.operations])
    assert (gap.abs() <= 1e-10 * size).all()
    assert torch.equal(found.target.cpu(), wanted.target)
    maps = [(found.gradient, wanted.gradient), (found.gradcam, wanted.gradcam)]
    maps += [*zip(found.activity, wanted.activity, strict=True), *zip(found.bias, wanted.bias, strict=True)]
    for ours, theirs in maps:
        ours, theirs = ours.cpu().flatten(1), theirs.flatten(1)
        assert ((ours - theirs).norm(dim=1) <= TOLERANCE * theirs.norm(dim=1)).all()


def scan_orders(images: int, orders: int) -> list[Scan]:
    generator = torch.Generator().manual_seed(2)
    pairs = [(image, r) for image in range(images) for r in range(orders)]
    return [Scan(pair, pair[0], torch.randperm(SIZE**2, generator=generator).int()) for pair in pairs]


def find(decide, images: Tensor, targets: Tensor, scans: list[Scan], grid: int, device: torch.device) -> dict:
    """{key: (step, e)} of scans on a device."""
    moved = [Scan(scan.key, scan.image, scan.rank.to(device)) for scan in scans]
    counts = [removed_counts(SIZE**2, grid)]
    found = find_flips(decide, images.to(device), targets.to(device), moved, counts, Fill(0.0), batch=32)
    return {flip.key: (flip.step, flip.signal) for flip in found}


def is_tie(exact: nn.Module, image: Tensor, target: int, rank: Tensor, step: int, grid: int) -> bool:
    """Whether, in float64, the target's logit is next to the best other one at a grid step."""
    gone = rank < removed_counts(SIZE**2, grid)[step]
    logits = exact(image.double().masked_fill(gone.view(SIZE, SIZE), 0)[None])[0]
    others = logits.clone()
    others[target] = -torch.inf
    return bool((logits[target] - others.max()).abs() <= TIE * logits.abs().max())


def assert_same_flips(found: dict, wanted: dict, scans: list[Scan], images: Tensor, targets: Tensor, exact, grid: int):
    """Equal steps and e, but for scans whose earlier flip is a tie; of flips at several steps."""
    assert len({step for step, _ in wanted.values()} - {NEVER}) > 1
    for scan in scans:
        (step, signal), (other, e) = found[scan.key], wanted[scan.key]
        if step == other:
            assert signal == pytest.approx(e, abs=1e-6)
        else:
            first = min(value for value in (step, other) if value != NEVER)
            assert is_tie(exact, images[scan.image], int(targets[scan.image]), scan.rank, first, grid)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_removal_is_as_on_the_cpu(gpu, name):
    network, images, scans, grid = full_size(name), pictures(4), scan_orders(4, 1), 25
    targets = network(images).argmax(1)
    exact = copy.deepcopy(network).double()
    wanted = find(decide_in("float32", copy.deepcopy(network), CPU), images, targets, scans, grid, CPU)
    found = find(decide_in("float32", copy.deepcopy(network), gpu), images, targets, scans, grid, gpu)
    assert_same_flips(found, wanted, scans, images, targets, exact, grid)


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "tf32"])
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_fast_removal_is_float32s(gpu, name, precision):
    network, images, scans, grid = full_size(name), pictures(8), scan_orders(8, 4), 100
    plain = decide_in("float32", copy.deepcopy(network), gpu)
    fast = decide_in(precision, copy.deepcopy(network), gpu)
    targets = plain.measure(images.to(gpu)).argmax(1).cpu()
    wanted = find(plain, images, targets, scans, grid, gpu)
    found = find(fast, images, targets, scans, grid, gpu)
    assert_same_flips(found, wanted, scans, images, targets, copy.deepcopy(network).double(), grid)
    assert isinstance(fast, FastDecisions) and fast.missed == 0
    assert len(fast.errors)
    if (name, precision) != ("resnet50", "bfloat16"):  # there rounding is as large as what random logits differ by
        assert fast.rechecked < fast.passes
