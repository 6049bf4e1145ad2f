"""Networks of torchvision and timm with weights: what the libraries publish of theirs; those, or one's own."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import timm
import torch
import torchvision
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from timm.data import ImageNetInfo, infer_imagenet_subset, resolve_data_config
from timm.models import list_pretrained
from torch import Tensor, nn

from explanations.addresses import is_remote, shown, without_secrets
from explanations.channels import adapt_normalisation, count_channels
from explanations.checkpoints import COUNTER, read_checkpoint
from explanations.classes import number_classes, read_classes
from explanations.command import InputError
from explanations.descriptions import file_hash
from explanations.downloads import fetch_file, published_hash
from explanations.framing import INTERPOLATIONS, Framing
from explanations.imagenet import class_names
from explanations.networks import INCEPTIONS, build_network, check_constructor, load_state

SOURCES = ("torchvision", "timm")
# what the hub's client lets through of its transport's errors, whichever library that is
TRANSPORT_ERRORS = tuple(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ in ("HTTPError", "RequestException"))
HUB_FILE = "model.safetensors"
# torchvision's builders set these where they load weights; auxiliary heads are for training alone
INCEPTION = {"transform_input": True, "aux_logits": False, "init_weights": False}
LONGEST = 300  # letters of what timm says
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")


@dataclass(frozen=True)
class Published:
    """What a library says of pretrained weights: where they are, and how images are made ready for them.

    `address` is their own, `hub` the repository of the Hugging Face Hub, if they are there; `sha256` the first digits
    of the file's hash, as far as they are known without asking. Of weights of one's own, which were made from these,
    `classes` is their own number, and `own` true.
    """

    address: str
    hub: str
    sha256: str
    framing: Framing
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int
    own: bool = False


# --- what is published -------------------------------------------------------------------------------------------


def own_classes(classes: int | str | Sequence, arguments: dict, url: str) -> tuple[str, ...]:
    """The classes of weights of one's own, at `url`; none if they are the published ones, whose classes are known.

    `classes` is what the configuration says of them, or nothing; their number can stand among the arguments too.
    """
    asked = arguments.get("num_classes")
    if not classes:
        mirrored = asked is None or name_classes(asked) != number_classes(asked)  # the published weights from elsewhere
        return () if mirrored or not url else read_classes(asked)
    if not url:
        raise InputError("weights.url is missing; classes are those of weights of one's own, which it leads to")
    names = read_classes(classes)
    if asked not in (None, len(names)):
        raise InputError(f"arguments.num_classes is {asked}; classes are {len(names)}")
    return names


def look_up(source: str, constructor: str, weights: str, arguments: dict, classes: int = 0) -> Published:
    """What a library publishes of a constructor's weights; InputError for a name that it doesn't have.

    With a number of classes they are what one's own were made from: it matters of them how images are made ready, and
    nothing else. They need no name then; the library's default is taken.
    """
    if source not in SOURCES:
        raise InputError(f"source is {source}; pretrained weights are of {', '.join(SOURCES)}")
    check_constructor(source, constructor)
    if not weights and not classes:
        raise InputError("weights.name is missing; only classes and weights.url, of one's own weights, can do without")
    look = _look_up_torchvision if source == "torchvision" else _look_up_timm
    found = look(constructor, weights, arguments)
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
    if found.framing.interpolation not in INTERPOLATIONS:
        allowed = ", ".join(INTERPOLATIONS)
        raise InputError(f"{constructor} {weights}: resizes by {found.framing.interpolation}; allowed are {allowed}")
    return found


def _look_up_torchvision(constructor: str, weights: str, arguments: dict) -> Published:
    known = torchvision.models.get_model_weights(constructor).__members__
    weights = weights or "DEFAULT"
    if weights not in known:
        raise InputError(f"weights.name is {weights}; {constructor} has {', '.join(known)}")
    entry = known[weights]
    preset = entry.transforms()
    cut, resize = preset.crop_size[0], preset.resize_size[0]
    size = arguments.get("image_size", cut)  # of a vision transformer, which can be built for another
    if not isinstance(size, int) or size < 1:
        raise InputError(f"arguments.image_size is {size}; allowed is a whole number above 0")
    framing = Framing(size, size * resize // cut, preset.interpolation.value)
    normalisation = tuple(preset.mean), tuple(preset.std)
    classes = len(entry.meta["categories"] or ())
    return Published(entry.url, "", published_hash(entry.url), framing, *normalisation, classes)


def _look_up_timm(constructor: str, weights: str, arguments: dict) -> Published:
    known = [name.partition(".")[2] for name in list_pretrained(f"{constructor}.*")]
    if weights and weights not in known:
        have = f"has {', '.join(known)}" if known else "has none"
        raise InputError(f"weights.name is {weights}; {constructor} {have}")
    config = timm.get_pretrained_cfg(tagged(constructor, weights))
    data = resolve_data_config(_input_size(arguments), pretrained_cfg=config.to_dict())
    channels, height, width = data["input_size"]
    if channels != 3 or height != width or data["crop_mode"] not in ("center", "squash"):
        raise InputError(
            f"{constructor} {weights}: takes images of {channels} × {height} × {width}, cut by {data['crop_mode']}; "
            "allowed are squares of three channels, cut by center or squash"
        )
    framing = Framing(
        height, math.floor(height / data["crop_pct"]), data["interpolation"], squash=data["crop_mode"] == "squash"
    )
    address = config.url or ""
    hub = config.hf_hub_id or ""
    sha256 = "" if hub else published_hash(address)
    return Published(address, hub, sha256, framing, tuple(data["mean"]), tuple(data["std"]), config.num_classes or 0)


def tagged(constructor: str, weights: str) -> str:
    """timm's name of a constructor's weights; of its default ones if they have no name."""
    return f"{constructor}.{weights}" if weights else constructor


def _input_size(arguments: dict) -> dict:
    """What a constructor's arguments say of the size of images, as timm's data settings."""
    size = arguments.get("img_size")
    if size is None:
        return {}
    height, width = size if isinstance(size, list | tuple) and len(size) == 2 else (size, size)
    if not isinstance(height, int) or not isinstance(width, int):
        raise InputError(f"arguments.img_size is {size}; allowed is a whole number, or two of them")
    return {"input_size": (3, height, width)}


def name_classes(count: int) -> tuple[str, ...]:
    """Readable names of ImageNet's classes, or of one of its larger sets that timm's networks know, or numbers."""
    if count == len(class_names()):
        return class_names()
    subset = infer_imagenet_subset({"num_classes": count})
    if subset is None:
        return tuple(f"class {index}" for index in range(count))
    info = ImageNetInfo(subset)
    return tuple(info.index_to_description(index) for index in range(info.num_classes()))


# --- the weights -------------------------------------------------------------------------------------------------


def fetch_weights(published: Published, url: str, sha256: str) -> Path:
    """The file of weights: the published one, or the one at `url`; its hash `sha256`, or the one that is published.

    Of one's own, nothing is published: a file on disk is taken as it is.

    Kept where torchvision's and the hub's own downloads are, which TORCH_HOME, HF_HOME and HF_ENDPOINT move.
    """
    if not url and published.hub:
        return _fetch_from_hub(published.hub, sha256)
    address = url or published.address
    expected = sha256 or (published_hash(address) if published.own else published.sha256)
    if not address:
        raise InputError("weights.url is missing; the library has no address for these weights")
    if not expected and (is_remote(address) or not published.own):
        raise InputError(f"weights.sha256 is missing; no hash is published for {shown(address)}")
    return fetch_file(address, expected, Path(torch.hub.get_dir(), "checkpoints"))


def _fetch_from_hub(repository: str, sha256: str) -> Path:
    """The file of weights in a repository of the hub."""
    name, _, revision = repository.partition("@")
    try:
        path = Path(hf_hub_download(name, HUB_FILE, revision=revision or None))
        expected = sha256 or _hash_on_hub(path, name, revision)
    except (*TRANSPORT_ERRORS, HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        text = without_secrets(" ".join(str(error).split())) or type(error).__name__
        raise InputError(f"{name}/{HUB_FILE}: can't be fetched from the hub ({text})") from None
    found = file_hash(path)
    if found != expected:
        path.resolve().unlink()
        raise InputError(f"{name}/{HUB_FILE}: its SHA-256 is {found}; expected {expected}")
    return path


def _hash_on_hub(path: Path, name: str, revision: str) -> str:
    """SHA-256 of a file as the hub states it: its cache names blobs so, and links to them where it can."""
    blob = path.resolve().name
    if blob != path.name:
        return blob
    return get_hf_file_metadata(hf_hub_url(name, HUB_FILE, revision=revision or None)).etag


def rebuilding_arguments(source: str, constructor: str, arguments: dict) -> dict:
    """The arguments that rebuild a network as its weights take it, without them."""
    inception = source == "torchvision" and constructor in INCEPTIONS
    return {**INCEPTION, **arguments} if inception else arguments


def load_pretrained(
    source: str, constructor: str, weights: str, arguments: dict, path: Path, published: Published, key: str = ""
) -> tuple[nn.Module, dict]:
    """A network with a file's weights, in evaluation mode, and the arguments that rebuild it without them.

    `arguments` hold the number of classes; `key` chooses between the weights that a file holds.
    """
    arguments = rebuilding_arguments(source, constructor, arguments)
    network = build_network(source, constructor, arguments)  # arguments that don't fit are named here
    state = read_checkpoint(path, network.state_dict().keys(), key)
    if source == "torchvision":
        _load_torchvision(network, constructor, arguments, state, path)
    else:
        _load_timm(network, tagged(constructor, weights), arguments, state, path, published)
    return network, arguments


def _load_torchvision(network: nn.Module, constructor: str, arguments: dict, state: dict, path: Path) -> None:
    if not arguments.get("aux_logits", True):
        state = {name: tensor for name, tensor in state.items() if not name.startswith(AUXILIARY)}
    state = {OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in state.items()}
    for name, tensor in network.state_dict().items():
        if name.endswith(COUNTER):
            state.setdefault(name, tensor)
    load_state(network, state, path, constructor)


def _load_timm(
    network: nn.Module, name: str, arguments: dict, state: dict[str, Tensor], path: Path, published: Published
) -> None:
    changes = {"state_dict": state}
    if published.own:  # the published ones' may be of other images, and of one class more
        size = (timm.get_pretrained_cfg(name).input_size or (3, 0, 0))[1:]
        changes |= {"num_classes": published.classes, "label_offset": 0}
        changes |= {"input_size": (published.framing.channels, *size)}
    constructor = name.partition(".")[0]
    load_state(network, _read_with_timm(name, arguments, changes, path), path, constructor)
    again = _read_with_timm(name, arguments, changes, path)
    for key, tensor in network.state_dict().items():
        if not torch.equal(tensor, again[key]):  # timm lets some families' files lack weights, which are then random
            raise InputError(f"{path}: not a {constructor}: {key} is absent")


def _read_with_timm(name: str, arguments: dict, changes: dict, path: Path) -> dict[str, Tensor]:
    """A file's weights as timm's own loading makes them, which knows how each family's files are to be read.

    `changes` of what timm publishes of them: the weights themselves among it.
    """
    changes = {**changes, "state_dict": dict(changes["state_dict"])}  # timm takes out of it what it has read
    try:
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=changes, **arguments).state_dict()
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        text = f"no weights that timm knows how to read, at {text}" if isinstance(error, KeyError) else text
        cut = text if len(text) <= LONGEST else f"{text[:LONGEST].rpartition(' ')[0]} …"
        raise InputError(f"{path}: not a {name.partition('.')[0]}: {cut}") from None
