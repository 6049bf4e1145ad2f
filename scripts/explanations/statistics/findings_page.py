"""The page of findings (HTML): each claim of the paper once, the networks that it was tested on below it."""

import html
from collections.abc import Mapping

import pandas as pd

from explanations.statistics.claims import MEASURE_CLAIMS
from explanations.statistics.counting import count_verdicts, is_papers
from explanations.statistics.evidence import AGREEMENT
from explanations.statistics.power import POWER
from explanations.statistics.tests import PRATT, WILCOX

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Findings: {experiment}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .6rem; }}
thead th {{ border-bottom: 2px solid #222; }}
tbody {{ border-bottom: 1px solid #ccc; }}
tbody th {{ padding-top: .8rem; font-weight: 600; }}
tbody th span {{ color: #666; font-weight: 400; }}
.network {{ padding-left: 2rem; }}
.network, .verdict {{ white-space: nowrap; }}
.verdict small {{ display: block; white-space: normal; min-width: 9rem; font-weight: normal; color: #555; }}
.test {{ color: #666; width: 26%; }}
.own .network, .supported, .not {{ font-weight: 600; }}
.supported {{ color: #00674b; }}
.not {{ color: #a4371f; }}
.undecided {{ color: #666; }}
</style>
<h1>The paper's claims in the experiment “{experiment}”</h1>
<p>Each claim of “Measuring and improving the quality of visual explanations” (Grabska-Barwińska, 2020) that this run
can speak to, tested on every network that has what the test takes. Networks that the paper makes the claim of are
<b>bold</b>: {own}. On networks of which it doesn't make the claim: {others}. The tests and thresholds were fixed before
the run, two of them (8a and 10) in standard errors that the run gives. A small experiment on other images and networks
may not decide what the paper's did: that is said, not hidden,
and below “undecided” stands how many images would decide it, and how, with a chance of {power:.0%}, if effects are as
seen.
“Top” counts the layers that have maps from the output. Of a network that was measured at some of its layers, a claim of
every layer is tested at these, and one of a layer that wasn't measured is left out.{zeros}{note}</p>
<table>
<thead><tr><th>network</th><th>this run</th><th>test</th><th>verdict</th></tr></thead>
{claims}
</table>
<p>Made by: {made}.</p>
</html>
"""
SAID_OF_ZEROS = {
    WILCOX: "",
    PRATT: """
Wilcoxon's signed rank test ranks differences of 0 with the others, and counts them for neither sign (Pratt).""",
}
NO_LABELS = f""" The images have no labels: what the paper says of accuracy is tested on {AGREEMENT}, the share of
images for which a network still makes the decision that it made as it came."""

OF_MEASURES = """ Claims L1 to L4 aren't the paper's: they ask whether its measure is right."""
MEASURES = [claim.number for claim in MEASURE_CLAIMS]


def render_page(
    table: pd.DataFrame, experiment: str, labelled: bool, made: Mapping[str, str], zeros: str = WILCOX
) -> str:
    """The findings as an HTML page: each claim once, the networks that it was tested on below it; and what made it."""
    own = pd.Series([is_papers(row.paper_network, row.network) for row in table.itertuples()], table.index, bool)
    return PAGE.format(
        experiment=html.escape(experiment),
        own=count_verdicts(table.verdict[own]),
        others=count_verdicts(table.verdict[~own]),
        zeros=SAID_OF_ZEROS[zeros],
        note=("" if labelled else NO_LABELS) + (OF_MEASURES if table.claim.isin(MEASURES).any() else ""),
        power=POWER,
        made=html.escape("; ".join(f"{name}: {text}" for name, text in made.items())),
        claims="\n".join(render_claim(rows, own[rows.index]) for _, rows in table.groupby("claim", sort=False)),
    )


def render_claim(rows: pd.DataFrame, own: pd.Series) -> str:
    """A claim's part of the table; `own` marks the rows of networks that the paper makes it of.

    A test that is the same for all networks stands once.
    """
    claim, statement, network, paper = (
        html.escape(str(rows[name].iloc[0])) for name in ("claim", "statement", "paper_network", "paper")
    )
    heading = f"{claim}. {statement} <span>— paper ({network}): {paper}</span>"
    lines = [f'<tbody>\n<tr><th scope="rowgroup" colspan="4">{heading}</th></tr>']
    same = rows.test.nunique() == 1
    for place, (row, papers) in enumerate(zip(rows.itertuples(), own, strict=True)):
        cells = [f'<td class="network">{html.escape(row.network)}</td>', f"<td>{html.escape(row.ours)}</td>"]
        if not same or place == 0:
            cells.append(f'<td class="test" rowspan="{len(rows) if same else 1}">{html.escape(row.test)}</td>')
        verdict, needed = html.escape(row.verdict), html.escape(row.needed)
        needed = f"<small>{needed}</small>" if needed else ""
        cells.append(f'<td class="verdict {verdict.split()[0]}">{verdict}{needed}</td>')
        start = '<tr class="own">' if papers else "<tr>"
        lines.append(f"{start}{''.join(cells)}</tr>")
    return "\n".join([*lines, "</tbody>"])
