"""A network of one's own: a Python file with a function `build(**arguments)` that gives a torch.nn.Module.

The file's path is the constructor. It is code, and is run: so a network file doesn't decide which file that is, but who
loads it (see networks.files.find_constructor). Nothing is published of such networks; they are trained here, or have
weights of one's own.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from explanations.errors import InputError
from explanations.files.code import describe, import_file
from explanations.files.framing import Framing
from explanations.networks.builders import (
    CLASSES,
    FUNCTION,
    check_arguments,
    check_trainable,
    hash_builder,
    read_parameters,
    takes_classes,
)
from explanations.networks.sources.base import Published, Source
from explanations.networks.sources.registry import OWN_CODE

UNSTATED = Framing(1, 1)  # whoever asks states the size; the resize, if left out, is the same


class File(Source):
    """Files of the user's own."""

    name = OWN_CODE
    runs_code = True
    channels_argument = "in_chans"

    def constructors(self) -> Sequence[str]:
        """None by name: any file with the function."""
        return ()

    def check_constructor(self, constructor: str) -> None:
        """InputError, naming the file, unless it is Python and has the function."""
        read_parameters(constructor)

    def hash_constructor(self, constructor: str) -> str:
        """The file's SHA-256."""
        return hash_builder(constructor)

    def build(self, constructor: str, arguments: dict) -> nn.Module:
        """The network that the file's function gives; InputError, naming the file, for whatever else it does."""
        check_arguments(constructor, arguments)
        path = Path(constructor).expanduser()
        module = import_file(path, f"{FUNCTION}(**arguments)")
        try:
            network = module.build(**arguments)
        except InputError:
            raise
        except Exception as error:  # whatever a user's code raises is one line
            raise InputError(f"{path}: {FUNCTION} raised {describe(error)}") from error
        if not isinstance(network, nn.Module):
            raise InputError(f"{path}: {FUNCTION} gave a {type(network).__name__}; allowed is a torch.nn.Module")
        return network

    def training_arguments(self, constructor: str, arguments: dict) -> dict:
        """As they are; InputError unless the function takes the number of classes too."""
        check_trainable(constructor)
        return arguments

    def rebuilding_arguments(self, constructor: str, arguments: dict) -> dict:
        """Without the number of classes, where the function doesn't take it: its networks have those they have."""
        if takes_classes(constructor):
            return arguments
        return {name: value for name, value in arguments.items() if name != CLASSES}

    def look_up(self, constructor: str, weights: str, arguments: dict) -> Published:
        """Nothing: what is known of the images is what the configuration's `preprocessing` says."""
        return Published(
            source=self.name,
            constructor=constructor,
            weights="",
            address="",
            hub="",
            sha256="",
            framing=UNSTATED,
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            classes=arguments.get(CLASSES, 0),
        )


SOURCE = File()
