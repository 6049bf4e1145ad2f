"""Networks that were trained before are taken where the configuration would train the same, and nowhere else."""

import copy
import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import refused
from small import build, describe
from snakemake.utils import update_config
from workflow_copy import ROOT

import take_trained
from explanations.files.descriptions import read_description
from explanations.networks.files import load_network, save_network
from explanations.networks.trained import (
    describe_decay,
    describe_training,
    find_trained,
    list_trials,
    read_recipe,
    training_seed,
)
from explanations.plan import leave_out_networks

TRAINING = {"epochs": 1, "batch": 5, "learning_rate": 0.1, "weight_decay": 0.0}
CONFIG = {
    "seed": 0,
    "images": {"source": "digits", "size": 32, "train_count": 30, "val_count": 20, "start_count": 10, "scraps": 2},
    "networks": {
        "a": {
            "source": "narrow",
            "constructor": "vgg16",
            "arguments": {"width": 1},
            "training": TRAINING,
            "decay": {"steps": 2},
            "decay_trials": {"steps": [3], "temperature": [1e-5]},
        },
        "b": {"source": "narrow", "constructor": "vgg16", "arguments": {}, "training": {**TRAINING, "start_epochs": 1}},
        "c": {"source": "timm", "constructor": "x", "arguments": {}, "weights": {}},
    },
}


@pytest.fixture
def trained(tmp_path) -> Path:
    """A folder of what CONFIG would train."""
    for name, variant in (("a", "original"), ("a", "decayed"), ("b", "original")):
        recipe = (describe_decay if variant == "decayed" else describe_training)(CONFIG, name)
        (tmp_path / name).mkdir(exist_ok=True)
        record = {"recipe": recipe, "accuracy": 0.5, "test_images": 20}
        description = describe("vgg16").with_variant(variant, "", "", record)
        save_network(tmp_path / name / f"{variant}.safetensors", build("vgg16"), description)
    (tmp_path / "a/decayed.csv").write_text("a\n")
    for trial in ("steps-3", "temperature-1e-05"):
        (tmp_path / f"a/{trial}.csv").write_text("a\n")
        (tmp_path / f"a/{trial}.json").write_text(json.dumps(describe_decay(CONFIG, "a", trial)))
    return tmp_path


def test_all_that_was_trained_is_taken(trained):
    found = find_trained(trained, CONFIG)
    assert found == {
        ("a", "original"): trained / "a/original.safetensors",
        ("a", "decayed"): trained / "a/decayed.safetensors",
        ("b", "original"): trained / "b/original.safetensors",
        ("a", "steps-3"): trained / "a/steps-3.csv",
        ("a", "temperature-1e-05"): trained / "a/temperature-1e-05.csv",
    }
    assert find_trained(trained / "nothing", CONFIG) == {}


def test_trials_differ_from_the_decay_in_one_setting():
    assert list_trials(CONFIG["networks"]["a"]) == {
        "steps-3": {"steps": 3},
        "temperature-1e-05": {"steps": 2, "temperature": 1e-5},
    }
    assert list_trials(CONFIG["networks"]["b"]) == {}


def test_a_damaged_recipe_is_named(trained):
    (trained / "a/steps-3.json").write_text("{")
    assert refused(find_trained, trained, CONFIG) == (
        f"{trained}/a/steps-3.json: can't be read as JSON; `make networks` makes it anew"
    )


@pytest.mark.parametrize(
    ("way", "value", "left"),
    [
        ("seed", 1, ""),
        ("training_seed", 1, ""),
        ("images.size", 48, ""),
        ("images.train_count", 31, ""),
        ("images.start_count", 11, "a aa s t"),  # b alone begins with those
        ("images.val_count", 30, "a aa s t b"),
        ("images.source", "folder", ""),
        ("images.planted", True, ""),
        ("images.planted", False, "a aa s t b"),
        ("images.tuning_count", 20, "a b"),
        ("networks.a.arguments.width", 2, "b"),
        ("networks.a.training.epochs", 2, "b"),
        ("networks.a.decay.steps", 4, "a s b"),  # of one trial these are its own
        ("networks.a.decay_trials.steps", [7], "a aa t b"),
        ("networks.a.explain", True, "a aa s t b"),
        ("removal", {}, "a aa s t b"),
    ],
)
def test_what_another_configuration_would_train_is_not_taken(trained, way, value, left):
    config = copy.deepcopy(CONFIG)
    *sections, key = way.split(".")
    section = config
    for name in sections:
        section = section[name]
    section[key] = value
    letters = {("a", "original"): "a", ("a", "decayed"): "aa", ("b", "original"): "b"}
    letters |= {("a", "steps-3"): "s", ("a", "temperature-1e-05"): "t"}
    assert " ".join(letters[key] for key in find_trained(trained, config)) == left


def test_a_training_seed_is_the_seed_unless_it_is_said():
    assert training_seed(CONFIG) == 0 and training_seed({**CONFIG, "training_seed": 3}) == 3


def test_a_decayed_network_goes_with_its_original_and_its_record(trained):
    (trained / "a/decayed.csv").unlink()
    (trained / "a/steps-3.csv").unlink()
    (trained / "a/temperature-1e-05.json").unlink()
    assert set(find_trained(trained, CONFIG)) == {("a", "original"), ("b", "original")}
    (trained / "a/original.safetensors").unlink()
    assert set(find_trained(trained, CONFIG)) == {("b", "original")}


