"""Test every claim of the paper that this run can speak to, on every network that has what the test takes.

In:  the statistics of explained networks, and a shard of each, which has all layers with maps; their decayed variants'
     files, for the accuracy; the comparisons of twins; what is claimed of measures, where these were compared; the
     survey of the zoo, in whose order networks come; the list of test images, for whether they have labels, and which
     of the surveyed images they are.
Out: findings, CSV: claim, paper_network (which the paper speaks of), network (which the row speaks of), statement,
     paper, ours, test, verdict, quantity and estimate (one number of `ours`, and what it is), needed (what would decide
     it), zeros (what Wilcoxon's test does with differences of 0); and a page (HTML) made from it. A claim of single
     networks has a row for each that was measured, the paper's own first; a claim of what was not measured is left out.
     What figures show and the paper doesn't speak of is tested too, as claims of no network of the paper's; and, where
     measures were compared, what is claimed of these.
"""

from dataclasses import asdict, fields, replace
from pathlib import Path

import pandas as pd

from explanations.command import run_command, step_parser
from explanations.errors import InputError, make_again
from explanations.figures.names import network_title
from explanations.files.descriptions import read_description
from explanations.files.manifests import UNLABELLED, read_manifest
from explanations.files.tables import read_tables
from explanations.files.writing import whole_file
from explanations.provenance import describe_making
from explanations.statistics.claims import (
    CLAIMS,
    KINDS,
    MEASURE_CLAIMS,
    ZOO_GROUPS,
    AnyClaim,
    Claim,
    TwinClaim,
    ZooClaim,
)
from explanations.statistics.evidence import AGREEMENT, TOP1, Evidence, NetworkEvidence, ZooEvidence
from explanations.statistics.findings_page import render_page
from explanations.statistics.layers import read_layers
from explanations.statistics.tests import WILCOX, ZEROS
from explanations.statistics.verdicts import Finding, NotMeasuredError

NONE = "no network"  # of the paper's
COLUMNS = (
    *("claim", "paper_network", "network", "statement", "paper"),
    *(field.name for field in fields(Finding)),
    "zeros",
)


def main(
    experiment: str,
    shards: list[Path],
    decayed: list[Path],
    biases: list[Path],
    biases_other: list[Path],
    aggregates: list[Path],
    variants: list[Path],
    correlations: list[Path],
    gross_sums: list[Path],
    measure_claims: list[Path],
    twins: list[Path],
    survey_accuracy: list[Path],
    survey_outputs: list[Path],
    survey_fits: list[Path],
    survey_robustness: list[Path],
    test_images: Path,
    output: Path,
    page: Path,
    zeros: str = WILCOX,
) -> None:
    rows = read_manifest(test_images)
    labelled = any(row.label != UNLABELLED for row in rows)
    survey = {
        "accuracy": read_tables(survey_accuracy, ("network", "k", "original", "zeroed")),
        "outputs": read_tables(survey_outputs, ("network", "image", "rank", "zeroed_rank")),
        "fits": read_tables(survey_fits, ()),
        "robustness": read_tables(survey_robustness, ()),
    }
    statistics = {
        **{"biases": biases, "biases_other": biases_other, "aggregates": aggregates, "variants": variants},
        **{"correlations": correlations, "gross_sums": gross_sums, "measure_claims": measure_claims},
    }
    zoo = ZooEvidence(survey, TOP1 if labelled else AGREEMENT, zeros)
    tested = [row.path for row in rows]
    pairs = read_tables(twins, ("network_a", "network_b", "family")) if twins else None
    evidence = Evidence(collect_networks(statistics, read_layers(shards), decayed, zoo, tested), zoo, pairs)
    claims = CLAIMS + (MEASURE_CLAIMS if measure_claims else ())
    table = pd.DataFrame([row for claim in claims for row in report(claim, evidence)], columns=COLUMNS)
    with whole_file(output) as temporary:
        table.to_csv(temporary, index=False)
    with whole_file(page) as temporary:
        temporary.write_text(render_page(table, experiment, labelled, describe_making(), zeros))


def collect_networks(
    statistics: dict[str, list[Path]],
    layers: dict[str, list[int]],
    decayed: list[Path],
    zoo: ZooEvidence,
    tested: list[str],
) -> dict[str, NetworkEvidence]:
    """What there is of each explained network, in the order of the survey; InputError if that lacks one of them.

    `layers` are those with maps; `tested` the names of the test images, which decayed networks were tested on.
    """
    tables: dict[str, dict[str, pd.DataFrame]] = {}
    for name, paths in statistics.items():
        for path in paths:
            table = read_tables([path], ("network",))
            tables.setdefault(table.network.iloc[0], {})[name] = table
    records = {}
    for path in decayed:
        record = read_description(path).record
        if record["test_images"] != len(tested):
            other = f"was tested on {record['test_images']} images; the list of test images has {len(tested)}"
            raise InputError(f"{path}: {other}; {make_again(path)}")
        records[path.parent.name] = {"decayed": record["accuracy"]}
    first = zoo.tables["accuracy"]
    first = first[first.k == 1].set_index("network")
    for network in [*tables, *records]:
        if network not in first.index:
            raise InputError(f"the survey's tables of accuracy lack {network}; make the survey again")
        if network not in layers:
            raise InputError(f"the shards given are of {', '.join(layers) or 'no network'}; {network} has none")
    found = {}
    for network in first.index:
        accuracy = score_tested(zoo, network, tested) | records[network] if network in records else {}
        if network in tables or accuracy:
            images = len(tested) if accuracy else 0
            found[network] = NetworkEvidence(
                tables.get(network, {}), accuracy, images, layers[network], zoo.score, zoo.zeros
            )
    return found


