"""What further operators and measures are said to add to an experiment's cost, against counts by hand."""

import copy
import csv
from operator import attrgetter

import pytest
import yaml
from workflow_copy import ROOT

import compare_measures
import estimate_cost
from explanations.cost.additions import MEDIANS, OF_CURVES, OF_OPERATOR, OF_TRUTH, change_removal, list_additions
from explanations.cost.projection import IMPUTED, UNCLEAR, NetworkFacts, Step, list_beside, list_steps
from explanations.cost.throughput import GPUS, MEMORY, Operation
from explanations.localisation.measures import MEASURES
from explanations.methods.names import all_kinds
from explanations.networks.decisions import SAMPLED
from explanations.plan import Plan

CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
IMAGES = CONFIG["images"]["classes"] * CONFIG["images"]["per_class"]
METHODS = dict.fromkeys(map(str, all_kinds()), 1) | {"activity": 13, "bias": 13, "activity_from": 12}
PASS, FOLDED = (Operation(1e9, 1e3),), (Operation(1e9, 5e2),)
FACTS = NetworkFacts(PASS, 10, FOLDED, 100, METHODS, 96)
SIDE = 96


def facts_of(config: dict) -> dict[str, NetworkFacts]:
    """The same facts for every network."""
    return dict.fromkeys(config["networks"], FACTS)


def add(config: dict = CONFIG) -> dict[str, estimate_cost.Addition]:
    """What is added where scans end half of the way, by title."""
    return {found.title: found for found in list_additions(config, facts_of(config), 0.5)}


def usual_passes(config: dict) -> float:
    """Passes of removal by the original's usual maps, which further operators repeat."""
    total = 0.0
    for name in Plan(config).explained:
        run = next(Plan(config).runs(name))
        for kind in run.methods:
            total += len(run.orders(kind)) * METHODS.get(str(kind), 1) * 2 * 0.5 * config["removal"]["grid"] * IMAGES
    return total


def test_all_operators_and_measures_are_named():
    titles = ["removal by `mean`", "removal by `black`", "removal by `blur`", "removal by `road`"]
    titles += ["curves: AOPC, SRG and others", "sanity of methods", "agreement of measures"]
    assert list(add()) == titles
    assert next(iter(add(change_removal(CONFIG, operators=["road", "fill"])))) == "removal by `fill`"


@pytest.mark.parametrize("name", ["mean", "black", "blur", "road"])
def test_an_operator_adds_the_usual_removal_again(name):
    steps = add()[f"removal by `{name}`"].steps
    assert sum(step.passes for step in steps if step.name == f"removal, {name}") == pytest.approx(usual_passes(CONFIG))
    both = list_steps(change_removal(CONFIG, operators=["fill", name]), facts_of(CONFIG), 0.5)
    alone = list_steps(CONFIG, facts_of(CONFIG), 0.5)
    gpu = GPUS["H100"]
    added = estimate_cost.count_hours(both, gpu) - estimate_cost.count_hours(alone, gpu)
    assert estimate_cost.count_hours(steps, gpu) == pytest.approx(added)


def test_imputation_takes_memorys_time_at_every_pass():
    """By the roofline: values of 4 bytes at 70% of the bandwidth; no arithmetic is counted."""
    gpu, found = GPUS["H100"], add()
    removals = [step for step in found["removal by `road`"].steps if step.name == "removal, road"]
    plain = [step for step in found["removal by `mean`"].steps if step.name == "removal, mean"]
    assert len(removals) == len(plain) == len(Plan(CONFIG).explained)
    for road, mean in zip(removals, plain, strict=True):
        seconds = road.passes * IMPUTED * SIDE**2 * 4 / (MEMORY * gpu.bandwidth * 1e12)
        assert road.hours(gpu) - mean.hours(gpu) == pytest.approx(seconds / 3600)
        assert road.flop == mean.flop


def test_a_blurred_copy_is_made_once_of_each_image_and_job():
    (blur,) = list_beside("blur", SIDE, passes=1000, images=10)
    assert 1000 * blur.flop == pytest.approx(10 * 2 * 2 * 3 * SIDE**3)  # two products, a multiply-add as two
    reads_and_writes = 2 * (2 * 3 * SIDE**2 + SIDE**2)  # of each product: images in and out, and the matrix
    assert 1000 * blur.values == pytest.approx(10 * reads_and_writes)
    assert list_beside("mean", SIDE, 1000, 10) == list_beside("fill", SIDE, 1000, 10) == ()
    beside = add()["removal by `blur`"].hours(GPUS["H100"]) / add()["removal by `mean`"].hours(GPUS["H100"])
    assert 1 < beside < 1.05


def test_the_first_operators_imputation_is_part_of_removal_and_curves():
    config = change_removal(CONFIG, operators=["road"], curves=True)
    steps = list_steps(config, facts_of(config), 0.5)
    imputing = {step.name for step in steps if step.beside}
    assert imputing == {"removal", "curves"}
    assert not any(step.beside for step in list_steps(change_removal(CONFIG, curves=True), facts_of(CONFIG), 0.5))


