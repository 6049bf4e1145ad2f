"""What is measured of which network, from the configuration alone: rules, costs and statistics read it.

`networks.<name>.explain` names groups of methods, `true` all that there is something to compare with;
`networks.<name>.variants` names the variants that are explained, all that the network has if it is left out. A network
that isn't explained is surveyed, and nothing else. Methods with passes of their own, which `methods` declares, are
groups of one each.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from explanations.data.sets import find_set
from explanations.errors import InputError
from explanations.files.operators import PAPERS_OPERATOR
from explanations.files.orders import ORDERS
from explanations.methods.names import MethodName, all_kinds, check_own_name, parse_kind, parse_method
from explanations.methods.sources.registry import SOURCES, complete_settings, say_no_maker

PAPERS_GROUPS = {  # what the paper's figures and claims compare, in the order of results
    "layers": ("gradient", "input", "activity"),
    "biases": ("bias",),
    "aggregates": ("activity_from", "activity_with_input", "fullgrad", "fullgrad_feature", "gradcam"),
    "signed": ("signed_activity", "signed_activity_from"),
}
GROUPS = PAPERS_GROUPS | {  # what a network's explain names: any other method is a group by itself
    str(kind): (str(kind),) for kind in all_kinds() if str(kind) not in chain(*PAPERS_GROUPS.values())
}
LOCALISED = ("layers", "biases", "aggregates")  # what is held against masks, whatever a network is explained by
RESCALED = ("signed",)  # Eq. 10 moves what was 0: the grid pointing game can't tell what of these maps is positive
VARIANTS = ("original", "zeroed", "decayed")
SANITY = {"images": 20, "steps": 5, "shift": 0.5}  # of a configuration that leaves them out


@dataclass(frozen=True)
class Run:
    """Pixels are removed by the methods of some groups, from the maps of a network's variant with an upsampling.

    In which orders follows from what figures and findings read: both, or e₋ alone.
    """

    network: str
    variant: str
    upsampling: str
    groups: tuple[str, ...]
    compares_orders: bool = False
    operator: str = ""  # what removed pixels become, if it isn't what the first of `removal.operators` makes of them

    @property
    def folder(self) -> str:
        """What its results and statistics are named after."""
        return f"{self.variant}-{self.upsampling}{suffix_of(self.operator)}"

    @property
    def methods(self) -> list[MethodName]:
        """The kinds of methods measured, in the order of their groups."""
        return methods_of(*self.groups)

    def orders(self, kind: MethodName) -> tuple[str, ...]:
        """The orders in which pixels are removed by a kind of method; of signed maps, e₋ alone is compared."""
        return ORDERS if self.compares_orders and not kind.signed else ORDERS[:1]


class Twins(NamedTuple):
    """Two networks that differ in how they halve their maps alone: by poolings, or by strides (Suppl. F.2)."""

    poolings: str
    strides: str

    @property
    def name(self) -> str:
        """What their statistics are named after."""
        return f"{self.poolings}-{self.strides}"


def suffix_of(operator: str) -> str:
    """What is added to names of results of an operator that isn't the first, whose have none."""
    return f"-{operator}" if operator else ""


def methods_of(*groups: str) -> list[MethodName]:
    """The kinds of methods of some groups, in order; a group that isn't listed is a method with passes of its own."""
    return [
        kind
        for group in groups
        for kind in (map(parse_kind, GROUPS[group]) if group in GROUPS else [MethodName(group)])
    ]


def list_twins(config: Mapping) -> list[Twins]:
    """All twins that a configuration names."""
    return [Twins(**pair) for pair in config.get("twins", ())]


