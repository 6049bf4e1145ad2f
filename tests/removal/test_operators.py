"""Removal operators: what they are given, and each against an image that is made from scratch at every step."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from conftest import refused
from torch import Tensor

from explanations.files.measurements import NEVER
from explanations.networks.decisions import ExactDecisions
from explanations.removal.operators.base import Operator, Pictures, Removal
from explanations.removal.operators.black import make as make_black
from explanations.removal.operators.registry import OPERATORS
from explanations.removal.operators.road import TOLERANCE
from explanations.removal.operators.road import make as make_road
from explanations.removal.orders import removed_counts
from explanations.removal.scans import Scan, find_flips
from explanations.removal.settings import RemovalSettings

GRID, BATCH, SEED = 5, 4, 11
SIZE = (4, 5)
NUMBERS = [7, 2, 30]  # of the images in their manifest
MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
SETTINGS = {"fill": -0.7, "blur": 0.2, "road": 0.05}


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 3, *SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def scans() -> list[Scan]:
    """Scans of each image in several orders: some enter when others have ended."""
    generator = torch.Generator().manual_seed(1)
    pairs = [(image, r) for image in range(3) for r in range(4)]
    return [Scan(pair, pair[0], torch.randperm(math.prod(SIZE), generator=generator).int()) for pair in pairs]


def pictures(images: Tensor, numbers: list[int] = NUMBERS) -> Pictures:
    return Pictures(images, numbers, torch.tensor(MEAN).to(images), torch.tensor(STD).to(images), SEED)


def make(name: str, images: Tensor) -> Operator:
    return RemovalSettings(operator=name, **SETTINGS).make_operator(pictures(images))


def remove_all(images: Tensor, scans: list[Scan], operator: Operator, together: bool = False) -> dict:
    """{key: (step, e)} where decisions flip by chance; or all at the last step: scans enter and leave together."""
    generator, steps = torch.Generator().manual_seed(2), iter(range(1, 1000))

    def decide(inputs: Tensor) -> Tensor:
        last = torch.full((len(inputs),), next(steps) % GRID == 0)
        flipped = last if together else torch.rand(len(inputs), generator=generator) < 0.3
        return torch.stack([~flipped, flipped], 1).float()

    targets = torch.zeros(len(images), dtype=torch.long)
    ends = find_flips(ExactDecisions(decide), images, targets, scans, [removed_counts(20, GRID)], operator, BATCH)
    return {flip.key: (flip.step, flip.signal) for flip in ends}


@dataclass
class Watched:
    """An operator, and a note of what it is given and leaves."""

    operator: Operator
    seen: list

    def remove(self, removal: Removal, pixels: Tensor) -> None:
        before = removal.images.clone()
        self.operator.remove(removal, pixels)
        scans = [values.clone() for values in (removal.rows, removal.order, removal.count)]
        self.seen.append((*scans, pixels, removal.removed(), before, removal.images.clone()))


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_is_given_the_images_and_what_is_removed(images, scans, name):
    seen: list = []
    remove_all(images, scans, Watched(make(name, images), seen), together=True)
    whole = images.flatten(2).transpose(1, 2)
    assert len(seen) == len(scans) // BATCH * GRID
    for number, (rows, _, count, pixels, removed, before, after) in enumerate(seen):
        entered, step = divmod(number, GRID)
        under_way = scans[entered * BATCH : (entered + 1) * BATCH]
        assert rows.tolist() == [scan.image for scan in under_way]
        for slot, scan in enumerate(under_way):
            assert count[slot].item() == 4 * (step + 1)  # 20 pixels in 5 steps
            gone = scan.rank < 4 * (step + 1)
            assert torch.equal(removed[slot], gone)
            assert sorted(pixels[slot].tolist()) == (gone & (scan.rank >= 4 * step)).nonzero()[:, 0].tolist()
            assert torch.equal(after[slot][~gone], before[slot][~gone])
            assert torch.equal(after[slot][~gone], whole[scan.image][~gone])


# --- from scratch ------------------------------------------------------------------------------------------------


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """An image (C, H, W) after a Gaussian filter whose weights, of the pixels that there are, add up to 1."""
    result = np.empty_like(image)
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            total, weights = np.zeros(len(image)), 0.0
            for v in range(image.shape[1]):
                for u in range(image.shape[2]):
                    weight = math.exp(-((y - v) ** 2 + (x - u) ** 2) / (2 * sigma**2))
                    total, weights = total + weight * image[:, v, u], weights + weight
            result[:, y, x] = total / weights
    return result


def imputed(image: np.ndarray, removed: list[int]) -> np.ndarray:
    """ROAD's linear imputation of an image (C, H, W): one equation for each removed pixel, solved together."""
    height, width = image.shape[1:]
    result = image.copy()
    if len(removed) == height * width:
        return np.zeros_like(image)
    matrix, known = np.zeros((len(removed), len(removed))), np.zeros((len(removed), len(image)))
    for row, pixel in enumerate(removed):
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                y, x = pixel // width + dy, pixel % width + dx
                if (dy, dx) == (0, 0) or not (0 <= y < height and 0 <= x < width):
                    continue
                weight = 1 / 6 if dy == 0 or dx == 0 else 1 / 12
                matrix[row, row] += weight  # shares of the neighbours that there are
                if y * width + x in removed:
                    matrix[row, removed.index(y * width + x)] -= weight
                else:
                    known[row] += weight * image[:, y, x]
    for pixel, values in zip(removed, np.linalg.solve(matrix, known), strict=True):
        result[:, pixel // width, pixel % width] = values
    return result


def perturbed(name: str, image: np.ndarray, number: int, removed: list[int]) -> np.ndarray:
    """An image (C, H, W) with pixels removed, made from the whole image alone."""
    channels, height, width = image.shape
    result = image.copy()
    noise = np.random.default_rng([SEED, 4, number]).standard_normal((height * width, channels), np.float32)
    if name == "road":
        result = imputed(image, removed)
    blurry = blurred(image, SETTINGS["blur"] * width)
    for pixel in removed:
        for c in range(channels):
            y, x = pixel // width, pixel % width
            if name == "road":
                result[c, y, x] += noise[pixel, c] * SETTINGS["road"] / STD[c]
            else:
                result[c, y, x] = {
                    "fill": SETTINGS["fill"],
                    "mean": sum(image[c].ravel().tolist()) / (height * width),
                    "black": -MEAN[c] / STD[c],
                    "blur": blurry[c, y, x],
                }[name]
    return result


@pytest.mark.parametrize("name", OPERATORS)
def test_images_are_those_made_from_scratch(images, scans, name):
    """At every step of every scan, however slots were reused and moved, in both precisions."""
    allowed = 3 * TOLERANCE / min(STD) if name == "road" else 0
    for exact, rounding in ((images.double(), 1e-6), (images, 1e-5)):  # the noise is in single precision
        seen: list = []
        remove_all(exact, scans, Watched(make(name, exact), seen))
        compared = 0
        for rows, order, count, _, _, _, after in seen:
            for slot, row in enumerate(rows.tolist()):
                removed = sorted(order[slot, : count[slot]].tolist())
                wanted = perturbed(name, exact[row].double().numpy(), NUMBERS[row], removed)
                found = after[slot].T.unflatten(1, SIZE).double().numpy()
                np.testing.assert_allclose(found, wanted, rtol=0, atol=allowed + rounding)
                compared += 1
        assert compared > 2 * len(scans)


# --- by hand -----------------------------------------------------------------------------------------------------


def remove(operator: Operator, image: Tensor, pixels: list[int]) -> Tensor:
    """An image (C, H, W) with pixels removed in a step."""
    flat = image.flatten(1).T[None].clone()
    rest = [pixel for pixel in range(flat.shape[1]) if pixel not in pixels]
    order = torch.tensor([[*pixels, *rest]], dtype=torch.int32)
    removal = Removal(flat, torch.tensor([0]), order, torch.tensor([[len(pixels)]]), tuple(image.shape[1:]))
    operator.remove(removal, torch.tensor([pixels]))
    return flat[0].T.unflatten(1, image.shape[1:])


def test_an_image_of_one_colour_is_its_own_mean_blur_and_imputation():
    image = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)[:, None, None].expand(3, 6, 7).contiguous()
    for name in ("mean", "blur", "road"):
        operator = RemovalSettings(operator=name, road=0).make_operator(pictures(image[None], [0]))
        torch.testing.assert_close(remove(operator, image, list(range(0, 40, 3))), image, rtol=0, atol=1e-12)


