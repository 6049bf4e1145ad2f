"""What an experiment costs, from its configuration alone: images, maps, scans, passes, FLOP, GPU hours, disk space."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

from explanations.channels import count_channels
from explanations.decay import plan_phases
from explanations.decomposition import Decomposition
from explanations.folders import list_folder
from explanations.inference import SAMPLED, optimise_for_inference
from explanations.networks import build_network, training_arguments
from explanations.pretrained import look_up, own_classes, rebuilding_arguments
from explanations.saliency import FAMILIES, family_methods
from explanations.throughput import GPU, Operation, count_flop, list_operations, passes_per_second

PAPERS = ("vgg16", "resnet50")  # the networks that the paper explains; their variants follow
VARIANTS = ("original", "zeroed", "decayed")
TEST_IMAGES = {"imagenet": 50_000, "imagenette": 3_925, "imagenet_v2": 10_000}
BACKWARD = 2  # in forward passes
PER_IMAGE_BYTES = 16  # its number and label, in a shard and in removal's results
RESULT_BYTES = 8  # of each e and each flip in removal's results
MAKE_NETWORKS = ("train", "fetch_network", "zero_biases", "decay_biases", "decay_trial")  # rules
BY_IMAGE = {"extract_attributions": "attributions", "measure_removal": "removal"}  # and their sections
# Where a scan ends, in shares of the grid, on average: in the embedded experiment; in the paper, by its e (figs 14, 15)
MEASURED_SHARE = 0.4
PAPERS_SIGNALS = {"e_minus": 0.30, "e_minus_noise": 0.15, "e_plus": 0.04, "e_plus_noise": 0.12}


@dataclass(frozen=True)
class NetworkFacts:
    """What a network costs: the operations of a forward pass of one image, as it is built; bytes of weights.

    Of one that is explained also: the operations that are left for removal, once batch normalisation is folded into
    convolutions; bytes of an image's attributions in a shard; how many methods a family has.
    """

    operations: tuple[Operation, ...]
    weights: int
    folded: tuple[Operation, ...] = ()
    shard: int = 0
    methods: dict[str, int] | None = None


@dataclass(frozen=True)
class Step:
    """What a step does with a network: images read from files, forward passes (a backward pass is two).

    `precision` is float32, tf32 or bfloat16; a step that never runs on a GPU is `on_cpu`.
    """

    name: str
    network: str
    read: int
    passes: float
    operations: tuple[Operation, ...]  # of a pass
    precision: str = "float32"
    training: bool = False
    on_cpu: bool = False

    @property
    def flop(self) -> float:
        """FLOP of all passes, a multiply-add counting as two."""
        return self.passes * count_flop(self.operations)

    def hours(self, gpu: GPU) -> float:
        """GPU hours, as estimated; 0 of what runs on the CPU."""
        if self.on_cpu:
            return 0.0
        rate = passes_per_second(self.operations, gpu, self.precision, training=self.training)
        return self.passes / rate / 3600


@dataclass(frozen=True)
class Shape:
    """What family_methods asks of a network's maps: the layers that have any, the layer of each biased operation."""

    layers: Sequence[int]
    operation_layers: Sequence[int]


# --- networks ----------------------------------------------------------------------------------------------------


def examine(entry: dict, image_size: int, classes: int, explained: bool) -> NetworkFacts:
    """Build a network of the configuration, without its weights, and see what it costs."""
    if "weights" in entry:
        weights = entry["weights"]
        own = own_classes(entry.get("classes", ""), entry["arguments"], weights.get("url", ""))
        names = (entry["source"], entry["constructor"], weights.get("name", ""))
        published = look_up(*names, entry["arguments"], len(own))
        image_size, classes = published.framing.size, published.classes
    complete = rebuilding_arguments if "weights" in entry else training_arguments
    arguments = complete(entry["source"], entry["constructor"], {**entry["arguments"], "num_classes": classes})
    channels = count_channels(entry["source"], arguments)
    with torch.device("meta"):
        network = build_network(entry["source"], entry["constructor"], arguments).requires_grad_(False)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    operations = list_operations(network, image_size, channels)
    if not explained:
        return NetworkFacts(operations, weights)
    folded = list_operations(optimise_for_inference(network, torch.device("meta")), image_size, channels)
    network = build_network(entry["source"], entry["constructor"], arguments).requires_grad_(False)
    example = torch.zeros(1, channels, image_size, image_size)
    decomposition = Decomposition(network, example)
    arrays = decomposition(example).to_arrays()
    held = sum(
        array.nbytes for values in arrays.values() for array in (values if isinstance(values, list) else [values])
    )
    layers = [l for l, values in enumerate(arrays["activity"]) if values.shape[-1] * values.shape[-2] > 1]
    shape = Shape(layers, [operation.layer for operation in decomposition.operations])
    methods = {family: len(family_methods(family, shape)) for family in FAMILIES}
    return NetworkFacts(operations, weights, folded, held + PER_IMAGE_BYTES, methods)


