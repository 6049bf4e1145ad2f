"""What an experiment costs, from its configuration alone: images, maps, scans, passes, FLOP, GPU hours, disk space."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from explanations.cost.throughput import GPU, Operation, count_flop, list_operations, passes_per_second
from explanations.data.sets import count_test_images, count_training_images, count_tuning_images
from explanations.decomposition.decomposition import Decomposition
from explanations.decomposition.layers import list_stages
from explanations.files.grids import count_steps
from explanations.files.orders import ORDERS
from explanations.methods.names import MethodName, all_kinds
from explanations.methods.saliency import list_methods
from explanations.methods.sources.registry import count_passes
from explanations.networks.builders import constructor_of
from explanations.networks.channels import count_channels
from explanations.networks.decay import plan_phases
from explanations.networks.decisions import AUTO, SAMPLED
from explanations.networks.files import build_network
from explanations.networks.inference import optimise_for_inference
from explanations.networks.pretrained import look_up, own_classes
from explanations.networks.sources.registry import find_source
from explanations.networks.trained import list_trials
from explanations.plan import Plan, Run, methods_of
from explanations.removal.operators.base import COLOURS

BACKWARD = 2  # in forward passes
UNCLEAR = 0.05  # of decisions in bfloat16: 3% of VGG-16 and ConvNeXt, 7% of ResNet-50 in the embedded experiment
PER_IMAGE_BYTES = 16  # its number and label, in a shard and in removal's results
RESULT_BYTES = 8  # of each e and each flip in removal's results
POINT_BYTES = 4  # of a probability or a logit in a curve
MAKE_NETWORKS = ("train", "fetch_network", "zero_biases", "decay_biases", "decay_trial")  # rules
# and their sections
BY_IMAGE = {
    **{"extract_attributions": "attributions", "make_maps": "attributions"},
    **dict.fromkeys(("measure_removal", "read_flips", "measure_curves", "measure_patches"), "removal"),
}
IMPUTED = 2930  # values that ROAD's imputation reads and writes a pixel and step: the mean of docs/imputation.csv
MAP_BYTES = 4  # of each pixel of a map that a method with passes of its own made
# Where a scan ends, in shares of pixels, on average: in the embedded experiment; in the paper, by its e (figs 14, 15)
MEASURED_SHARES = {"minus": 0.56, "plus": 0.25}
PAPERS_SIGNALS = {"e_minus": 0.30, "e_minus_noise": 0.15, "e_plus": 0.04, "e_plus_noise": 0.12}


@dataclass(frozen=True)
class NetworkFacts:
    """What a network costs: the operations of a forward pass of one image, as it is built; bytes of weights.

    Of one that is explained also: the operations that are left for removal, once batch normalisation is folded into
    convolutions; bytes of an image's attributions in a shard; how many maps each kind of method has; images' size; how
    many channels its last layer with positions has, and how many sizes of maps (`each` of count_passes).
    """

    operations: tuple[Operation, ...]
    weights: int
    folded: tuple[Operation, ...] = ()
    shard: int = 0
    methods: dict[str, int] | None = None
    size: int = 0
    each: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Step:
    """What a step does with a network: images read from files, forward passes (a backward pass is two).

    `precision` is float32, tf32 or bfloat16; a step that never runs on a GPU is `on_cpu`. `beside` are operations in
    float32 that go with each pass, as imputation of what was removed.
    """

    name: str
    network: str
    read: int
    passes: float
    operations: tuple[Operation, ...]  # of a pass
    precision: str = "float32"
    training: bool = False
    on_cpu: bool = False
    beside: tuple[Operation, ...] = ()

    @property
    def flop(self) -> float:
        """FLOP of all passes, a multiply-add counting as two."""
        return self.passes * count_flop((*self.operations, *self.beside))

    def hours(self, gpu: GPU) -> float:
        """GPU hours, as estimated; 0 of what runs on the CPU."""
        if self.on_cpu:
            return 0.0
        seconds = 1 / passes_per_second(self.operations, gpu, self.precision, training=self.training)
        seconds += 1 / passes_per_second(self.beside, gpu, "float32") if self.beside else 0
        return self.passes * seconds / 3600


@dataclass(frozen=True)
class Shape:
    """What list_methods asks of maps: the layers that have any, their sizes, the layer of each biased operation."""

    layers: Sequence[int]
    sizes: Sequence[tuple[int, ...]]
    operation_layers: Sequence[int]


# --- networks ----------------------------------------------------------------------------------------------------


def examine(entry: dict, image_size: int, classes: int, explained: bool) -> NetworkFacts:
    """Build a network of the configuration, without its weights, and see what it costs."""
    built = entry["source"], constructor_of(entry)
    if "weights" in entry:
        weights = entry["weights"]
        placed = bool(weights.get("url") or weights.get("package"))
        own = own_classes(entry.get("classes", ""), entry["arguments"], placed)
        names = (*built, weights.get("name", ""))
        published = look_up(*names, entry["arguments"], len(own), entry.get("preprocessing"))
        image_size, classes = published.framing.size, published.classes
    source = find_source(entry["source"])
    complete = source.rebuilding_arguments if "weights" in entry else source.training_arguments
    arguments = complete(built[1], {**entry["arguments"], "num_classes": classes})
    channels = count_channels(entry["source"], arguments)
    with torch.device("meta"):
        network = build_network(*built, arguments).requires_grad_(False)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    operations = list_operations(network, image_size, channels)
    if not explained:
        return NetworkFacts(operations, weights)
    folded = list_operations(optimise_for_inference(network, torch.device("meta")), image_size, channels)
    network = build_network(*built, arguments).requires_grad_(False)
    example = torch.zeros(1, channels, image_size, image_size)
    decomposition = Decomposition(network, example)
    arrays = decomposition(example).to_arrays()
    held = sum(
        array.nbytes for values in arrays.values() for array in (values if isinstance(values, list) else [values])
    )
    sizes = {l: values.shape[-2:] for l, values in enumerate(arrays["activity"]) if math.prod(values.shape[-2:]) > 1}
    shape = Shape(list(sizes), list(sizes.values()), [operation.layer for operation in decomposition.operations])
    methods = {str(kind): len(list_methods(kind, shape, entry.get("layers", "all"))) for kind in all_kinds()}
    mapped = decomposition.mapped
    each = {"channel": mapped[-1].channels, "stage": len(list_stages(mapped))}
    return NetworkFacts(operations, weights, folded, held + PER_IMAGE_BYTES, methods, image_size, each)


def examine_all(config: dict) -> dict[str, NetworkFacts]:
    """The facts of all of a configuration's networks."""
    size, classes = config["images"].get("size", 0), config["images"]["classes"]
    plan = Plan(config)
    return {name: examine(entry, size, classes, name in plan.explained) for name, entry in config["networks"].items()}


