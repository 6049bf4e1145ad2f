"""What an experiment is said to cost, against counts by hand, real shards, published FLOP, and what Snakemake plans."""

import argparse
import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torchvision
import yaml
from small import ARGUMENTS
from workflow_copy import ROOT, copy_workflow, snakemake

import estimate_cost
from explanations.cost.projection import (
    MEASURED_SHARES,
    NetworkFacts,
    Step,
    count_checks,
    count_curve_bytes,
    count_patch_bytes,
    count_planned_bytes,
    count_removal_bytes,
    count_scans,
    decay_plans,
    examine,
    expected_share,
    list_steps,
    removed_share,
    share_of_grid,
)
from explanations.cost.throughput import GPUS, TRAINING, Operation, count_flop
from explanations.data.sets import count_test_images
from explanations.errors import InputError
from explanations.files.curves import write_curves
from explanations.files.locks import STEPS_LOCK
from explanations.files.measurements import write_measurements
from explanations.files.patches import read_patch_scores, write_patch_correlations, write_patch_scores
from explanations.files.shards import ShardReader
from explanations.methods.maps import ShardMaps
from explanations.methods.names import all_kinds
from explanations.methods.saliency import list_methods
from explanations.plan import Plan, Run, methods_of

CONFIGS = {name: yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("config", "imagenet")}
METHODS = dict.fromkeys(map(str, all_kinds()), 1) | {"activity": 13, "bias": 13, "activity_from": 12}
PASS, FOLDED = (Operation(1e9, 1e3),), (Operation(1e9, 5e2),)
FACTS = NetworkFacts(PASS, 10, FOLDED, 100, METHODS, 96)


def facts_of(config: dict) -> dict[str, NetworkFacts]:
    """The same facts for every network."""
    return dict.fromkeys(config["networks"], FACTS)


# --- networks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "multiply_adds"), [("vgg16", 15.47e9), ("resnet50", 4.09e9), ("alexnet", 0.71e9)])
def test_flop_are_those_that_torchvision_states(name, multiply_adds):
    entry = {"source": "torchvision", "constructor": name, "arguments": {}, "weights": {"name": "IMAGENET1K_V1"}}
    facts = examine(entry, 0, 0, explained=False)
    flop = count_flop(facts.operations)
    assert flop == pytest.approx(2 * multiply_adds, rel=0.01)
    stated = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].meta
    assert flop == pytest.approx(2e9 * stated["_ops"], rel=0.01)
    assert facts.weights == pytest.approx(4 * stated["num_params"], rel=0.01)


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_shards_and_methods_are_those_of_a_real_shard(world, name):
    arguments = {key: value for key, value in ARGUMENTS[name].items() if key != "num_classes"}
    entry = {"source": "narrow", "constructor": name, "arguments": arguments}
    facts = examine(entry, 32, 10, explained=True)
    with h5py.File(world.shards[name]) as file:
        arrays = []
        file.visititems(lambda _, item: arrays.append(item) if isinstance(item, h5py.Dataset) else None)
        assert facts.shard * len(file["image"]) == sum(array.size * array.dtype.itemsize for array in arrays)
    with ShardReader([world.shards[name]]) as reader:
        maps = ShardMaps(reader, [0])
        assert facts.methods == {str(kind): len(list_methods(kind, maps)) for kind in all_kinds()}
    assert facts.each == {"channel": {"vgg16": 32, "resnet50": 128}[name], "stage": 5}
    assert 0.9 < facts.weights / world.networks[name].stat().st_size < 1  # the rest of the file is its header


# --- the plan ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_removal_runs_are_those_that_are_planned(tmp_path, name):
    """The table of runs against the rules: every job of removal that a dry run of everything plans."""
    folder = copy_workflow(tmp_path)
    plan = snakemake(folder, "--dry-run", "--configfile", f"config/{name}.yaml").stdout
    found = re.findall(r"output: results/\w+/removal/(\w+)/([\w-]+)/(\w+)-\d+\.h5", plan)
    runs = Plan(CONFIGS[name]).all_runs()
    assert set(found) == {(run.network, run.folder, str(method)) for run in runs for method in run.methods}


