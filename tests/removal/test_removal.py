"""Pixel removal (§4): worked out by hand, and against a plain loop over one image's grid steps."""

import copy
from collections.abc import Callable

import literal
import pytest
import torch
from conftest import refused
from small import build, inputs, randomise
from torch import Tensor, nn

from explanations.files.measurements import NEVER
from explanations.networks import inference
from explanations.networks.decisions import Decisions, ExactDecisions, FastDecisions, decide_in
from explanations.networks.files import build_network
from explanations.removal.operators import Fill, Operator
from explanations.removal.orders import removed_counts
from explanations.removal.scans import LogitsError, Scan, find_flips


def flips(
    decide: Decisions | Callable[[Tensor], Tensor],
    images: Tensor,
    targets: list[int],
    ranks: list,
    grid: int | list[list[int]],
    operator: Operator | None = None,
    fill: float = 0.0,
    batch: int = 64,
) -> dict:
    """{key: (step, e)} of scans given as (key, image, rank), or with which of several lists of counts they go by."""
    scans = [Scan(key, image, torch.as_tensor(rank, dtype=torch.int32), *of) for key, image, rank, *of in ranks]
    pixels = images[0, 0].numel()
    grids = [removed_counts(pixels, grid)] if isinstance(grid, int) else list(map(torch.tensor, grid))
    decisions = decide if isinstance(decide, Decisions) else ExactDecisions(decide)
    ends = list(find_flips(decisions, images, torch.tensor(targets), scans, grids, operator or Fill(fill), batch))
    assert len(ends) == len(scans)
    return {flip.key: (flip.step, flip.signal) for flip in ends}


def row(*values: float) -> Tensor:
    """One image of one row of pixels, the same in all three channels, (1, 3, 1, W)."""
    return torch.tensor(values).expand(1, 3, 1, len(values)).contiguous()


def compare_halves(images: Tensor) -> Tensor:
    """A linear classifier: class 0 sums the left half of a row, class 1 the right one."""
    half = images.shape[-1] // 2
    return torch.stack([images[..., :half].sum((1, 2, 3)), images[..., half:].sum((1, 2, 3))], 1)


# --- by hand -----------------------------------------------------------------------------------------------------


def test_linear_classifier_by_hand():
    # left 3 + 4 = 7 against right 1 + 5 = 6: without the 3 it is 4 against 6
    image = row(3, 4, 1, 5)
    energy = 9 + 16 + 1 + 25
    minus = flips(compare_halves, image, [0], [("-", 0, [1, 2, 0, 3])], 4)  # removes 1, 3, 4, 5 in this order
    assert minus["-"] == (2, pytest.approx(1 - ((energy - 10) / energy) ** 0.5))
    plus = flips(compare_halves, image, [0], [("+", 0, [2, 1, 3, 0])], 4)  # the reverse: 5, 4, 3, 1
    # without the 5: 7 against 1; the 4: 3 against 1; the 3: 0 against 1
    assert plus["+"] == (3, pytest.approx(1 - (1 / energy) ** 0.5))


def test_a_decision_that_flips_back_counts_once():
    image = row(2, 2, 3, 0)  # 4 against 3; without a 2: 2 against 3; without the 3: 2 against 0
    measured = flips(compare_halves, image, [0], [("s", 0, [0, 2, 1, 3])], 4)
    assert measured["s"] == (1, pytest.approx(1 - (13 / 17) ** 0.5))


def test_a_decision_that_never_flips():
    measured = flips(compare_halves, row(1, 1, 0, 0), [0], [("s", 0, [3, 2, 1, 0])], 4)
    assert measured["s"] == (NEVER, 1.0)  # with nothing left argmax is the first class


def test_a_flip_at_the_end_of_the_grid_is_a_flip():
    measured = flips(compare_halves, row(0, 0, 1, 1), [1], [("s", 0, [0, 1, 2, 3])], 4)
    assert measured["s"] == (4, 1.0)


def test_fill_is_what_a_removed_pixel_becomes():
    # 4 against 3; with the first pixel 1 instead of 2: 3 against 3, a tie that argmax gives to class 0; then 2 to 3
    measured = flips(compare_halves, row(2, 2, 3, 0), [0], [("s", 0, [0, 1, 2, 3])], 4, fill=1.0)
    # what is left of the image is 3 and 0; the fill, twice 1, is none of its signal
    assert measured["s"] == (2, pytest.approx(1 - (9 / 17) ** 0.5))


def test_a_fill_larger_than_the_image_is_no_signal():
    # 2 against 1; then 2 against −1, −1 against −1, and −4 against −1: the third pixel is what is left
    measured = flips(compare_halves, row(1, 1, 1, 0), [0], [("s", 0, [1, 2, 3, 0])], 4, fill=-2.0)
    assert measured["s"] == (3, pytest.approx(1 - (1 / 3) ** 0.5))


