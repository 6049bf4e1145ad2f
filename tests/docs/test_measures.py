"""What the page on measures states: the table that is gathered of made-up statistics, and the block made of it."""

import csv
import re

import numpy as np
import pandas as pd
import pytest

import write_pages
from explanations.files.tables import write_table
from explanations.statistics.agreement import Agreement
from explanations.statistics.measure_claims import judge_blurring, judge_contrast, list_contrasts
from explanations.statistics.operators import Conclusions
from gather_measures import COLUMNS, gather_measures
from words_of_measures import list_papers_claims, rows_of, title_measure
from write_pages import ROOT

MEASURED = [("delta_e_minus", "fill"), ("e_minus", "fill"), ("delta_e_minus", "blur"), ("e_minus", "blur")]
KEYS = [*MEASURED, ("srg_probability", "fill"), ("average_precision", ""), ("rank_accuracy", "")]


def write_network(folder, network, operators=True):
    """A network's tables: what claims L1 and L4 came to, ρ of all measures, and what survives."""
    folder, about = folder / network, {"network": network}
    folder.mkdir(parents=True)
    rho = np.eye(len(KEYS)) + 0.1
    rho[0, 2] = 0.75
    agreement = Agreement(rho, np.stack([rho] * 9), 40)
    rows = [judge_contrast(list_contrasts(MEASURED, ["fill", "blur"])[0], KEYS, agreement)]
    rows.append(judge_blurring({"a": (0.9, -9.0), "b": (-0.9, -9.0)}))
    write_table(folder / "measure_claims.csv", pd.DataFrame(rows), about)
    pairs = [
        {"measure_a": a, "operator_a": p, "measure_b": b, "operator_b": q, "correlation": correlation}
        for place, (a, p) in enumerate(KEYS)
        for number, (b, q) in enumerate(KEYS[place + 1 :], place + 1)
        for correlation in [np.nan if (a, p) == ("e_minus", "blur") else round(0.1 * place - 0.05 * number, 2)]
    ]
    table = pd.DataFrame(pairs).assign(methods=9, n=40)
    table = table.assign(ci_low=table.correlation - 0.1, ci_high=table.correlation + 0.1)
    write_table(folder / "agreement.csv", table, about)
    if operators:
        row = {"measure": "delta_e_minus", "operator": "fill", "other_operator": "blur", "methods": 9, "rho": 0.875}
        row |= {"significant": 20, "same": 15, "undecided": 4, "opposite": 1}
        write_table(folder / "operators.csv", pd.DataFrame([row]), about)
        counts = {"measure": "delta_e_minus", "operators": 2, "methods": 9} | Conclusions(36, 15, 8, 1, 12)._asdict()
        write_table(folder / "operators_survival.csv", pd.DataFrame([counts]), about)
        verdicts = [("4a", "fill", "supported"), ("4a", "blur", "undecided"), ("20", "fill", "undecided")]
        verdicts.append(("20", "blur", "undecided"))
        found = [
            {"claim": claim, "statement": f"a | b {claim}", "operator": operator, "verdict": verdict, "estimate": 0.5}
            for claim, operator, verdict in verdicts
        ]
        write_table(folder / "operators_claims.csv", pd.DataFrame(found), about)


