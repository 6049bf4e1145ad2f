"""The table of findings: a row for each network that was measured, of its own statistics; and the page made of it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import refused
from made import write_shard
from small import build, describe

import report_findings
from explanations.files.manifests import UNLABELLED, ManifestRow, read_manifest, write_manifest
from explanations.files.tables import write_table
from explanations.networks.files import save_network
from explanations.statistics.agreement import Agreement
from explanations.statistics.claims import CLAIMS, MEASURE_CLAIMS
from explanations.statistics.evidence import ZooEvidence
from explanations.statistics.measure_claims import STATEMENTS, judge_blurring, judge_contrast, list_contrasts

RATIOS = {"supported": 2.0, "undecided": 3.5, "not supported": 9.0}  # of δe₋ to −δe₊, claim 14a


TESTED = 1000  # images, and as many to tune on, of which the survey is too
SURVEYED = {"original": 0.9, "zeroed": 0.2}  # accuracies of the test images; of those to tune on all are right


def write_survey(folder: Path, network: str, normalisation: str) -> None:
    about = {"network": network, "normalisation": normalisation}
    first = {"k": 1, "n": 2 * TESTED, "original": 0.95, "zeroed": 0.6, "standard_error": 0.01}
    write_table(folder / f"{network}-accuracy.csv", pd.DataFrame([first]), about)
    ranks = {"original": "rank", "zeroed": "zeroed_rank"}
    wrong = {ranks[name]: [int(k >= share * TESTED) for k in range(TESTED)] for name, share in SURVEYED.items()}
    names = [f"{folder}{k}.png" for folder in ("", "tuning/") for k in range(TESTED)]
    outputs = {"image": names, "correlation": 1.0} | {name: ranks + [0] * TESTED for name, ranks in wrong.items()}
    write_table(folder / f"{network}-outputs.csv", pd.DataFrame(outputs), about)
    fits = {"image": ["a", "b"], "alpha": 0.5, "beta": 0.0, "largest_output": 1.0}
    write_table(folder / f"{network}-fits.csv", pd.DataFrame(fits), about)
    changes = {"change": ["scale", "shift"], "value": [10.0, 1.0], "relative_change": -0.5}
    write_table(folder / f"{network}-robustness.csv", pd.DataFrame(changes), about)


def find(
    folder: Path,
    verdicts: dict[str, str],
    surveyed: dict[str, str],
    decayed: dict[str, float] | None = None,
    label: int = 0,
    sizes: Sequence[int] = (4, 4, 4, 2),
    measures: Sequence[str] = (),
) -> tuple[pd.DataFrame, str]:
    """Findings, as text, and their page, of a run whose networks have some verdicts on claim 14a.

    `surveyed` are all networks with their normalisation, in order; `decayed` the accuracy of those whose biases did;
    `sizes` are those of the layers' maps; `measures` the networks whose measures were compared.
    """
    for network, normalisation in surveyed.items():
        write_survey(folder, network, normalisation)
    for network, verdict in verdicts.items():
        columns = {"network": network, "family": "noise", "measure": ["delta_e_minus", "delta_e_plus"]}
        columns |= {"method_a": "gradient", "median_a": [RATIOS[verdict], -1.0]}
        write_table(folder / f"{network}-aggregates.csv", pd.DataFrame(columns))
    files = []
    for network, accuracy in (decayed or {}).items():
        files.append(folder / network / "decayed.safetensors")
        record = {"accuracy": accuracy, "test_images": TESTED}
        files[-1].parent.mkdir(exist_ok=True)
        save_network(files[-1], build("linear"), replace(describe("linear"), variant="decayed", record=record))
    rows = [ManifestRow(k, f"{k}.png", "a" * (label >= 0), label) for k in range(TESTED)]
    write_manifest(folder / "test_images.csv", rows)
    write_manifest(folder / "manifest.csv", rows[:1])
    explained = dict.fromkeys([*verdicts, *(decayed or {})])
    shards = [
        write_shard(folder / f"{network}.h5", folder / "manifest.csv", sizes, network=network) for network in explained
    ]
    of_survey = {
        f"survey_{table}": [folder / f"{network}-{table}.csv" for network in surveyed]
        for table in ("accuracy", "outputs", "fits", "robustness")
    }
    report_findings.main(
        **{"experiment": "small", "shards": shards, "decayed": files, "biases": [], "biases_other": [], "variants": []},
        **{"aggregates": [folder / f"{network}-aggregates.csv" for network in verdicts]},
        **{"correlations": [], "gross_sums": [], "twins": [], "test_images": folder / "test_images.csv"},
        **{"measure_claims": [write_measure_claims(folder, network) for network in measures]},
        **{**of_survey, "output": folder / "findings.csv", "page": folder / "findings.html"},
    )
    return pd.read_csv(folder / "findings.csv", dtype=str), (folder / "findings.html").read_text()


def write_measure_claims(folder: Path, network: str) -> Path:
    """What was found of claims L1, which is supported, and L4, which is undecided."""
    keys = [(name, operator) for name in ("delta_e_minus", "e_minus") for operator in ("fill", "blur")]
    rho = np.eye(4)
    rho[0, 1], rho[2, 3] = 0.9, 0.4
    rows = [judge_contrast(list_contrasts(keys, ["fill", "blur"])[0], keys, Agreement(rho, np.stack([rho] * 9), 40))]
    rows.append(judge_blurring({"a": (0.9, -9.0), "b": (-0.9, -9.0)}))
    write_table(folder / f"{network}-measures.csv", pd.DataFrame(rows), {"network": network})
    return folder / f"{network}-measures.csv"


def verdicts_of(table: pd.DataFrame, claim: str) -> dict[str, str]:
    """The verdicts on a claim by network, in the rows' order."""
    rows = table[table.claim == claim]
    return dict(zip(rows.network, rows.verdict, strict=True))


