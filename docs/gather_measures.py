"""What the run of config/measures.yaml found of measures, as a table: what docs/measures.md states.

A row is one number or verdict of a network. Parts: `claim` (of measures, by its number), `truth` (a measure's agreement
with ground truth in the order of methods), `operators` (pairs of methods that differ by an operator, and what another
says of them), `survival` (the same of all operators together), `papers_claim` (a claim of the paper's by an operator);
and `run`, of no network: the CPU seconds of all its jobs, and the memory of the largest.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from explanations.files.tables import read_tables
from explanations.statistics.measure_claims import TRUTH
from explanations.statistics.operators import Conclusions, Survival
from gather_facts import plain
from gather_times import sum_jobs

COLUMNS = ["part", "network", "name", "operator", "outcome", "value", "low", "high", "said"]


def gather_measures(results: Path) -> pd.DataFrame:
    """The rows of all networks of a run that measures were compared of, and that of the run if there is any."""
    folders = [path.parent for path in sorted((results / "statistics").glob("*/measure_claims.csv"))]
    rows = [{"network": folder.name, **row} for folder in folders for row in describe_network(folder)]
    benchmarks = results / "benchmarks"
    taken = sum_jobs(benchmarks) if rows and benchmarks.is_dir() else {}
    rows += [{"part": "run", "outcome": key, "value": value} for key, value in taken.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def describe_network(folder: Path) -> Iterator[dict]:
    """A network's rows; without those of operators, if there was one."""
    for row in read_tables([folder / "measure_claims.csv"], ("claim", "verdict", "needed")).itertuples():
        numbers = {"value": plain(row.estimate), "low": plain(row.ci_low), "high": plain(row.ci_high)}
        said = row.ours + (f" ({row.needed})" if row.needed else "")
        yield {"part": "claim", "name": row.claim, "outcome": row.verdict, **numbers, "said": said}
    yield from describe_truth(read_tables([folder / "agreement.csv"], ("measure_a", "correlation")))
    if (folder / "operators.csv").exists():
        yield from describe_operators(folder)


def describe_truth(agreement: pd.DataFrame) -> Iterator[dict]:
    """ρ of each measure's order of methods with that of the ground truth."""
    for row in agreement.itertuples():
        ends = [(row.measure_a, row.operator_a), (row.measure_b, row.operator_b)]
        if (TRUTH, "") in ends:
            measure, operator = ends[1 - ends.index((TRUTH, ""))]
            numbers = {"value": plain(row.correlation), "low": plain(row.ci_low), "high": plain(row.ci_high)}
            yield {"part": "truth", "name": measure, "operator": operator, **numbers}


def describe_operators(folder: Path) -> Iterator[dict]:
    """What survives the choice of an operator."""
    for row in read_tables([folder / "operators.csv"], ("operator", *Survival._fields)).itertuples():
        for outcome in Survival._fields:
            named = {"name": row.measure, "operator": f"{row.operator}, {row.other_operator}"}
            yield {"part": "operators", **named, "outcome": outcome, "value": getattr(row, outcome)}
        yield {"part": "operators", **named, "outcome": "rho", "value": plain(row.rho)}
    for row in read_tables([folder / "operators_survival.csv"], Conclusions._fields).to_dict("records"):
        for outcome in Conclusions._fields:
            yield {"part": "survival", "name": row["measure"], "outcome": outcome, "value": row[outcome]}
    for row in read_tables([folder / "operators_claims.csv"], ("claim", "operator", "verdict")).itertuples():
        named = {"name": row.claim, "operator": row.operator, "outcome": row.verdict}
        yield {"part": "papers_claim", **named, "value": plain(row.estimate), "said": row.statement}
