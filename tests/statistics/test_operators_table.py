"""What survives the choice of a removal operator: worked out by hand, and the step's tables."""

import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import refused
from made import write_shard
from scipy.stats import wilcoxon
from workflow_copy import ROOT

import compare_methods
import compare_operators
from explanations.files.manifests import ManifestRow, write_manifest
from explanations.files.measurements import SETTINGS, read_measurements, write_measurements
from explanations.files.tables import read_tables
from explanations.statistics.claims import CLAIMS, Claim
from explanations.statistics.evidence import NetworkEvidence
from explanations.statistics.operator_claims import TABLES
from explanations.statistics.operators import (
    Conclusions,
    Survival,
    agree,
    conclude,
    correlate_medians,
    count_conclusions,
    count_survivors,
    judge_pair,
)
from explanations.statistics.ranking import PairTest, compare_all, compare_pairs
from explanations.statistics.verdicts import NotMeasuredError

METHODS = ["a", "b", "c", "d"]
IMAGES = 40


def test_another_operator_agrees_or_not():
    better, worse, unclear = PairTest(0.5, -3.0), PairTest(-0.4, -2.0), PairTest(0.9, -1.3)  # log10 of 0.05 is −1.301
    assert judge_pair(better, better) == judge_pair(worse, worse) == "same"
    assert judge_pair(better, worse) == judge_pair(worse, better) == "opposite"
    assert judge_pair(better, unclear) == "undecided"
    first = {("a", "b"): better, ("a", "c"): worse, ("b", "c"): better, ("b", "d"): unclear}
    second = {("a", "b"): better, ("a", "c"): better, ("b", "c"): unclear, ("b", "d"): better}
    assert count_survivors(first, second) == Survival(significant=3, same=1, undecided=1, opposite=1)


def test_all_operators_together():
    better, worse, unclear = PairTest(0.5, -3.0), PairTest(-0.4, -2.0), PairTest(-0.9, -1.3)
    assert conclude([better, better, better]) == conclude([worse, worse]) == "every"
    assert conclude([better, unclear, better]) == conclude([unclear, worse]) == "some"
    assert conclude([better, unclear, worse]) == conclude([worse, better]) == "reversed"
    assert conclude([unclear, unclear]) == "none"
    names = [("a", "b"), ("a", "c"), ("b", "c"), ("b", "d"), ("c", "d")]
    by_operator = [
        dict(zip(names, tests, strict=True))
        for tests in ([better, worse, better, unclear, better], [better, better, unclear, unclear, better])
    ]
    assert count_conclusions(by_operator) == Conclusions(pairs=5, every=2, some=1, reversed=1, none=1)


def test_verdicts_agree_or_not():
    words = ("supported", "not supported", "undecided")
    said = {(first, other): agree(first, other) for first in words for other in words}
    assert {pair for pair, word in said.items() if word == "same"} == {(word, word) for word in words}
    opposite = {pair for pair, word in said.items() if word == "opposite"}
    assert opposite == {("supported", "not supported"), ("not supported", "supported")}
    assert all(said[pair] == "undecided" for pair in said if "undecided" in pair and pair[0] != pair[1])


def test_orders_by_medians():
    first = {"a": np.array([1.0, 2, 9]), "b": np.array([0.0, 1, 1]), "c": np.array([5.0, np.nan, 5])}  # 2, 1, 5
    second = {"a": np.array([3.0, 3, 3]), "b": np.array([4.0, 4, 0]), "c": np.array([9.0, 9, 9])}  # 3, 4, 9
    assert correlate_medians(first, second) == pytest.approx(0.5)  # 1 − 6·(1 + 1)/(3·8)
    assert correlate_medians(first, first) == pytest.approx(1)
    assert np.isnan(correlate_medians({"a": first["a"]}, {"a": second["a"]}))
    assert np.isnan(correlate_medians(first, dict.fromkeys(first, second["a"])))