@pytest.mark.parametrize("name", CONFIGS)
def test_steps_by_hand(name):
    config = CONFIGS[name]
    steps = {}
    for step in list_steps(config, facts_of(config), 0.5):
        steps.setdefault(step.name, []).append(step)
    images = config["images"]["classes"] * config["images"]["per_class"]
    test = count_test_images(config)
    changed = min(config["survey"]["change_images"], test)
    assert len(steps["survey"]) == len(config["networks"])
    assert steps["survey"][0].passes == 2 * test + (12 + 16) * changed  # 13 scales and 17 shifts, each with one of none
    explained = {"config": 11, "imagenet": 6}[name]  # networks and variants
    assert sum(step.passes for step in steps["extraction"]) == 3 * images * explained
    assert all(step.precision == "float32" for step in steps["extraction"])
    asked = config["removal"]["precision"]
    vgg16 = [step for step in steps["removal"] if step.network == "vgg16"]
    own = {"config": 6, "imagenet": 0}[name]  # methods with passes of their own
    scans = 4 * (15 + 13 + 16 + own) + 2 * (15 + 13)  # with the other upsampling in one order alone
    assert sum(step.passes for step in vgg16) == images * scans * 0.5 * config["removal"]["grid"]
    assert {step.precision for step in vgg16} == {{"auto": "bfloat16"}.get(asked, asked)}
    if own:  # integrated gradients of 20 steps, 20 noisy images, one with guided passes, two for DeepLift
        assert [step.passes for step in steps["maps"]] == [images * 3 * (20 + 20 + 1 + 2)] * 2
    assert {step.precision for step in steps["survey"]} == {config["survey"]["precision"]}
    assert all(step.flop == 1e9 * step.passes for found in steps.values() for step in found)
    folded = {name for name, found in steps.items() for step in found if step.operations == FOLDED}
    assert folded == {"removal", "re-checks"} & steps.keys()
    assert {name for name, found in steps.items() for step in found if step.training} == {"decay", "decay trials"}


def test_trainings_by_hand():
    entry = CONFIGS["config"]["networks"]["vgg16"]["training"]
    assert (entry["epochs"], entry["batch"], entry["start_epochs"]) == (8, 64, 4)
    steps = [step for step in list_steps(CONFIGS["config"], facts_of(CONFIGS["config"]), 0.5) if step.on_cpu]
    assert [step.name for step in steps] == ["training"] * len(CONFIGS["config"]["networks"])
    assert steps[0].passes == (8 * 40_000 + 4 * 9_984) * 3 + 1000  # 10,000 large digits in full batches
    taken = {("vgg16", "original"), ("vgg16", "decayed"), ("resnet50", "decayed")}
    left = list_steps(CONFIGS["config"], facts_of(CONFIGS["config"]), 0.5, taken)
    assert "vgg16" not in {step.network for step in left if step.on_cpu or step.name == "decay"}
    assert not [step for step in left if step.name == "decay"] and [s for s in left if s.name == "decay trials"]
    assert not [step for step in list_steps(CONFIGS["imagenet"], facts_of(CONFIGS["imagenet"]), 0.5) if step.on_cpu]


def test_decays_by_hand():
    plans = decay_plans(CONFIGS["imagenet"]["networks"]["resnet50"])
    assert {name: sum(length for _, length in phases) for name, phases in plans.items()} == {
        **{"decay": 44_000, "trial, 25 steps": 9_000, "trial, 50 steps": 14_000, "trial, 100 steps": 24_000},
        **{"trial, T = 10": 44_000, "trial, T = 50": 44_000, "trial, T = 1000": 44_000},
    }
    assert count_checks(plans["decay"]) == 1 + 2 * 200 + 20  # nothing new by brute force once biases are 0
    config = CONFIGS["imagenet"]
    own = next(s for s in list_steps(config, facts_of(config), 0.1) if s.name == "decay" and s.network == "vgg16")
    assert own.passes == 40_000 * 64 * 4 + 401 * 1000 + 50_000


