"""Whole removals: curves against a plain loop, flips and e as removal finds them, the same digits from any block."""

import literal
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import HERE, REMOVAL, extract, refused, remove
from small import describe
from torch import Tensor

import measure_curves
import read_flips
import summarise_curves
from explanations.files.curves import read_curves
from explanations.files.hdf5 import read_hdf5
from explanations.files.measurements import NEVER, read_measurements
from explanations.files.orders import ORDERS
from explanations.flags import call_with_flags
from explanations.networks.decisions import ExactDecisions
from explanations.networks.files import load_network, save_network
from explanations.removal.curves import CURVE_MEASURES, derive_curve_measures
from explanations.removal.operators.base import replace_by
from explanations.removal.scans import Scan
from explanations.removal.settings import RemovalSettings
from explanations.removal.tracing import trace

GRID, FILL = 6, 0.5


@pytest.fixture(scope="module")
def toy():
    """Five images of 30 pixels, a classifier of three classes, and scans by two maps in both orders."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(5, 3, 5, 6, generator=generator)
    weights = torch.randn(3, 90, generator=generator)

    def score(values: Tensor) -> Tensor:
        return 2 * torch.tanh(values.flatten(1) @ weights.T / 4)

    scans = []
    for image in range(5):
        for m in range(2):
            rank = torch.randperm(30, generator=generator).int()
            scans += [Scan((image, m, 0, 0), image, rank), Scan((image, m, 0, 1), image, 29 - rank)]
    return score, images, score(images).argmax(1), scans


def trace_toy(toy, batch: int = 64, scans: list[Scan] | None = None, **settings) -> dict[str, np.ndarray]:
    score, images, targets, all_scans = toy
    removal = RemovalSettings(**{"grid": GRID, "fill": FILL, **settings})
    names = [f"{image}.png" for image in range(5)]
    chosen, shape, operator = scans or all_scans, (5, 2, 1, 2), replace_by(images, torch.tensor(FILL))
    return trace(ExactDecisions(score), images, targets, chosen, shape, names, removal, operator, batch, lambda _: None)


def test_curves_flips_and_e_are_the_literal_ones(toy):
    score, images, targets, scans = toy
    traced = trace_toy(toy, batch=7)
    assert traced["logit"].shape == traced["probability"].shape == (5, 2, 1, 2, GRID + 1)
    for scan in scans:
        target, order = targets[scan.image].item(), scan.rank.argsort().tolist()
        logits = literal.curve(score, images[scan.image], order, GRID, FILL)
        np.testing.assert_allclose(traced["logit"][scan.key], [values[target] for values in logits], atol=1e-6)
        wanted = [literal.softmax(values)[target] for values in logits]
        np.testing.assert_allclose(traced["probability"][scan.key], wanted, atol=1e-6)
        flip, e = literal.removal(score, images[scan.image], target, order, GRID, FILL)
        assert (traced["flip"][scan.key], traced["e"][scan.key]) == (flip, pytest.approx(e))
    assert NEVER in traced["flip"] and len(np.unique(traced["flip"])) > 3


def test_never_flipping_is_one_or_excluded(toy):
    one, without = trace_toy(toy), trace_toy(toy, never_flips="exclude")
    never = one["flip"] == NEVER
    assert (one["e"][never] == 1).all() and np.isnan(without["e"][never]).all()
    assert np.array_equal(one["e"][~never], without["e"][~never])


def test_all_batches_are_full_and_every_scan_starts_from_one_pass_of_its_image(toy):
    score, images, targets, scans = toy
    seen = []

    def watched(values: Tensor) -> Tensor:
        seen.append(len(values))
        return score(values)

    passes = []
    removal = RemovalSettings(grid=GRID, fill=FILL)
    names, shape, operator = list("abcde"), (5, 2, 1, 2), replace_by(images, torch.tensor(FILL))
    found = trace(ExactDecisions(watched), images, targets, scans, shape, names, removal, operator, 3, passes.append)
    assert set(seen) == {3} and len(seen) == 2 + 7 * GRID  # five images, and twenty scans
    assert sum(passes) == len(scans) * GRID  # copies aren't counted
    for name, values in trace_toy(toy).items():
        np.testing.assert_allclose(found[name], values, atol=1e-6)


def test_logits_that_overflow_are_refused_with_the_image_and_the_pixels_removed(toy):
    score, images, targets, scans = toy

    def overflowing(values: Tensor) -> Tensor:
        return score(values) / (values == FILL).all(1).flatten(1).sum(1, keepdim=True).ne(15)  # of 30 pixels

    said = refused(trace_toy, (overflowing, images, targets, scans[4:8]))
    assert said.startswith("removal.fill is 0.5; the logits of 1.png with 15 pixels removed are NaN or infinite; ")


# --- the step ----------------------------------------------------------------------------------------------------


def trace_world(world, name, output, **changes):
    """Run measure_curves.main for a network of the world."""
    flags = {"network": world.networks.get(name), "manifest": world.manifest, "images": world.images}
    flags |= {"shards": [world.shards.get(name)]}
    call_with_flags(measure_curves.main, {**flags, **REMOVAL, **HERE, "output": output, **changes})
    return output


@pytest.mark.parametrize(("method", "operator"), [("activity", {"fill": 0.3}), ("gradient", {"operator": "blur"})])
def test_flips_and_e_are_those_of_removal(world, tmp_path, method, operator):
    settings = {"method": method, "noise_maps": 2, "layers": "stages", **operator}
    removed = read_measurements([remove(world, "vgg16", tmp_path / "removal.h5", **settings)])
    curves = read_curves([trace_world(world, "vgg16", tmp_path / "curves.h5", **settings)])
    assert list(curves.values) == removed.methods
    assert curves.label.tolist() == removed.label.tolist()
    for column, values in enumerate(curves.values.values()):
        for index, order in enumerate(ORDERS):
            flip, e = values["flip"][:, :, index], values["e"][:, :, index]
            assert np.array_equal(flip[:, 0], removed.values[f"flip_{order}"][:, column])
            assert np.array_equal(flip[:, 1:], removed.values[f"flip_{order}_noise"][:, column])
            np.testing.assert_allclose(e[:, 0], removed.values[f"e_{order}"][:, column], rtol=1e-12)
            np.testing.assert_allclose(e[:, 1:].mean(1), removed.values[f"e_{order}_noise"][:, column], rtol=1e-12)
    assert (removed.values["flip_minus"] != NEVER).any()


@pytest.mark.parametrize("method", ["activity", "gradient"])
@pytest.mark.parametrize("never_flips", ["one", "exclude"])
def test_results_read_off_curves_are_those_of_removal(world, tmp_path, method, never_flips):
    """All arrays, and all attributes."""
    settings = {"method": method, "noise_maps": 2, "operator": "mean", "never_flips": never_flips}
    curves = trace_world(world, "vgg16", tmp_path / "curves.h5", **settings)
    read_flips.main(curves, tmp_path / "read.h5")
    paths = [tmp_path / "read.h5", remove(world, "vgg16", tmp_path / "removal.h5", **settings)]
    (found, about), (wanted, removals) = (read_hdf5(path, "file") for path in paths)
    assert found.keys() == wanted.keys() and about.keys() == removals.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12, err_msg=name)
    for name, value in removals.items():
        assert np.array_equal(about[name], value), name


def test_curves_whose_decisions_are_not_checked_are_refused(world, tmp_path):
    curves = trace_world(world, "vgg16", tmp_path / "curves.h5", precision="bfloat16")
    said = refused(read_flips.main, curves, tmp_path / "read.h5")
    assert said == f"{curves}: precision is bfloat16; allowed is float32: others' decisions aren't checked"
    assert not (tmp_path / "read.h5").exists()


@pytest.mark.parametrize(("name", "batch"), [("vgg16", 64), ("resnet50", 17)])
def test_blocks_do_not_change_a_digit(world, tmp_path, name, batch):
    settings = {"method": "gradient", "batch": batch}
    whole = read_curves([trace_world(world, name, tmp_path / "whole.h5", **settings)])
    blocks = [
        trace_world(world, name, tmp_path / f"{shard}.h5", shard=shard, shard_size=4, **settings) for shard in (2, 0, 1)
    ]
    parts = read_curves(blocks)
    assert parts.image.tolist() == whole.image.tolist() == list(range(10))
    for key, values in whole.values["gradient"].items():
        assert np.array_equal(parts.values["gradient"][key], values), key


def test_curves_of_an_image_begin_and_end_alike(world, tmp_path):
    """Of all maps and orders; and begin with its attributions' logits."""
    curves = read_curves([trace_world(world, "vgg16", tmp_path / "c.h5")])
    first, *others = curves.values.values()
    for values in others:
        for place in (0, -1):
            assert np.array_equal(values["logit"][..., place], first["logit"][..., place])
    ends = first["logit"][..., [0, -1]]
    assert (ends == ends[:, :1, :1]).all() and len(np.unique(ends[:, 0, 0, 0])) == 10


