"""Grids of removal: shares of pixels for the most salient first, and scans of several grids under way together."""

from itertools import pairwise

import h5py
import literal
import numpy as np
import pytest
import torch
from conftest import refused, remove
from test_removal import compare_halves, flips, row
from torch import Tensor

from explanations.files.grids import check_shares, count_shares, count_steps
from explanations.files.measurements import NEVER, read_measurements, write_measurements
from explanations.networks.decisions import ExactDecisions
from explanations.removal.operators import Fill, Removal
from explanations.removal.orders import removed_counts
from explanations.removal.scans import Scan, find_flips
from explanations.removal.settings import RemovalSettings

FINE = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]

# --- how many pixels ---------------------------------------------------------------------------------------------


def test_shares_are_rounded_to_pixels():
    assert count_shares(1024, FINE) == [0, 1, 2, 5, 10, 20, 51, 102, 205, 512, 1024]
    assert count_shares(224**2, FINE[:2]) == [0, 50, 100]
    assert count_shares(10, [0.25, 1]) == [0, 2, 10]  # 2.5: to the even one, as equal steps are rounded


@pytest.mark.parametrize(("pixels", "grid"), [(9216, 50), (50176, 100), (1024, 6), (10, 4), (64, 64)])
def test_equal_shares_are_equal_steps(pixels, grid):
    assert count_shares(pixels, [step / grid for step in range(1, grid + 1)]) == removed_counts(pixels, grid).tolist()


def test_a_grid_has_the_same_steps_at_every_size():
    """Or is refused: results of a step that removes no pixel would be those of the step before it."""
    message = "removal.grid_plus.1 is 0.002, 1 of the 700 pixels of an image, as many as the step before it"
    assert refused(count_shares, 700, FINE).startswith(message)
    assert refused(RemovalSettings(grid_plus=FINE).removed_counts, 700, "plus").startswith(message)
    for pixels in range(751, 3000):
        counts = count_shares(pixels, FINE)
        assert len(counts) == len(FINE) + 1 and all(after > before for before, after in pairwise(counts))


def test_each_order_has_its_grid():
    settings = RemovalSettings(grid=4, grid_plus=FINE)
    assert settings.removed_counts(1024, "minus").tolist() == [0, 256, 512, 768, 1024]
    assert settings.removed_counts(1024, "plus").tolist() == count_shares(1024, FINE)
    assert [count_steps({"grid": 4, "grid_plus": FINE}, order) for order in ("minus", "plus")] == [4, 10]
    for same in (RemovalSettings(grid=4), RemovalSettings(grid=4, grid_plus=[])):
        assert same.removed_counts(1024, "plus").tolist() == settings.removed_counts(1024, "minus").tolist()
        assert "grid_plus" not in same.record()
    assert settings.record() == {**RemovalSettings(grid=4).record(), "grid_plus": FINE}
    assert count_steps({"grid": 4}, "plus") == count_steps({"grid": 4, "grid_plus": []}, "plus") == 4


@pytest.mark.parametrize("shares", [[], [1], [0.5, 1.0], FINE])
def test_shares_that_can_be(shares):
    check_shares(shares)


# --- the engine --------------------------------------------------------------------------------------------------


def test_two_grids_by_hand():
    """3 + 4 against 1 + 5: without the 5 and the 4 it is 3 against 1, and without the 3 as well 0 against 1."""
    image, rank, both = row(3, 4, 1, 5), [2, 1, 3, 0], [[0, 2, 4], [0, 1, 2, 3, 4]]
    found = flips(compare_halves, image, [0], [("two", 0, rank, 0), ("four", 0, rank, 1)], both)
    assert found == {"two": (NEVER, 1.0), "four": (3, pytest.approx(1 - (1 / 51) ** 0.5))}
    found = flips(compare_halves, image, [0], [("one", 0, rank, 0)], [[0, 3, 4]])
    assert found == {"one": (1, pytest.approx(1 - (1 / 51) ** 0.5))}


@pytest.fixture(scope="module")
def noisy():
    """A linear classifier, images and scans of three grids in turn; and the ends of the literal loop."""
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(6, 3, 8, 8, generator=generator, dtype=torch.float64)
    weights = torch.randn(4, 192, generator=generator, dtype=torch.float64)
    weights[0] += 0.5 * images[:3].mean(0).flatten()

    def decide(values: Tensor) -> Tensor:
        return values.flatten(1) @ weights.T

    targets = decide(images).argmax(1).tolist()
    shares = [[step / 16 for step in range(1, 17)], [0.02, 0.04, 0.06, 0.1, 0.2, 0.6, 1.0], [0.3, 1.0]]
    ranks = [(r, r % 6, torch.randperm(64, generator=generator), r % 3) for r in range(42)]
    ends = {
        key: literal.removal(decide, images[image], targets[image], rank.argsort().tolist(), shares[grid])
        for key, image, rank, grid in ranks
    }
    return decide, images, targets, ranks, [count_shares(64, each) for each in shares], ends


def test_the_literal_ends_vary_on_every_grid(noisy):
    *_, ranks, _, ends = noisy
    for grid, least in enumerate((4, 4, 2)):
        found = {ends[key][0] for key, *_, of in ranks if of == grid}
        assert len(found) >= least and NEVER in found


