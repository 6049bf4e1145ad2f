"""How findings are counted: by verdict, apart for what the paper makes each claim of.

Needs the standard library alone: the workflow says it at a run's end.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"
VERDICTS = (SUPPORTED, NOT_SUPPORTED, UNDECIDED)


def is_papers(paper_network: str, network: str) -> bool:
    """Whether a row is of what the paper makes the claim of: a group, a network, or any of several."""
    return set(network.split(", ")) <= set(paper_network.split(", "))


def count_verdicts(verdicts: Iterable[str]) -> str:
    """`3 supported, 1 undecided`; `none` without any."""
    given = list(verdicts)
    counts = {verdict: given.count(verdict) for verdict in VERDICTS}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) or "none"


def describe_findings(table: Path) -> str:
    """A run's findings in a line: those on the networks that the paper makes its claims of, and on others."""
    with table.open(newline="") as file:
        rows = [(is_papers(row["paper_network"], row["network"]), row["verdict"]) for row in csv.DictReader(file)]
    own, others = ([verdict for papers, verdict in rows if papers is asked] for asked in (True, False))
    said = [f"of the paper's claims {count_verdicts(own)}"] if own else []
    said += [f"on networks that it doesn't make them of, {count_verdicts(others)}"] if others else []
    return "; ".join(said) or "no claim could be tested"