def test_a_precision_that_is_chosen_by_speed_is_refused(world, tmp_path):
    said = refused(trace_world, world, "vgg16", tmp_path / "c.h5", precision="auto")
    assert said == "precision is auto; allowed are float32, tf32, bfloat16, float16"


def test_an_overflow_leaves_no_file(world, tmp_path):
    network, _ = load_network(world.networks["vgg16"])
    with torch.no_grad():
        network.classifier[-1].weight *= 1e34
    path = tmp_path / "large.safetensors"
    save_network(path, network, describe("vgg16"))
    shard = extract(world, "large", tmp_path / "0.h5", network=path)
    output = tmp_path / "results" / "c.h5"
    output.parent.mkdir()
    flags = {"network": path, "shards": [shard], "fill": -1e6, "method": "gradient"}
    assert refused(trace_world, world, "large", output, **flags).startswith("removal.fill is -1e+06; the logits of ")
    assert not [*output.parent.iterdir()]


def test_the_table_has_the_median_of_every_measure_of_every_method(world, tmp_path):
    paths = [trace_world(world, "vgg16", tmp_path / f"{kind}.h5", method=kind) for kind in ("gradient", "input")]
    summarise_curves.main(paths, tmp_path / "curves.csv", resamples=100, seed=0)
    table = pd.read_csv(tmp_path / "curves.csv")
    assert table.columns.tolist() == [
        *("experiment", "network", "variant", "upsampling", "method", "measure"),
        *("n", "q25", "median", "q75", "ci_low", "ci_high"),
    ]
    assert len(table) == 2 * len(CURVE_MEASURES) and (table["n"] == 10).all()
    curves = read_curves(paths)
    for method, values in curves.values.items():
        measures = derive_curve_measures(values)
        for measure, median in table[table["method"] == method].set_index("measure")["median"].items():
            assert median == pytest.approx(np.median(measures[measure]))
    assert (table["ci_low"] <= table["median"]).all() and (table["median"] <= table["ci_high"]).all()
