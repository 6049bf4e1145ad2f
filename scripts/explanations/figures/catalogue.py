"""The figures that there are: a title for targets, report and README, and which networks each can show.

`figures.networks.<figure>` in the configuration chooses among them; left out, a figure shows all that have what it
needs, one of a single network the first of them. A figure for which there is none is not made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from explanations.errors import InputError
from explanations.figures.names import network_title
from explanations.methods.names import parse_method
from explanations.plan import Plan

# as the report sorts them; the findings come first, see workflow/rules/statistics.smk
MAIN, SUPPLEMENT, BEYOND = "2. Figures", "3. Supplementary figures", "4. Beyond the paper"


@dataclass(frozen=True)
class Need:
    """What a figure asks of a network: in words, after `a network`, and whether a network of a plan has it."""

    what: str
    holds: Callable[[Plan, str], bool]


ANY = Need("at all", lambda plan, name: True)
EXPLAINED = Need("that is explained (networks.<name>.explain)", lambda plan, name: bool(plan.groups(name)))
BIASES = Need("explained by layers and biases", lambda plan, name: plan.has(name, "layers", "biases"))
OTHER_UPSAMPLING = Need(
    "explained by layers and biases with another upsampling (saliency.other_upsampling)",
    lambda plan, name: bool(plan.other) and plan.has(name, "layers", "biases", upsampling=plan.other),
)
AGGREGATES = Need("explained by layers and aggregates", lambda plan, name: plan.has(name, "layers", "aggregates"))
BOTH = "explained by layers and {}, pixels removed in both orders (networks.<name>.orders)"
BIASES_IN_BOTH = Need(BOTH.format("biases"), lambda plan, name: BIASES.holds(plan, name) and plan.compares_orders(name))
AGGREGATES_IN_BOTH = Need(
    BOTH.format("aggregates"), lambda plan, name: AGGREGATES.holds(plan, name) and plan.compares_orders(name)
)
COMPARED = Need("explained in another variant than the original", lambda plan, name: plan.is_compared(name))
DECAYED = Need("explained as its biases decayed (explain, decay)", lambda plan, name: "decayed" in plan.variants(name))
SIGNED = Need(
    "explained by layers and signed maps as its biases decayed (explain, decay)",
    lambda plan, name: plan.has(name, "layers", "signed") and plan.has(name, "layers", "signed", variant="decayed"),
)
MEASURED = Need(
    "explained, by several operators, with curves or patches (removal.operators, removal.curves, removal.patches)",
    lambda plan, name: plan.compares_measures(name),
)
PAIRED = Need(
    "explained by layers and aggregates as its twin is (twins)",
    lambda plan, name: any(name in twins for twins in plan.twins),
)
DECAYS = Need("whose biases decay (decay)", lambda plan, name: "decay" in plan.networks[name])
TRIALS = Need(
    "with trials of decay (decay_trials)", lambda plan, name: any(plan.networks[name].get("decay_trials", {}).values())
)


@dataclass(frozen=True)
class Figure:
    """A figure: its title, in which {} are the networks shown, its place in the report, and what it needs of them.

    `single`: it shows one network. `like` and `unlike`: unless the configuration chooses, it shows the networks of
    another figure, or those that have what it needs and aren't shown in others. `twins`: it shows
    all twins, without a choice. Without a need it shows no network.
    """

    title: str
    category: str
    need: Need | None = ANY
    single: bool = False
    like: str = ""
    unlike: tuple[str, ...] = ()
    twins: bool = False


FIGURES = {
    "fig1": Figure("a linear classifier's weights and decompositions", MAIN, None),
    "fig2": Figure("{}: all attributions of one image", MAIN, EXPLAINED, single=True),
    "fig3": Figure("accuracy of the zoo before and after biases are zeroed", MAIN),
    "fig4": Figure("{}: activity attributions with and without biases", MAIN, DECAYED, single=True),
    "fig5": Figure("{}: activities against biases, δe₋", MAIN, BIASES, single=True),
    "fig6": Figure("aggregating over layers", MAIN, AGGREGATES),
    "fig7": Figure("example saliency maps", MAIN, EXPLAINED),
    "figS1": Figure("accuracy as the input is scaled", SUPPLEMENT),
    "figS2": Figure("accuracy as the input is shifted", SUPPLEMENT),
    "figS3": Figure("accuracy lost without biases", SUPPLEMENT),
    "figS4": Figure("correlations of outputs with and without biases", SUPPLEMENT),
    "figS5": Figure("outputs without biases as a function of those with", SUPPLEMENT),
    "figS6": Figure("accuracy while biases decay", SUPPLEMENT, DECAYS),
    "figS7": Figure("{}: other numbers of decay steps, other temperatures", SUPPLEMENT, TRIALS, single=True),
    "figS8": Figure("spatial correlations of attributions", SUPPLEMENT, COMPARED),
    "figS9": Figure("{}: signed maps with and without biases", SUPPLEMENT, SIGNED, single=True),
    "figS10": Figure("{}: averaged signed maps", SUPPLEMENT, SIGNED, single=True, like="figS9"),
    "figS11": Figure("{}: unsigned maps with and without biases", SUPPLEMENT, SIGNED, single=True, like="figS9"),
    "figS12": Figure("as figure 5, another upsampling", SUPPLEMENT, OTHER_UPSAMPLING, single=True, like="fig5"),
    "figS13": Figure("as figure 5, e_Δ", SUPPLEMENT, BIASES_IN_BOTH, single=True, like="fig5"),
    "figS14": Figure("δe₋, δe₊, δe_Δ", SUPPLEMENT, AGGREGATES_IN_BOTH, like="fig6"),
    "figS15": Figure("e₋, e₊, e_Δ", SUPPLEMENT, AGGREGATES_IN_BOTH, like="fig6"),
    "figS16": Figure("removal by noise maps", SUPPLEMENT, AGGREGATES_IN_BOTH, like="fig6"),
    "figT": Figure("twins, which halve their maps by poolings or by strides", BEYOND, PAIRED, twins=True),
    "figM": Figure("aggregating over layers of other networks", BEYOND, AGGREGATES, unlike=("fig6", "figT")),
    "figB": Figure("all methods in the order of δe₋", BEYOND, EXPLAINED),
    "figL": Figure("agreement of measures, with ground truth and with each other", BEYOND, MEASURED),
    "figP": Figure("{}: images, decisions, and maps with their own measurement", BEYOND, EXPLAINED, single=True),
}
EXAMPLES = ("fig7", "figP")  # figures.<figure>.methods names their networks
CHOOSABLE = [name for name, figure in FIGURES.items() if figure.need and not figure.twins and name not in EXAMPLES]


def choose_networks(plan: Plan, settings: Mapping) -> dict[str, list[str]]:
    """The networks that each figure shows, none if it can't be made, by a configuration's `figures`.

    InputError for a choice of a network that hasn't what the figure needs, of several for a figure of one, and for a
    figure that shows none.
    """
    chosen = settings.get("networks", {})
    for name in chosen:
        if name not in CHOOSABLE:
            shows_others = name in FIGURES and FIGURES[name].need
            other = f"; {name} shows those of {_key_of_networks(name)}" if shows_others else ""
            raise InputError(f"figures.networks.{name}: allowed are {', '.join(CHOOSABLE)}{other}")
    for network in settings.get("no_fullgrad", ()):
        if network not in plan.networks:
            raise InputError(f"figures.no_fullgrad: {network} is no network; there are {', '.join(plan.networks)}")
    shown: dict[str, list[str]] = {}
    for name, figure in FIGURES.items():
        asked = _name_examples(name, settings) if name in EXAMPLES else chosen.get(name)
        shown[name] = _default(figure, plan, shown) if asked is None else asked
        if asked is not None:
            _check_choice(name, asked, plan)
        if asked and name in EXAMPLES:
            _check_methods(name, settings[name]["methods"], plan)
    return shown


def _name_examples(name: str, settings: Mapping) -> list[str]:
    """The networks of which a figure of examples shows maps; none if its section is left out."""
    return [network for network, methods in settings.get(name, {}).get("methods", {}).items() if methods]


def _default(figure: Figure, plan: Plan, shown: Mapping[str, list[str]]) -> list[str]:
    if figure.need is None:
        return []
    if figure.twins:
        return [name for twins in plan.twins for name in twins]
    names = shown[figure.like] if figure.like else plan.networks
    elsewhere = {name for other in figure.unlike for name in shown[other]}
    able = [name for name in names if figure.need.holds(plan, name) and name not in elsewhere]
    return able[:1] if figure.single else able


def _check_choice(name: str, asked: list[str], plan: Plan) -> None:
    figure, key = FIGURES[name], _key_of_networks(name)
    if figure.single and len(asked) > 1:
        raise InputError(f"{key} is {', '.join(asked)}; allowed is one network")
    for network in asked:
        if network not in plan.networks:
            raise InputError(f"{key}: {network} is no network; there are {', '.join(plan.networks)}")
        if not figure.need.holds(plan, network):
            raise InputError(f"{key}: {network} can't be shown; allowed is a network {figure.need.what}")


def _key_of_networks(name: str) -> str:
    if name in EXAMPLES:
        return f"figures.{name}.methods"
    return "twins" if FIGURES[name].twins else f"figures.networks.{name}"


def _check_methods(name: str, methods: Mapping[str, list[str]], plan: Plan) -> None:
    """InputError, naming the key, for a method that there isn't or, under its maps' measurement, that has none.

    Whether a layer has a map, and is measured, is known once the network's graph is traced.
    """
    for network, chosen in methods.items():
        for place, method in enumerate(chosen):
            key = f"figures.{name}.methods.{network}.{place}"
            try:
                kind = parse_method(method).all_layers
            except InputError as error:
                raise InputError(f"{key}: {error}") from None
            run = plan.find_run(network, "original", plan.usual)
            if name == "figP" and kind not in run.methods:
                measured = ", ".join(map(str, run.methods))
                raise InputError(f"{key} is {method}, by which no pixels are removed; allowed are maps of {measured}")


def can_be_made(name: str, shown: Mapping[str, list[str]]) -> bool:
    """Whether a figure has a network to show, or shows none."""
    return bool(shown[name]) or FIGURES[name].need is None


def say_what_lacks(name: str, settings: Mapping) -> str:
    """Why a figure that can't be made can't, by a configuration's `figures`: one line."""
    if name in EXAMPLES or name in settings.get("networks", {}):
        return f"{name} can't be made: {_key_of_networks(name)} names no network"
    others = FIGURES[name].unlike
    beside = f", which {' and '.join(others)} {'do' if len(others) > 1 else 'does'}n't show" if others else ""
    return f"{name} can't be made: it shows a network {FIGURES[name].need.what}{beside}, and the configuration has none"


def figure_title(name: str, networks: list[str]) -> str:
    """A figure's title, of the networks that it shows."""
    return FIGURES[name].title.format(", ".join(map(network_title, networks)) or "no network")


def note_stages(networks: list[str], plan: Plan) -> str:
    """What a caption says of the networks shown that removal measured at some of their layers; nothing of others."""
    in_part = [network_title(name) for name in networks if plan.networks[name].get("layers") == "stages"]
    if not in_part:
        return ""
    which = f"Not all layers of {', '.join(in_part)} were measured"
    return f"{which} (``networks.<name>.layers: stages``): the others are not shown."


def report_number(name: str) -> str:
    """A figure's number as the report sorts it, as text: S01 before S10."""
    number = name.removeprefix("fig")
    return f"S{int(number[1:]):02d}" if number[1:] else number