def test_a_network_that_does_not_say_what_it_was_trained_by_is_not_taken(trained):
    save_network(trained / "b/original.safetensors", build("vgg16"), describe("vgg16"))
    assert read_recipe(trained / "b/original.safetensors") is None
    assert ("b", "original") not in find_trained(trained, CONFIG)


@pytest.mark.parametrize("content", [b"", b"\x05", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]x"])
def test_a_damaged_file_is_named(trained, content):
    path = trained / "a/original.safetensors"
    path.write_bytes(content)
    assert refused(find_trained, trained, CONFIG) == (
        f"{path}: not a network file, or damaged; `make networks` makes it anew"
    )


def test_a_taken_network_is_the_same_file_and_is_checked(trained, tmp_path, capsys):
    source, output = trained / "a/decayed.safetensors", tmp_path / "taken.safetensors"
    take_trained.main(source, output)
    take_trained.main(trained / "a/decayed.csv", tmp_path / "taken.csv")
    assert output.read_bytes() == source.read_bytes() and (tmp_path / "taken.csv").read_text() == "a\n"
    assert "accuracy on 20 test images when it was trained: 0.5000" in capsys.readouterr().out
    changed = bytearray(source.read_bytes())
    changed[-1] ^= 1
    source.write_bytes(changed)
    (tmp_path / "taken.safetensors").unlink()
    assert refused(take_trained.main, source, output) == (
        f"{source}: changed since it was written (its weights); `make networks` makes it anew"
    )
    assert not output.exists()


# --- those that come with the repository --------------------------------------------------------------------------

SHIPPED = sorted((ROOT / "resources/networks").glob("*/*.safetensors"))
EMBEDDED = yaml.safe_load((ROOT / "config/config.yaml").read_text())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_shipped_networks_are_whole_small_and_taken(path):
    _, description = load_network(path)
    assert path.stat().st_size < 2e6
    assert find_trained(ROOT / "resources/networks", EMBEDDED)[path.parent.name, path.stem] == path
    assert description.record["test_images"] == EMBEDDED["images"]["val_count"]
    assert 0.8 < description.record["accuracy"] <= 1
    if path.stem == "decayed":
        original = path.with_name("original.safetensors")
        assert description.record["accuracy"] > read_description(original).record["accuracy"] - 0.05


def test_all_networks_of_the_embedded_experiment_are_shipped():
    found = find_trained(ROOT / "resources/networks", EMBEDDED)
    decaying = {name for name, network in EMBEDDED["networks"].items() if "decay" in network}
    assert {name for name, variant in found if variant == "original"} == set(EMBEDDED["networks"])
    assert {name for name, variant in found if variant == "decayed"} == decaying
    trials = {(name, trial) for name, network in EMBEDDED["networks"].items() for trial in list_trials(network)}
    assert trials and trials <= found.keys()


def test_twins_decide_equally_well():
    """Within two points, so that how they halve their maps is all that they differ in."""
    for twins in EMBEDDED["twins"]:
        first, second = (
            read_description(ROOT / f"resources/networks/{name}/original.safetensors").record["accuracy"]
            for name in twins.values()
        )
        assert abs(first - second) <= 0.02


def test_the_papers_networks_are_shipped_and_decide_well():
    for name in ("vgg16", "resnet50"):
        assert read_description(ROOT / f"resources/networks/{name}/original.safetensors").record["accuracy"] >= 0.93


def test_networks_of_planted_evidence_are_shipped_and_decide_well():
    config = json.loads(json.dumps(EMBEDDED))  # in which no two keys hold the same mapping
    update_config(config, yaml.safe_load((ROOT / "config/planted.yaml").read_text()))
    leave_out_networks(config)
    shipped = sorted((ROOT / config["trained"]).glob("*/*.safetensors"))
    assert sorted(find_trained(ROOT / config["trained"], config).values()) == shipped and len(shipped) == 2
    for path in shipped:
        _, description = load_network(path)
        assert description.record["accuracy"] >= 0.97 and path.stat().st_size < 2e6


def test_what_a_run_trained_is_kept(trained, tmp_path):
    """Networks that say what they were trained by, with the decay's record; not zeroed or fetched ones."""
    spec = importlib.util.spec_from_file_location("keep_networks", ROOT / "resources/keep_networks.py")
    keep_networks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(keep_networks)
    results, kept = tmp_path / "results", tmp_path / "kept"
    for name in ("a", "b"):
        shutil.copytree(trained / name, results / "models" / name, ignore=shutil.ignore_patterns("*.csv", "*.json"))
    save_network(results / "models/b/zeroed.safetensors", build("vgg16"), describe("vgg16"))
    (results / "models/c").mkdir()
    save_network(results / "models/c/original.safetensors", build("vgg16"), describe("vgg16"))
    (results / "decay/a").mkdir(parents=True)
    shutil.copy(trained / "a/decayed.csv", results / "decay/a/decayed.csv")
    for trial in list_trials(CONFIG["networks"]["a"]):
        record = {"recipe": describe_decay(CONFIG, "a", trial)}
        path = results / f"decay/a/{trial}.safetensors"
        save_network(path, build("vgg16"), describe("vgg16").with_variant("decayed", "", "", record))
        shutil.copy(trained / f"a/{trial}.csv", path.with_suffix(".csv"))
    keep_networks.main(results, kept)
    assert {path.relative_to(kept) for path in kept.rglob("*.*")} == {
        path.relative_to(trained) for name in ("a", "b") for path in (trained / name).iterdir()
    }
    assert find_trained(kept, CONFIG).keys() == find_trained(trained, CONFIG).keys()
