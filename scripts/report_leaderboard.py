"""Write the leaderboard of an experiment as a page: a table for each network that sorts by any column.

In:  ranks and reasons of one or more networks (rank_methods.py); files of maps, for how long they took.
Out: a page (HTML) that needs nothing else.
"""

import html
from pathlib import Path

import numpy as np
import pandas as pd

from explanations.command import run_command, step_parser
from explanations.figures.names import network_title
from explanations.files.made_maps import read_about
from explanations.files.tables import read_tables
from explanations.files.writing import whole_file
from explanations.provenance import describe_making
from explanations.statistics.significance import describe_p

MEASURES = {"delta_e_minus": "δe₋", "e_minus": "e₋", "delta_e_plus": "δe₊", "e_plus": "e₊", "delta_e_delta": "δe_Δ"}
RANKED_BY = "delta_e_minus"
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Leaderboard: {experiment}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: right; padding: .2rem .6rem; }}
th:nth-child(2), td:nth-child(2), th:nth-child(3), td:nth-child(3) {{ text-align: left; }}
thead th {{ border-bottom: 2px solid #222; }}
thead button {{ all: unset; cursor: pointer; }}
thead button:focus-visible {{ outline: 2px solid #0072b2; }}
tbody tr:nth-child(even) {{ background: #f5f5f5; }}
small {{ color: #555; }}
</style>
<h1>Saliency methods in the experiment “{experiment}”</h1>
<p>Medians over images, with 95% intervals that resample classes. <b>δe₋</b>: how much more of the image's signal can
go, the least salient pixels first, than in the order of another image's map of the same method; <b>e₋</b>: the same
without that comparison. δe₊ and e₊: the most salient pixels first, where smaller is better; δe_Δ = δe₋ − δe₊.
<b>p</b>: δe₋ against the best method's and against the plain gradient's: Wilcoxon's signed rank test over images,
Holm's adjustment over methods; beside it over classes, by their signs. The best was chosen on the same images, which
alone makes its p small: <b>ties</b>, as in figure B, are of all pairs, and methods with a number in common don't differ
significantly. ≈: the interval of the difference from the best lies within what is practically none. <b>gap</b>: of
methods that claim completeness, how far attributions are from adding up to what they should, relative to that, in the
middle image. <b>s</b>: seconds that an image's map took. A click on a column's head sorts by it.</p>
{networks}
<p>Made by: {made}.</p>
<script>
for (const button of document.querySelectorAll("thead button")) button.onclick = () => {{
  const head = button.closest("th"), place = head.cellIndex, body = head.closest("table").tBodies[0];
  const key = row => row.cells[place].dataset.key ?? row.cells[place].textContent;
  const number = row => key(row) === "" ? Infinity : Number(key(row));
  const up = head.getAttribute("aria-sort") !== "ascending";
  const text = [...body.rows].some(row => key(row) !== "" && Number.isNaN(Number(key(row))));
  const rows = [...body.rows].sort((a, b) => text ? key(a).localeCompare(key(b)) : number(a) - number(b));
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  body.append(...(up ? rows : rows.reverse()));
}};
</script>
</html>
"""
HEAD = (
    "rank",
    "method",
    "source",
    *MEASURES.values(),
    "p, best",
    "p, classes",
    "p, gradient",
    "p, classes",
    "gap",
    "s",
)


def main(ranks: list[Path], reasons: list[Path], maps: list[Path], output: Path) -> None:
    table, lacking = (
        read_tables(ranks, ("experiment", "network", "measure", "method")),
        read_tables(reasons, ("reason",)),
    )
    networks = list(dict.fromkeys(table.network))
    seconds = {key: about["seconds_per_image"] for key, about in read_about(maps).items()}
    table["seconds"] = [seconds.get(key, np.nan) for key in zip(table.network, table.method, strict=True)]
    parts = [render_network(name, table[table.network == name], lacking[lacking.network == name]) for name in networks]
    making = "; ".join(f"{name}: {text}" for name, text in describe_making().items())
    experiment = html.escape(table.experiment.iloc[0])
    with whole_file(output) as temporary:
        temporary.write_text(PAGE.format(experiment=experiment, networks="\n".join(parts), made=html.escape(making)))


def render_network(name: str, table: pd.DataFrame, lacking: pd.DataFrame) -> str:
    """A network's table, and why methods can't explain it."""
    by_measure = {measure: rows.set_index("method") for measure, rows in table.groupby("measure")}
    first = by_measure[RANKED_BY].sort_values("rank", kind="stable")
    rows = "\n".join(render_row(method, row, by_measure) for method, row in first.iterrows())
    heads = "".join(f"<th><button>{html.escape(text)}</button></th>" for text in HEAD)
    absent = "".join(
        f"<br>{html.escape(row.title)}: not applicable, because {html.escape(row.reason)}"
        for row in lacking.itertuples()
    )
    friedman, images = first.friedman_log10_p.iloc[0], first.stable_images.iloc[0]
    stable = (
        f"; an order that agrees with another sample's (ρ = 0.9) takes about {images:,.0f} images" if images > 0 else ""
    )
    note = f"Whether methods differ at all: Friedman, p = {describe_p(friedman)}{stable}.{absent}"
    return (
        f"<h2>{html.escape(network_title(name))}, n = {first.n.max():.0f}</h2>\n<p><small>{note}</small></p>\n"
        f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    )


def render_row(method: str, row: pd.Series, by_measure: dict[str, pd.DataFrame]) -> str:
    """A method's row."""
    cells = [cell(f"{row['rank']:.0f}", row["rank"]), cell(html.escape(row.title)), cell(html.escape(row.source))]
    for measure in MEASURES:
        there = measure in by_measure and method in by_measure[measure].index
        cells.append(spread_cell(by_measure[measure].loc[method]) if there else cell(""))
    same = " ≈" if row.best_equivalent == 1 else ""
    for name in ("best", "gradient"):
        p, class_p = row[f"{name}_log10_p_holm"], row[f"{name}_class_p"]
        cells.append(cell(describe_p(p) + same * (name == "best"), p) if p <= 0 else cell(""))
        cells.append(cell(f"{class_p:.2g}", class_p) if class_p >= 0 else cell(""))
    cells.append(cell(html.escape(row.ties)))
    gap = row.completeness
    cells.append(cell(f"{gap:.1e}" if gap < 0.01 else f"{gap:.2f}", gap) if gap >= 0 else cell(""))
    cells.append(cell(f"{row.seconds:.2g}", row.seconds) if row.seconds >= 0 else cell(""))
    return f"<tr>{''.join(cells)}</tr>"


def spread_cell(row: pd.Series) -> str:
    """A median and its interval."""
    if np.isnan(row["median"]):
        return cell("")
    bounds = "" if np.isnan(row.ci_low) else f" <small>{row.ci_low:.3f} to {row.ci_high:.3f}</small>"
    return cell(f"{row['median']:.3f}{bounds}", row["median"])


def cell(text: str, key: float | None = None) -> str:
    """A cell; `key` is what it is sorted by, if not its text."""
    return f"<td>{text}</td>" if key is None else f'<td data-key="{key:.6g}">{text}</td>'


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--ranks", type=Path, nargs="+", required=True, help="one file for each network")
    parser.add_argument("--reasons", type=Path, nargs="+", required=True, help="one file for each network")
    parser.add_argument("--maps", type=Path, nargs="*", default=[], help="all files of maps")
    parser.add_argument("--output", type=Path, required=True, help="page to write")
    run_command(parser, main)
