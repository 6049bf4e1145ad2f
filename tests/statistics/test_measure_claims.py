"""Claims of measures: contrasts of mean ρ and their verdicts, the blurring control, the step and figure L."""

import numpy as np
import pytest
from conftest import HERE, REMOVAL, refused, remove
from PIL import Image
from scipy.stats import spearmanr
from workflow_copy import ROOT

import compare_measures as step
import make_maps
import measure_curves
import plot_measures
from explanations.files.curves import read_curves
from explanations.files.measurements import read_measurements
from explanations.files.tables import read_tables
from explanations.flags import call_with_flags
from explanations.localisation.truth import Truth
from explanations.removal.curves import derive_curve_measures
from explanations.statistics.agreement import Agreement
from explanations.statistics.claims import MEASURE_CLAIMS
from explanations.statistics.measure_claims import (
    DELTA,
    STATEMENTS,
    TRUTH,
    judge_blurring,
    judge_contrast,
    list_contrasts,
)
from explanations.statistics.power import POWER, images_for
from words import COUNTS

BY = ("fill", "blur")  # of the world's removals
OPERATORS = ["fill", "blur", "mean"]
ALL = [(name, operator) for operator in OPERATORS for name in (DELTA, "e_minus", "delta_e_plus", "e_plus")]
ALL += [("aopc_probability", "fill"), ("srg_probability", "fill"), (TRUTH, "")]


def test_claims_are_those_that_measures_can_test():
    def claims(keys, operators=OPERATORS):
        return [contrast.claim for contrast in list_contrasts(keys, operators)]

    assert claims(ALL) == ["L1", "L2", "L3a", "L3b", "L3c"]
    assert claims(ALL, ["fill"]) == ["L2", "L3a", "L3b", "L3c"]
    assert claims(ALL[:-1]) == ["L1", "L2"]  # without ground truth
    assert claims([key for key in ALL if "plus" not in key[0]], ["fill"]) == ["L3a", "L3b", "L3c"]


def test_the_page_states_the_claims():
    page = " ".join((ROOT / "docs/measures.md").read_text().split())
    for claim, statement in STATEMENTS.items():
        assert f"| {claim} | {statement}" in page
    assert f"{COUNTS[len(STATEMENTS)].capitalize()} claims were fixed" in page
    assert [claim.number for claim in MEASURE_CLAIMS] == list(STATEMENTS)


@pytest.mark.parametrize(
    ("worse", "verdict"),
    [(0.2, "supported"), (0.95, "not supported"), (0.5, "undecided")],
    ids=lambda value: str(value),
)
def test_a_contrast_is_of_mean_rho_and_judged_by_its_interval(worse, verdict):
    """Three operators: δe₋ agrees by 0.5, 0.6 and 0.7, e₋ by `worse`, give or take."""
    keys = [(name, operator) for name in (DELTA, "e_minus") for operator in OPERATORS]
    rho = np.eye(6)
    for (a, b), value in zip(((0, 1), (0, 2), (1, 2)), (0.5, 0.6, 0.7), strict=True):
        rho[a, b] = rho[b, a] = value
        rho[3 + a, 3 + b] = rho[3 + b, 3 + a] = worse
    noise = 0.1 * np.random.default_rng(0).standard_normal((500, 1, 1)) * (np.arange(6) > 2)
    row = judge_contrast(list_contrasts(keys, OPERATORS)[0], keys, Agreement(rho, rho + noise, 40))
    assert row["claim"] == "L1" and row["statement"] == STATEMENTS["L1"] and row["verdict"] == verdict
    assert row["estimate"] == pytest.approx(0.6 - worse)
    drawn = 0.6 - worse - noise[:, 0, 3]
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high))
    said = f"mean ρ 0.60 against {worse:.2f}, difference {0.6 - worse:+.2f}"
    assert row["ours"] == f"{said}, 95% interval {low:+.2f} to {high:+.2f}, n = 40"
    needed = 40 * ((0.6 - worse - low) / (0.6 - worse)) ** 2  # the interval shrinks by √n, till it ends at 0
    assert bool(row["needed"]) == (verdict == "undecided")
    if row["needed"]:
        digits = 10 ** (len(str(int(needed))) - 2)
        assert row["needed"] == f"about {int(np.ceil(needed / digits) * digits)} images: supported"