def own_networks(page: str) -> list[str]:
    """The networks, or groups, that a page marks as those that the paper makes a claim of."""
    return re.findall(r'<tr class="own"><td class="network">([^<]*)', page)


@pytest.mark.parametrize(
    "outcomes",
    [("supported", "not supported", "undecided"), ("undecided", "supported", "not supported")],
)
def test_a_row_speaks_of_the_network_whose_tables_decided(tmp_path, outcomes):
    networks = ("vgg16", "resnet50", "vit")
    table, _ = find(tmp_path, dict(zip(networks, outcomes, strict=True)), dict.fromkeys(networks, "none"))
    assert verdicts_of(table, "14a") == dict(zip(("VGG-16", "ResNet-50", "ViT"), outcomes, strict=True))


@pytest.mark.parametrize(("vgg", "vit"), [(0.9, 0.1), (0.1, 0.9)])
def test_so_does_one_of_a_decay(tmp_path, vgg, vit):
    table, _ = find(tmp_path, {}, {"vgg16": "none", "vit": "layer"}, {"vgg16": vgg, "vit": vit})
    held = {0.9: "supported", 0.1: "not supported"}
    assert verdicts_of(table, "10") == {"VGG-16": held[vgg], "ViT": held[vit]}


def test_the_papers_networks_come_first_then_the_configurations_order(tmp_path):
    order = ["vit", "resnet50", "mine", "vgg16", "convnext"]
    measured = dict.fromkeys(sorted(order), "supported")
    table, page = find(tmp_path, measured, dict.fromkeys([*order, "alexnet"], "none"))
    assert list(verdicts_of(table, "14a")) == ["VGG-16", "ResNet-50", "ViT", "mine", "ConvNeXt"]
    assert set(table[table.claim == "14a"].paper_network) == {"VGG-16, ResNet-50"}
    assert own_networks(page) == ["without BN"] * 4 + ["VGG-16", "ResNet-50"]
    assert page.count("δe₋ is about twice δe₊") == 1 and page.count(">ViT</td>") == 1
    test = "mean δe₋ / mean −δe₊: supported in [1.5, 3], not supported outside [1, 4]"
    assert page.count(f'<td class="test" rowspan="5">{test}</td>') == 1


def test_claims_of_measures_are_findings_where_measures_were_compared(tmp_path, capsys):
    surveyed = {"vit": "layer", "vgg16": "none"}
    table, page = find(tmp_path, dict.fromkeys(surveyed, "supported"), surveyed, measures=["vit"])
    assert table.claim.tolist() == [*(row for row in table.claim if row[0] != "L"), "L1", "L4"]  # behind the paper's
    assert verdicts_of(table, "L1") == {"ViT": "supported"} and verdicts_of(table, "L4") == {"ViT": "undecided"}
    row = table[table.claim == "L1"].iloc[0]
    assert (row.paper_network, row.statement, row.paper) == ("no network", STATEMENTS["L1"], "not asked")
    assert row.ours == "mean ρ 0.90 against 0.40, difference +0.50, 95% interval +0.50 to +0.50, n = 40"
    assert (row.quantity, float(row.estimate)) == ("difference of mean ρ", 0.5) and pd.isna(row.needed)
    assert table[table.claim == "L4"].needed.item() == "not a matter of images: it lies between the limits"
    assert f"L1. {STATEMENTS['L1']} <span>— paper (no network): not asked" in page
    assert "Claims L1 to L4 aren't the paper's: they ask whether its measure is right." in page
    said = capsys.readouterr().out
    assert "claim L1 is not tested on VGG-16: this run has no table of measure claims\n" in said
    assert "claim L2 is not tested on ViT: this run has no measures that it compares\n" in said


def test_without_them_nothing_is_said_of_measures(tmp_path, capsys):
    table, page = find(tmp_path, {"vit": "supported"}, {"vit": "layer"})
    assert not table.claim.str.startswith("L").any() and "Claims L1 to L4" not in page
    assert "claim L" not in capsys.readouterr().out
    assert not {claim.number for claim in MEASURE_CLAIMS} & {claim.number for claim in CLAIMS}


