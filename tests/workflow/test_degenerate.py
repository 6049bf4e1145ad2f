"""What becomes of numbers that mean nothing: an empty field or one line, never NaN or an infinity as a result.

Provoked by a network whose logits are all 0, whose maps are constant; by one class, one image, none that is decided
right; by values at the ends of what float32 holds.
"""

import warnings
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import HERE, SEED, extract, images_of, measured, refused, remove
from small import build, describe

import compare_attributions
import compare_methods
import decay_biases
import make_example_maps
import plot_aggregates
import plot_correlations
import plot_output_correlations
import plot_output_fits
import plot_robustness
import summarise_removal
import survey_network
from compare_attributions import relative_gaps
from explanations.files.measurements import MEASURES, NEVER, STORED, Measurements, read_measurements
from explanations.files.orders import ORDERS
from explanations.flags import call_with_flags
from explanations.methods.names import parse_method
from explanations.methods.saliency import saliency_maps
from explanations.methods.transform import UPSAMPLINGS
from explanations.networks.evaluation import LabelledImages
from explanations.networks.files import load_network, save_network
from explanations.networks.survey import Condition, Predictions, tabulate_accuracy, tabulate_robustness
from explanations.plan import GROUPS, methods_of
from explanations.statistics import claim_tests, comparisons
from explanations.statistics.comparisons import friedman
from explanations.statistics.evidence import ZooEvidence
from explanations.statistics.tests import compare, fit_lines, pearson, summarise
from explanations.statistics.verdicts import UNDECIDED, ratio, ratio_error
from train_network import Training, TrainingImages, fit

FAMILIES = [name for name in comparisons.FAMILIES if name not in comparisons.ACROSS]
RNG = np.random.default_rng


def read_finite(path: Path) -> pd.DataFrame:
    """A table, none of whose numbers is an infinity; what is missing is an empty field."""
    text = path.read_text()
    assert "nan" not in text.lower()
    table = pd.read_csv(path)
    assert not np.isinf(table.select_dtypes("number")).any(axis=None), table
    return table


@pytest.fixture(scope="module")
def flat(world) -> SimpleNamespace:
    """A network whose logits are all 0, its shard and its removal results, decisions that never flip being left out."""
    network = build("vgg16", seed=SEED)
    for parameter in list(network.parameters())[-2:]:  # the last linear map
        parameter.data.zero_()
    path = world.root / "flat.safetensors"
    save_network(path, network, describe("vgg16"))
    shard = extract(world, "vgg16", world.root / "flat.h5", network=path)
    output = world.root / "flat-removal.h5"
    flags = {"network": path, "shards": [shard], "ties": "raster", "never_flips": "exclude"}
    kinds = map(str, methods_of("layers", "biases"))
    removal = [remove(world, "vgg16", output.with_suffix(f".{kind}"), method=kind, **flags) for kind in kinds]
    return SimpleNamespace(network=path, shard=shard, removal=removal)


# --- logits that are all 0, constant maps ------------------------------------------------------------------------


def test_maps_of_logits_that_are_0_are_0(world, flat, tmp_path):
    with h5py.File(flat.shard) as file:
        assert not file["logits"][:].any() and not file["score"][:].any() and not file["target"][:].any()
    methods = ["input", "gradient", "gradcam", "fullgrad", "fullgrad_feature", "activity_13", "bias_13"]
    for upsampling in UPSAMPLINGS:
        data = {"manifest": world.manifest, "images": world.images, "shards": [flat.shard], "chosen": [0, 3]}
        make_example_maps.main(flat.network, **data, output=tmp_path / "m.h5", methods=methods, upsampling=upsampling)
        with h5py.File(tmp_path / "m.h5") as file:
            assert not file["maps"][:].any()  # NaN is something