def test_curves_go_to_the_end_and_removal_is_read_off_them():
    added = add()["curves: AOPC, SRG and others"]
    plan = Plan(change_removal(CONFIG, curves=True))
    expected = spared = 0
    for name in plan.explained:
        kinds = plan.curve_methods(name)
        maps = sum(METHODS.get(str(kind), 1) for kind in kinds)
        expected += IMAGES * (maps * 2 * 2 * CONFIG["removal"]["grid"] + len(kinds))
        spared += IMAGES * maps * 2 * 2 * 0.5 * CONFIG["removal"]["grid"]
    checked = 1 + UNCLEAR + 1 / SAMPLED  # in float32 too
    assert spared and added.count(attrgetter("passes")) == pytest.approx(expected - spared * checked)


def test_what_curves_add_is_the_difference_of_both_plans():
    both, alone = (list_steps(change_removal(CONFIG, curves=on), facts_of(CONFIG), 0.5) for on in (True, False))
    gpu = GPUS["H100"]
    wanted = estimate_cost.count_hours(both, gpu) - estimate_cost.count_hours(alone, gpu)
    assert add()["curves: AOPC, SRG and others"].hours(gpu) == pytest.approx(wanted)
    config = change_removal(CONFIG, precision="bfloat16")  # whose curves' decisions aren't checked: nothing is read
    config = config | {"networks": {"vgg16": CONFIG["networks"]["vgg16"]}, "twins": []}
    added = {found.title: found for found in list_additions(config, facts_of(config), 0.5)}
    curves = [step for step in added["curves: AOPC, SRG and others"].steps if step.name == "curves"]
    assert added["curves: AOPC, SRG and others"].count(attrgetter("passes")) == pytest.approx(curves[0].passes)


def test_sanity_by_hand():
    """20 images of each network: as it is, shuffled in 5 steps, and shifted; those of one's own maps aren't tried."""
    steps = {step.network: step for step in add()["sanity of methods"].steps}
    own = 20 + 20 + 1 + 2  # integrated gradients, SmoothGrad, guided backpropagation, DeepLift: pairs of passes
    assert steps["vgg16"].passes == 20 * 7 * (3 + 3 * own)
    assert steps["vit"].passes == 20 * 7 * 3 and steps["vit"].precision == "float32"
    config = copy.deepcopy(CONFIG) | {"sanity": {"images": 3, "steps": 2}}
    config["methods"]["again"] = {"source": "blurred", "of": "gradient"}
    config["networks"]["vit"]["explain"] = ["layers", "again"]
    steps = {step.network: step for step in add(config)["sanity of methods"].steps}
    assert steps["vit"].passes == 3 * 4 * 3


def test_agreement_is_of_a_core():
    agreement = add()["agreement of measures"]
    plan = Plan(CONFIG)
    methods = sum(METHODS.get(str(kind), 1) for name in plan.explained for kind in next(plan.runs(name)).methods)
    values = (OF_OPERATOR + OF_CURVES + OF_TRUTH) * IMAGES * methods * CONFIG["statistics"]["resamples"]
    assert agreement.seconds == pytest.approx(values / MEDIANS) and agreement.hours(GPUS["H100"]) == 0
    assert (len(compare_measures.REMOVED), len(compare_measures.AREAS)) == (OF_OPERATOR, OF_CURVES)
    assert len(MEASURES) == OF_TRUTH


def test_what_imputation_moves_is_what_was_counted():
    with open(ROOT / "docs/imputation.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["maps"], row["first"]) for row in rows} == {
        (maps, first) for maps in ("smooth", "of single pixels") for first in ("least", "most")
    }
    mean = sum(float(row["values"]) for row in rows) / len(rows)
    assert round(mean, -1) == IMPUTED


def test_the_table():
    said = estimate_cost.describe_additions(list_additions(CONFIG, facts_of(CONFIG), 0.5), GPUS["H100"])
    columns = ["what each adds, alone", "by", "passes", "FLOP", "GPU hours", "core hours"]
    assert [cell.strip() for cell in said.splitlines()[0].strip("| ").split("|")] == columns
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in said.splitlines()[2:]]
    assert len(rows) == 7
    by_title = {row[0]: row[1:] for row in rows}
    key, *numbers = by_title["removal by `road`"]
    assert key == "`removal.operators`" and all(float(number) > 0 for number in numbers[:3])
    agreement = add()["agreement of measures"].seconds / 3600
    assert by_title["agreement of measures"] == ["`measures`", "", "", "", f"{agreement:.2g}"]


def test_steps_beside_passes_take_longer():
    step = Step("removal", "n", 0, 10, PASS, beside=(Operation(5.0, 1e6),))
    assert step.flop == 10 * (1e9 + 5)
    alone = Step("removal", "n", 0, 10, PASS)
    other = Step("removal", "n", 0, 10, step.beside)
    gpu = GPUS["H100"]
    assert step.hours(gpu) == pytest.approx(alone.hours(gpu) + other.hours(gpu))