@pytest.mark.parametrize("batch", [1, 3, 41, 64])
def test_flips_are_the_literal_ones_whatever_is_under_way_together(noisy, batch):
    decide, images, targets, ranks, grids, ends = noisy
    found = flips(decide, images, targets, ranks, grids, batch=batch)
    assert {key: step for key, (step, _) in found.items()} == {key: step for key, (step, _) in ends.items()}
    for key, (_, signal) in found.items():
        assert signal == pytest.approx(ends[key][1], abs=1e-12)


def test_no_pass_is_made_but_those_needed(noisy):
    decide, images, targets, ranks, grids, ends = noisy
    passes = []

    def counting(values: Tensor) -> Tensor:
        passes.append(len(values))
        return decide(values)

    flips(counting, images, targets, ranks, grids, batch=8)
    steps = [len(grids[grid]) - 1 if ends[key][0] == NEVER else ends[key][0] for key, *_, grid in ranks]
    assert sum(passes) == sum(steps)
    assert passes == sorted(passes, reverse=True)


def test_a_grid_more_changes_nothing(noisy):
    decide, images, targets, ranks, grids, _ = noisy
    first = [rank[:3] for rank in ranks if rank[3] == 0]
    assert flips(decide, images, targets, first, [grids[0]]) == flips(decide, images, targets, first, grids)


def test_a_step_takes_as_many_pixels_as_the_widest_under_way():
    """The last step of a fine grid is wide, and makes none of the others so."""
    images, widths = torch.rand(2, 3, 8, 8) + 1, []

    class Watched(Fill):
        def remove(self, removal: Removal, pixels: Tensor) -> None:
            widths.append(pixels.shape[1])
            super().remove(removal, pixels)

    def hold(values: Tensor) -> Tensor:
        return torch.tensor([[1.0, 0.0]]).expand(len(values), 2)

    scans = [Scan(image, image, torch.randperm(64).int(), image) for image in range(2)]
    grids = [torch.tensor([0, 1, 3, 6, 64]), torch.tensor([0, 2, 64])]
    list(find_flips(ExactDecisions(hold), images, torch.tensor([0, 0]), scans, grids, Watched(0.0)))
    assert widths == [2, 62, 3, 58]


# --- the step and its results ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(world, tmp_path_factory):
    """Results with a grid of its own for the most salient first, and without."""
    folder = tmp_path_factory.mktemp("grids")
    return {
        name: remove(world, "vgg16", folder / f"{name}.h5", method="activity_from", grid_plus=shares)
        for name, shares in (("fine", FINE), ("equal", []), ("by_shares", [step / 6 for step in range(1, 7)]))
    }


def test_one_order_alone_has_another_grid(files):
    fine, equal = (read_measurements([files[name]]) for name in ("fine", "equal"))
    for name in ("e_minus", "e_minus_noise", "flip_minus", "flip_minus_noise"):
        np.testing.assert_array_equal(fine.values[name], equal.values[name])
    counts = {"fine": count_shares(1024, FINE), "equal": removed_counts(1024, 6).tolist()}
    first, second = (
        np.where(found.values["flip_plus"] == NEVER, 1024, np.take(counts[name], found.values["flip_plus"]))
        for name, found in (("fine", fine), ("equal", equal))
    )
    assert (first < second).any() and len(np.unique(fine.values["flip_plus"])) > 4
    assert (fine.values["e_plus"][first < second] < equal.values["e_plus"][first < second]).all()


def test_equal_shares_give_the_results_of_equal_steps(files):
    with h5py.File(files["equal"]) as equal, h5py.File(files["by_shares"]) as shares:
        assert set(equal) == set(shares)
        for name in equal:
            np.testing.assert_array_equal(equal[name][()], shares[name][()])
        assert "grid_plus" not in equal.attrs and equal.attrs["grid"] == shares.attrs["grid"] == 6
        assert shares.attrs["grid_plus"].tolist() == [step / 6 for step in range(1, 7)]


def test_results_of_different_grids_are_not_mixed(files):
    assert read_measurements([files["fine"]]).settings["grid_plus"] == FINE
    assert read_measurements([files["equal"]]).settings["grid_plus"] == []
    message = refused(read_measurements, [files["equal"], files["fine"]])
    assert message == f"{files['fine']}: grid_plus is {FINE}; {files['equal']} has []"


def test_a_flip_is_on_its_orders_grid(files, tmp_path):
    with h5py.File(files["fine"]) as file:
        arrays = {name: file[name][()] for name in file}
        settings = {name: file.attrs[name] for name in ("grid", "grid_plus")}
    settings |= {"orders": ["minus", "plus"], "never_flips": "one"}
    methods = [f"m{number}" for number in range(arrays["flip_plus"].shape[1])]
    arrays["flip_plus"][0, 0], arrays["e_plus"][0, 0] = 10, 0.5
    write_measurements(tmp_path / "a.h5", methods, arrays, settings)
    arrays["flip_minus"][0, 0], arrays["e_minus"][0, 0] = 10, 0.5
    message = refused(write_measurements, tmp_path / "b.h5", methods, arrays, settings)
    assert message == f"{tmp_path / 'b.h5'}: image 0, m0: flip_minus is 10; allowed are 1 to 6, or -1"
    arrays["flip_minus"][0, 0], arrays["flip_plus"][0, 0] = 6, 11
    message = refused(write_measurements, tmp_path / "c.h5", methods, arrays, settings)
    assert message == f"{tmp_path / 'c.h5'}: image 0, m0: flip_plus is 11; allowed are 1 to 10, or -1"