def test_statistics_of_decisions_that_never_flip_are_empty(flat, tmp_path):
    found = read_measurements(flat.removal)
    assert (found.values["flip_minus"] == NEVER).all()
    assert all(np.isnan(found.values[name]).all() for name in STORED)
    summarise_removal.main(flat.removal, tmp_path / "s.csv", 100, 0)
    summary = read_finite(tmp_path / "s.csv")
    assert (summary["n"] == 0).all() and (summary["never_flipped"] == 10).all()
    assert summary[["q25", "median", "q75", "ci_low", "ci_high"]].isna().all(axis=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare_methods.main(flat.removal, [], flat.shard, tmp_path / "c.csv", FAMILIES, 100, 0)
    comparisons = read_finite(tmp_path / "c.csv")
    assert (comparisons["n"] == 0).all() and comparisons["median_a"].isna().all()
    tests = comparisons[["statistic", "p", "log10_p", "log10_p_holm"]]
    assert (tests == [0, 1, 0, 0]).all(axis=None)  # nothing speaks against no difference


def test_correlations_and_gross_sums_of_constant_maps(flat, tmp_path):
    shards = {variant: [flat.shard] for variant in ("original", "zeroed", "decayed")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare_attributions.main(**shards, correlations=tmp_path / "c.csv", gross_sums=tmp_path / "g.csv")
    correlations, sums = read_finite(tmp_path / "c.csv"), read_finite(tmp_path / "g.csv")
    assert (correlations["n"] == 0).all() and correlations[["p10", "median", "p90"]].isna().all(axis=None)
    assert (sums[["median_relative_gap", "largest_relative_gap"]] == 0).all(axis=None)


def test_a_survey_of_logits_that_are_0(world, flat, tmp_path):
    tables = {name: tmp_path / f"{name}.csv" for name in ("accuracy", "outputs", "fits_table", "robustness")}
    data = {"network": flat.network, "name": "flat", "test_images": [world.test_images], "images": [world.images]}
    flags = {"scales": [1.0, 10.0], "shifts": [0.0], "change_images": 5, "fits": 3, "precision": "float32", "seed": 0}
    call_with_flags(survey_network.main, {**data, **flags, **HERE, **tables})
    found = {name: read_finite(path) for name, path in tables.items()}
    assert found["outputs"]["correlation"].isna().all()
    assert found["fits_table"][["alpha", "beta", "r_squared"]].isna().all(axis=None)
    assert (found["fits_table"]["largest_output"] == 0).all()


@pytest.mark.parametrize(
    ("gross", "score", "gap"), [(0, 0, 0), (1, 0, np.inf), (-3, 2, 2.5), (2.8026e-45, 1.4013e-45, 1)]
)
def test_gaps_of_gross_sums(gross, score, gap):
    found = relative_gaps(np.array([gross], float), np.array([score], np.float32))
    assert found == pytest.approx([gap], rel=1e-4)


# --- one class, one image, none ----------------------------------------------------------------------------------


def test_one_class_or_one_image_has_no_interval():
    """A bootstrap that draws the one class every time would be sure of its median."""
    values = np.arange(5.0)
    one_class, one_image = (summarise(values[:n], np.full(n, 3), 100, RNG(0)) for n in (5, 1))
    assert (one_class["n"], one_class["q25"], one_class["median"]) == (5, 1, 2) and one_image["q75"] == 0
    for found in (one_class, one_image):
        assert np.isnan([found["ci_low"], found["ci_high"]]).all()
    unlabelled = summarise(values, np.full(5, -1), 100, RNG(0))  # each image a class of its own
    assert unlabelled["ci_low"] <= 2 <= unlabelled["ci_high"]


def test_what_is_drawn_next_does_not_depend_on_an_interval_that_is_empty():
    used, fresh = RNG(0), RNG(0)
    summarise(np.arange(3.0), np.zeros(3, int), 100, used)
    fresh.multinomial(1, [1.0], 100)
    assert used.random() == fresh.random()


def test_a_comparison_of_one_image_is_never_significant():
    found = compare(np.array([0.5]), np.array([0.1]), np.array([0]), 100, RNG(0))
    assert found["n"] == 1 and found["effect_size"] == 1 and found["p"] > 0.3 and np.isfinite(found["log10_p"])


@pytest.mark.parametrize("images", [0, 1, 2])
def test_friedman_of_few_images(images):
    methods = ["activity_1", "activity_2", "activity_3"]
    values = {name: RNG(0).random((images, 3)) for name in STORED}
    found = Measurements(methods, np.arange(images), np.arange(images), values, {}, dict.fromkeys(methods, ORDERS))
    for measure in MEASURES[:2]:
        row = friedman(measure, found)
        assert np.isfinite([row["statistic"], row["p"], row["log10_p"]]).all() and row["p"] > 0.05


def test_an_effect_on_many_images_has_a_p_that_underflows_but_no_infinite_log():
    found = compare(np.arange(1.0, 20_001), np.zeros(20_000), np.arange(20_000) % 2, 100, RNG(0))
    assert found["p"] == 0 and -1e5 < found["log10_p"] < -1000


def test_no_image_decided_right_has_no_relative_change():
    wrong = np.ones(4, int)
    predictions = Predictions(wrong, wrong * 0, wrong / 2, 3, {Condition(): wrong}, np.zeros((0, 3)), np.zeros((0, 3)))
    table = tabulate_robustness(predictions, [1.0], [0.0], np.ones(4, bool))
    assert (table["accuracy"] == 0).all() and table["relative_change"].isna().all()
    assert tabulate_accuracy(predictions).loc[0, "difference"] == 1


# --- verdicts ----------------------------------------------------------------------------------------------------


def test_a_ratio_to_nothing_decides_nothing():
    assert np.isnan(ratio(1.0, 0.0)) and ratio(1.0, 2.0) == 0.5 and np.isnan(ratio_error(0.5, 0.0, 10))
    accuracy = {"original": 0.0, "zeroed": 0.0, "decayed": 0.5}
    assert claim_tests.decay_restores(measured(accuracy=accuracy, tested_images=10)).verdict == UNDECIDED
    table = pd.DataFrame({"network": ["a"], "k": 1, "n": 9, "normalisation": "batch", "original": 0.0, "zeroed": 0.2})
    assert claim_tests.zeroing_destroys(ZooEvidence({"accuracy": table})).verdict == UNDECIDED


def test_networks_without_a_relative_change_decide_nothing():
    table = pd.DataFrame({"change": "scale", "value": 10.0, "normalisation": ["none"] * 9 + ["batch"] * 9})
    for missing in ("none", "batch"):
        changes = RNG(0).random(18) - 5 * (table["normalisation"] == "none")
        table["relative_change"] = changes.where(table["normalisation"] != missing)
        found = ZooEvidence({"robustness": table})
        assert claim_tests.robust_without_batch_norm("scale", 10.0)(found).verdict == UNDECIDED


def test_medians_that_are_0_have_no_ratio():
    table = pd.DataFrame({"family": "noise", "measure": ["delta_e_minus", "delta_e_plus"], "median_a": [0.2, 0.0]})
    assert claim_tests.minus_is_twice_plus(measured(aggregates=table)).verdict == UNDECIDED
    table = pd.DataFrame({"family": "bias", "measure": "delta_e_minus", "method_a": ["activity_1"], "median_a": 0.0})
    halves = claim_tests.other_upsampling_halves(measured(biases=table, biases_other=table))
    assert halves.verdict == UNDECIDED


def test_a_gap_without_a_bound_is_not_passed_over():
    table = pd.DataFrame({"variant": "decayed", "layer": [0, 1], "largest_relative_gap": [1e-6, np.nan]})
    assert claim_tests.gross_sums_equal(measured(gross_sums=table)).verdict == UNDECIDED


# --- the ends of what float32 holds ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-45, 1e-38, 1e-3, 1e37])
def test_correlations_and_fits_of_any_size_are_bounded(size):
    maps = (RNG(0).integers(-3, 4, (4, 1, 9)) * size).astype(np.float32)
    maps[3] = size
    other = (maps[::-1] + np.float32(size)).copy()
    other[0] = RNG(1).integers(-3, 4, 9).astype(np.float32)
    with np.errstate(all="raise"):
        rho, (alpha, beta) = pearson(maps, other), fit_lines(maps[:, 0], other[:, 0])
    assert np.isnan(rho[3]) and np.isnan(alpha[3]) and np.isnan(beta[3])
    assert (np.abs(rho[:3]) <= 1 + 1e-12).all() and np.isfinite([alpha[:3], beta[:3]]).all()


class Huge:
    """Attributions whose sums over operations, and whose ranges, are more than float32 holds."""

    size, layers, operation_layers = (4, 4), (0, 1), (1, 1)

    def bias(self, operation: int) -> torch.Tensor:
        return torch.full((1, 4, 4), 3e38)

    def activity(self, layer: int) -> torch.Tensor:
        return torch.tensor([-3e38, 3e38]).repeat(8).view(1, 4, 4)


@pytest.mark.parametrize("method", ["bias_1", "signed_activity_1"])
def test_maps_that_overflow_are_refused(method):
    message = refused(saliency_maps, parse_method(method), Huge(), "bilinear")
    assert message == f"method is {method}; its maps of these attributions hold NaN or infinite values"


# --- networks that come to nothing -------------------------------------------------------------------------------


def test_a_training_that_diverges_is_refused(world):
    data = LabelledImages.read(world.test_images, world.images, describe("vgg16"))
    description, network = describe("resnet50"), build("resnet50")
    images = TrainingImages(data.pictures, torch.from_numpy(data.labels), description.framing, 10, threads=1)
    message = refused(fit, network, [(images, 3)], description, Training(3, 10, 1e30, 0.0))
    assert message.startswith("training.learning_rate is 1e+30: the loss of step ")
    assert message.endswith(
        ("is nan; allowed is a number that is finite", "is inf; allowed is a number that is finite")
    )


DECAY = {
    **{"profile": "linear", "steps": 3, "floor": 0.1, "training_steps": 1, "extra_steps": 0, "temperature": 100.0},
    **{"learning_rate": 1e-4, "batch": 4, "record_images": 5, "checkpoint_seconds": 99.0, "precision": "float32"},
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"learning_rate": 1e30, "training_steps": 9},
            "decay (temperature 100, learning_rate 1e+30): the loss of training step 2 is ",
        ),
        ({"learning_rate": 1e30, "steps": 1}, "the network's outputs hold NaN or infinite values ("),
        ({"temperature": 1e-20}, "decay.temperature is 1e-20; allowed is a number >= 1e-18 and <= 1e+18"),
        ({"temperature": 1e20}, "decay.temperature is 1e+20; allowed is a number >= 1e-18 and <= 1e+18"),
    ],
)
def test_a_decay_that_diverges_is_refused(world, tmp_path, changes, message):
    flags = {"network": world.networks["vgg16"], "name": "vgg16", **images_of(world), "seed": 0, **HERE, **DECAY}
    output = {"output": tmp_path / "decayed.safetensors", "record": tmp_path / "decayed.csv"}
    assert refused(call_with_flags, decay_biases.main, {**flags, **output, **changes}).startswith(message)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("temperature", [1e-18, 1e18])