def test_pixels_without_signal_may_flip_a_decision_by_their_fill():
    measured = flips(compare_halves, row(0, 3, 1, 1), [0], [("s", 0, [0, 1, 2, 3])], 4, fill=-2.0)
    assert measured["s"] == (1, 0.0)  # −2 + 3 against 2, and the whole image is there


def test_all_channels_of_a_pixel_go():
    image = torch.zeros(1, 3, 1, 2)
    image[0, :, 0, 0] = torch.tensor([0.0, 0.0, 4.0])
    image[0, :, 0, 1] = torch.tensor([3.0, 0.0, 0.0])
    measured = flips(compare_halves, image, [0], [("s", 0, [0, 1])], 2)
    assert measured["s"] == (1, pytest.approx(1 - 3 / 5))


# --- against a plain loop ----------------------------------------------------------------------------------------

NOISY_GRID = 16


@pytest.fixture(scope="module")
def noisy():
    """A linear classifier of random weights, images and ranks: many flips, at all grid steps; and the literal ends."""
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(7, 3, 8, 8, generator=generator, dtype=torch.float64)
    weights = torch.randn(4, 192, generator=generator, dtype=torch.float64)
    weights[0] += 0.5 * images[:3].mean(0).flatten()

    def decide(values: Tensor) -> Tensor:
        return values.flatten(1) @ weights.T

    targets = decide(images).argmax(1).tolist()
    ranks = [((image, r), image, torch.randperm(64, generator=generator)) for image in range(7) for r in range(5)]
    ends = {
        key: literal.removal(decide, images[image], targets[image], rank.argsort().tolist(), NOISY_GRID)
        for key, image, rank in ranks
    }
    return decide, images, targets, ranks, ends


def test_the_literal_ends_vary(noisy):
    steps = [step for step, _ in noisy[-1].values()]
    assert len(set(steps)) > 5 and NEVER in steps


@pytest.mark.parametrize("batch", [1, 3, 34, 35, 64])
def test_flips_are_the_literal_ones_whatever_the_batch(noisy, batch):
    decide, images, targets, ranks, ends = noisy
    measured = flips(decide, images, targets, ranks, NOISY_GRID, batch=batch)
    assert {key: step for key, (step, _) in measured.items()} == {key: step for key, (step, _) in ends.items()}
    for key, (_, signal) in measured.items():
        assert signal == pytest.approx(ends[key][1], abs=1e-12)


@pytest.mark.parametrize("fill", [-2.0, -0.5, 2.0])
def test_fill_against_the_literal_loop(noisy, fill):
    decide, images, targets, ranks, _ = noisy
    measured = flips(decide, images, targets, ranks[:6], NOISY_GRID, fill=fill, batch=4)
    for key, image, rank in ranks[:6]:
        order = rank.argsort().tolist()
        step, signal = literal.removal(decide, images[image], targets[image], order, NOISY_GRID, fill)
        assert measured[key] == (step, pytest.approx(signal))
        assert 0 <= measured[key][1] <= 1


def test_no_scans_no_flips():
    assert flips(compare_halves, row(1, 0), [0], [], 2) == {}


