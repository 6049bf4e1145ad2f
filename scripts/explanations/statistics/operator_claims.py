"""The claims of single networks, tested on removal by each of several operators: which verdicts survive the choice."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from explanations.errors import InputError
from explanations.files.measurements import Measurements
from explanations.methods.names import MethodName, parse_kind, parse_method
from explanations.plan import PAPERS_GROUPS
from explanations.statistics.claims import CLAIMS, Claim
from explanations.statistics.comparisons import compare_families
from explanations.statistics.evidence import NetworkEvidence
from explanations.statistics.operators import agree
from explanations.statistics.tests import WILCOX
from explanations.statistics.verdicts import Finding, NotMeasuredError

# the tables that findings are made from: a group of methods that is compared with single layers, and the comparisons
TABLES = {
    "biases": ("bias", "gradient", "noise"),
    "aggregates": ("gradient", "noise", "fullgrad", "aggregate", "input", "single", "layers", "all_layers"),
}


def judge_by_operator(
    results: Mapping[str, Measurements], layers: Sequence[int], resamples: int, seed: int, zeros: str = WILCOX
) -> Iterator[dict]:
    """A row for each claim that removal alone can test, and each operator: the finding, and whether it is the first's.

    `layers` are all that have maps, ascending, without the input.
    """
    evidence = {name: collect(each, layers, resamples, seed, zeros) for name, each in results.items()}
    for claim in CLAIMS:
        findings = {name: finding for name, each in evidence.items() if (finding := judge(claim, each))}
        first = next(iter(findings.values()), None)
        for operator, finding in findings.items():
            row = {"claim": claim.number, "statement": claim.statement, "operator": operator, **asdict(finding)}
            yield row | {"survives": agree(first.verdict, finding.verdict)}


def collect(
    results: Measurements, layers: Sequence[int], resamples: int, seed: int, zeros: str = WILCOX
) -> NetworkEvidence:
    """The comparisons of a network's methods, as findings read them."""
    kinds = {name: kind for name in results.methods if (kind := kind_of(name))}
    tables = {}
    for group, families in TABLES.items():
        own, beside = (set(map(parse_kind, PAPERS_GROUPS[each])) for each in (group, "layers"))
        chosen = results.select([name for name, kind in kinds.items() if kind in own | beside])
        if own & set(kinds.values()) and beside & set(kinds.values()):
            rng = np.random.default_rng(seed)
            tables[group] = pd.DataFrame(compare_families(families, chosen, chosen, layers, resamples, rng, zeros))
    return NetworkEvidence(tables, {}, 0, layers, zeros=zeros)


def kind_of(name: str) -> MethodName | None:
    """The kind that a method is of; None of one with passes of its own."""
    try:
        return parse_method(name).all_layers
    except InputError:
        return None


def judge(claim: Claim, measured: NetworkEvidence) -> Finding | None:
    """A claim's finding; None if these comparisons can't test it, or it isn't of single networks."""
    if not isinstance(claim, Claim):
        return None
    try:
        return claim.test(measured)
    except NotMeasuredError:
        return None