class Plan:
    """What a configuration asks for, which has passed its schema and `check_plan`."""

    def __init__(self, config: Mapping):
        self.networks: Mapping[str, Mapping] = config["networks"]
        self.own: Mapping[str, Mapping] = config.get("methods", {})  # methods with passes of their own
        self.usual, other = config["saliency"]["upsampling"], config["saliency"]["other_upsampling"]
        self.other = "" if other == self.usual else other  # empty: there is no other
        removal = config.get("removal", {})
        self.operator, *self.operators = removal.get("operators", [PAPERS_OPERATOR])  # the first, and further ones
        self.curves = removal.get("curves", False)
        # the paper's e is read off curves, unless their decisions aren't float32's, or they go by another grid than it
        self._checked = removal.get("precision") in ("float32", "auto") and not removal.get("grid_plus")
        self.patches = removal.get("patches", 0)  # in a row of an image, each removed alone; 0: none is
        pointing = config.get("grid_pointing", {})
        self.grids = pointing.get("grids", 0)  # of the grid pointing game
        self._playing = pointing.get("methods")  # its groups of methods; None: all that can play
        images = config["images"]  # which say where objects are: their data set, masks or boxes beside them
        self.localised = bool(find_set(images["source"]).masks or images.get("masks") or images.get("boxes"))
        self.planted = bool(images.get("planted"))  # then it is shown, too, that the objects alone decide
        self.explained = [name for name in self.networks if self.groups(name)]
        self.twins = [
            twins for twins in list_twins(config) if all(self.has(name, "layers", "aggregates") for name in twins)
        ]

    def groups(self, network: str) -> tuple[str, ...]:
        """The groups of methods that a network is explained by; none if it isn't."""
        asked = self.networks[network].get("explain", False)
        known = (*GROUPS, *self.own)
        if asked is True:  # signed maps are there to be compared with those of the decayed variant
            return tuple(group for group in known if group != "signed" or "decayed" in self._all_variants(network))
        return tuple(group for group in known if group in (asked or ()))

    def own_methods(self, network: str) -> list[str]:
        """The methods with passes of their own that a network is explained by."""
        return [name for name in self.groups(network) if name in self.own]

    def grid_groups(self, network: str) -> tuple[str, ...]:
        """The groups of methods that play the grid pointing game on a network; none if there are no grids."""
        groups = [group for group in self.groups(network) if self.grids and group not in RESCALED]
        return tuple(group for group in groups if self._playing is None or group in self._playing)

    def localised_methods(self, network: str) -> list[MethodName]:
        """The kinds of methods whose maps are held against masks, but for those with passes of their own."""
        others = (group for group in self.groups(network) if group not in (*LOCALISED, *self.own))
        return methods_of(*LOCALISED, *others)

    def derived_from(self, name: str) -> str:
        """The method whose maps one is made of, as their mean; empty if it makes its own."""
        return self.own[name]["of"] if is_derived(self.own[name]) else ""

    def derived(self, source: str = "") -> dict[str, str]:
        """The methods made of another's maps, by a source or by any, and whose maps."""
        found = {name: self.derived_from(name) for name in self.own if self.derived_from(name)}
        return {name: of for name, of in found.items() if source in ("", self.own[name]["source"])}

    def kind(self, name: str) -> MethodName:
        """A kind of method by its name, or a method with passes of its own; InputError if there is none."""
        return MethodName(name) if name in self.own else parse_kind(name)

    def variants(self, network: str) -> tuple[str, ...]:
        """The variants of a network that are explained; none if it isn't."""
        return self._all_variants(network) if self.groups(network) else ()

    def _all_variants(self, network: str) -> tuple[str, ...]:
        has = VARIANTS if "decay" in self.networks[network] else VARIANTS[:1]
        asked = self.networks[network].get("variants", has)
        return tuple(variant for variant in VARIANTS if variant in asked)

    def runs(self, network: str) -> Iterator[Run]:
        """What pixels of a network's images are removed by.

        All of its groups by the original's maps, in both orders unless the network has `orders`. Activities and biases
        with the other upsampling too, if they are compared (fig. S12); single layers and signed maps of the decayed
        variant, if there are signed ones (figs S9 to S11); both of these by the order of e₋ alone. The first again by
        each further operator.
        """
        groups = self.groups(network)
        if not groups:
            return
        both = set(ORDERS) <= set(self.networks[network].get("orders", ORDERS))
        yield Run(network, "original", self.usual, groups, compares_orders=both)
        if "biases" in groups and self.other:
            yield Run(network, "original", self.other, ("layers", "biases"))
        if "signed" in groups and "decayed" in self.variants(network):
            yield Run(network, "decayed", self.usual, ("layers", "signed"))
        for operator in self.operators:
            yield Run(network, "original", self.usual, groups, both, operator)

    def curves_run(self, network: str) -> Run | None:
        """The run in which curves are measured, to the end of each scan; None if there is none.

        That of the original's usual maps, if it is in both orders: areas take both.
        """
        return next((run for run in self.runs(network) if self.curves and run.compares_orders), None)

    def curve_methods(self, network: str) -> list[MethodName]:
        """The kinds of methods of which curves are measured: those by which that run removes pixels in both orders."""
        run = self.curves_run(network)
        return [kind for kind in run.methods if run.orders(kind) == ORDERS] if run else []

    def reads_flips(self, network: str) -> bool:
        """Whether the results of the run in which curves are measured are read off these, of their methods."""
        return self._checked and self.curves_run(network) is not None

    def scanned_methods(self, run: Run) -> list[MethodName]:
        """The kinds of methods of a run whose scans are taken to their flips: not those that are read off curves."""
        read = self.curve_methods(run.network) if self.reads_flips(run.network) else []
        return [kind for kind in run.methods if kind not in read or run != self.curves_run(run.network)]

    def measures_patches(self, network: str) -> bool:
        """Whether single patches of a network's images are removed, and its usual maps correlated with that."""
        return bool(self.patches and self.groups(network))

    def all_runs(self) -> list[Run]:
        """The runs of all networks."""
        return [run for network in self.networks for run in self.runs(network)]

    def find_run(self, network: str, variant: str, upsampling: str, operator: str = "") -> Run | None:
        """A network's run of a variant and an upsampling, by the first operator or a further one, if there is one."""
        sought = (variant, upsampling, operator)
        return next((run for run in self.runs(network) if (run.variant, run.upsampling, run.operator) == sought), None)

    def has(self, network: str, *groups: str, variant: str = "original", upsampling: str | None = None) -> bool:
        """Whether pixels are removed by these groups, of a variant's maps with an upsampling, the usual one if None."""
        run = self.find_run(network, variant, upsampling or self.usual)
        return run is not None and set(groups) <= set(run.groups)

    def compares_orders(self, network: str) -> bool:
        """Whether pixels are removed in both orders by an explained network's usual maps."""
        run = self.find_run(network, "original", self.usual)
        return run is not None and run.compares_orders

    def comparisons(self, network: str) -> list[str]:
        """The tables of tests between a network's methods: statistics/<network>/<table>.csv."""
        tables = [
            f"{group}-{run.folder}"
            for run in self.runs(network)
            for group in ("biases", "aggregates")
            if {"layers", group} <= set(run.groups) and not run.operator
        ]
        if self.has(network, "layers", "signed", variant="decayed"):
            tables.append(f"decayed-{self.usual}")
        return tables

    def tables(self, network: str) -> list[str]:
        """All tables of a network's statistics but its leaderboard: statistics/<network>/<table>.csv."""
        tables = ["correlations", "gross_sums"] if self.is_compared(network) else []
        tables += [
            f"{run.folder}-{group}"
            for run in self.runs(network)
            for group in run.groups
            if group not in self.own and not run.operator
        ]
        tables += ["localisation"] if self.localised and self.groups(network) else []
        tables += ["grid_pointing"] if self.grid_groups(network) else []
        tables += ["objects"] if self.planted and self.groups(network) else []
        tables += ["curves"] if self.curve_methods(network) else []
        tables += ["patches"] if self.measures_patches(network) else []
        tables += ["agreement", "blurring", "measure_claims"] if self.compares_measures(network) else []
        return tables + self.operator_tables(network) + self.comparisons(network)

    def operator_tables(self, network: str) -> list[str]:
        """The tables of a network's statistics that compare removal operators, if there are several."""
        tables = ["operators", "operators_pairs", "operators_survival", "operators_claims"]
        return tables if self.operators and self.groups(network) else []

    def compares_measures(self, network: str) -> bool:
        """Whether measures of a network's maps are compared: by operators, or by curves or patches beside flips."""
        others = self.operators or self.patches or self.curves_run(network)
        return bool(self.groups(network) and others)

    def leaderboards(self, network: str) -> list[str]:
        """A network's tables of ranks, one for each operator: statistics/<network>/<table>.csv."""
        return [f"leaderboard{suffix_of(name)}" for name in ("", *self.operators)] if self.groups(network) else []

    def tried_methods(self, network: str) -> list[str]:
        """The methods with passes of their own whose sanity is tried: those that make maps of any network."""
        return [name for name in self.own_methods(network) if not say_no_maker(self.own[name]["source"])]

    def is_compared(self, network: str) -> bool:
        """Whether a network's attributions are compared between variants, of which it needs two."""
        return len(self.variants(network)) > 1


