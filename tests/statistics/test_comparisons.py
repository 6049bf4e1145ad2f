"""The steps that compare: tidy rows against the formulas applied one by one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import extract, refused
from scipy import stats
from small import build, describe

import compare_attributions
import compare_methods
import summarise_removal
from explanations.files.measurements import MEASURES, NEVER, read_measurements
from explanations.files.shards import ShardReader
from explanations.methods.bias import add_biases
from explanations.methods.maps import ShardMaps
from explanations.networks.files import save_network
from explanations.statistics.comparisons import friedman, list_pairs

LAYERS = range(1, 14)
METHODS = [
    *("gradient", "input"),
    *(f"activity_{l}" for l in LAYERS),
    *(f"bias_{l}" for l in LAYERS),
    *(f"activity_from_{l}" for l in LAYERS[:-1]),
    *("activity_with_input", "fullgrad", "fullgrad_feature", "gradcam"),
]


# --- pairs -------------------------------------------------------------------------------------------------------


def test_pairs_of_bias():
    assert list_pairs("bias", METHODS, LAYERS) == [
        ("input", "gradient"),
        *((f"activity_{l}", f"bias_{l}") for l in LAYERS),
    ]


def test_pairs_of_the_other_families():
    aggregates = [*(f"activity_from_{l}" for l in LAYERS[:-1]), "activity_with_input"]
    assert list_pairs("gradient", METHODS, LAYERS) == [(m, "gradient") for m in METHODS[1:]]
    assert list_pairs("noise", METHODS, LAYERS) == [(m, "zero") for m in METHODS]
    assert list_pairs("fullgrad", METHODS, LAYERS) == [(m, "fullgrad") for m in [*aggregates, "fullgrad_feature"]]
    assert list_pairs("input", METHODS, LAYERS) == [("activity_with_input", "activity_from_1")]
    signed = ["signed_activity_0", "signed_activity_13"], ["signed_activity_from_0"]
    assert list_pairs("variant", [*METHODS, *signed[0], *signed[1]], LAYERS) == [(m, m) for m in METHODS]
    assert list_pairs("variant_signed", [*METHODS, *signed[0], *signed[1]], LAYERS) == [(m, m) for m in signed[0]]
    assert list_pairs("variant_signed_from", [*METHODS, *signed[0], *signed[1]], LAYERS) == [(m, m) for m in signed[1]]
    assert list_pairs("aggregate", METHODS, LAYERS) == [
        *((m, "activity_from_12") for m in aggregates if m != "activity_from_12"),
        *((m, "activity_from_11") for m in aggregates if m != "activity_from_11"),
    ]
    assert list_pairs("single", METHODS, LAYERS) == [
        *((f"activity_{l}", "activity_12") for l in LAYERS if l != 12),
        ("activity_from_12", "activity_12"),
    ]


def test_pairs_of_what_was_not_measured_are_left_out():
    assert list_pairs("bias", ["activity_1", "activity_2", "bias_2"], LAYERS) == [("activity_2", "bias_2")]
    assert list_pairs("fullgrad", ["activity_from_1"], LAYERS) == []


def take_part(layers: list[int]) -> list[str]:
    """The methods of a network that is measured at some of its layers alone."""
    singles = [f"activity_{layer}" for layer in layers]
    return ["gradient", *singles, *(f"activity_from_{layer}" for layer in layers[:-1]), "activity_with_input"]


def test_no_other_layer_takes_the_place_of_one_that_was_not_measured():
    """Of layers 1 to 24 some are measured: an average from 17 up is of eight layers, and not of the top two."""
    methods, layers = take_part([1, 6, 9, 17, 24]), range(1, 25)
    assert list_pairs("aggregate", methods, layers) == list_pairs("single", methods, layers) == []
    assert list_pairs("input", methods, layers) == [("activity_with_input", "activity_from_1")]
    measured = [f"activity_{layer}" for layer in (1, 6, 9, 17, 24)]
    assert list_pairs("all_layers", methods, layers) == [("activity_from_1", name) for name in measured]
    assert list_pairs("all_layers", take_part([6, 24]), layers) == []  # an average from 6 up is not of all


def test_top_counts_layers_with_maps():
    """Layer 23 has none, so that 22 is next to the top; the third from the top, 21, is not measured."""
    methods, layers = take_part([1, 9, 22, 24]), [*range(1, 23), 24]
    others = ["activity_from_1", "activity_from_9", "activity_with_input"]
    assert list_pairs("aggregate", methods, layers) == [(name, "activity_from_22") for name in others]
    singles = ["activity_1", "activity_9", "activity_24", "activity_from_22"]
    assert list_pairs("single", methods, layers) == [(name, "activity_22") for name in singles]


# --- compare_methods ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows(world, results, tmp_path_factory) -> pd.DataFrame:
    output = tmp_path_factory.mktemp("comparisons") / "c.csv"
    families = ["bias", "noise", "layers", "fullgrad"]
    compare_methods.main(list(results.values()), [], world.shards["vgg16"], output, families, 100, 0)
    return pd.read_csv(output)


def test_rows_hold_the_test_of_their_pair(rows, results):
    found = read_measurements(list(results.values()))
    for measure in ("delta_e_minus", "e_plus", "e_delta", "delta_e_delta"):
        chosen = rows[(rows.family == "bias") & (rows.measure == measure)]
        assert len(chosen) == 14
        for row in chosen.itertuples():
            a, b = found.measure(measure, row.method_a), found.measure(measure, row.method_b)
            assert row.n == 10
            assert row.median_a == pytest.approx(np.median(a))
            assert row.median_b == pytest.approx(np.median(b))
            assert row.median_difference == pytest.approx(np.median(a - b))
            if (a != b).any():
                scipy = stats.wilcoxon(a - b, zero_method="wilcox", correction=False, method="asymptotic")
                assert (row.statistic, row.p) == (pytest.approx(scipy.statistic), pytest.approx(scipy.pvalue))


def test_noise_is_compared_with_zero(rows, results):
    found = read_measurements(list(results.values()))
    chosen = rows[rows.family == "noise"]
    assert set(chosen.measure) == {"delta_e_minus", "delta_e_plus", "delta_e_delta", "e_delta_noise"}
    assert set(chosen.method_b) == {"zero"} and (chosen.median_b == 0).all()
    row = chosen[(chosen.measure == "e_delta_noise") & (chosen.method_a == "activity_13")].iloc[0]
    wanted = found.measure("e_minus_noise", "activity_13") - found.measure("e_plus_noise", "activity_13")
    assert row.median_difference == pytest.approx(np.median(wanted))


def test_holm_runs_within_family_and_measure(rows):
    for (family, _), block in rows.groupby(["family", "measure"]):
        if family == "layers":
            assert (block.log10_p_holm == block.log10_p).all()
            continue
        m = len(block)
        smallest = block.log10_p.min()
        assert block.log10_p_holm.min() == pytest.approx(min(0, smallest + np.log10(m)))
        assert (block.log10_p_holm >= block.log10_p - 1e-12).all()


def test_friedman_against_the_formula(results):
    found = read_measurements(list(results.values()))
    row = friedman("delta_e_minus", found)
    values = np.stack([found.measure("delta_e_minus", f"activity_{l}") for l in LAYERS], 1)
    n, k = values.shape
    ranks = np.stack([stats.rankdata(image) for image in values])
    ties = sum(
        (np.unique(image, return_counts=True)[1] ** 3 - np.unique(image, return_counts=True)[1]).sum()
        for image in values
    )
    statistic = 12 / (n * k * (k + 1)) * (ranks.sum(0) ** 2).sum() - 3 * n * (k + 1)
    statistic /= 1 - ties / (n * k * (k**2 - 1))
    assert row["statistic"] == pytest.approx(statistic)
    assert row["p"] == pytest.approx(stats.chi2.sf(statistic, k - 1))
    assert row["log10_p"] == pytest.approx(np.log10(row["p"]))
    assert (row["n"], row["method_a"], row["method_b"]) == (10, "activity_1", "activity_13")


LAYERS_ALONE = ("gradient", "input", "activity")


def test_friedman_of_layers_that_do_not_differ(results):
    """Every image has a value of its own, the same in all layers."""
    found = read_measurements([results[method] for method in LAYERS_ALONE])
    values = {name: array.copy() for name, array in found.values.items()}
    values["e_minus"][:] = np.linspace(0, 1, len(found.image))[:, None]
    row = friedman("e_minus", replace(found, values=values))
    assert (row["statistic"], row["p"], row["log10_p"]) == (0, 1, 0)


def test_friedman_leaves_out_excluded_images_and_names_the_noise(results):
    found = read_measurements([results[method] for method in LAYERS_ALONE])
    values = {name: array.copy() for name, array in found.values.items()}
    values["e_minus_noise"][4, 5] = np.nan
    row = friedman("e_delta", replace(found, values=values))
    assert (row["measure"], row["n"]) == ("e_delta_noise", 9)


def test_the_same_seed_gives_the_same_rows(world, results, tmp_path):
    for name in ("a", "b"):
        measured, shard = [results[method] for method in LAYERS_ALONE], world.shards["vgg16"]
        compare_methods.main(measured, [], shard, tmp_path / name, ["gradient"], 100, 0)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_against_itself_nothing_differs(world, results, tmp_path):
    files, shard = [results["activity"]], world.shards["vgg16"]
    compare_methods.main(files, files, shard, tmp_path / "c.csv", ["variant"], 100, 0)
    rows = pd.read_csv(tmp_path / "c.csv")
    assert (rows.median_difference == 0).all() and (rows.p == 1).all() and (rows.log10_p_holm == 0).all()


def test_a_shard_of_another_network_is_refused(world, results, tmp_path):
    files, shard = [results["activity"]], world.shards["resnet50"]
    said = refused(compare_methods.main, files, [], shard, tmp_path / "c.csv", ["noise"], 100, 0)
    assert said == f"{shard}: is of resnet50; {files[0]} is of vgg16"


# --- summarise_removal -------------------------------------------------------------------------------------------


def test_summary(results, tmp_path):
    summarise_removal.main([results[method] for method in LAYERS_ALONE], tmp_path / "s.csv", 100, 0)
    rows = pd.read_csv(tmp_path / "s.csv")
    found = read_measurements([results[method] for method in LAYERS_ALONE])
    assert len(rows) == len(found.methods) * len(MEASURES)
    for row in rows.itertuples():
        values = found.measure(row.measure, row.method)
        assert (row.q25, row.median, row.q75) == pytest.approx(tuple(np.percentile(values, [25, 50, 75])))
        assert row.n == 10 and row.ci_low <= row.median <= row.ci_high
        column = found.methods.index(row.method)
        orders = [order for order in ("minus", "plus") if order in row.measure] or ["minus", "plus"]
        own = [found.values[f"flip_{order}"][:, column] == NEVER for order in orders]
        noise = [(found.values[f"flip_{order}_noise"][:, column, 0] == NEVER) for order in orders]
        counted = noise if row.measure.endswith("noise") else own + noise if row.measure[:5] == "delta" else own
        assert row.never_flipped == np.any(counted, axis=0).sum()


# --- compare_attributions ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def variants(world, tmp_path_factory) -> dict[str, list]:
    root = tmp_path_factory.mktemp("variants")
    shards = {"original": [world.shards["resnet50"]]}
    for name, variant in (("zeroed", "zeroed"), ("decayed", "halved")):
        network = root / f"{name}.safetensors"
        save_network(network, build("resnet50", variant), describe("resnet50", variant=name))
        shards[name] = [extract(world, "resnet50", root / f"{name}.h5", network=network)]
    compare_attributions.main(**shards, correlations=root / "c.csv", gross_sums=root / "g.csv")
    return {**shards, "correlations": pd.read_csv(root / "c.csv"), "gross_sums": pd.read_csv(root / "g.csv")}


def test_correlations(variants):
    rows = variants["correlations"]
    assert set(rows[rows.comparison == "bias"].layer) == set(range(1, 18))
    assert set(rows[rows.comparison == "zeroed"].layer) == set(range(18))
    with ShardReader(variants["original"]) as first, ShardReader(variants["zeroed"]) as second:
        maps, others = ShardMaps(first, first.images), ShardMaps(second, first.images)
        for comparison, layer in (("bias", 1), ("bias", 5), ("zeroed", 0), ("zeroed", 9)):
            other = add_biases(maps, layer) if comparison == "bias" else others.activity(layer)
            rho = [
                np.corrcoef(a.flatten(), b.flatten())[0, 1]
                for a, b in zip(maps.activity(layer).double().numpy(), other.double().numpy(), strict=True)
            ]
            row = rows[(rows.comparison == comparison) & (rows.layer == layer)].iloc[0]
            assert (row.p10, row["median"], row.p90) == pytest.approx(tuple(np.percentile(rho, [10, 50, 90])), abs=1e-6)


def test_gross_sums(variants):
    rows = variants["gross_sums"]
    assert len(rows) == 3 * 19
    zeroed = rows[rows.variant == "zeroed"]
    assert (zeroed.largest_relative_gap < 1e-2).all()  # each layer's sum is the score
    original = rows[rows.variant == "original"]
    assert original.median_relative_gap.iloc[:-1].max() > 0.1
    with ShardReader(variants["original"]) as reader:
        gross = [float(a.astype(float).sum()) for a in reader.read("activity/04", reader.images)]
        score = reader.read("score", reader.images)
    row = original[original.layer == 4].iloc[0]
    assert row.median_gross_sum == pytest.approx(np.median(gross))
    assert row.negative_share == np.mean([value < 0 for value in gross])
    assert row.largest_relative_gap == pytest.approx(max(abs(np.array(gross) - score) / abs(score)))
