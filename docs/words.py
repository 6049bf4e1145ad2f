"""Facts in words: what the pages' templates call."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats

from explanations.figures.names import NETWORKS
from explanations.methods.registry import METHODS
from explanations.methods.sources.registry import SOURCES, count_passes
from explanations.statistics.counting import is_papers
from explanations.statistics.verdicts import ALPHA, describe_p

COUNTS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

PAPERS = "decomposition"  # the source of methods that read it
EACH = {"": "", "channel": " a channel", "stage": " a size of maps"}  # what a method takes passes for each of
NAMED = {  # methods of sources with one alone
    **{"fullgrad": "FullGrad", "cam": "CAM", "mean": "the mean map", "blurred": "blurred maps", "rise": "RISE"},
    **{"file": "your function", "maps": "your maps"},
}

MARKS = {"supported": "+", "undecided": "?", "not supported": "−"}  # of verdicts, in a table of many


class Extent(NamedTuple):
    """The least and the greatest of some networks' numbers, and whose they are."""

    low: float
    high: float
    lowest: str
    highest: str
    count: int


class Tally(NamedTuple):
    """Comparisons of methods a with b: those significantly better and worse than b, of how many, and the least log10 p.

    `log10_p` is that of the better ones; None if there is none.
    """

    better: list[str]
    worse: list[str]
    count: int
    log10_p: float | None


def find_extent(networks: dict[str, dict], key: str, normalisation: str | None = None) -> Extent:
    """The extent of a number over networks, or those of one kind of normalisation."""
    kinds = {name: network for name, network in networks.items() if normalisation in (None, network["normalisation"])}
    values = {name: network[key] for name, network in kinds.items() if network[key] is not None}
    lowest, highest = min(values, key=values.get), max(values, key=values.get)
    return Extent(values[lowest], values[highest], name_network(lowest), name_network(highest), len(values))


def choose_networks(networks: dict[str, dict], key: str, low: float, high: float, normalisation: str) -> list[str]:
    """The names of those networks of a kind of normalisation whose number lies between two bounds."""
    return [
        name_network(name)
        for name, network in networks.items()
        if network["normalisation"] == normalisation and network[key] is not None and low <= network[key] <= high
    ]


def tally(rows: Iterable[list], *, against: str = "", without: tuple[str, ...] = ()) -> Tally:
    """Count comparisons [a, b, median difference, effect size, log10 p] by their outcome.

    `against`: those with this b alone; `without`: but for these a.
    """
    rows = [row for row in rows if against in ("", row[1]) and row[0] not in without]
    significant = [row for row in rows if row[4] < np.log10(ALPHA)]
    better, worse = ([row for row in significant if row[3] * sign > 0] for sign in (1, -1))
    p = min((row[4] for row in better), default=None)
    return Tally([row[0] for row in better], [row[0] for row in worse], len(rows), p)


def mirror(rows: Iterable[list]) -> list[list]:
    """Comparisons of a with b as those of b with a."""
    return [[b, a, -difference, -effect, p] for a, b, difference, effect, p in rows]


def find_row(rows: Iterable[list], a: str, b: str) -> list:
    """The comparison of a with b."""
    return next(row for row in rows if row[:2] == [a, b])


def list_names(names: list[str]) -> str:
    """Some names as a text: `A, B and C`; `none` without any."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "none"


def list_layers(methods: Iterable[str]) -> str:
    """The layers that methods are of, in words: `layers 1, 2 and 4`, `layer 3`, `the input`, `none`."""
    numbers = sorted(0 if method == "input" else int(method.rpartition("_")[2]) for method in methods)
    layers = [str(number) for number in numbers if number]
    text = f"layer{'s' * (len(layers) > 1)} {list_names(layers)}" if layers else ""
    return list_names(["the input"] * (0 in numbers) + [text] * bool(text))


def name_network(name: str) -> str:
    """A network's name as figures have it."""
    return NETWORKS.get(name, name)


