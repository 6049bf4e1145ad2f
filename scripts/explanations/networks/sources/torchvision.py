"""torchvision's classifiers, and the weights that are published for them."""

import re
from collections.abc import Sequence
from pathlib import Path

import torchvision
from torch import Tensor, nn

from explanations.downloads.fetching import published_hash
from explanations.errors import InputError
from explanations.files.framing import Framing
from explanations.networks.checkpoints import COUNTER
from explanations.networks.sources.base import Published, Source

WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")  # unless told otherwise
# torchvision's builders set these where they load weights; auxiliary heads are for training alone
REBUILT = {"transform_input": True, "aux_logits": False, "init_weights": False}
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")


class Torchvision(Source):
    """All of torchvision's classifiers."""

    name = "torchvision"

    def constructors(self) -> Sequence[str]:
        """The names of torchvision's classifiers."""
        return torchvision.models.list_models(module=torchvision.models)

    def build(self, constructor: str, arguments: dict) -> nn.Module:
        """A network with fresh weights."""
        return torchvision.models.get_model_builder(constructor)(**arguments)

    def training_arguments(self, constructor: str, arguments: dict) -> dict:
        """Without auxiliary heads, which images this small need not; InputError if the arguments ask for them."""
        if constructor not in WITH_AUXILIARY_HEADS:
            return arguments
        if arguments.get("aux_logits"):
            raise InputError("arguments.aux_logits is true; networks are trained here without auxiliary heads")
        return {"init_weights": True, **arguments, "aux_logits": False}

    def rebuilding_arguments(self, constructor: str, arguments: dict) -> dict:
        """With what torchvision's own loading sets."""
        return {**REBUILT, **arguments} if constructor in WITH_AUXILIARY_HEADS else arguments

    def look_up(self, constructor: str, weights: str, arguments: dict) -> Published:
        """What torchvision publishes; the images of a vision transformer may be of another size."""
        known = torchvision.models.get_model_weights(constructor).__members__
        if weights and weights not in known:
            raise InputError(f"weights.name is {weights}; {constructor} has {', '.join(known)}")
        entry = known[weights or "DEFAULT"]
        preset = entry.transforms()
        cut, resize = preset.crop_size[0], preset.resize_size[0]
        size = arguments.get("image_size", cut)
        if not isinstance(size, int) or size < 1:
            raise InputError(f"arguments.image_size is {size}; allowed is a whole number above 0")
        framing = Framing(size, size * resize // cut, preset.interpolation.value)
        return Published(
            source=self.name,
            constructor=constructor,
            weights=weights,
            address=entry.url,
            hub="",
            sha256=published_hash(entry.url),
            framing=framing,
            mean=tuple(preset.mean),
            std=tuple(preset.std),
            classes=len(entry.meta["categories"] or ()),
        )

    def default_weights(self, constructor: str) -> str:
        """What torchvision's alias DEFAULT stands for."""
        return torchvision.models.get_model_weights(constructor)["DEFAULT"].name

    def adapt_state(
        self, state: dict[str, Tensor], network: nn.Module, arguments: dict, published: Published, path: Path
    ) -> dict[str, Tensor]:
        """Without auxiliary heads that the network lacks; with new names, and the counters that older files lack."""
        if not arguments.get("aux_logits", True):
            state = {name: tensor for name, tensor in state.items() if not name.startswith(AUXILIARY)}
        counters = {name: tensor for name, tensor in network.state_dict().items() if name.endswith(COUNTER)}
        return counters | {OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in state.items()}


SOURCE = Torchvision()