def examine_all(config: dict) -> dict[str, NetworkFacts]:
    """The facts of all of a configuration's networks."""
    size, classes = config["images"].get("size", 0), config["images"]["classes"]
    return {
        name: examine(entry, size, classes, name in PAPERS or entry.get("explain", False))
        for name, entry in config["networks"].items()
    }


# --- the plan ----------------------------------------------------------------------------------------------------


def count_test_images(config: dict) -> int:
    """How many test images a configuration has; as many as are evaluated if its folder isn't there yet."""
    images = config["images"]
    if images["source"] == "digits":
        return images["val_count"]
    if images["source"] in TEST_IMAGES:
        return TEST_IMAGES[images["source"]]
    folder = Path(images["folder"], "val").expanduser()
    return len(list_folder(folder)[0]) if folder.is_dir() else images["classes"] * images["per_class"]


def count_training_images(config: dict) -> int:
    """How many images the networks that are trained here see in an epoch; none if their folder isn't there yet."""
    images = config["images"]
    if images["source"] == "digits":
        return images["train_count"]
    folder = Path(
        images["folder"], "imagenette2-320/train" if images["source"] == "imagenette" else "train"
    ).expanduser()
    return len(list_folder(folder)[0]) if folder.is_dir() else 0


def explained_variants(config: dict) -> list[tuple[str, str]]:
    """The networks and variants whose attributions are extracted."""
    others = [name for name, entry in config["networks"].items() if entry.get("explain") and name not in PAPERS]
    return [(name, variant) for name in PAPERS for variant in VARIANTS] + [(name, "original") for name in others]


def removal_runs(config: dict) -> list[tuple[str, str, str, str]]:
    """All (network, variant, upsampling, family) that pixels are removed by, as the figures and statistics ask."""
    usual, other = config["saliency"]["upsampling"], config["saliency"]["other_upsampling"]
    runs = [("vgg16", "original", usual, family) for family in ("layers", "biases", "aggregates")]
    runs += [("vgg16", "original", other, family) for family in ("layers", "biases")]
    runs += [("resnet50", "original", usual, family) for family in ("layers", "aggregates", "signed")]
    runs += [("resnet50", "decayed", usual, family) for family in ("layers", "signed")]
    others = [name for name, _ in explained_variants(config) if name not in PAPERS]
    runs += [(name, "original", usual, family) for name in others for family in ("layers", "aggregates")]
    return list(dict.fromkeys(runs))


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


def count_scans(config: dict, facts: dict[str, NetworkFacts], run: tuple[str, str, str, str]) -> int:
    """Scans of one image in a run of removal: its methods, by its own map and noise maps, in both orders."""
    return facts[run[0]].methods[run[3]] * (1 + config["removal"]["noise_maps"]) * 2


def count_removal_bytes(config: dict, facts: dict[str, NetworkFacts]) -> int:
    """Bytes of all of removal's results."""
    evaluated = config["images"]["classes"] * config["images"]["per_class"]
    return evaluated * sum(removal_bytes(config, facts[name], family) for name, _, _, family in removal_runs(config))


def removal_bytes(config: dict, facts: NetworkFacts, family: str) -> int:
    """Bytes of an image's results: e of both orders with and without noise maps, and all scans' flips."""
    values = 4 + 2 * (1 + config["removal"]["noise_maps"])  # for each method
    return facts.methods[family] * values * RESULT_BYTES + PER_IMAGE_BYTES


