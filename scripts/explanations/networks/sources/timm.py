"""timm's networks, and the weights that are published for them, most of them on the Hugging Face Hub."""

import difflib
import math
from collections.abc import Sequence
from pathlib import Path

import timm
from timm.data import resolve_data_config
from timm.models import list_pretrained
from torch import Tensor, nn

from explanations.downloads.fetching import published_hash
from explanations.errors import InputError
from explanations.files.framing import Framing
from explanations.networks.sources.base import Published, Source

LONGEST = 300  # letters of what timm says


class Timm(Source):
    """All of timm's networks."""

    name = "timm"
    channels_argument = "in_chans"

    def constructors(self) -> Sequence[str]:
        """The names of timm's networks, more than a thousand."""
        return timm.list_models()

    def check_constructor(self, constructor: str) -> None:
        """InputError, which names the closest, unless timm has a network of this name."""
        if not timm.is_model(constructor):
            close = difflib.get_close_matches(constructor, self.constructors(), cutoff=0)
            raise InputError(f"constructor is {constructor}; of timm's the closest are {', '.join(close)}")

    def build(self, constructor: str, arguments: dict) -> nn.Module:
        """A network with fresh weights."""
        return timm.create_model(constructor, pretrained=False, **arguments)

    def look_up(self, constructor: str, weights: str, arguments: dict) -> Published:
        """What timm publishes; `img_size` among the arguments says that images are of another size."""
        known = [name.partition(".")[2] for name in list_pretrained(f"{constructor}.*")]
        if weights and weights not in known:
            have = f"has {', '.join(known)}" if known else "has none"
            raise InputError(f"weights.name is {weights}; {constructor} {have}")
        config = timm.get_pretrained_cfg(_tagged(constructor, weights))
        data = resolve_data_config(_input_size(arguments), pretrained_cfg=config.to_dict())
        channels, height, width = data["input_size"]
        if channels != 3 or height != width or data["crop_mode"] not in ("center", "squash"):
            raise InputError(
                f"{constructor} {weights}: takes images of {channels} × {height} × {width}, cut by "
                f"{data['crop_mode']}; allowed are squares of three channels, cut by center or squash"
            )
        resize, squash = math.floor(height / data["crop_pct"]), data["crop_mode"] == "squash"
        framing = Framing(height, resize, data["interpolation"], squash)
        address, hub = config.url or "", config.hf_hub_id or ""
        return Published(
            source=self.name,
            constructor=constructor,
            weights=weights,
            address=address,
            hub=hub,
            sha256="" if hub else published_hash(address),
            framing=framing,
            mean=tuple(data["mean"]),
            std=tuple(data["std"]),
            classes=config.num_classes or 0,
        )

    def default_weights(self, constructor: str) -> str:
        """The tag of the weights that timm loads unless another is named."""
        config = timm.get_pretrained_cfg(constructor)
        if not config.tag:
            raise InputError(f"constructor is {constructor}; timm publishes no weights for it")
        return config.tag

    def adapt_state(
        self, state: dict[str, Tensor], network: nn.Module, arguments: dict, published: Published, path: Path
    ) -> dict[str, Tensor]:
        """As timm's own loading makes them, which knows how each family's files are to be read.

        They are read twice: timm lets some families' files lack weights, which are then random, another time others.
        """
        name = _tagged(published.constructor, published.weights)
        changes = {}
        if published.own:  # the published ones' may be of other images, and of one class more
            size = (timm.get_pretrained_cfg(name).input_size or (3, 0, 0))[1:]
            changes = {"num_classes": published.classes, "label_offset": 0}
            changes["input_size"] = (published.framing.channels, *size)
        first, second = (_read(name, arguments, {**changes, "state_dict": dict(state)}, path) for _ in range(2))
        for key, tensor in first.items():
            if not tensor.equal(second[key]) and not (tensor.isnan() & second[key].isnan()).any():
                raise InputError(f"{path}: not a {published.constructor}: {key} is absent")
        return first


def _tagged(constructor: str, weights: str) -> str:
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


def _read(name: str, arguments: dict, changes: dict, path: Path) -> dict[str, Tensor]:
    """The state of a network that timm itself loads; `changes` of what it publishes: the weights among them."""
    try:
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=changes, **arguments).state_dict()
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        text = f"no weights that timm knows how to read, at {text}" if isinstance(error, KeyError) else text
        cut = text if len(text) <= LONGEST else f"{text[:LONGEST].rpartition(' ')[0]} …"
        raise InputError(f"{path}: not a {name.partition('.')[0]}: {cut}") from None


SOURCE = Timm()