def test_a_measure_without_an_order_decides_nothing():
    keys = [(name, operator) for name in (DELTA, "e_minus") for operator in OPERATORS]
    none = np.full((6, 6), np.nan)
    row = judge_contrast(list_contrasts(keys, OPERATORS)[0], keys, Agreement(none, np.stack([none] * 9), 40))
    assert row["verdict"] == "undecided" and np.isnan(row["estimate"]) and np.isnan(row["ci_low"])
    assert row["ours"] == "a measure has the same median for all methods, and so no order, n = 40"
    assert row["needed"] == "no number of images, if effects are as seen"


@pytest.mark.parametrize(
    ("tests", "verdict", "share", "needed"),
    [
        ({"a": (0.5, -0.1), "b": (-0.9, -9.0)}, "supported", 0, ""),
        ({"a": (0.5, -3.0), "b": (0.2, -0.5)}, "undecided", 0.5, "b"),
        ({"a": (0.5, -3.0), "b": (-0.1, -0.5)}, "undecided", 0.5, "the limits"),
        ({"a": (0.5, -3.0), "b": (0.6, -2.0), "c": (0, 0)}, "not supported", 2 / 3, ""),
    ],
)
def test_blurring(tests, verdict, share, needed):
    """Undecided is refuted once enough methods that seem better are so significantly; of two, both."""
    row = judge_blurring(tests)
    assert row["verdict"] == verdict and row["estimate"] == pytest.approx(share)
    if needed == "b":
        assert 310 < images_for(0.2, 2) < 320 and POWER == 0.8
        assert row["needed"] == "about 320 images: not supported"
    else:
        assert row["needed"].endswith(needed) and bool(row["needed"]) == bool(needed)
    better = round(share * len(tests))
    assert row["ours"] == f"{better} of {len(tests)} methods are better once blurred"


def files_of(world):
    """What steps are given of the world's VGG-16."""
    given = {"network": world.networks["vgg16"], "manifest": world.manifest, "images": world.images}
    return {**given, "shards": [world.shards["vgg16"]], **HERE}


def make(world, output, method, **settings):
    """The file of maps of a method with passes of its own; `files`: of the maps that it is made of."""
    flags = {"of": settings.pop("files", []), "settings": settings, "shard": 0, "shard_size": 100}
    make_maps.main(**files_of(world), output=output, method=method, batch=4, seed=0, **flags)
    return output


def trace(world, output, **flags):
    """The file of curves of a kind of method."""
    call_with_flags(measure_curves.main, {**REMOVAL, **files_of(world), "output": output, **flags})
    return output


@pytest.fixture(scope="module")
def files(world, tmp_path_factory):
    """Removal by two operators, curves, maps and a blurred twin, of the world's VGG-16."""
    folder = tmp_path_factory.mktemp("measures")
    norm = make(world, folder / "norm.h5", "norm", source="controls", name="norm")
    blurred = make(world, folder / "b.h5", "norm_blurred", source="blurred", of="norm", files=[norm])
    own, measured, curves = {"norm": norm, "norm_blurred": blurred}, [], []
    for operator in BY:
        for method in ("gradient", "gradcam", "activity"):
            path = folder / f"{operator}-{method}.h5"
            measured.append(remove(world, "vgg16", path, method=method, operator=operator, layers="stages"))
        for method, maps in own.items():
            path = folder / f"{operator}-{method}.h5"
            measured.append(remove(world, "vgg16", path, method=method, maps=[maps], operator=operator))
    for method in ("gradient", "gradcam", "activity"):
        curves.append(trace(world, folder / f"c-{method}.h5", method=method, layers="stages"))
    for method, maps in own.items():
        curves.append(trace(world, folder / f"c-{method}.h5", method=method, maps=[maps]))
    return {"measured": measured, "curves": curves, "maps": list(own.values())}