def test_re_checks_are_those_of_the_engine():
    """What is not clear, and one pass in 128."""
    config = CONFIGS["imagenet"]
    steps = list_steps(config, facts_of(config), 0.1)
    passes = sum(step.passes for step in steps if step.name == "removal")
    checks = [step for step in steps if step.name == "re-checks"]
    assert sum(step.passes for step in checks) == pytest.approx(passes * (0.05 + 1 / 128))
    assert {step.precision for step in checks} == {"float32"}
    exact = {**config, "removal": {**config["removal"], "precision": "float32"}}
    assert not [step for step in list_steps(exact, facts_of(exact), 0.1) if step.name == "re-checks"]


def test_curves_by_hand():
    """To the end of the grid, in both orders, by own and noise maps; the whole images once in each job."""
    config = json.loads(json.dumps(CONFIGS["config"]))
    assert not [step for step in list_steps(config, facts_of(config), 0.5) if step.name == "curves"]
    config["removal"] |= {"curves": True, "noise_maps": 2}
    steps = [step for step in list_steps(config, facts_of(config), 0.5) if step.name == "curves"]
    maps, kinds = 1 + 1 + 13 + 12 + 4 + 6, 3 + 5 + 6
    assert [step.network for step in steps] == ["vgg16", "resnet50"]
    assert steps[1].passes == 100 * (maps * 3 * 2 * config["removal"]["grid"] + kinds)
    assert {step.precision for step in steps} == {"float32"} and config["removal"]["precision"] == "auto"
    config["removal"]["precision"] = "bfloat16"
    steps = [step for step in list_steps(config, facts_of(config), 0.5) if step.name == "curves"]
    assert {step.precision for step in steps} == {"bfloat16"}


def test_curves_are_as_large_as_said(tmp_path):
    config = json.loads(json.dumps(CONFIGS["config"]))
    config["images"] |= {"classes": 2, "per_class": 5}
    config["removal"] |= {"curves": True, "noise_maps": 3, "grid": 4}
    total, plan = 0, Plan(config)
    for name in ("vgg16", "resnet50"):
        for kind in map(str, plan.curve_methods(name)):
            methods = [f"method_{k}" for k in range(FACTS.methods.get(kind, 1))]
            shape = (10, len(methods), 4, 2)
            arrays = {"image": np.arange(10), "label": np.arange(10), "flip": np.ones(shape, int), "e": np.zeros(shape)}
            arrays |= {score: np.zeros((*shape, 5), np.float32) for score in ("probability", "logit")}
            write_curves(tmp_path / f"{name}-{kind}.h5", methods, arrays, config["removal"])
            with h5py.File(tmp_path / f"{name}-{kind}.h5") as file:
                total += sum(dataset.size * dataset.dtype.itemsize for dataset in file.values())
    assert count_curve_bytes(config, facts_of(config)) == total
    assert count_curve_bytes(CONFIGS["config"], facts_of(CONFIGS["config"])) == 0


def test_single_patches_by_hand():
    """Each image once, and once without each of nine patches, whatever maps there are."""
    config = json.loads(json.dumps(CONFIGS["config"]))
    assert not [step for step in list_steps(config, facts_of(config), 0.5) if step.name == "patches"]
    config["removal"] |= {"patches": 3, "noise_maps": 2}
    steps = [step for step in list_steps(config, facts_of(config), 0.5) if step.name == "patches"]
    assert [step.network for step in steps] == Plan(config).explained
    assert {(step.passes, step.read, step.precision) for step in steps} == {(100 * 10, 100, "float32")}