def name_group(networks: dict[str, dict], normalisation: str) -> str:
    """The names of all networks of a kind of normalisation."""
    return list_names([name_network(name) for name in networks if networks[name]["normalisation"] == normalisation])


def rank(methods: dict[str, float], pattern: str) -> list[str]:
    """Those methods whose whole name is as a regular expression has it, the one with the largest number first."""
    chosen = [name for name in methods if re.fullmatch(pattern, name)]
    return sorted(chosen, key=lambda name: -methods[name])


def name_method(method: str, layers: Iterable[str]) -> str:
    """A method in words, of a network with these layers."""
    kind, _, number = method.rpartition("_")
    if kind == "activity_from":
        taken = [layer for layer in map(int, layers) if layer >= int(number)]
        below = [layer for layer in map(int, layers) if 0 < layer < int(number)]
        return f"the top {write_count(len(taken))} layers" if below else "all layers"
    return f"layer {number}" if kind == "activity" else method.replace("_", " ")


def list_figures(targets: Iterable[str]) -> list[str]:
    """The targets that are figures, in the paper's order, then those beyond it."""

    def place(figure: str) -> tuple:
        series, number = re.fullmatch(r"fig([A-Z]*)(\d*)", figure).groups()
        return not number, series, int(number or 0)

    return sorted((name for name in targets if re.fullmatch(r"fig([A-Z]*\d+|[A-Z])", name)), key=place)


def list_trials(decays: Mapping[str, Mapping]) -> list[tuple[str, Mapping]]:
    """A network's decays but its usual one, in words: `10 steps`, `T = 50`; by their numbers."""
    trials = [(*name.split("-", 1), decay) for name, decay in decays.items() if name != "decayed"]
    written = {"steps": "{:g} steps", "temperature": "T = {:g}"}
    ordered = sorted(trials, key=lambda trial: (trial[0], float(trial[1])))
    return [(written[setting].format(float(value)), decay) for setting, value, decay in ordered]


def write_count(number: int) -> str:
    """A number of things: a word up to twelve."""
    return COUNTS[number] if number < len(COUNTS) else f"{number:,}"


def write_percent(share: float, digits: int = 0) -> str:
    """A share in percent; `<1%` where it would round to a nothing that it isn't."""
    text = f"{share:.{digits}%}"
    least = f"{0:.{digits}%}"
    return f"<{10**-digits:.{digits}f}%" if text == least and share > 0 else text.replace(f"-{least}", least)


def write_number(value: float, digits: int = 2) -> str:
    """A number with so many decimals, without the sign of one that rounds to 0."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def write_points(share: float) -> str:
    """A difference of shares in percent points: as a whole number from 10 on."""
    return f"{100 * share:.{0 if abs(share) >= 0.0995 else 1}f}"


def write_duration(seconds: float) -> str:
    """Seconds below a minute and a half, then minutes."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def papers_findings(findings: list[dict]) -> list[dict]:
    """The findings on the networks that the paper makes each claim of."""
    return [finding for finding in findings if is_papers(finding["paper_network"], finding["network"])]


def other_findings(findings: list[dict]) -> list[dict]:
    """The findings on networks of which the paper doesn't make the claim."""
    return [finding for finding in findings if not is_papers(finding["paper_network"], finding["network"])]


def find_claim(findings: list[dict], number: str) -> list[dict]:
    """The findings on a claim, on the networks that the paper makes it of."""
    return [finding for finding in papers_findings(findings) if finding["claim"] == number]


def quote_claim(findings: list[dict], number: str) -> str:
    """What a run has for a claim: `VGG-16: …; ResNet-50: …`; without a name if the paper makes it of one network."""
    found = find_claim(findings, number)
    if len(found) == 1:
        return found[0]["ours"]
    return "; ".join(f"{finding['network']}: {finding['ours']}" for finding in found)