def test_a_decay_at_the_ends_of_temperature(world, tmp_path, temperature):
    flags = {"network": world.networks["vgg16"], "name": "vgg16", **images_of(world), "seed": 0, **HERE, **DECAY}
    output = {"output": tmp_path / "decayed.safetensors", "record": tmp_path / "decayed.csv"}
    call_with_flags(decay_biases.main, {**flags, **output, "temperature": temperature})
    assert read_finite(output["record"])["accuracy"].between(0, 1).all()
    load_network(output["output"])


def test_decisions_of_outputs_that_are_not_finite_are_none(world):
    data = LabelledImages.read(world.test_images, world.images, describe("vgg16"))
    network = build("vgg16")
    list(network.parameters())[-1].data[3] = torch.nan
    message = refused(data.accuracy, network)
    image = data.pictures[0].path
    assert message == f"the network's outputs hold NaN or infinite values ({image}); all must be finite"


# --- figures -----------------------------------------------------------------------------------------------------


def test_figures_of_what_is_not_defined_are_drawn_or_one_line(world, flat, tmp_path):
    tables = {name: tmp_path / f"{name}.csv" for name in ("accuracy", "outputs", "fits_table", "robustness")}
    data = {"network": flat.network, "name": "flat", "test_images": [world.test_images], "images": [world.images]}
    flags = {"scales": [1.0, 10.0], "shifts": [0.0], "change_images": 5, "fits": 3, "precision": "float32", "seed": 0}
    call_with_flags(survey_network.main, {**data, **flags, **HERE, **tables})
    drawn = {"pdf": tmp_path / "f.pdf", "png": tmp_path / "f.png", "dpi": 50}
    message = refused(plot_output_correlations.main, [tables["outputs"]], **drawn)
    assert message == f"{tables['outputs']}: no image has a defined correlation; nothing to draw"
    message = refused(plot_output_fits.main, [tables["fits_table"]], **drawn)
    assert message == f"{tables['fits_table']}: no image has a defined alpha or beta; nothing to draw"
    shards = {variant: [flat.shard] for variant in ("original", "zeroed", "decayed")}
    compare_attributions.main(**shards, correlations=tmp_path / "c.csv", gross_sums=tmp_path / "g.csv")
    plot_correlations.main([tmp_path / "c.csv"], **drawn)
    plot_robustness.main([tables["robustness"]], "scale", **drawn)
    assert drawn["png"].stat().st_size
    with open(tables["robustness"], "r+") as file:  # cut off after the names of its columns
        file.readline()
        file.truncate(file.tell())
    message = refused(plot_robustness.main, [tables["robustness"]], "scale", **drawn)
    assert message == "the tables given lack the scale 10; survey.scales must hold it"