def score_tested(zoo: ZooEvidence, network: str, tested: list[str]) -> dict[str, float]:
    """A network's accuracy on the test images, as it came and with its biases zeroed; InputError if a survey lacks one.

    The survey may be of the images to tune on too, which come behind the test images.
    """
    rows = zoo.tables["outputs"]
    rows = rows[rows.network == network].iloc[: len(tested)]
    if rows.image.tolist() != tested:
        raise InputError(f"the survey's table of outputs of {network} is not of the test images; make the survey again")
    return {"original": (rows["rank"] == 0).mean(), "zeroed": (rows.zeroed_rank == 0).mean()}


def report(claim: AnyClaim, evidence: Evidence) -> list[dict]:
    """A claim's rows; none of a network that lacks what the test takes, which is said."""
    rows = []
    for name, measured in choose_evidence(claim, evidence).items():
        title = network_title(name) if isinstance(claim, Claim) else name
        try:
            finding = judge(claim, title, measured)
        except NotMeasuredError as lacking:
            print(f"claim {claim.number} is not tested on {title}: this run has no {lacking}")
            continue
        rows.append(
            {
                **{"claim": claim.number, "paper_network": name_papers(claim), "network": title},
                **{"statement": claim.statement, "paper": claim.paper, **asdict(finding)},
                "zeros": evidence.zoo.zeros,
            }
        )
    return rows


def choose_evidence(claim: AnyClaim, evidence: Evidence) -> dict[str, NetworkEvidence | ZooEvidence | pd.DataFrame]:
    """What a claim is tested on: a group, of the zoo or of twins; or every explained network, the paper's own first."""
    if isinstance(claim, ZooClaim):
        return {claim.group: evidence.zoo}
    if isinstance(claim, TwinClaim):
        return {} if evidence.twins is None else {claim.group: evidence.twins}
    own = [network for network in claim.networks if network in evidence.networks]
    return {network: evidence.networks[network] for network in [*own, *evidence.networks]}


def name_papers(claim: AnyClaim) -> str:
    """Which networks the paper speaks of: `VGG-16, ResNet-50`, `without BN`."""
    return ", ".join(map(network_title, claim.networks)) or NONE if isinstance(claim, Claim) else claim.group


def judge(claim: AnyClaim, title: str, measured: NetworkEvidence | ZooEvidence | pd.DataFrame) -> Finding:
    """What a claim's test finds; InputError, naming the claim, if tables lack the rows or columns that it asks for."""
    judges = {Claim: lambda claim, measured: claim.test(measured), ZooClaim: judge_group, TwinClaim: judge_twins}
    try:
        return judges[type(claim)](claim, measured)
    except (KeyError, IndexError, AttributeError) as error:
        lacking = f"the tables of {title} lack rows or columns that it asks for"
        said = " ".join(str(error).split())
        raise InputError(f"claim {claim.number}: {lacking} ({said}); make the statistics again") from None


def judge_group(claim: ZooClaim, zoo: ZooEvidence) -> Finding:
    """What a group's test finds, and which networks it is of."""
    kinds = ZOO_GROUPS[claim.group]
    finding = claim.test(zoo.of(*kinds))
    members = {kind: list(map(network_title, zoo.networks(kind))) for kind in kinds}
    named = "; ".join(f"{len(names)} {KINDS[kind]}: {', '.join(names)}" for kind, names in members.items())
    return replace(finding, ours=f"{finding.ours}; {named}")


def judge_twins(claim: TwinClaim, twins: pd.DataFrame) -> Finding:
    """What the test of all twins finds, and which networks they are: poolings / strides."""
    finding = claim.test(twins)
    pairs = dict.fromkeys(zip(twins.network_a, twins.network_b, strict=True))
    named = "; ".join(f"{network_title(first)} / {network_title(second)}" for first, second in pairs)
    return replace(finding, ours=f"{finding.ours}; poolings / strides: {named}")


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--experiment", required=True, help="the experiment's name, for the page")
    tables = {
        "shards": "attribution shards",
        "decayed": "files <network>/decayed.safetensors",
        "biases": "activities against biases",
        "biases-other": "the same with the other upsampling",
        "aggregates": "aggregates against single layers",
        "variants": "the decayed variant against the original",
        "correlations": "correlations of attributions",
        "gross-sums": "gross sums",
        "measure-claims": "claims of measures",
    }
    for name, meaning in tables.items():
        parser.add_argument(f"--{name}", type=Path, nargs="*", default=[], help=f"{meaning}; one file for each network")
    parser.add_argument(
        "--twins", type=Path, nargs="*", default=[], help="comparisons of twins; one file for each pair"
    )
    for table in ("accuracy", "outputs", "fits", "robustness"):
        parser.add_argument(f"--survey-{table}", type=Path, nargs="+", required=True, help="one file for each network")
    parser.add_argument("--test-images", type=Path, required=True, help="list of the test images")
    meaning = "differences of 0 in the signed rank tests, of these tables and of findings"
    parser.add_argument("--zeros", choices=ZEROS, default=WILCOX, help=meaning)
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    parser.add_argument("--page", type=Path, required=True, help="HTML page to write")
    run_command(parser, main)