def cross_networks(findings: list[dict]) -> tuple[list[str], list[tuple[dict, list[str]]]]:
    """Claims that were tested on other networks than the paper's: (networks, [(a finding of the claim, marks)]).

    A mark for each network: + supported, − not supported, ? undecided; in bold of those that the paper makes the claim
    of; empty where it could not be tested.
    """
    crossed = {finding["claim"] for finding in other_findings(findings)}
    chosen = [finding for finding in findings if finding["claim"] in crossed]
    networks = list(dict.fromkeys(finding["network"] for finding in chosen))
    marks: dict[str, dict[str, str]] = {}
    for finding in chosen:
        mark = MARKS[finding["verdict"]]
        own = is_papers(finding["paper_network"], finding["network"])
        marks.setdefault(finding["claim"], {})[finding["network"]] = f"**{mark}**" if own else mark
    first = {finding["claim"]: finding for finding in reversed(chosen)}
    return networks, [(first[claim], [row.get(name, "") for name in networks]) for claim, row in marks.items()]


def find_in_seeds(finding: dict, seeds: list[dict]) -> list[dict]:
    """What other seeds found of the same claim on the same network."""
    return [row for row in seeds if (row["claim"], row["network"]) == (finding["claim"], finding["network"])]


def spread_over_seeds(finding: dict, seeds: list[dict]) -> str:
    """In how many of all seeds the finding's verdict holds, and the range of their estimates; empty if none has it."""
    others = find_in_seeds(finding, seeds)
    if not others:
        return ""
    verdicts = [finding["verdict"], *(row["verdict"] for row in others)]
    estimates = [float(row["estimate"]) for row in (finding, *others) if row["estimate"] not in (None, "")]
    held = f"{verdicts.count(finding['verdict'])} of {len(verdicts)}"
    spread = f"; {finding['quantity']} {min(estimates):.2g} to {max(estimates):.2g}" if estimates else ""
    return (held + spread).replace("|", "\\|")


def count_held(findings: list[dict], seeds: list[dict]) -> dict[str, int]:
    """How many findings other seeds have too; on how many all agree; how many one seed supports and another refutes."""
    verdicts = []
    for finding in findings:
        others = {row["verdict"] for row in find_in_seeds(finding, seeds)}
        verdicts += [others | {finding["verdict"]}] if others else []
    agreed = sum(len(verdict) == 1 for verdict in verdicts)
    opposed = sum({"supported", "not supported"} <= verdict for verdict in verdicts)
    return {"asked": len(verdicts), "agreed": agreed, "opposed": opposed}


def count_verdicts(findings: list[dict]) -> dict[str, int]:
    """How many findings have each verdict."""
    verdicts = [finding["verdict"] for finding in findings]
    return {verdict: verdicts.count(verdict) for verdict in MARKS}


def count_alike(rows: list[dict]) -> int:
    """How many methods of a leaderboard are tied with the first."""
    return sum(not set(row["ties"]).isdisjoint(rows[0]["ties"]) for row in rows[1:])


def list_ranks(rows: list[dict]) -> list[tuple[int, str]]:
    """The ranks and titles of a leaderboard's methods that don't read the decomposition, and of the gradient."""
    ranked = enumerate(rows, start=1)
    return [(place, row["title"]) for place, row in ranked if row["source"] != PAPERS or row["title"] == "Gradient"]


def list_own_methods(applies: list[dict]) -> list[dict[str, str]]:
    """The methods with passes of their own, each by what the tables of methods say of it.

    `applies`: the rows of docs/applies.csv, which networks each method explains.
    """
    rows = []
    for source, entry in SOURCES.items():
        for name, known in entry.names.items():
            settings = ", ".join(f"{key}: {value}" for key, value in known.settings.items() if value != "")
            settings = ", ".join([*entry.taken, *filter(None, [settings])])
            asked = {"source": source} | ({"name": name} if name else {}) | dict.fromkeys(entry.taken, "x")
            tried = [row for row in applies if (row["source"], row["method"]) == (source, name)]
            row = {"name": name or NAMED[source], "source": f"`{source}`", "needs": known.needs}
            row |= {"settings": settings, "explains": describe_networks(tried)}
            passes = "its own" if entry.free else f"{count_passes(asked, 224):,}{EACH[known.each]}"
            rows.append(row | {"passes": passes})
    return rows