def test_single_patches_are_as_large_as_said(tmp_path):
    config = json.loads(json.dumps(CONFIGS["config"]))
    config["images"] |= {"classes": 2, "per_class": 5}
    config["removal"] |= {"patches": 2, "noise_maps": 3}
    total, plan = 0, Plan(config)
    about = {"experiment": "e", "variant": "original", "weights": "w", "side": 2, "precision": "float32"}
    for name in plan.explained:
        arrays = {"image": np.arange(10), "label": np.arange(10), "logit": np.zeros((10, 5), np.float32)}
        paths = [tmp_path / f"{name}-{part}.h5" for part in ("scores", "correlations")]
        write_patch_scores(paths[0], {**arrays, "probability": arrays["logit"]}, {**about, "network": name})
        count = sum(FACTS.methods.get(str(kind), 1) for kind in methods_of(*plan.groups(name)))
        found = {f"method_{k}": dict.fromkeys(("logit", "probability"), np.zeros((10, 4))) for k in range(count)}
        write_patch_correlations(paths[1], read_patch_scores(paths[:1]), found, {"noise_maps": 3})
        for path in paths:
            with h5py.File(path) as file:
                total += sum(dataset.size * dataset.dtype.itemsize for dataset in file.values())
    assert count_patch_bytes(config, facts_of(config)) == total
    assert count_patch_bytes(CONFIGS["config"], facts_of(CONFIGS["config"])) == 0


def test_signal_and_share_of_pixels():
    """Of 100 equal pixels 36 keep 80% of the norm."""
    image = np.ones(100)
    image[:36] = 0
    signal = 1 - np.linalg.norm(image) / 10
    assert signal == pytest.approx(0.2)
    assert removed_share(signal) == pytest.approx(0.36)


def test_planned_bytes_are_those_of_the_jobs():
    """Three shards and two results of a hundred images, a network and its variant; figures are nothing beside."""
    config = CONFIGS["config"]
    planned = [["train", "vgg16", None, 1], ["zero_biases", "vgg16", None, 1], ["draw_fig1", None, None, 1]]
    planned += [["extract_attributions", "vgg16", None, 3], ["measure_removal", "vgg16", "activity", 2]]
    planned += [["measure_curves", "vgg16", "gradient", 1]]
    facts = examine(config["networks"]["vgg16"], config["images"]["size"], config["images"]["classes"], explained=True)
    result = 100 * ((4 + 2 + 2) * 8 * facts.methods["activity"] + 16)  # e and flips of one map and a noise map
    curves = 100 * (2 * 2 * (2 * 51 * 4 + 2 * 8) + 16)  # two scores at 51 points, flip and e, of both orders
    assert count_planned_bytes(config, planned) == 2 * facts.weights + 3 * 100 * facts.shard + 2 * result + curves
    assert count_planned_bytes(config, [["findings", None, None, 1]]) == 0
    config = {**config, "removal": {**config["removal"], "patches": 4}}
    assert count_planned_bytes(config, [["measure_patches", "vgg16", None, 3]]) == 3 * 100 * (2 * 17 * 4 + 16)


def test_results_of_removal_are_as_large_as_said(tmp_path):
    config = json.loads(json.dumps(CONFIGS["config"]))
    config["images"] |= {"classes": 2, "per_class": 5}
    config["removal"]["noise_maps"] = 3
    total = 0
    kinds = [(str(kind), run.orders(kind)) for run in Plan(config).all_runs() for kind in run.methods]
    for number, (kind, orders) in enumerate(kinds):
        methods = [f"method_{k}" for k in range(FACTS.methods.get(kind, 1))]
        arrays = {"image": np.arange(10), "label": np.arange(10)}
        for order in orders:
            arrays |= {f"e_{order}": np.zeros((10, len(methods))), f"e_{order}_noise": np.zeros((10, len(methods)))}
            arrays |= {f"flip_{order}": np.ones((10, len(methods)), int)}
            arrays |= {f"flip_{order}_noise": np.ones((10, len(methods), 3), int)}
        settings = {"grid": 2, "never_flips": "one", "orders": orders}
        write_measurements(tmp_path / f"{number}.h5", methods, arrays, settings)
        with h5py.File(tmp_path / f"{number}.h5") as file:
            total += sum(dataset.size * dataset.dtype.itemsize for dataset in file.values())
    assert count_removal_bytes(config, facts_of(config)) == total


