"""A network with weights from elsewhere, by what a configuration says of it: looked up, fetched, built, checked."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from explanations.data.imagenet import name_classes
from explanations.errors import InputError
from explanations.files.descriptions import NetworkDescription
from explanations.files.hashes import file_hash
from explanations.networks.builders import constructor_of
from explanations.networks.outputs import check_outputs
from explanations.networks.places import Place
from explanations.networks.pretrained import NAMES, fetch_weights, load_pretrained, look_up, own_classes
from explanations.networks.sources.registry import find_source

PUBLISHED = Place()  # where the source has them


def fetch_configured(entry: Mapping) -> tuple[nn.Module, NetworkDescription, Path]:
    """As fetch_network, of what a configuration says of a network: its networks.<name>."""
    weights = entry["weights"]
    said = {name: weights[name] for name in ("key", "names") if name in weights}
    said |= {name: entry[name] for name in ("classes", "preprocessing") if name in entry}
    names = (entry["source"], constructor_of(entry), entry["arguments"], weights.get("name", ""))
    return fetch_network(*names, Place.named(weights), **said)


def fetch_network(
    source: str,
    constructor: str,
    arguments: dict,
    weights: str = "",
    place: Place = PUBLISHED,
    classes: int | str | Sequence = "",
    key: str = "",
    names: str = NAMES[0],
    preprocessing: Mapping | None = None,
) -> tuple[nn.Module, NetworkDescription, Path]:
    """The network, in evaluation mode, its description, and the file that its weights came from.

    `weights` is the published ones' name, `place` where they are, if elsewhere; the rest is as networks.<name> of a
    configuration has it. InputError if there is no such network, its weights can't be had or are another's, or its
    output is no row of finite logits.
    """
    own = own_classes(classes, arguments, bool(place))
    published = look_up(source, constructor, weights, arguments, len(own), preprocessing)
    path = fetch_weights(published, place)
    arguments = {**arguments, "num_classes": published.classes}
    network, arguments = load_pretrained(published, arguments, path, key, names)
    size, channels = published.framing.size, published.framing.channels
    logits = check_outputs(network, constructor, channels, size, published.classes, "the size of its images")
    if not torch.isfinite(logits).all():
        raise InputError(f"{path}: the network's output is no row of {published.classes} finite logits")
    description = NetworkDescription(
        source,
        constructor,
        arguments,
        own or name_classes(published.classes),
        size,
        published.mean,
        published.std,
        published.framing.resize,
        published.framing.interpolation,
        published.framing.squash,
        origin=str(place) or published.hub or published.address,
        origin_hash=file_hash(path),
        record={"weights": weights},
        constructor_hash=find_source(source).hash_constructor(constructor),
    )
    return network, description, path
