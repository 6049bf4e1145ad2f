"""What further removal operators and measures add to an experiment, each alone: passes, GPU hours, hours of a core."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from explanations.cost.projection import (
    BACKWARD,
    NetworkFacts,
    Step,
    count_methods,
    list_all_removal_steps,
    list_curve_steps,
    list_removal_steps,
)
from explanations.cost.throughput import GPU
from explanations.methods.sources.registry import count_passes
from explanations.plan import SANITY, Plan
from explanations.removal.operators.registry import OPERATORS

OF_OPERATOR, OF_CURVES, OF_TRUTH = 5, 16, 4  # measures that orders of methods are made by
MEDIANS = 2e7  # values that a core takes medians of in a second, see benchmarks/agreement.py
WITHOUT = 2  # networks that sanity tries beside those with shuffled layers: as it is, and with shifted images


@dataclass(frozen=True)
class Addition:
    """What is added, by which key or target: steps that take passes, those that they spare, seconds of a core."""

    title: str
    key: str
    steps: list[Step]
    seconds: float = 0.0  # for statistics
    spared: Sequence[Step] = ()

    def hours(self, gpu: GPU) -> float:
        """GPU hours of its passes."""
        return self.count(lambda step: step.hours(gpu))

    def count(self, of: Callable[[Step], float]) -> float:
        """A number of its steps, in all, less those that it spares."""
        return sum(map(of, self.steps)) - sum(map(of, self.spared))


def list_additions(config: dict, facts: dict[str, NetworkFacts], mean_share: float) -> list[Addition]:
    """Each operator but the first, curves, sanity and agreement, whether or not the configuration has them."""
    first = Plan(config).operator
    found = []
    for name in OPERATORS:
        if name == first:
            continue
        asked = change_removal(config, operators=[first, name])
        runs = [run for run in Plan(asked).all_runs() if run.operator]
        steps = [step for run in runs for step in list_removal_steps(asked, facts[run.network], run, mean_share)]
        found.append(Addition(f"removal by `{name}`", "`removal.operators`", steps))
    traced, plain = (change_removal(config, curves=curves) for curves in (True, False))
    left, whole = (list_all_removal_steps(each, facts, mean_share) for each in (traced, plain))
    curves = [*list_curve_steps(traced, facts), *left]
    found.append(Addition("curves: AOPC, SRG and others", "`removal.curves`", curves, spared=whole))
    found.append(Addition("sanity of methods", "`sanity`", list_sanity_steps(config, facts)))
    return [*found, Addition("agreement of measures", "`measures`", [], count_agreement_seconds(config, facts))]


def change_removal(config: dict, **changes) -> dict:
    """A configuration with some keys of `removal` changed."""
    return config | {"removal": config["removal"] | changes}


def list_sanity_steps(config: dict, facts: dict[str, NetworkFacts]) -> list[Step]:
    """Maps of a few images, of each network as it is, with layers shuffled in some steps, and with shifted images."""
    plan, sanity = Plan(config), SANITY | config.get("sanity", {})
    images = min(sanity["images"], config["images"]["classes"] * config["images"]["per_class"])
    steps = []
    for name in plan.explained:
        own = [plan.own[method] for method in plan.tried_methods(name)]
        of_image = 1 + BACKWARD + sum(count_passes(method, facts[name].size, facts[name].each) for method in own)
        passes = images * (WITHOUT + sanity["steps"]) * of_image
        steps.append(Step("sanity", name, images, passes, facts[name].operations))
    return steps


def count_agreement_seconds(config: dict, facts: dict[str, NetworkFacts]) -> float:
    """Seconds of a core for the medians of all resamples, by the measures that there are with curves."""
    plan = Plan(config)
    images = config["images"]["classes"] * config["images"]["per_class"]
    measures = OF_OPERATOR * (1 + len(plan.operators)) + OF_CURVES + OF_TRUTH * plan.localised
    methods = sum(count_methods(facts[name], next(plan.runs(name))) for name in plan.explained)
    return config["statistics"]["resamples"] * measures * images * methods / MEDIANS
