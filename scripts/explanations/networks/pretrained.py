"""Networks with weights, those that a source publishes or one's own: what is known of them, and their way here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from explanations.data.imagenet import name_classes
from explanations.downloads.addresses import is_remote, shown
from explanations.downloads.fetching import fetch_file, published_hash
from explanations.downloads.hub import fetch_from_hub
from explanations.downloads.packages import fetch_package, unpack_file
from explanations.errors import InputError
from explanations.files.classes import number_classes, read_classes
from explanations.files.framing import INTERPOLATIONS
from explanations.networks.builders import check_stated
from explanations.networks.channels import adapt_normalisation, count_channels
from explanations.networks.checkpoints import read_checkpoint, rename_in_order
from explanations.networks.files import build_network, load_state
from explanations.networks.places import Place
from explanations.networks.sources.base import Published
from explanations.networks.sources.registry import OWN_CODE, SOURCES, find_source, takes_weights

FRAMING = ("size", "resize", "interpolation")
PREPROCESSING = (*FRAMING, "mean", "std")  # what a configuration can change of how images are made ready
NAMES = ("network", "order")  # of a file's tensors: the network's own, or others, which its tensors follow in order


def own_classes(classes: int | str | Sequence, arguments: dict, placed: bool) -> tuple[str, ...]:
    """The classes of weights of one's own, which are `placed` somewhere; none of published ones: they are known.

    `classes` is what the configuration says of them, or nothing; their number can stand among the arguments too.
    """
    asked = arguments.get("num_classes")
    if not classes:
        mirrored = asked is None or name_classes(asked) != number_classes(asked)  # the published weights from elsewhere
        return () if mirrored or not placed else read_classes(asked)
    if not placed:
        raise InputError("weights.url is missing; classes are those of weights of one's own, which it leads to")
    names = read_classes(classes)
    if asked not in (None, len(names)):
        raise InputError(f"arguments.num_classes is {asked}; classes are {len(names)}")
    return names


def look_up(
    source: str, constructor: str, weights: str, arguments: dict, classes: int = 0, preprocessing: Mapping | None = None
) -> Published:
    """What a source publishes of a constructor's weights; InputError for a name that it doesn't have.

    With a number of classes they are what one's own were made from: it matters of them how images are made ready, and
    nothing else. They need no name then; the source's default is taken. `preprocessing` changes what the source states
    of that: size, resize, interpolation, mean, std. Of a network that is code of the user's own, it says all.
    """
    if not takes_weights(source):
        having = ", ".join(name for name, published in SOURCES.items() if published)
        raise InputError(f"source is {source}; pretrained weights are of {having}")
    library = find_source(source)
    library.check_constructor(constructor)
    if source == OWN_CODE:
        check_stated(weights, classes or arguments.get("num_classes"), preprocessing or {})
    elif not weights and not classes:
        raise InputError("weights.name is missing; only classes and weights.url, of one's own weights, can do without")
    found = library.look_up(constructor, weights, arguments)
    if not found.classes and not classes:
        raise InputError(f"weights.name is {weights}; they are no classifier's")
    asked = arguments.get("num_classes")
    if asked not in (None, classes or found.classes):
        said = f"arguments.num_classes is {asked}; {constructor} {weights} has {found.classes} classes"
        raise InputError(f"{said}; weights of one's own come with weights.url and classes")
    channels = count_channels(source, arguments)
    mean, std = adapt_normalisation(found.mean, found.std, channels)
    framing = replace(found.framing, channels=channels)
    found = replace(found, framing=framing, mean=mean, std=std, classes=classes or found.classes, own=classes > 0)
    found = change_preprocessing(found, preprocessing or {})
    if found.framing.interpolation not in INTERPOLATIONS:
        allowed = ", ".join(INTERPOLATIONS)
        raise InputError(f"{constructor} {weights}: resizes by {found.framing.interpolation}; allowed are {allowed}")
    return found


def change_preprocessing(published: Published, changes: Mapping) -> Published:
    """The same, with images made ready in another way: size and resize in pixels, mean and std of pixels in [0, 1].

    A number stands for all channels; a size without a resize keeps their ratio. InputError for what can't be.
    """
    key = "networks.<name>.preprocessing"
    unknown = next((name for name in changes if name not in PREPROCESSING), None)
    if unknown:
        raise InputError(f"{key}.{unknown} is not a known key; allowed are {', '.join(PREPROCESSING)}")
    stated = published.framing
    if "size" in changes and "resize" not in changes:
        changes = {**changes, "resize": changes["size"] * stated.resize // stated.size}
    framing = replace(stated, **{name: changes[name] for name in FRAMING if name in changes})
    if framing.resize < framing.size:
        raise InputError(f"{key}.resize is {framing.resize}; allowed is a number of at least size, {framing.size}")
    values = {}
    for name in ("mean", "std"):
        given = changes.get(name, getattr(published, name))
        values[name] = (
            tuple(map(float, given)) if isinstance(given, list | tuple) else (float(given),) * framing.channels
        )
        if len(values[name]) != framing.channels:
            raise InputError(f"{key}.{name} is {given}; images have {framing.channels} channels")
    return replace(published, framing=framing, **values)


def fetch_weights(published: Published, place: Place) -> Path:
    """The file of weights: the published one, or the one at another place; its hash the place's, or the published.

    Of one's own, nothing is published: a file on disk is taken as it is.

    Kept where torchvision's and the hub's own downloads are, which TORCH_HOME, HF_HOME and HF_ENDPOINT move.
    """
    place.check()
    cache = Path(torch.hub.get_dir(), "checkpoints")
    if place.package:
        return unpack_file(fetch_package(place.packaged, cache), place.file, place.packaged)
    if not place.url and published.hub:
        return fetch_from_hub(published.hub, place.sha256)
    address = place.url or published.address
    expected = place.sha256 or (published_hash(address) if published.own else published.sha256)
    if not address:
        raise InputError("weights.url is missing; the library has no address for these weights")
    if not expected and (is_remote(address) or not published.own):
        raise InputError(f"weights.sha256 is missing; no hash is published for {shown(address)}")
    return fetch_file(address, expected, cache)


def load_pretrained(
    published: Published, arguments: dict, path: Path, key: str = "", names: str = NAMES[0]
) -> tuple[nn.Module, dict]:
    """A network with a file's weights, in evaluation mode, and the arguments that rebuild it without them.

    `arguments` are its constructor's, the number of classes among them; `key` chooses between the weights that a file
    holds; `names` says how its tensors are told apart: by the network's names, or by their order. InputError, naming
    the file, unless it holds this network's weights.
    """
    source, constructor = find_source(published.source), published.constructor
    arguments = source.rebuilding_arguments(constructor, arguments)
    network = build_network(published.source, constructor, arguments)  # arguments that don't fit are named here
    state = read_checkpoint(path, network.state_dict().keys(), key)
    if names == "order":
        state = rename_in_order(state, network.state_dict(), path)
    load_state(network, source.adapt_state(state, network, arguments, published, path), path, constructor)
    return network, arguments
