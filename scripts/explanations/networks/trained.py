"""Networks that were trained before: one is taken, not trained again, where the configuration would train the same.

They lie in a folder, <network>/<variant>.safetensors, each with what it was trained by in its record, under `recipe`;
beside a decayed one its decay's record, decayed.csv. Of a trial of decay, which figure S7 alone asks for, there is the
record, <network>/<trial>.csv, and what it was made by, <trial>.json. Needs the standard library alone: the workflow's
plan uses it too.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from explanations.errors import InputError
from explanations.networks.builders import hash_builder

LONGEST = 2**24  # bytes of a file's header that are read
GENERATED = ("source", "size", "scraps")  # of images, that they depend on beside the seed and their counts


def describe_training(config: Mapping, name: str) -> dict:
    """All that the weights of a network of the configuration depend on, beside the machine that trains it."""
    images, network = config["images"], config["networks"][name]
    counts = ("train_count", "start_count") if network["training"].get("start_epochs") else ("train_count",)
    planted = {"planted": True} if images.get("planted") else {}
    known = {key: images[key] for key in (*GENERATED, *counts) if key in images}
    recipe = {
        "images": {**known, **planted, "seed": config["seed"]},
        **{key: network[key] for key in ("source", "arguments", "training")},
        "constructor": hash_builder(network["path"]) if "path" in network else network["constructor"],
        "seed": training_seed(config),
    }
    return in_order(recipe)


def describe_decay(config: Mapping, name: str, trial: str | None = None) -> dict:
    """All that the weights of its decayed variant, or of a trial of decay, depend on."""
    count = "tuning_count" if "tuning_count" in config["images"] else "train_count"
    network = config["networks"][name]
    settings = network["decay"] if trial is None else list_trials(network)[trial]
    decay = {"settings": settings, "images": config["images"].get(count)}
    return in_order({**describe_training(config, name), "decay": {**decay, "seed": training_seed(config)}})


def in_order(recipe: dict) -> dict:
    """A recipe with its keys in order: equal ones are equal texts, whatever order a configuration has."""
    return json.loads(json.dumps(recipe, sort_keys=True))


def list_trials(network: Mapping) -> dict[str, dict]:
    """The settings of each trial of a network's decay, by its name, `steps-5`: those of its decay but for one."""
    trials = network.get("decay_trials", {})
    return {f"{key}-{value}": {**network["decay"], key: value} for key, values in trials.items() for value in values}


def training_seed(config: Mapping) -> int:
    """The seed of networks' first weights and of the order of images in training and tuning."""
    return config.get("training_seed", config["seed"])


def find_trained(folder: Path, config: Mapping) -> dict[tuple[str, str], Path]:
    """Files that are taken, by network and variant or trial: networks, and records of trials.

    What was made of an original is taken if that is, too. InputError for a file whose header can't be read.
    """
    found = {}
    for name, network in config["networks"].items():
        if "training" not in network or config["images"]["source"] != "digits":
            continue
        original, decayed = (folder / name / f"{variant}.safetensors" for variant in ("original", "decayed"))
        if not original.is_file() or read_recipe(original) != describe_training(config, name):
            continue
        found[name, "original"] = original
        has_decay = "decay" in network and decayed.is_file() and decayed.with_suffix(".csv").is_file()
        if has_decay and read_recipe(decayed) == describe_decay(config, name):
            found[name, "decayed"] = decayed
        for trial in list_trials(network):
            record, recipe = (folder / name / f"{trial}.{ending}" for ending in ("csv", "json"))
            if record.is_file() and recipe.is_file() and read_json(recipe) == describe_decay(config, name, trial):
                found[name, trial] = record
    return found


def read_json(path: Path) -> object:
    """What a file of JSON holds; InputError if it can't be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        raise InputError(f"{path}: can't be read as JSON; `make networks` makes it anew") from None


def find_taken(root: Path, config: Mapping) -> dict[tuple[str, str], Path]:
    """As find_trained, of the folder that a configuration names, a path below the workflow's `root`; or nothing."""
    folder = config.get("trained", "")
    return find_trained(root / os.path.expanduser(folder), config) if folder else {}


def read_recipe(path: Path) -> dict | None:
    """What a network's file says that it was trained by; None if it doesn't say. InputError if it has no header."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= LONGEST else None
        return json.loads(header["__metadata__"]["record"]).get("recipe")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{path}: not a network file, or damaged; `make networks` makes it anew") from None
