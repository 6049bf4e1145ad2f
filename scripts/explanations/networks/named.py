"""A network by the name that a user gives it: a file, published weights, or a network of a configuration."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from explanations.downloads.addresses import is_remote
from explanations.errors import InputError
from explanations.files.descriptions import FORMAT, read_description
from explanations.files.hashes import file_hash
from explanations.networks.builders import constructor_of
from explanations.networks.fetching import fetch_configured
from explanations.networks.files import save_network
from explanations.networks.sources.registry import SOURCES, find_source

PUBLISHED = re.compile(r"([a-z]+):([^.:]+)(?:\.(.+))?")  # timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k
ENDING = ".safetensors"
# what a file is made from
FETCHED = ("source", "constructor", "path", "arguments", "weights", "classes", "preprocessing")


def find_network(name: str, networks: Mapping[str, dict], cache: Path) -> Path:
    """The network file that a name means: itself, or the one in `cache`, made there if need be.

    `name` is a network file's path; a source, a constructor and, if not the default ones, weights that are published
    for it, torchvision:resnet50.IMAGENET1K_V1; or one of `networks`, a configuration's by name. InputError, with what
    is allowed, for any other; else as fetch_network.
    """
    if name.endswith(ENDING) or Path(name).is_file():
        return Path(name)
    published = PUBLISHED.fullmatch(name)
    if name in networks:
        entry = networks[name]
        if "weights" not in entry:
            made = f"results/<experiment>/models/{name}/original{ENDING}"
            raise InputError(f"network is {name}, which the configuration trains; allowed is its file, {made}")
    elif published and SOURCES.get(published[1]):
        source, constructor, weights = published.groups()
        library = find_source(source)
        library.check_constructor(constructor)
        weights = {"name": weights or library.default_weights(constructor)}
        entry = {"source": source, "constructor": constructor, "arguments": {}, "weights": weights}
    else:
        sources = ", ".join(f"{source}:<constructor>[.<weights>]" for source, has in SOURCES.items() if has)
        known = f", {', '.join(networks)} of the configuration" if networks else ""
        raise InputError(f"network is {name}; allowed are a network file (…{ENDING}), {sources}{known}")
    return _fetch_once(entry, cache)


def _fetch_once(entry: dict, cache: Path) -> Path:
    """The network file of a configuration's entry: the one in the cache if it is whole, or a new one.

    The file's name has a hash of all that it is made from, so that another entry never finds it.
    """
    wanted = {key: entry[key] for key in FETCHED if key in entry}
    # files on disk may change under their names
    named = [entry.get("path"), entry["weights"].get("url"), entry.get("classes")]
    files = [Path(path).expanduser() for path in named if isinstance(path, str) and path and not is_remote(path)]
    made_from = [FORMAT, wanted, [file_hash(path) for path in files if path.is_file()]]
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
    name = Path(constructor_of(entry)).stem
    path = cache / f"{name}-{digest}{ENDING}"
    if path.exists():
        try:
            read_description(path)
            return path
        except InputError as error:
            print(f"fetched again: {error}")
    network, description, origin = fetch_configured(entry)
    save_network(path, network, description)
    print(f"{name} from {origin}, kept as {path}")
    return path