def test_twice_the_images_are_twice_the_scans():
    config = CONFIGS["imagenet"]
    double = {**config, "images": {**config["images"], "per_class": 100}}
    once, twice = (
        sum(step.passes for step in list_steps(settings, facts_of(settings), 0.3) if step.name == "removal")
        for settings in (config, double)
    )
    assert twice == 2 * once
    run = Run("vgg16", "original", "bilinear", ("layers",), compares_orders=True)
    assert count_scans(config, FACTS, run) == 60
    assert count_scans(config, FACTS, replace(run, compares_orders=False)) == 30


def test_images_of_a_folder_are_counted(world, tmp_path):
    config = {"images": {"source": "folder", "folder": str(tmp_path), "classes": 3, "per_class": 4}}
    assert count_test_images(config) == 12  # it isn't there yet
    (tmp_path / "val").symlink_to(world.images)
    assert count_test_images(config) == 20


def test_hours_are_those_of_the_precision_and_of_training():
    gpu = GPUS["H100"]
    steps = [Step("a", "n", 0, 1e9, PASS, precision) for precision in ("float32", "tf32", "bfloat16")]
    wanted = [1e18 / (0.5 * rate * 1e12) / 3600 for rate in (67, 494, 989)]
    assert [step.hours(gpu) for step in steps] == pytest.approx(wanted)
    steps.append(Step("decay", "n", 0, 1e9, PASS, training=True))
    assert steps[-1].hours(gpu) == pytest.approx(wanted[0] / TRAINING)
    steps.append(Step("training", "n", 0, 1e9, PASS, on_cpu=True))
    assert estimate_cost.count_hours(steps, gpu) == pytest.approx(sum(wanted) + wanted[0] / TRAINING)


def test_scans_end_where_the_paper_has_it_or_where_it_was_measured():
    """Of the paper's e, 0.30, 0.15, 0.04 and 0.12: 51%, 27.75%, 7.84% and 22.56% of the pixels.

    Weighted by how many scans there are of each order, which both configurations have more of for e₋.
    """
    minus, plus = (0.51 + 0.2775) / 2, (0.0784 + 0.2256) / 2
    for name, (first, second) in {"imagenet": (minus, plus), "config": MEASURED_SHARES.values()}.items():
        config, facts = CONFIGS[name], facts_of(CONFIGS[name])
        runs = [(run, FACTS.methods.get(str(kind), 1), kind) for run in Plan(config).all_runs() for kind in run.methods]
        both = sum(count for run, count, kind in runs if run.orders(kind) == ("minus", "plus"))
        once = sum(count for run, count, kind in runs if run.orders(kind) == ("minus",))
        assert once and both
        wanted = (both * (first + second) + once * first) / (2 * both + once)
        assert expected_share(config, facts) == round(wanted, 2)


FINE = [0.01, 0.02, 0.04, 0.1, 0.3, 1]


def test_a_grid_of_its_own_by_hand():
    """25% of the pixels are three quarters of the way from step 4, 10%, to step 5, 30%, of six."""
    removal = {"grid": 50, "grid_plus": FINE}
    assert share_of_grid(removal, "plus", 0.25) == pytest.approx(4.75 / 6)
    assert [share_of_grid(removal, "plus", share) for share in (0, 0.02, 1)] == pytest.approx([0, 2 / 6, 1])
    assert share_of_grid(removal, "minus", 0.25) == share_of_grid({"grid": 50}, "plus", 0.25) == 0.25
    assert share_of_grid({"grid": 4, "grid_plus": [0.25, 0.5, 0.75, 1]}, "plus", 0.3) == pytest.approx(0.3)