# --- the plan ----------------------------------------------------------------------------------------------------


def explained_variants(config: dict) -> list[tuple[str, str]]:
    """The networks and variants whose attributions are extracted."""
    plan = Plan(config)
    return [(name, variant) for name in plan.explained for variant in plan.variants(name)]


def decay_plans(entry: dict) -> dict[str, list[tuple[float, int]]]:
    """A network's decay and each of its trials, by name: the biases' factor and training steps of every phase."""
    own, trials = entry["decay"], entry.get("decay_trials", {})
    steps = {"decay": own["steps"]}
    steps |= {f"trial, {value} steps": value for value in trials.get("steps", ())}
    steps |= {f"trial, T = {value}": own["steps"] for value in trials.get("temperature", ())}
    return {
        name: plan_phases(own["profile"], value, own["floor"], own["training_steps"], own["extra_steps"])
        for name, value in steps.items()
    }


def count_checks(phases: Sequence[tuple[float, int]]) -> int:
    """How often a decay measures an accuracy for its record: at the start, after each phase, by brute force."""
    factors = [1.0, *(factor for factor, _ in phases)]
    return 1 + len(phases) + sum(now != before for before, now in pairwise(factors))


def count_maps(facts: NetworkFacts, kind: MethodName | str) -> int:
    """Maps of an image by a kind of method; a method with passes of its own makes one."""
    return facts.methods.get(str(kind), 1)


def count_methods(facts: NetworkFacts, run: Run) -> int:
    """Maps of an image in a run of removal."""
    return sum(count_maps(facts, kind) for kind in run.methods)


def count_scans(config: dict, facts: NetworkFacts, run: Run) -> int:
    """Scans of one image in a run of removal: its methods, by its own map and noise maps, in the run's orders."""
    return sum(count_by_order(config, facts, run).values())