def leave_out_networks(config: dict) -> None:
    """Take the networks that `only` leaves out from a configuration, with what names them; InputError for no network.

    What names networks are twins, and those that a figure is to show; a figure left without any shows none.
    """
    networks, only = config["networks"], config.get("only", list(config["networks"]))
    left_out, figures = networks.keys() - only, config["figures"]
    for place, name in enumerate(only):
        if name not in networks:
            raise InputError(f"only.{place} is {name}; allowed are {', '.join(networks)}")
    config["networks"] = {name: network for name, network in networks.items() if name in only}
    if "twins" in config:
        config["twins"] = [pair for pair in config["twins"] if left_out.isdisjoint(pair.values())]
    for chosen in (figures.get("networks", {}), figures):
        for key, value in chosen.items():
            if isinstance(value, list):
                chosen[key] = [name for name in value if name not in left_out]
    for section in figures.values():
        if isinstance(section, dict) and "methods" in section:
            section["methods"] = {name: methods for name, methods in section["methods"].items() if name not in left_out}


def check_plan(config: Mapping) -> None:
    """InputError, naming the key, for methods or variants that a network hasn't, and twins that can't be pairs."""
    own = config.get("methods", {})
    for name, method in own.items():
        try:
            complete_settings(method)
        except InputError as error:
            raise InputError(f"methods.{name}.{error}") from None
        check_own_name(name, GROUPS)
    for name, method in own.items():
        if is_derived(method):
            check_derived(name, method["of"], own)
    for name, network in config["networks"].items():
        asked = network.get("explain", False)
        for place, group in enumerate(asked if isinstance(asked, list) else ()):
            if group not in GROUPS and group not in own:
                allowed = ", ".join([*GROUPS, *own])
                raise InputError(f"networks.{name}.explain.{place} is {group}; allowed are {allowed}")
        if "decayed" in network.get("variants", ()) and "decay" not in network:
            raise InputError(f"networks.{name}.variants names decayed; networks.{name}.decay is missing")
    for place, group in enumerate(config.get("grid_pointing", {}).get("methods", ())):
        check_plays(f"grid_pointing.methods.{place} is {group}", group, own)
    check_twins(config)
    plan = Plan(config)
    for network in plan.explained:
        check_beside(plan, network)