def test_batches_are_kept_full(noisy):
    """Every call but the last ones, when no scan is left to enter, decides a whole batch."""
    decide, images, targets, ranks, ends = noisy
    sizes = []

    def counting(values: Tensor) -> Tensor:
        sizes.append(len(values))
        return decide(values)

    flips(counting, images, targets, ranks, NOISY_GRID, batch=8)
    steps = [step if step != NEVER else NOISY_GRID for step, _ in ends.values()]
    assert sum(sizes) == sum(steps)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[: len(sizes) // 2] == [8] * (len(sizes) // 2)


def test_inputs_are_left_as_they_were(noisy):
    decide, images, targets, ranks, _ = noisy
    before = images.clone()
    flips(decide, images, targets, ranks, NOISY_GRID, batch=8)
    assert torch.equal(images, before)


def test_what_decide_writes_into_its_images_stays_there(noisy):
    decide, images, targets, ranks, ends = noisy

    def writing(values: Tensor) -> Tensor:
        logits = decide(values)
        values.zero_()
        return logits

    measured = flips(writing, images, targets, ranks, NOISY_GRID, batch=8)
    assert {key: step for key, (step, _) in measured.items()} == {key: step for key, (step, _) in ends.items()}


def test_a_grid_finer_than_pixels(noisy):
    decide, images, targets, ranks, _ = noisy
    message = "removal.grid is 65; images have 64 pixels, and each step removes at least one"
    assert refused(flips, decide, images, targets, ranks, 65) == message
    for key, (step, signal) in flips(decide, images, targets, ranks[:4], 64, batch=3).items():
        image, rank = next((image, rank) for name, image, rank in ranks if name == key)
        wanted = literal.removal(decide, images[image], targets[image], rank.argsort().tolist(), 64)
        assert (step, signal) == (wanted[0], pytest.approx(wanted[1]))


# --- what isn't finite -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("fast", [False, True])
def test_logits_that_are_not_finite_end_the_scans(value, fast):
    """Whichever class has them: the target's −inf would be a flip, another's −inf none at all."""
    images = row(2.0, 2.0, 1.0, 1.0).repeat(3, 1, 1, 1)
    for column in (0, 1):

        def decide(values: Tensor, column=column) -> Tensor:
            logits = compare_halves(values)
            logits[(values == -7).sum((1, 2, 3)) == 6, column] = value  # two pixels of three channels
            return logits

        class Broken(nn.Module):
            def forward(self, values: Tensor, decide=decide) -> Tensor:
                return decide(values)

        network = FastDecisions(Broken(), "tf32", torch.device("cpu")) if fast else decide
        scans = [("s", 1, [3, 2, 1, 0])]  # from the right: the decision stays
        with pytest.raises(LogitsError) as raised:
            flips(network, images, [0, 0, 0], scans, 4, fill=-7.0)
        assert (raised.value.image, raised.value.removed) == (1, 2)


@pytest.mark.parametrize("size", [1e-45, 1e-38, 1e-20, 1.0, 1e20, 3e38])
@pytest.mark.parametrize("fill", [0.0, -3e38, 3e38])
def test_e_is_a_share_whatever_the_size_of_pixels(size, fill):
    images = torch.rand(3, 3, 4, 4).add(0.1).mul(size).clamp(max=3e38)
    images[1, :, 1:] = 0
    ranks = [((image, r), image, torch.randperm(16)) for image in range(3) for r in range(4)]

    def by_sign(values: Tensor) -> Tensor:
        return torch.stack([(values.sign() == 1).flatten(1).float().sum(1), torch.full((len(values),), 11.0)], 1)

    for _, signal in flips(by_sign, images, [0, 0, 0], ranks, 16, fill=fill).values():
        assert 0 <= signal <= 1  # NaN and infinities are not


@pytest.mark.parametrize("variant", ["original", "zeroed"])
@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_flips_in_bfloat16_are_float32s(name, variant):
    """Random networks and orders, with and without biases: without, an image that is all gone has logits 0."""
    for seed in range(3):
        network, images = build(name, variant, seed=seed), inputs(6, dtype=torch.float32, seed=seed)
        exact, fast = (decide_in(precision, network, torch.device("cpu")) for precision in ("float32", "bfloat16"))
        with torch.no_grad():
            targets = exact.measure(images).argmax(1).tolist()
        ranks = [((image, r), image, torch.randperm(1024)) for image in range(6) for r in range(4)]
        assert flips(fast, images, targets, ranks, 10, batch=16) == flips(exact, images, targets, ranks, 10, batch=16)
        assert fast.rechecked <= fast.passes and 0 < fast.errors.max() < 0.2 and fast.missed == 0


@pytest.mark.parametrize("source", ["vgg16", "resnet50", "efficientnet", "convnext", "vit", "test_efficientnet"])
def test_flips_of_the_network_made_faster_are_its_own(monkeypatch, source):
    """Batch normalisation folded, and batches in parts of few images, against the network and a batch at a time."""
    monkeypatch.setattr(inference, "LARGEST", 2**17)
    timm = source.startswith("test")
    network = randomise(build_network("timm", source, {"num_classes": 10})) if timm else build(source)
    head = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    images = inputs(6, dtype=torch.float32)
    with torch.no_grad():
        head.bias -= network(images).mean(0)  # so that not all decisions are the same
        targets = network(images).argmax(1).tolist()
    ranks = [((image, r), image, torch.randperm(1024)) for image in range(6) for r in range(4)]
    wanted = flips(copy.deepcopy(network), images, targets, ranks, 10, batch=16)
    fast = decide_in("float32", network, torch.device("cpu"))
    assert flips(fast, images, targets, ranks, 10, batch=16) == wanted
    assert fast.exact.images < 16 and len({step for step, _ in wanted.values()}) > 2


def test_a_network_against_the_literal_loop():
    network, images = build("vgg16").double(), inputs(2)
    targets = network(images).argmax(1).tolist()
    ranks = [((image, r), image, torch.randperm(1024)) for image in range(2) for r in range(3)]
    measured = flips(network, images, targets, ranks, 8)
    with torch.no_grad():
        for key, image, rank in ranks:
            wanted = literal.removal(network, images[image], targets[image], rank.argsort().tolist(), 8)
            assert measured[key] == (wanted[0], pytest.approx(wanted[1]))