def count_by_order(config: dict, facts: NetworkFacts, run: Run) -> dict[str, int]:
    """The same, by order of removal; none of what is read off curves."""
    counts = dict.fromkeys(ORDERS, 0)
    for kind in Plan(config).scanned_methods(run):
        for order in run.orders(kind):
            counts[order] += count_maps(facts, kind) * (1 + config["removal"]["noise_maps"])
    return counts


def count_removal_bytes(config: dict, facts: dict[str, NetworkFacts]) -> int:
    """Bytes of all of removal's results."""
    evaluated = config["images"]["classes"] * config["images"]["per_class"]
    runs = Plan(config).all_runs()
    kinds = [(run, kind) for run in runs for kind in run.methods]
    return evaluated * sum(
        removal_bytes(config, facts[run.network], str(kind), len(run.orders(kind))) for run, kind in kinds
    )


def removal_bytes(config: dict, facts: NetworkFacts, kind: str, orders: int = len(ORDERS)) -> int:
    """Bytes of an image's results by a kind of method: e with and without noise maps, all flips, of each order."""
    values = orders * (2 + 1 + config["removal"]["noise_maps"])  # for each method
    return count_maps(facts, kind) * values * RESULT_BYTES + PER_IMAGE_BYTES


def curve_bytes(config: dict, facts: NetworkFacts, kind: str) -> int:
    """Bytes of an image's curves by a kind of method: two scores at each point, and where each scan flips."""
    removal = config["removal"]
    scans = count_maps(facts, kind) * (1 + removal["noise_maps"]) * len(ORDERS)
    return scans * (2 * (removal["grid"] + 1) * POINT_BYTES + 2 * RESULT_BYTES) + PER_IMAGE_BYTES


def count_curve_bytes(config: dict, facts: dict[str, NetworkFacts]) -> int:
    """Bytes of all curves."""
    evaluated, plan = config["images"]["classes"] * config["images"]["per_class"], Plan(config)
    kinds = [(name, kind) for name in plan.explained for kind in plan.curve_methods(name)]
    return evaluated * sum(curve_bytes(config, facts[name], str(kind)) for name, kind in kinds)


def patch_bytes(config: dict) -> int:
    """Bytes of an image in a file of patches: two scores of the whole image, and without each of its patches."""
    return 2 * (1 + config["removal"]["patches"] ** 2) * POINT_BYTES + PER_IMAGE_BYTES


def count_patch_bytes(config: dict, facts: dict[str, NetworkFacts]) -> int:
    """Bytes of all files of patches, and of their correlations with maps."""
    evaluated, plan = config["images"]["classes"] * config["images"]["per_class"], Plan(config)
    total = 0
    for name in filter(plan.measures_patches, plan.explained):
        maps = sum(count_maps(facts[name], kind) for kind in methods_of(*plan.groups(name)))
        correlations = 2 * maps * (1 + config["removal"]["noise_maps"]) * RESULT_BYTES + PER_IMAGE_BYTES
        total += evaluated * (patch_bytes(config) + correlations)
    return total


def count_planned_bytes(config: dict, planned: Sequence[tuple[str, str | None, str | None, int]]) -> int:
    """Bytes that a run writes: of networks, shards and results of removal, which is nearly all.

    `planned` are its jobs: a rule, a network and a kind of method, if it has them, and how many there are.
    """
    images = config["images"]
    evaluated, size, classes = images["classes"] * images["per_class"], images.get("size", 0), images["classes"]
    explained = {name for rule, name, _, _ in planned if rule in BY_IMAGE}
    names = {name for rule, name, _, _ in planned if rule in (*MAKE_NETWORKS, *BY_IMAGE)}
    facts = {name: examine(config["networks"][name], size, classes, name in explained) for name in names}
    total = 0
    for rule, name, kind, count in planned:
        if rule in MAKE_NETWORKS:
            total += count * facts[name].weights
        elif rule in BY_IMAGE:
            block = min(config[BY_IMAGE[rule]]["shard_size"], evaluated)
            total += count * block * result_bytes(config, facts[name], rule, kind)
    return total


