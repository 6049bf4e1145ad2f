"""What a source of networks can do, and what it says of weights that are published for them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from explanations.errors import InputError
from explanations.files.framing import Framing


@dataclass(frozen=True)
class Published:
    """What is published of pretrained weights: where they are, and how images are made ready for them.

    `weights` is their name, empty for a constructor's default ones. `address` is their own, `hub` the repository of the
    Hugging Face Hub, if they are there; `sha256` the first digits of the file's hash, as far as they are known without
    asking. Of weights of one's own, which were made from these, `classes` is their own number, and `own` true.
    """

    source: str
    constructor: str
    weights: str
    address: str
    hub: str
    sha256: str
    framing: Framing
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int
    own: bool = False


class Source(ABC):
    """A family of constructors of networks, each called by keyword arguments.

    `name` is that of its module and of its line in the registry. `channels_argument` is the constructors' argument that
    says how many channels images have; empty if all have three. `runs_code`: whether a constructor is the path of a
    file of the user's own.
    """

    name: str
    channels_argument = ""
    runs_code = False

    @abstractmethod
    def constructors(self) -> Sequence[str]:
        """The names of all constructors."""

    @abstractmethod
    def build(self, constructor: str, arguments: dict) -> nn.Module:
        """A network with fresh weights; for bad arguments, whatever the constructor raises."""

    def check_constructor(self, constructor: str) -> None:
        """InputError unless there is a constructor of this name."""
        known = self.constructors()
        if constructor not in known:
            raise InputError(f"constructor is {constructor}; source {self.name} has {', '.join(known)}")

    def hash_constructor(self, constructor: str) -> str:
        """The SHA-256 of the file that a constructor is; empty if it is none."""
        return ""

    def training_arguments(self, constructor: str, arguments: dict) -> dict:
        """The arguments that build a network to be trained here; InputError for those that can't be trained."""
        return arguments

    # --- of sources whose networks can have weights

    def rebuilding_arguments(self, constructor: str, arguments: dict) -> dict:
        """The arguments that build a network as published weights take it."""
        return arguments

    def look_up(self, constructor: str, weights: str, arguments: dict) -> Published:
        """What is published of a constructor's weights, its default ones if they have no name.

        InputError for a name that there isn't.
        """
        raise NotImplementedError

    def default_weights(self, constructor: str) -> str:
        """The name of the weights that are a constructor's default; InputError if none are published for it."""
        raise NotImplementedError

    def adapt_state(
        self, state: dict[str, Tensor], network: nn.Module, arguments: dict, published: Published, path: Path
    ) -> dict[str, Tensor]:
        """The weights of a file by the names, and of the shapes, that a network of these arguments has for them.

        InputError, naming the file, if the source can't read them as this network's.
        """
        return state