def test_pairs_are_tested_as_by_scipy_and_holm():
    rng = np.random.default_rng(0)
    values = {method: rng.normal(0.4 * m, 1, IMAGES) for m, method in enumerate(METHODS)}
    found = compare_pairs(values)
    assert list(found) == list(combinations(METHODS, 2))
    p = {pair: wilcoxon(values[pair[0]], values[pair[1]], method="asymptotic").pvalue for pair in found}
    largest = 0.0
    for rank, pair in enumerate(sorted(p, key=p.get)):  # Holm's steps, one by one
        largest = max(largest, min(1, (len(p) - rank) * p[pair]))
        assert 10 ** found[pair].log10_p_holm == pytest.approx(largest)
    clear = {pair: test for pair, test in found.items() if test.log10_p_holm < -2}
    assert len(clear) > 1
    assert all((test.effect_size > 0) == (np.median(values[a] - values[b]) > 0) for (a, b), test in clear.items())
    assert compare_all(values) == {frozenset(pair): test.log10_p_holm for pair, test in found.items()}


def write_results(
    folder: Path, operator: str, seed: int, sign: int = 1, images: int = IMAGES, methods: Sequence[str] = METHODS
) -> list[Path]:
    """Result files of methods, the later the better, or the worse; two files of methods each."""
    rng, paths = np.random.default_rng(seed), []
    settings = {"experiment": "tests", "network": "n", "variant": "original", "weights": "", "upsampling": "bilinear"}
    settings |= {"grid": 10, "noise_maps": 1, "ties": "random", "never_flips": "one", "orders": ["minus", "plus"]}
    settings |= {"fill": 0.0} if operator == "fill" else {"operator": operator}
    for part in (methods[:2], methods[2:]):
        shape = (images, len(part))
        places = np.array([methods.index(method) for method in part])
        arrays = {"image": np.arange(images), "label": np.arange(images) % 5}
        for order in ("minus", "plus"):
            own = np.clip(0.5 + 0.08 * sign * places + rng.normal(0, 0.06, shape), 0, 1)
            arrays |= {f"e_{order}": own, f"e_{order}_noise": np.full(shape, 0.4)}
            arrays |= {f"flip_{order}": np.full(shape, 5), f"flip_{order}_noise": np.full((*shape, 1), 5)}
        paths.append(folder / f"{operator}-{part[0]}.h5")
        write_measurements(paths[-1], part, arrays, settings)
    return paths


def compare_all_operators(folder: Path, files: dict[str, list[Path]], shard: Path) -> dict[str, pd.DataFrame]:
    """The step's tables."""
    flags = {name: folder / f"{name}.csv" for name in ("operators", "pairs", "survival", "claims")}
    given = [path for paths in files.values() for path in paths]
    compare_operators.main(given, shard, **flags, resamples=100, seed=0)
    return {name: read_tables([path], ()) for name, path in flags.items()}


@pytest.fixture
def shard(tmp_path):
    """A shard of a network with maps of three layers."""
    write_manifest(tmp_path / "manifest.csv", [ManifestRow(0, "0.png", "a", 0)])
    return write_shard(tmp_path / "shard.h5", tmp_path / "manifest.csv", (4, 4, 4, 2), network="n")