def result_bytes(config: dict, facts: NetworkFacts, rule: str, kind: str | None) -> int:
    """Bytes of an image's results by a rule of BY_IMAGE, and by a kind of method if it has one."""
    if rule == "make_maps":
        return MAP_BYTES * facts.size**2
    if rule == "measure_patches":
        return patch_bytes(config)
    if kind is None:
        return facts.shard
    return (curve_bytes if rule == "measure_curves" else removal_bytes)(config, facts, kind)


def removed_share(signal: float) -> float:
    """The share of pixels that is gone when e (Eq. 17) is `signal`, if all pixels carry the same signal.

    e = 1 − ‖x_s‖₂ / ‖x‖₂, and ‖x_s‖² is what the pixels that are left hold.
    """
    return 1 - (1 - signal) ** 2


def share_of_grid(removal: dict, order: str, share: float) -> float:
    """The share of an order's steps by which a share of pixels is removed, by the settings of removal.

    Steps of `grid_plus` differ. Of a grid that is finer at its start, the mean share of pixels is further on than scans
    are on average: it says about a tenth more passes than there are.
    """
    shares = removal.get("grid_plus", []) if order == "plus" else []
    return float(np.interp(share, [0, *shares], np.linspace(0, 1, len(shares) + 1))) if shares else share


def expected_share(config: dict, facts: dict[str, NetworkFacts]) -> float:
    """Where a scan of the plan ends on average, in shares of its grid, of all steps that its orders of removal have.

    With pretrained networks it is as the paper's e have it, else as it was measured in the embedded experiment.
    """
    plan, shares = Plan(config), MEASURED_SHARES
    if any("weights" in config["networks"][name] for name in plan.explained):
        both = {order: [PAPERS_SIGNALS[f"e_{order}"], PAPERS_SIGNALS[f"e_{order}_noise"]] for order in ORDERS}
        shares = {order: sum(map(removed_share, signals)) / len(signals) for order, signals in both.items()}
    counted = [count_by_order(config, facts[run.network], run) for run in plan.all_runs()]
    removal = config["removal"]
    steps = {order: sum(counts[order] for counts in counted) * count_steps(removal, order) for order in ORDERS}
    ends = {order: share_of_grid(removal, order, share) for order, share in shares.items()}
    return round(sum(steps[order] * ends[order] for order in ORDERS) / max(sum(steps.values()), 1), 2)