def test_imputation_by_hand():
    image = torch.tensor([[6.0, 0.0, 12.0], [0.0, 6.0, 0.0], [24.0, 0.0, 18.0]], dtype=torch.float64)
    operator = make_road(Pictures(image[None, None], [0], torch.zeros(1), torch.ones(1), 0), 0.0)
    assert remove(operator, image[None], [4])[0, 1, 1].item() == pytest.approx((6 + 12 + 24 + 18) / 12)
    # in a corner two direct neighbours and a diagonal one: 2, 2 and 1 of 5
    assert remove(operator, image[None], [0])[0, 0, 0].item() == pytest.approx(6 / 5)
    # with its right neighbour: 5a = 2b + 2·0 + 6 and 8b = 2a + 2·12 + 0 + 2·6 + 0, so a = 10/3 and b = 16/3
    found = remove(operator, image[None], [0, 1])
    assert found[0, 0, :2].tolist() == pytest.approx([10 / 3, 16 / 3], abs=2 * TOLERANCE)


def test_with_nothing_left_imputation_is_noise_about_the_mean_colour(images):
    found = remove(make_road(pictures(images), 0.05), images[0], list(range(20)))
    noise = np.random.default_rng([SEED, 4, NUMBERS[0]]).standard_normal((20, 3), np.float32)
    np.testing.assert_allclose(found.flatten(1).T, noise * 0.05 / np.array(STD), rtol=1e-5)