def test_figures_of_what_has_no_interval(world, results, tmp_path):
    """One class: medians and quartiles, but no interval."""
    files = list(results.values())
    for path in files:
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        with h5py.File(copy, "a") as file:
            file["label"][:] = 3
    files = [tmp_path / path.name for path in files]
    summarise_removal.main(files, tmp_path / "s.csv", 100, 0)
    compare_methods.main(files, [], world.shards["vgg16"], tmp_path / "c.csv", FAMILIES, 100, 0)
    for name in ("s.csv", "c.csv"):
        assert read_finite(tmp_path / name)["ci_low"].isna().all()
    flags = {"measures": ["e_minus"], "reverse": [], "maps": "saliency", "shards": [], "fullgrad": ["vgg16"]}
    drawn = {"pdf": tmp_path / "f.pdf", "png": tmp_path / "f.png", "dpi": 50}
    plot_aggregates.main([tmp_path / "s.csv"], comparisons=[tmp_path / "c.csv"], **flags, **drawn)
    assert drawn["png"].stat().st_size


def test_a_network_of_few_maps_goes_all_the_way(world, tmp_path):
    """A linear one has no layer but the output: kinds of methods that make a map for each layer make none."""
    name, path, shard = "linear", tmp_path / "n.safetensors", tmp_path / "s.h5"
    network, described = build(name, seed=SEED), describe(name)
    save_network(path, network, described)
    extract(world, name, shard, network=path)
    drawn = {"pdf": tmp_path / "f.pdf", "png": tmp_path / "f.png", "dpi": 50}
    results = {
        str(kind): remove(world, name, tmp_path / f"{kind}.h5", method=str(kind), network=path, shards=[shard])
        for kind in methods_of(*GROUPS)
    }

    def chosen(*groups: str) -> list[Path]:
        return [results[str(kind)] for kind in methods_of(*groups)]

    for group in GROUPS:
        summarise_removal.main(chosen(group), tmp_path / f"{group}.csv", 100, 0)
    families = [family for family in comparisons.FAMILIES if family not in comparisons.ACROSS]
    kinds = ["bias", "gradient"]
    compare_methods.main(chosen("layers", "biases"), [], shard, tmp_path / "biases-tests.csv", kinds, 100, 0)
    compare_methods.main(chosen("layers", "aggregates"), [], shard, tmp_path / "tests.csv", families, 100, 0)
    summaries = {group: tmp_path / f"{group}.csv" for group in GROUPS}
    assert not pd.read_csv(summaries["biases"]).size
    flags = {"measures": ["e_minus"], "reverse": [], "fullgrad": [name], "maps": "saliency", "shards": [shard]}
    flags |= {"statistics": [summaries["layers"], summaries["aggregates"]], "comparisons": [tmp_path / "tests.csv"]}
    message = refused(plot_aggregates.main, **flags, **drawn)
    assert message == "the tables given hold no method activity_<layer>"