def test_an_experiment_with_neither_of_the_papers_networks(tmp_path):
    surveyed = {"mine": "batch", "other": "batch", "plain": "none"}
    table, page = find(tmp_path, {"mine": "supported", "other": "undecided"}, surveyed, {"mine": 0.9})
    assert verdicts_of(table, "14a") == {"mine": "supported", "other": "undecided"}
    assert verdicts_of(table, "10") == {"mine": "supported"}
    assert {"8a", "8b", "9a", "18a"} < set(table.claim)  # of the zoo
    assert table.loc[table.claim == "8b", "ours"].item().endswith("; 2 with BN: mine, other")
    assert table.loc[table.claim == "18a", "ours"].item().endswith("; 1 without BN: plain; 2 with BN: mine, other")
    assert {"without BN", "with BN", "zoo"} == {*own_networks(page)}


def test_an_experiment_with_one_network(tmp_path):
    table, page = find(tmp_path, {"vit": "supported"}, {"vit": "layer"})
    assert table[["claim", "network", "verdict"]].to_numpy().tolist() == [["14a", "ViT", "supported"]]
    assert "<b>bold</b>: none. On networks of which it doesn't make the claim: 1 supported." in page


def test_an_experiment_about_which_the_paper_says_nothing(tmp_path):
    table, page = find(tmp_path, {}, {"vit": "layer"})
    assert table.empty and "paper_network" in table.columns and "<tbody>" not in page


@pytest.mark.parametrize(("label", "score"), [(0, "top-1"), (UNLABELLED, "agreement")])
def test_images_without_labels_have_agreement(tmp_path, label, score):
    table, page = find(tmp_path, {}, {"vgg16": "none", "resnet50": "batch"}, {"vgg16": 0.9}, label)
    said = table[table.claim.isin(["8a", "8b", "10", "18a", "18b"])].ours
    assert len(said) == 5 and all(score in text for text in said)
    assert ("The images have no labels" in page) == (score == "agreement")
    assert ("top-1" in " ".join([*table.ours, *table.test])) == (score == "top-1")


def test_decay_is_compared_with_the_survey_of_the_same_images(tmp_path):
    """Of all images that the survey is of, 95% are right, and 60% without biases."""
    table, _ = find(tmp_path, {}, {"vgg16": "none"}, {"vgg16": 0.9})
    said = table[table.claim == "10"].ours.item()
    assert said.startswith("top-1 original 90.0%, zeroed 20.0%, decayed 90.0%; decayed / original 1.0000 ")
    assert said.endswith("(n = 1000)")


def test_a_survey_of_other_images_is_refused():
    outputs = pd.DataFrame({"network": "vit", "image": ["a", "b"], "rank": [0, 1], "zeroed_rank": [1, 1]})
    surveyed = ZooEvidence({"outputs": outputs})
    assert report_findings.score_tested(surveyed, "vit", ["a"]) == {"original": 1, "zeroed": 0}
    for tested in (["b"], ["b", "a"], ["a", "b", "c"]):
        said = refused(report_findings.score_tested, surveyed, "vit", tested)
        assert said == "the survey's table of outputs of vit is not of the test images; make the survey again"


def test_a_decay_that_was_tested_on_other_images_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(report_findings, "read_manifest", lambda path: read_manifest(path)[:-1])
    said = refused(find, tmp_path, {}, {"vit": "layer"}, {"vit": 0.9})
    path = tmp_path / "vit/decayed.safetensors"
    assert said.startswith(f"{path}: was tested on 1000 images; the list of test images has 999; ")


def test_which_layers_have_maps_is_read_from_the_shards(tmp_path, capsys):
    """Layer 2 has none: layers 1 and 3 are next to each other."""
    find(tmp_path, {"vit": "supported"}, {"vit": "layer"}, sizes=(4, 4, 1, 4, 2))
    said = capsys.readouterr().out
    assert "claim 6a is not tested on ViT: this run has no measurement of layer 3, number 2 from the top\n" in said
    assert "claim 3 is not tested on ViT: this run has no measurement of layer 1, number 3 from the top\n" in said


def test_a_network_whose_shard_is_not_given(tmp_path):
    zoo = ZooEvidence({"accuracy": pd.DataFrame({"network": ["vit"], "k": [1]})})
    write_table(tmp_path / "t.csv", pd.DataFrame({"network": ["vit"], "family": ["noise"]}))
    said = refused(report_findings.collect_networks, {"biases": [tmp_path / "t.csv"]}, {"vgg16": [1]}, [], zoo, [])
    assert said == "the shards given are of vgg16; vit has none"


def test_a_network_that_the_survey_lacks(tmp_path):
    said = refused(find, tmp_path, {"vit": "supported"}, {"vgg16": "none"})
    assert said == "the survey's tables of accuracy lack vit; make the survey again"