def count_planned_bytes(config: dict, planned: Sequence[tuple[str, str | None, str | None, int]]) -> int:
    """Bytes that a run writes: of networks, shards and results of removal, which is nearly all.

    `planned` are its jobs: a rule, a network and a family of methods, if it has them, and how many there are.
    """
    images = config["images"]
    evaluated, size, classes = images["classes"] * images["per_class"], images.get("size", 0), images["classes"]
    explained = {name for rule, name, _, _ in planned if rule in BY_IMAGE}
    names = {name for rule, name, _, _ in planned if rule in (*MAKE_NETWORKS, *BY_IMAGE)}
    facts = {name: examine(config["networks"][name], size, classes, name in explained) for name in names}
    total = 0
    for rule, name, family, count in planned:
        if rule in MAKE_NETWORKS:
            total += count * facts[name].weights
        elif rule in BY_IMAGE:
            block = min(config[BY_IMAGE[rule]]["shard_size"], evaluated)
            total += count * block * (removal_bytes(config, facts[name], family) if family else facts[name].shard)
    return total


def removed_share(signal: float) -> float:
    """The share of pixels that is gone when e (Eq. 17) is `signal`, if all pixels carry the same signal.

    e = 1 − ‖x_s‖₂ / ‖x‖₂, and ‖x_s‖² is what the pixels that are left hold.
    """
    return 1 - (1 - signal) ** 2


def expected_share(config: dict) -> float:
    """Where a scan ends on average, in shares of the grid: with pretrained networks as the paper's e have it.

    Else as it was measured in the embedded experiment.
    """
    if "weights" not in config["networks"]["vgg16"]:
        return MEASURED_SHARE
    return round(sum(map(removed_share, PAPERS_SIGNALS.values())) / len(PAPERS_SIGNALS), 2)


def list_steps(config: dict, facts: dict[str, NetworkFacts], mean_share: float) -> list[Step]:
    """The steps whose cost is passes through networks; a scan ends at `mean_share` of the grid, on average.

    Removal in a fast precision computes again in float32 at least every flip and one pass in SAMPLED of the others.
    """
    evaluated = config["images"]["classes"] * config["images"]["per_class"]
    test = count_test_images(config)
    steps = []

    def add(name: str, network: str, read: int, passes: float, precision: str, **how) -> None:
        steps.append(Step(name, network, read, passes, facts[network].operations, precision, **how))

    for name, entry in config["networks"].items():
        if "training" in entry:
            batch = entry["training"]["batch"]
            seen = entry["training"]["epochs"] * (count_training_images(config) // batch) * batch
            add("training", name, seen + test, seen * (1 + BACKWARD) + test, "float32", on_cpu=True)
    survey = config["survey"]
    changes = len({*survey["scales"]} - {1}) + len({*survey["shifts"]} - {0})
    for name in facts:
        passes = 2 * test + changes * min(survey["change_images"], test)
        add("survey", name, test, passes, survey["precision"])
    for name in PAPERS:
        decay = config["networks"][name]["decay"]
        for trial, phases in decay_plans(config["networks"][name]).items():
            tuned = sum(length for _, length in phases) * decay["batch"]
            checks = count_checks(phases) * min(decay["record_images"], test) + test
            title = "decay" if trial == "decay" else "decay trials"
            add(title, name, tuned + checks, tuned * (1 + 1 + BACKWARD) + checks, decay["precision"], training=True)
    for name, _ in explained_variants(config):
        add("extraction", name, evaluated, evaluated * (1 + BACKWARD), "float32")
    for run in removal_runs(config):
        scans, precision = evaluated * count_scans(config, facts, run), config["removal"]["precision"]
        passes = scans * mean_share * config["removal"]["grid"]
        steps.append(Step("removal", run[0], evaluated, passes, facts[run[0]].folded, precision))
        if precision != "float32":
            checked = scans + (passes - scans) / SAMPLED
            steps.append(Step("re-checks", run[0], 0, checked, facts[run[0]].folded))
    return steps