def list_steps(
    config: dict, facts: dict[str, NetworkFacts], mean_share: float, taken: Collection[tuple[str, str]] = ()
) -> list[Step]:
    """The steps whose cost is passes through networks; a scan ends at `mean_share` of its grid, on average.

    `taken` are networks, with their variants, that were trained before.
    Removal in a fast precision computes again in float32 what is not clear, UNCLEAR of the passes, and one in SAMPLED.
    Curves go on to the end of the grid; single patches are the same for all maps.
    """
    evaluated = config["images"]["classes"] * config["images"]["per_class"]
    test = count_test_images(config)
    steps = []

    def add(name: str, network: str, read: int, passes: float, precision: str, **how) -> None:
        steps.append(Step(name, network, read, passes, facts[network].operations, precision, **how))

    for name, entry in config["networks"].items():
        if "training" in entry and (name, "original") not in taken:
            training = entry["training"]
            batch = training["batch"]
            seen = training["epochs"] * (count_training_images(config) // batch) * batch
            seen += training.get("start_epochs", 0) * (config["images"].get("start_count", 0) // batch) * batch
            add("training", name, seen + test, seen * (1 + BACKWARD) + test, "float32", on_cpu=True)
    survey = config["survey"]
    changes = len({*survey["scales"]} - {1}) + len({*survey["shifts"]} - {0})
    surveyed = test + (count_tuning_images(config) if survey.get("images") == "all" else 0)
    for name in facts:
        passes = 2 * surveyed + changes * min(survey["change_images"], surveyed)
        add("survey", name, surveyed, passes, survey["precision"])
    for name, entry in config["networks"].items():
        if "decay" not in entry:
            continue
        decay = entry["decay"]
        for trial, phases in decay_plans(entry).items():
            made = ["decayed"] if trial == "decay" else list_trials(entry)
            if all((name, each) in taken for each in made):
                continue
            tuned = sum(length for _, length in phases) * decay["batch"]
            checks = count_checks(phases) * min(decay["record_images"], test) + test
            title = "decay" if trial == "decay" else "decay trials"
            add(title, name, tuned + checks, tuned * (1 + 1 + BACKWARD) + checks, decay["precision"], training=True)
    for name, _ in explained_variants(config):
        add("extraction", name, evaluated, evaluated * (1 + BACKWARD), "float32")
    plan = Plan(config)
    for name in plan.explained:
        size, each = facts[name].size, facts[name].each
        passes = sum(count_passes(plan.own[method], size, each) for method in plan.own_methods(name))
        if passes:
            add("maps", name, evaluated * len(plan.own_methods(name)), evaluated * passes, "float32")
    steps += list_all_removal_steps(config, facts, mean_share)
    return [*steps, *list_curve_steps(config, facts), *list_patch_steps(config, facts)]


def list_all_removal_steps(config: dict, facts: dict[str, NetworkFacts], mean_share: float) -> list[Step]:
    """Removal in all runs."""
    runs = Plan(config).all_runs()
    return [step for run in runs for step in list_removal_steps(config, facts[run.network], run, mean_share)]


def list_removal_steps(config: dict, facts: NetworkFacts, run: Run, mean_share: float) -> list[Step]:
    """Removal in one run, and what is decided again in float32; that of a further operator is named after it.

    None of a run whose results are all read off curves.
    """
    asked, evaluated = config["removal"]["precision"], config["images"]["classes"] * config["images"]["per_class"]
    precision = "bfloat16" if asked == AUTO else asked
    scans = count_by_order(config, facts, run)
    longest = sum(count * count_steps(config["removal"], order) for order, count in scans.items())
    passes, read = evaluated * longest * mean_share, evaluated * len(Plan(config).scanned_methods(run))
    if not read:
        return []
    beside = list_beside(run.operator or Plan(config).operator, facts.size, passes, read)
    title = f"removal, {run.operator}" if run.operator else "removal"
    steps = [Step(title, run.network, read, passes, facts.folded, precision, beside=beside)]
    if precision != "float32":
        steps.append(Step("re-checks", run.network, 0, passes * (UNCLEAR + 1 / SAMPLED), facts.folded))
    return steps


def list_curve_steps(config: dict, facts: dict[str, NetworkFacts]) -> list[Step]:
    """The curves of all networks that have some, to the end of the grid."""
    evaluated = config["images"]["classes"] * config["images"]["per_class"]
    plan, steps = Plan(config), []
    for name in plan.explained:
        if kinds := plan.curve_methods(name):
            maps = sum(count_maps(facts[name], kind) for kind in kinds) * (1 + config["removal"]["noise_maps"])
            # the image itself, with which all scans begin, once in each job
            read = evaluated * len(kinds)
            passes = evaluated * maps * len(ORDERS) * config["removal"]["grid"] + read
            steps.append(scored_step("curves", config, facts[name], name, read, passes))
    return steps


def list_patch_steps(config: dict, facts: dict[str, NetworkFacts]) -> list[Step]:
    """The removal of single patches of all networks that have it, which serves all methods."""
    evaluated = config["images"]["classes"] * config["images"]["per_class"]
    plan = Plan(config)
    passes = evaluated * (1 + plan.patches**2)
    named = filter(plan.measures_patches, plan.explained)
    return [scored_step("patches", config, facts[name], name, evaluated, passes) for name in named]


def scored_step(title: str, config: dict, facts: NetworkFacts, network: str, read: int, passes: float) -> Step:
    """Removal by the first operator whose scores are kept: where the precision is AUTO, in float32."""
    asked = config["removal"]["precision"]
    beside = list_beside(Plan(config).operator, facts.size, passes, read)
    return Step(title, network, read, passes, facts.folded, "float32" if asked == AUTO else asked, beside=beside)


def list_beside(operator: str, size: int, passes: float, images: int) -> tuple[Operation, ...]:
    """What a removal operator does beside each of the passes, of images of `size` pixels that are made ready once each.

    Imputation is for every pass. A blurred copy is one of each image: two products with a matrix of size × size. Other
    operators do next to nothing.
    """
    if operator == "road":
        return (Operation(0.0, float(IMPUTED * size**2)),)
    if operator == "blur":
        share = images / passes
        return (Operation(2 * 2 * COLOURS * size**3 * share, 2 * (2 * COLOURS + 1) * size**2 * share),)
    return ()
