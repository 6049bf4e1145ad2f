"""A fresh run of the embedded experiment finds what the pages state, whatever machine it runs on."""

import json
import shutil

import pandas as pd
import pytest
from workflow_copy import ROOT, copy_workflow, snakemake

from explanations.figures.names import network_title
from explanations.statistics.claims import CLAIMS, Claim
from explanations.statistics.evidence import NetworkEvidence
from explanations.statistics.layers import read_layers
from explanations.statistics.verdicts import NotMeasuredError
from report_findings import judge

STATED = json.loads((ROOT / "docs/facts.json").read_text())["findings"]
RUN = ROOT / "results/embedded/findings.csv"
NETWORK = "convnext"  # the one that takes least


@pytest.mark.workflow
@pytest.mark.slow
@pytest.mark.scale
def test_a_fresh_run_finds_what_the_pages_state(tmp_path):
    """Of one network whole: the same verdicts, and the same numbers but for the rare flip of a near tie."""
    folder = copy_workflow(tmp_path / "copy")
    shutil.copytree(ROOT / "resources/networks", folder / "resources/networks")
    table = f"results/embedded/statistics/{NETWORK}/aggregates-original-bilinear.csv"
    snakemake(folder, table, "--cores", "2")
    layers = read_layers([folder / f"results/embedded/attributions/{NETWORK}/original/0.h5"])[NETWORK]
    evidence = NetworkEvidence({"aggregates": pd.read_csv(folder / table)}, {}, 0, layers)
    stated = {row["claim"]: row["verdict"] for row in STATED if row["network"] == network_title(NETWORK)}
    found = {}
    for claim in (claim for claim in CLAIMS if isinstance(claim, Claim)):
        try:
            found[claim.number] = judge(claim, NETWORK, evidence).verdict
        except NotMeasuredError:
            continue
    assert len(found) >= 8 and found == {number: stated[number] for number in found}


@pytest.mark.skipif(not RUN.exists(), reason="no run of the embedded experiment")
def test_the_run_that_is_here_finds_what_the_pages_state():
    table = pd.read_csv(RUN, dtype=str)
    found = {(row.claim, row.network): row.verdict for row in table.itertuples()}
    assert found == {(row["claim"], row["network"]): row["verdict"] for row in STATED}