@pytest.fixture
def rows(tmp_path):
    """The rows as pages read them, of two networks, one of them with one operator."""
    write_network(tmp_path / "statistics", "vgg16")
    write_network(tmp_path / "statistics", "resnet50", operators=False)
    (tmp_path / "statistics/vit").mkdir()  # whose measures weren't compared
    for name, seconds in (("a", "400.0\t900\t380.0"), ("b/c", "0.9\tNA\t0.0")):
        path = tmp_path / "benchmarks" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\tmax_rss\tcpu_time\n{seconds}\n")
    gather_measures(tmp_path).to_csv(tmp_path / "measures.csv", index=False)
    with open(tmp_path / "measures.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_what_was_found(rows):
    measured = [row["network"] for row in rows if row["part"] != "run"]
    assert list(rows[0]) == COLUMNS and measured == sorted(measured)
    run = {row["outcome"]: row["value"] for row in rows_of(rows, "run", "")}
    assert run == {"seconds": "401.0", "memory": "944.0"}
    claims = [row for row in rows if (row["part"], row["network"]) == ("claim", "vgg16")]
    assert [(row["name"], row["outcome"], float(row["value"])) for row in claims] == [
        ("L1", "supported", 0.65),
        ("L4", "undecided", 0.5),
    ]
    truth = {(row["name"], row["operator"]): row for row in rows_of(rows, "truth", "vgg16")}
    assert truth.keys() == {*KEYS} - {("average_precision", "")}
    assert [float(truth["delta_e_minus", "fill"][key]) for key in ("value", "low", "high")] == [-0.25, -0.35, -0.15]
    assert truth["e_minus", "blur"]["value"] == ""  # a measure without an order
    assert {row["part"] for row in rows if row["network"] == "resnet50"} == {"claim", "truth"}


def test_the_block_states_the_table(rows):
    said = write_pages.render_block("measures", {"measures": rows})
    assert "### VGG-16" in said and "### ResNet-50" in said and "gallery/figL.png" in said
    assert "Its jobs took 7 min of one core, one after the other.\n\n![Figure L]" in said
    assert "| L1 | supported | mean ρ 0.75 against 0.10, difference +0.65, " in said
    assert "| L4 | undecided | 1 of 2 methods are better once blurred (not a matter of images" in said
    assert "| e₋ | fill | -0.15 (-0.25 to -0.05) | -0.25 (-0.35 to -0.15) |" in said
    assert "| e₋ | blur | — (— to —) | " in said
    assert re.search(r"\| SRG, probability \| fill \| [^|]+ \|  \|", said)  # whose δ isn't among these
    assert "| δe₋ | fill, blur | 0.88 | 20 | 15 (75%) | 4 | 1 |" in said
    joined = " ".join(said.split())
    assert "By δe₋, of 36 pairs of methods 15 (42%) differ by every operator with the same sign" in joined
    assert "8 by some alone, 12 by none, and 1 is reversed." in joined
    assert "| claim of the paper | fill | blur |\n| --- | --- | --- |\n" in said
    assert "| 4a. a \\| b 4a | supported | undecided |" in said
    assert "1 of 2 verdicts are the same by every operator." in said
    assert said.count("verdicts are the same") == 1 and "\n\n\n" not in said


def test_verdicts_that_an_operator_lacks_are_not_the_same():
    rows = [
        {"part": "papers_claim", "network": "n", "name": "1", "operator": operator, "outcome": "supported", "said": "s"}
        for operator in ("fill", "blur")
    ]
    rows.append({**rows[0], "name": "2"})
    found = list_papers_claims(rows, "n")
    assert found["operators"] == ["fill", "blur"] and found["same"] == 1
    assert [claim["verdicts"] for claim in found["claims"]] == [["supported"] * 2, ["supported", ""]]


def test_names_of_measures():
    named = {"e_plus": "e₊", "delta_e_delta": "δe_Δ", "aopc_logit": "AOPC, logit", "deletion_logit": "deletion, logit"}
    assert {name: title_measure(name) for name in named} == named


def test_pages_wait_for_a_run(tmp_path, monkeypatch, capsys):
    """Without the table the page says that there is no run; a run without the figure leaves it as it is."""
    monkeypatch.setattr(write_pages, "TABLES", {"measures": "none.csv"})
    assert write_pages.read_facts()["measures"] == []
    assert write_pages.render_block("measures", {"measures": []}) == "*No run is recorded here yet.*\n"
    write_network(tmp_path / "statistics", "vgg16")
    write_pages.gather_from_measures(tmp_path)
    assert "holds no measures that were compared" in capsys.readouterr().out
    assert not (ROOT / "docs/none.csv").exists()