def test_the_tables(tmp_path, shard):
    files = {
        "fill": write_results(tmp_path, "fill", 0),
        "mean": write_results(tmp_path, "mean", 1),
        "road": write_results(tmp_path, "road", 2, sign=-1),
    }
    tables = compare_all_operators(tmp_path, files, shard)
    table, pairs = tables["operators"], tables["pairs"]
    assert table[["measure", "operator", "other_operator"]].values.tolist() == [
        [measure, *pair] for measure in ("delta_e_minus", "e_minus") for pair in combinations(files, 2)
    ]
    same, opposite = table.iloc[0], table.iloc[1]
    assert (same.methods, same.rho, opposite.rho) == (4, 1, -1)
    assert same.significant == same.same == opposite.significant == opposite.opposite == 6
    assert (same.undecided, same.opposite, opposite.same, opposite.undecided) == (0, 0, 0, 0)
    assert len(pairs) == 2 * 6 * 2 and set(pairs.operator) == {"fill"}
    assert set(pairs[pairs.other_operator == "mean"].survives) == {"same"}
    assert set(pairs[pairs.other_operator == "road"].survives) == {"opposite"}
    assert (pairs.effect_size * pairs.other_effect_size > 0).eq(pairs.survives == "same").all()
    counts = tables["survival"][["measure", "operators", "methods", *Conclusions._fields]].to_numpy().tolist()
    assert counts == [[measure, 3, 4, 6, 0, 0, 6, 0] for measure in ("delta_e_minus", "e_minus")]
    assert tables["claims"].empty  # of methods that no claim is of


PAPERS = ["gradient", "activity_1", "activity_2", "activity_3", "activity_from_1", "activity_from_2", "fullgrad"]


def test_claims_by_each_operator_are_those_of_findings(tmp_path, shard):
    """The tests of findings, on tables of the step that compares methods with the families that its rules name."""
    names = [*PAPERS, "bias_1", "bias_2", "bias_3", "mine"]
    files = {
        operator: write_results(tmp_path, operator, seed, sign, methods=names)
        for operator, seed, sign in (("fill", 0, 1), ("blur", 1, -1))
    }
    found = compare_all_operators(tmp_path, files, shard)["claims"]
    rules = (ROOT / "workflow/rules/statistics.smk").read_text()
    expected = []
    for operator in files:
        tables = {}
        for group, methods in (("biases", [*names[:4], *names[7:10]]), ("aggregates", PAPERS)):
            rule = rules[rules.index(f"rule compare_{group}:") :]
            families = re.search(r'" --families ([\w ]+)"', rule)[1].split()
            assert tuple(families) == TABLES[group]
            chosen = tmp_path / f"{operator}-{group}"
            chosen.mkdir()
            both = read_measurements(files[operator])
            arrays = {"image": both.image, "label": both.label} | both.select(methods).values
            settings = {key: both.settings[key] for key in SETTINGS} | {"orders": ["minus", "plus"]}
            write_measurements(chosen / "m.h5", methods, arrays, settings)
            compare_methods.main([chosen / "m.h5"], [], shard, chosen / "t.csv", families, 100, 0)
            tables[group] = read_tables([chosen / "t.csv"], ())
        evidence = NetworkEvidence(tables, {}, 0, [1, 2, 3])
        for claim in (claim for claim in CLAIMS if isinstance(claim, Claim)):
            try:
                finding = claim.test(evidence)
            except NotMeasuredError:
                continue
            expected.append((claim.number, operator, finding.verdict, finding.ours, pytest.approx(finding.estimate)))
    rows = [(row.claim, row.operator, row.verdict, row.ours, row.estimate) for row in found.itertuples()]
    assert sorted(rows, key=lambda row: row[:2]) == sorted(expected, key=lambda row: row[:2])
    assert {"1", "3", "14a", "16", "20"} <= set(found.claim)
    assert (found[found.operator == "fill"].survives == "same").all()
    by = found.pivot(index="claim", columns="operator", values="verdict").loc["20"]
    assert (by.fill, by.blur) in {("supported", "not supported"), ("not supported", "supported")}
    assert found[(found.claim == "20") & (found.operator == "blur")].survives.item() == "opposite"


def test_results_that_cannot_be_compared(tmp_path, shard):
    fill = write_results(tmp_path, "fill", 0)
    message = refused(compare_all_operators, tmp_path, {"fill": fill}, shard)
    assert message == f"{fill[0]}: all result files are by fill; needed are two operators"
    fewer = write_results(tmp_path, "road", 0, images=IMAGES - 1)
    message = refused(compare_all_operators, tmp_path, {"fill": fill, "road": fewer}, shard)
    assert message == f"{fill[0]}: results by road are of other methods or images than the first ones"