def group_methods(methods: list[dict[str, str]]) -> list[dict[str, str]]:
    """Methods of one source that need the same, and explain the same networks, as one row, in order."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for method in methods:
        key = (method["source"], method["needs"], method["explains"])
        groups.setdefault(key, []).append(f"{method['name']} ({method['passes']})")
    return [
        {"source": source, "methods": ", ".join(names), "needs": needs, "explains": explains}
        for (source, needs, explains), names in groups.items()
    ]


def describe_networks(tried: list[dict]) -> str:
    """The networks that a method explains, of those that it was tried on; or the others, if these are fewer."""
    explained = [row["network"] for row in tried if not row["reason"]]
    others = [row["network"] for row in tried if row["reason"]]
    if not others:
        return f"all {len(tried)}" if tried else ""
    return ", ".join(explained) or "none" if len(explained) <= len(others) else f"all but {', '.join(others)}"


def compare_with_libraries(rows: list[dict[str, str]]) -> list[tuple[str, ...]]:
    """A line of each method that was timed: source, name, and of each network the library's ms, and ours as a ratio."""
    networks = list(dict.fromkeys(row["network"] for row in rows))
    table = {(row["source"], row["method"]): [""] * 2 * len(networks) for row in rows}
    for row in rows:
        place = 2 * networks.index(row["network"])
        said = (f"{1000 * float(row['library']):,.1f}", row["ratio"])
        table[row["source"], row["method"]][place : place + 2] = said
    header = ("method", "source", *(text for name in networks for text in (f"{name_network(name)}, ms alone", "ours")))
    return [header, *((method, f"`{source}`", *said) for (source, method), said in table.items())]


def choose_planted(rows: list[dict[str, str]], network: str) -> list[dict[str, str]]:
    """A network's methods on planted evidence, of single layers the top one, of means over layers that of all."""
    own = [row for row in rows if row["network"] == network]
    layers = [int(row["method"].rpartition("_")[2]) for row in own if re.fullmatch(r"activity_\d+", row["method"])]
    shown = {f"activity_{max(layers, default=0)}", "activity_from_1"}
    return [row for row in own if row["method"] in shown or not re.fullmatch(r"activity_(from_)?\d+", row["method"])]


def correlate_planted(rows: list[dict[str, str]], network: str, first: str, second: str) -> float:
    """Spearman's ρ of the orders of all of a network's methods on planted evidence by two measures."""
    own = [row for row in rows if row["network"] == network]
    return float(stats.spearmanr(*([float(row[measure]) for row in own] for measure in (first, second))).statistic)


def list_papers_methods() -> list[tuple[str, str]]:
    """The methods that read the stored decomposition, by kind, with their titles."""
    return [(kind, " ".join(entry.title.format("l").split())) for kind, entry in METHODS.items()]


FILTERS = {
    **{"percent": write_percent, "points": write_points, "duration": write_duration, "count": write_count},
    "number": write_number,
    **{"layers": list_layers, "names": list_names, "network": name_network, "p": describe_p},
}
FUNCTIONS = (
    *(find_extent, choose_networks, tally, mirror, find_row, rank, name_method, name_group),
    *(papers_findings, other_findings, find_claim, quote_claim, cross_networks, count_verdicts),
    *(spread_over_seeds, count_held, list_own_methods, group_methods, list_papers_methods),
    *(count_alike, list_ranks, compare_with_libraries),
    *(list_figures, list_trials, choose_planted, correlate_planted),
)
