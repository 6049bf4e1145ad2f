"""Test every claim of the paper that this run can speak to.

In:  the statistics of both networks, their files (for their accuracy), and the survey of the zoo.
Out: findings, CSV: claim, network, statement, paper, ours, test, verdict; and a page (HTML) made from it.
"""

import html
from pathlib import Path

import pandas as pd

from explanations.claims import CLAIMS, Claim, Evidence
from explanations.command import InputError, run_command, step_parser
from explanations.descriptions import read_description
from explanations.tables import read_tables
from explanations.verdicts import Finding
from explanations.writing import whole_file

NETWORKS = ("vgg16", "resnet50")
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Findings: {experiment}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #ddd; }}
.supported {{ color: #00674b; font-weight: 600; }}
.not {{ color: #a4371f; font-weight: 600; }}
.undecided {{ color: #666; }}
</style>
<h1>The paper's claims in the experiment “{experiment}”</h1>
<p>Each claim of “Measuring and improving the quality of visual explanations” (Grabska-Barwińska, 2020) that this run
can speak to: {counts}. The tests and thresholds were fixed before the run. A small experiment on other images and
networks may not decide what the paper's did: that is said, not hidden.</p>
<table>
<tr>{header}</tr>
{rows}
</table>
</html>
"""


def main(
    experiment: str,
    decayed: list[Path],
    biases: Path,
    biases_other: Path,
    aggregates: list[Path],
    variants: Path,
    correlations: list[Path],
    gross_sums: Path,
    survey_accuracy: list[Path],
    survey_outputs: list[Path],
    survey_fits: list[Path],
    survey_robustness: list[Path],
    output: Path,
    page: Path,
) -> None:
    survey = read_tables(survey_accuracy, ("network", "k", "original", "zeroed"))
    accuracy, tested = read_accuracies(decayed, survey)

    def read(path: Path) -> pd.DataFrame:
        return read_tables([path], ())

    evidence = Evidence(
        biases=read(biases),
        biases_other=read(biases_other),
        aggregates=dict(zip(NETWORKS, map(read, aggregates), strict=True)),
        variants=read(variants),
        correlations=dict(zip(NETWORKS, map(read, correlations), strict=True)),
        gross_sums=read(gross_sums),
        accuracy=accuracy,
        tested_images=tested,
        survey={
            "accuracy": survey,
            "outputs": read_tables(survey_outputs, ()),
            "fits": read_tables(survey_fits, ()),
            "robustness": read_tables(survey_robustness, ()),
        },
    )
    rows = []
    for claim in CLAIMS:
        finding = judge(claim, evidence)
        row = {"claim": claim.number, "network": claim.network, "statement": claim.statement, "paper": claim.paper}
        rows.append({**row, "ours": finding.ours, "test": finding.test, "verdict": finding.verdict})
    table = pd.DataFrame(rows)
    with whole_file(output) as temporary:
        table.to_csv(temporary, index=False)
    with whole_file(page) as temporary:
        temporary.write_text(render_page(table, experiment))


def judge(claim: Claim, evidence: Evidence) -> Finding:
    """What a claim's test finds; InputError, naming the claim, if tables lack the rows or columns that it asks for."""
    try:
        return claim.test(evidence)
    except (KeyError, IndexError, AttributeError) as error:
        lacking = f"{claim.network}'s tables lack rows or columns that it asks for"
        said = " ".join(str(error).split())
        raise InputError(f"claim {claim.number}: {lacking} ({said}); make the statistics again") from None


def read_accuracies(decayed: list[Path], survey: pd.DataFrame) -> tuple[dict[str, dict[str, float]], int]:
    """Top-1 accuracy by network and variant, and the number of test images, from decayed networks and the survey."""
    accuracy: dict[str, dict[str, float]] = {}
    tested = 0
    for path in decayed:
        name, record = path.parent.name, read_description(path).record
        found = survey[(survey.network == name) & (survey.k == 1)]
        if found.empty:
            raise InputError(f"{path}: the survey's tables of accuracy lack {name}; make the survey again")
        usual = found.iloc[0]
        accuracy[name] = {"original": usual.original, "zeroed": usual.zeroed, "decayed": record["accuracy"]}
        tested = record["test_images"]
    return accuracy, tested


def render_page(table: pd.DataFrame, experiment: str) -> str:
    """The findings as an HTML page."""
    counts = ", ".join(f"{count} {html.escape(verdict)}" for verdict, count in table.verdict.value_counts().items())
    header = "".join(f"<th>{html.escape(name)}</th>" for name in table.columns)
    rows = []
    for row in table.itertuples(index=False):
        *cells, verdict = (html.escape(str(value)) for value in row)
        cells = [f"<td>{cell}</td>" for cell in cells]
        rows.append(f"<tr>{''.join(cells)}<td class='{verdict.split()[0]}'>{verdict}</td></tr>")
    return PAGE.format(experiment=html.escape(experiment), counts=counts, header=header, rows="\n".join(rows))


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--experiment", required=True, help="the experiment's name, for the page")
    parser.add_argument("--decayed", type=Path, nargs=2, required=True, help="files <network>/decayed.safetensors")
    parser.add_argument("--biases", type=Path, required=True, help="VGG-16: activities against biases")
    parser.add_argument("--biases-other", type=Path, required=True, help="the same with the other upsampling")
    parser.add_argument("--aggregates", type=Path, nargs=2, required=True, help="aggregates: VGG-16, ResNet-50")
    parser.add_argument("--variants", type=Path, required=True, help="ResNet-50: decayed against original")
    parser.add_argument("--correlations", type=Path, nargs=2, required=True, help="correlations: VGG-16, ResNet-50")
    parser.add_argument("--gross-sums", type=Path, required=True, help="ResNet-50: gross sums")
    for table in ("accuracy", "outputs", "fits", "robustness"):
        parser.add_argument(f"--survey-{table}", type=Path, nargs="+", required=True, help="one file for each network")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    parser.add_argument("--page", type=Path, required=True, help="HTML page to write")
    run_command(parser, main)