def test_noise_has_the_deviation_that_is_asked_for():
    image = torch.zeros(1, 3, 64, 64)
    found = remove(make_road(pictures(image, [0]), 0.01), image[0], list(range(64 * 64)))
    assert (found.flatten(1).std(1) * torch.tensor(STD)).tolist() == pytest.approx([0.01] * 3, rel=0.05)


def test_a_removed_pixel_stays_opaque():
    """Alpha is the fourth channel, and 0 in the network's input space where it is opaque."""
    image = torch.zeros(1, 4, 4, 4)
    image[:, :3] = torch.randn(3, 4, 4)
    rgba = Pictures(image, [0], torch.tensor([*MEAN, 1.0]), torch.tensor([*STD, 0.25]), 0)
    for operator in (make_black(rgba, None), make_road(rgba, 0.1)):
        assert not remove(operator, image[0], list(range(10)))[3].any()


# --- what they share ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPERATORS)
def test_e_is_of_the_signal_that_is_left_whatever_the_operator(images, scans, name):
    found = remove_all(images, scans, make(name, images))
    for scan in scans:
        step, e = found[scan.key]
        if step == NEVER:
            assert e == 1
            continue
        energy = images[scan.image].double().square().sum(0).flatten()
        left = energy[scan.rank >= 4 * step].sum()
        assert e == pytest.approx(1 - math.sqrt(left / energy.sum()), abs=1e-12)
    assert len({step for step, _ in found.values()}) > 2


@pytest.mark.parametrize("name", OPERATORS)
def test_other_images_and_batches_do_not_matter(name):
    """Flips by a linear classifier, bit for bit: of all images at once, and of a block of them in small batches."""
    generator = torch.Generator().manual_seed(3)
    images, weights = torch.randn(6, 3, 8, 8, generator=generator), torch.randn(2, 192, generator=generator)
    scans = [Scan((i, r), i, torch.randperm(64, generator=generator).int()) for i in range(6) for r in range(2)]
    decide, numbers = ExactDecisions(lambda values: values.flatten(1) @ weights.T), list(range(40, 46))

    def find(first: int, last: int, batch: int) -> dict:
        inputs = images[first:last]
        own = [Scan(scan.key, scan.image - first, scan.rank) for scan in scans if first <= scan.image < last]
        operator = RemovalSettings(operator=name, **SETTINGS).make_operator(pictures(inputs, numbers[first:last]))
        targets, grid = decide.measure(inputs).argmax(1), [removed_counts(64, 8)]
        return {f.key: (f.step, f.signal) for f in find_flips(decide, inputs, targets, own, grid, operator, batch)}

    whole = find(0, 6, 64)
    assert {**find(0, 2, 1), **find(2, 6, 5)} == whole
    assert len({step for step, _ in whole.values()}) > 3


def test_settings_out_of_range():
    said = "removal.operators is grey; allowed are fill, mean, black, blur, road"
    assert refused(RemovalSettings, operator="grey") == said
    assert refused(RemovalSettings, blur=0.0) == "removal.blur is 0; allowed is a number > 0 and <= 1"
    assert refused(RemovalSettings, road=-0.1) == "removal.road is -0.1; allowed is a number >= 0 and <= 1"


def test_results_say_the_settings_that_they_depend_on():
    usual = {"grid": 100, "fill": 0.0, "noise_maps": 1, "ties": "random", "never_flips": "one", "seed": 0}
    assert RemovalSettings().describe() == usual
    del usual["fill"]
    assert RemovalSettings(operator="mean").describe() == {**usual, "operator": "mean"}
    assert RemovalSettings(operator="blur", blur=0.1).describe() == {**usual, "operator": "blur", "blur": 0.1}