def test_passes_are_of_each_orders_grid():
    """Where scans end half of the way; and where they do by what was measured, each order's on its own grid."""
    config, own = CONFIGS["config"], json.loads(json.dumps(CONFIGS["config"]))
    own["removal"]["grid_plus"] = FINE
    facts, images = facts_of(config), config["images"]["classes"] * config["images"]["per_class"]
    runs = [(run, FACTS.methods.get(str(kind), 1), kind) for run in Plan(config).all_runs() for kind in run.methods]
    plus = images * sum(2 * count for run, count, kind in runs if "plus" in run.orders(kind))
    minus = images * sum(2 * count for run, count, kind in runs if "minus" in run.orders(kind))

    def passes(settings: dict, share: float) -> float:
        return sum(step.passes for step in list_steps(settings, facts, share) if step.name == "removal")

    assert passes(config, 0.5) == 0.5 * 50 * (minus + plus)
    assert passes(own, 0.5) == 0.5 * (50 * minus + 6 * plus)
    ends = MEASURED_SHARES["minus"] * 50 * minus + 4.75 * plus  # of e₊, a quarter of the pixels
    assert expected_share(own, facts) == round(ends / (50 * minus + 6 * plus), 2)


def test_rows_that_differ_by_the_network_are_one():
    rows = [("x", "a", "1"), ("x", "b", "2"), ("x", "c", "2"), ("y", "c", "2")]
    assert estimate_cost.collapse(rows, 1) == [("x", "a", "1"), ("x", "each of 2 others", "2"), ("y", "c", "2")]


# --- the command and the page ------------------------------------------------------------------------------------


def test_the_target_prints_the_tables(tmp_path):
    folder = copy_workflow(tmp_path)
    said = snakemake(folder, "--cores", "1", "cost", "--configfile", "tests/minimal.yaml").stdout
    assert "experiment minimal" in said and "| training" in said and "| all " in said
    assert "GPU hours of one H100: 67 TFLOP/s in float32" in said
    assert re.search(r"A scan ends at \d\d% of the grid", said)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"config": "{"}, "--config: can't be read as JSON (Expecting property name"),
        ({"config": "@none.json"}, "--config: can't be read as JSON ("),
        ({"mean_share": 1.5}, "--mean-share is 1.5; allowed is a number > 0 and <= 1"),
    ],
)
def test_bad_flags(flags, message):
    with pytest.raises(InputError) as raised:
        estimate_cost.main(**{"config": json.dumps({}), "gpu": GPUS["H100"], "mean_share": 0.1, **flags})
    assert str(raised.value).startswith(message)


def test_it_keeps_no_run_waiting(tmp_path, monkeypatch):
    """It holds no lock, as steps that write do: a run may start beside it."""
    monkeypatch.setenv(STEPS_LOCK, str(tmp_path / ".steps"))
    command = [sys.executable, ROOT / "scripts/estimate_cost.py", "--config={"]
    said = subprocess.run(command, text=True, capture_output=True).stderr
    assert "--config: can't be read as JSON" in said
    assert not (tmp_path / ".steps").exists()


def test_a_gpu_by_its_name_or_its_data_sheet():
    assert estimate_cost.read_gpu("B200") is GPUS["B200"]
    own = estimate_cost.read_gpu("67,494,989,3.35")
    assert (own.float32, own.tf32, own.bfloat16, own.bandwidth) == (67, 494, 989, 3.35)


@pytest.mark.parametrize("text", ["K80", "1,2,3", "1,2,3,x", "1,2,3,0", "1,2,3,inf"])
def test_no_gpu(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"is {text}; allowed are A100, H100, .* or four numbers > 0"):
        estimate_cost.read_gpu(text)


@pytest.fixture(scope="module")
def write_cost():
    """The script that writes the page."""
    spec = importlib.util.spec_from_file_location("write_cost", ROOT / "docs/write_cost.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(write_cost):
    page = (ROOT / "docs/cost.md").read_text()
    for name, text in write_cost.make_blocks().items():
        assert f"<!-- {name} -->" in page
        assert write_cost.replace_block(page, name, text) == page, f"{name}: `make costs` brings it up to date"


def test_estimates_are_below_published_throughputs_but_not_far(write_cost):
    for row, rate in write_cost.compare_throughput():
        low = 0.45 if row["pass"] == "inference" else 0.35
        assert low < rate / float(row["images_per_second"]) < 1, row


def test_maps_of_ones_own_take_space():
    config = json.loads(json.dumps(CONFIGS["config"]))
    planned = [["make_maps", "vgg16", None, 3]]
    assert count_planned_bytes(config, planned) == 3 * 100 * 4 * 96**2
