"""What was found of measures, in words: what the template of docs/measures.md calls."""

REMOVED = {  # measures of removal, in plain text
    **{"e_minus": "e₋", "e_plus": "e₊", "e_delta": "e_Δ"},
    **{"delta_e_minus": "δe₋", "delta_e_plus": "δe₊", "delta_e_delta": "δe_Δ"},
}


def list_measured(rows: list[dict[str, str]]) -> list[str]:
    """The networks that measures were compared of, in the table's order."""
    return list(dict.fromkeys(row["network"] for row in rows if row["network"]))


def rows_of(rows: list[dict[str, str]], part: str, network: str) -> list[dict[str, str]]:
    """The rows of a part of a table of measures, of one network."""
    return [row for row in rows if (row["part"], row["network"]) == (part, network)]


def compare_with_truth(rows: list[dict[str, str]], network: str) -> list[dict[str, str]]:
    """A line for each measure of removal and its operator: ρ with ground truth as it is, and of its δ."""
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows_of(rows, "truth", network):
        if not row["operator"]:  # of localisation, as the truth is
            continue
        name = row["name"].removeprefix("delta_")
        line = lines.setdefault((name, row["operator"]), {"alone": "", "delta": ""})
        numbers = [f"{float(row[key]):+.2f}" if row[key] else "—" for key in ("value", "low", "high")]
        line["delta" if name != row["name"] else "alone"] = "{} ({} to {})".format(*numbers)
    return [{"measure": title_measure(name), "operator": operator, **line} for (name, operator), line in lines.items()]


def count_survival(rows: list[dict[str, str]], network: str) -> list[dict[str, str]]:
    """A line for each measure and two operators: what the second says of pairs that differ by the first."""
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows_of(rows, "operators", network):
        value = row["value"] and (
            f"{float(row['value']):.2f}" if row["outcome"] == "rho" else f"{float(row['value']):.0f}"
        )
        lines.setdefault((row["name"], row["operator"]), {})[row["outcome"]] = value
    return [
        {"measure": title_measure(name), "operator": operator}
        | line
        | {"same": with_share(line["same"], line["significant"])}
        for (name, operator), line in lines.items()
    ]


def count_conclusions(rows: list[dict[str, str]], network: str) -> list[dict[str, str]]:
    """A line for each measure: in how many pairs all operators agree, some, none, or two contradict each other."""
    lines: dict[str, dict[str, str]] = {}
    for row in rows_of(rows, "survival", network):
        lines.setdefault(row["name"], {})[row["outcome"]] = f"{float(row['value']):.0f}"
    return [
        {"measure": title_measure(name)} | line | {"every": with_share(line["every"], line["pairs"])}
        for name, line in lines.items()
    ]


def with_share(part: str, whole: str) -> str:
    """A count and its share of another: `30 (75%)`."""
    return f"{part} ({int(part) / int(whole):.0%})" if int(whole) else part


def list_papers_claims(rows: list[dict[str, str]], network: str) -> dict:
    """The verdicts on the paper's claims by each operator, and how many are the same by all."""
    rows = rows_of(rows, "papers_claim", network)
    operators = list(dict.fromkeys(row["operator"] for row in rows))
    by_claim: dict[str, dict] = {}
    for row in rows:
        claim = by_claim.setdefault(row["name"], {"name": row["name"], "statement": row["said"], "found": {}})
        claim["found"][row["operator"]] = row["outcome"]
    claims = [
        {**claim, "verdicts": [claim["found"].get(operator, "") for operator in operators]}
        for claim in by_claim.values()
    ]
    same = sum(len(set(claim["verdicts"])) == 1 for claim in claims)
    return {"operators": operators, "claims": claims, "same": same}


def title_measure(name: str) -> str:
    """A measure's name in words: `δe₋`, `AOPC, probability`."""
    if name in REMOVED:
        return REMOVED[name]
    area, _, score = name.rpartition("_")
    return f"{area.upper() if area in ('aopc', 'srg') else area}, {score}"


FUNCTIONS = (list_measured, rows_of, compare_with_truth, count_survival, count_conclusions, list_papers_claims)