def is_derived(method: Mapping) -> bool:
    """Whether a method with passes of its own is made of another's maps."""
    return SOURCES[method["source"]].of


def check_derived(name: str, of: str, own: Mapping[str, Mapping]) -> None:
    """InputError, naming the key, unless a method is made of the maps of one that makes its own."""
    said = f"methods.{name}.of is {of}"
    if of in own:
        if is_derived(own[of]):
            raise InputError(f"{said}, which is made of another's maps itself; allowed is any other method")
        return
    try:
        parse_method(of)
    except InputError as error:
        others = [other for other, method in own.items() if not is_derived(method)]
        allowed = ", ".join([*others, str(error).partition("allowed are ")[2]])
        raise InputError(f"{said}; allowed are {allowed}") from None


def check_plays(said: str, group: str, own: Mapping[str, Mapping]) -> None:
    """InputError, with what was said, unless a group of methods exists, and makes maps of grids of images."""
    playing = [group for group in GROUPS if group not in RESCALED]
    playing += [name for name, method in own.items() if not say_no_maker(method["source"])]
    if group not in playing:
        reason = f", and {say_no_maker(own[group]['source'])}" if group in own else ""
        raise InputError(f"{said}{reason}; allowed are {', '.join(playing)}")


def check_beside(plan: Plan, network: str) -> None:
    """InputError, naming the key, for a method made of the maps of one that the network isn't explained by."""
    measured = methods_of(*plan.groups(network))
    for name in plan.own_methods(network):
        of = plan.derived_from(name)
        if of and (MethodName(of) if of in plan.own else parse_method(of).all_layers) not in measured:
            said = f"networks.{network}.explain has {name}, made of the maps of {of}"
            raise InputError(
                f"{said}, by which the network isn't explained; allowed is a method beside what it is made of"
            )


def check_twins(config: Mapping) -> None:
    """InputError, naming the key, unless twins are networks of the configuration, each in one pair."""
    seen = set()
    for place, twins in enumerate(list_twins(config)):
        for key, name in twins._asdict().items():
            said = f"twins.{place}.{key} is {name}"
            if name not in config["networks"]:
                raise InputError(f"{said}; allowed are {', '.join(config['networks'])}")
            if name in seen:
                raise InputError(f"{said}, which is named before; all must differ")
            seen.add(name)