def compare(world, files, folder, **changes):
    outputs = {name: folder / f"{name}.csv" for name in ("agreement", "blurring", "claims")}
    truth = Truth(world.networks["vgg16"], [world.shards["vgg16"]], world.manifest, files["maps"], [world.masks])
    truth = Truth(**{**vars(truth), "methods": ["gradient", "gradcam", "activity"]})
    given = {"measurements": files["measured"], "curves": files["curves"], "truth": truth}
    given |= {"derived": {"norm_blurred": "norm"}, "blurred": {"norm_blurred": "norm"}, "resamples": 100, "seed": 0}
    step.main(**{**given, **outputs, **changes})
    return {name: read_tables([path], ()) for name, path in outputs.items()}


def test_the_step(world, files, tmp_path):
    tables = compare(world, files, tmp_path)
    table = tables["agreement"]
    assert set(table.operator_a) <= {"fill", "blur", ""} and not table.duplicated(list(table.columns[4:8])).any()
    results = {name: read_measurements([p for p in files["measured"] if p.name.startswith(name)]) for name in BY}
    methods = [method for method in results["fill"].methods if method != "norm_blurred"]
    assert set(table.methods) == {len(methods)}
    (row,) = table[
        (table.measure_a == "e_minus")
        & (table.operator_a == "fill")
        & (table.measure_b == "delta_srg_logit")
        & (table.operator_b == "fill")
    ].itertuples()
    areas = {name: derive_curve_measures(own) for name, own in read_curves(files["curves"]).values.items()}
    medians = [np.median(results["fill"].measure("e_minus", method)) for method in methods]
    others = [np.median(areas[method]["delta_srg_logit"]) for method in methods]
    assert row.correlation == pytest.approx(spearmanr(medians, others).statistic)
    assert dict(zip(tables["claims"].claim, tables["claims"].statement, strict=True)) == STATEMENTS
    assert all(f", n = {row.n}" in text for text in tables["claims"].ours[:5])
    control = tables["blurring"]
    assert set(control.method) == {"norm"} and {"rank_accuracy", DELTA, "deletion_logit"} <= set(control.measure)
    (row,) = control[(control.measure == "e_plus") & (control.operator == "blur")].itertuples()
    difference = results["blur"].measure("e_plus", "norm") - results["blur"].measure("e_plus", "norm_blurred")
    assert row.median_difference == pytest.approx(np.median(difference))  # e₊ is better where it is smaller


def test_without_ground_truth_and_curves(world, files, tmp_path):
    truth = Truth(world.networks["vgg16"], [world.shards["vgg16"]], world.manifest)
    tables = compare(world, files, tmp_path, truth=truth, curves=[])
    assert tables["claims"].claim.tolist() == ["L1", "L2", "L4"]
    assert "average_precision" not in set(tables["agreement"].measure_b)


def test_orders_need_methods(world, files, tmp_path):
    few = [path for path in files["measured"] if "gradient" in path.name or "norm" in path.name]
    said = refused(compare, world, {**files, "measured": few}, tmp_path)
    assert said.endswith(": 2 methods have all measures; needed are 3 for an order")


def test_the_figure(world, files, tmp_path):
    compare(world, files, tmp_path)
    plot_measures.main([tmp_path / "agreement.csv"], tmp_path / "l.pdf", tmp_path / "l.png", 60)
    assert (tmp_path / "l.pdf").stat().st_size > 10_000 and Image.open(tmp_path / "l.png").width == 60 * 6.75
    keys = [("e_minus", "fill"), ("delta_e_minus", "blur"), ("delta_srg_logit", "fill"), (TRUTH, "")]
    names = [plot_measures.name_key(key, several=True) for key in keys]
    assert names == ["$e_-$, fill", r"$\delta e_-$, blur", "$δ$SRG, logit", "average precision"]
    assert plot_measures.list_rows(keys) == [("e_minus", "fill"), ("e_minus", "blur"), ("srg_logit", "fill")]
