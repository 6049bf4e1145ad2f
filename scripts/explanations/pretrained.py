"""Pretrained networks of torchvision and timm: what the libraries publish of their weights, and the weights."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import timm
import torch
import torchvision
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from timm.data import ImageNetInfo, infer_imagenet_subset, resolve_data_config
from timm.models import list_pretrained
from torch import Tensor, nn

from explanations.command import InputError
from explanations.descriptions import file_hash
from explanations.downloads import fetch_file, published_hash
from explanations.framing import Framing
from explanations.imagenet import class_names
from explanations.images import INTERPOLATIONS
from explanations.networks import build_network, check_constructor, load_state

SOURCES = ("torchvision", "timm")
HUB_FILE = "model.safetensors"
# torchvision's builders set these where they load weights; auxiliary heads are for training alone
INCEPTION = {"transform_input": True, "aux_logits": False, "init_weights": False}
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")


@dataclass(frozen=True)
class Published:
    """What a library says of pretrained weights: where they are, and how images are made ready for them.

    `address` is their own, `hub` the repository of the Hugging Face Hub, if they are there; `sha256` the first digits
    of the file's hash, as far as they are known without asking.
    """

    address: str
    hub: str
    sha256: str
    framing: Framing
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    classes: int


# --- what is published -------------------------------------------------------------------------------------------


def look_up(source: str, constructor: str, weights: str, arguments: dict) -> Published:
    """What a library publishes of a constructor's weights; InputError for a name that it doesn't have."""
    if source not in SOURCES:
        raise InputError(f"source is {source}; pretrained weights are of {', '.join(SOURCES)}")
    check_constructor(source, constructor)
    look = _look_up_torchvision if source == "torchvision" else _look_up_timm
    found = look(constructor, weights, arguments)
    if found.framing.interpolation not in INTERPOLATIONS:
        allowed = ", ".join(INTERPOLATIONS)
        raise InputError(f"{constructor} {weights}: resizes by {found.framing.interpolation}; allowed are {allowed}")
    return found


def _look_up_torchvision(constructor: str, weights: str, arguments: dict) -> Published:
    known = torchvision.models.get_model_weights(constructor).__members__
    if weights not in known:
        raise InputError(f"weights.name is {weights}; {constructor} has {', '.join(known)}")
    entry = known[weights]
    preset = entry.transforms()
    if entry.meta["categories"] is None:
        raise InputError(f"weights.name is {weights}; they are no classifier's")
    framing = Framing(preset.crop_size[0], preset.resize_size[0], preset.interpolation.value)
    normalisation = tuple(preset.mean), tuple(preset.std)
    return Published(entry.url, "", published_hash(entry.url), framing, *normalisation, len(entry.meta["categories"]))


def _look_up_timm(constructor: str, weights: str, arguments: dict) -> Published:
    known = [name.partition(".")[2] for name in list_pretrained(f"{constructor}.*")]
    if weights not in known:
        have = f"has {', '.join(known)}" if known else "has none"
        raise InputError(f"weights.name is {weights}; {constructor} {have}")
    config = timm.get_pretrained_cfg(f"{constructor}.{weights}")
    if not config.num_classes:
        raise InputError(f"weights.name is {weights}; they are no classifier's")
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
    return Published(address, hub, sha256, framing, tuple(data["mean"]), tuple(data["std"]), config.num_classes)


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

    Kept where torchvision's and the hub's own downloads are, which TORCH_HOME, HF_HOME and HF_ENDPOINT move.
    """
    if not url and published.hub:
        return _fetch_from_hub(published.hub, sha256)
    address, expected = url or published.address, sha256 or published.sha256
    if not address:
        raise InputError("weights.url is missing; the library has no address for these weights")
    if not expected:
        raise InputError(f"weights.sha256 is missing; no hash is published for {address}")
    return fetch_file(address, expected, Path(torch.hub.get_dir(), "checkpoints"))


def _fetch_from_hub(repository: str, sha256: str) -> Path:
    """The file of weights in a repository of the hub."""
    name, _, revision = repository.partition("@")
    try:
        path = Path(hf_hub_download(name, HUB_FILE, revision=revision or None))
        expected = sha256 or _hash_on_hub(path, name, revision)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
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
    inception = source == "torchvision" and constructor in ("googlenet", "inception_v3")
    return {**INCEPTION, **arguments} if inception else arguments


def load_pretrained(source: str, constructor: str, weights: str, arguments: dict, path: Path) -> tuple[nn.Module, dict]:
    """A network with a file's weights, in evaluation mode, and the arguments that rebuild it without them."""
    load = _load_torchvision if source == "torchvision" else _load_timm
    return load(constructor, weights, arguments, path)


def _load_torchvision(constructor: str, weights: str, arguments: dict, path: Path) -> tuple[nn.Module, dict]:
    arguments = rebuilding_arguments("torchvision", constructor, arguments)
    network = build_network("torchvision", constructor, arguments)
    state = _read_state(path)
    if not arguments.get("aux_logits", True):
        state = {name: tensor for name, tensor in state.items() if not name.startswith(AUXILIARY)}
    state = {OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in state.items()}
    for name, tensor in network.state_dict().items():
        if name.endswith(".num_batches_tracked"):  # older files have none
            state.setdefault(name, tensor)
    load_state(network, state, path, constructor)
    return network, arguments


def _read_state(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and safetensors fail in as many ways as files can be broken
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not a file of weights ({text})") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: not a file of weights; expected a dictionary of tensors")
    return dict(state)


def _load_timm(constructor: str, weights: str, arguments: dict, path: Path) -> tuple[nn.Module, dict]:
    network = build_network("timm", constructor, arguments)  # arguments that don't fit are named here
    load_state(network, _read_with_timm(constructor, weights, arguments, path), path, constructor)
    again = _read_with_timm(constructor, weights, arguments, path)
    for name, tensor in network.state_dict().items():
        if not torch.equal(tensor, again[name]):  # timm lets some families' files lack weights, which are then random
            raise InputError(f"{path}: not a {constructor}: {name} is absent")
    return network, arguments


def _read_with_timm(constructor: str, weights: str, arguments: dict, path: Path) -> dict[str, Tensor]:
    """A file's weights as timm's own loading makes them, which knows how each family's files are to be read."""
    try:
        return timm.create_model(
            f"{constructor}.{weights}", pretrained=True, pretrained_cfg_overlay={"file": str(path)}, **arguments
        ).state_dict()
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        text = f"no weights that timm knows how to read, at {text}" if isinstance(error, KeyError) else text
        raise InputError(f"{path}: not a {constructor}: {text[:300]}") from None
