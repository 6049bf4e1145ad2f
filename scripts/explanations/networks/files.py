"""Networks by source and constructor, and in self-describing files; what they make of images."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from explanations.errors import InputError, make_again
from explanations.files.descriptions import FORMAT, NetworkDescription, parse_description
from explanations.files.tensors import read_tensors, write_tensors
from explanations.networks.devices import fastest_layout
from explanations.networks.outputs import check_outputs
from explanations.networks.sources.registry import find_source

SPARE, REPLACED = 2, 2**26  # how many times a file's numbers, and how many more, may be built before it is loaded
# what would load weights past the checks of a network's file: see also workflow/schemas/config.schema.yaml
LOADING = re.compile(r"pretrained|checkpoint_path$|cache_dir$|weights")


def build_network(source: str, constructor: str, arguments: dict) -> nn.Module:
    """Build a network with fresh weights, in evaluation mode; InputError for a name or argument that doesn't exist."""
    library = find_source(source)
    library.check_constructor(constructor)
    loading = next((name for name in arguments if LOADING.match(name)), None)
    if loading:
        said = "weights are none of a constructor's arguments here, but networks.<name>.weights"
        raise InputError(f"arguments of {constructor}: {loading} is not allowed; {said}")
    try:
        return library.build(constructor, arguments).eval()
    except InputError:
        raise
    except Exception as error:  # the many constructors check their arguments in as many ways
        text = " ".join(str(error).split())
        raise InputError(f"arguments of {constructor}: {text or type(error).__name__}") from None


# --- files -------------------------------------------------------------------------------------------------------


def save_network(path: Path, network: nn.Module, description: NetworkDescription) -> None:
    """Write a network's state and description as one safetensors file; equal networks are equal files."""
    write_tensors(path, network.state_dict(), description.to_metadata())


def load_network(path: Path, builder: Path | None = None) -> tuple[nn.Module, NetworkDescription]:
    """Rebuild a network from its file, in evaluation mode; `builder` is the user's file that builds it, if one does.

    Raises InputError, naming the file, if it is missing, truncated or changed since it was written, of another
    architecture, or holds NaN; or if the network makes no row of logits, one for each class, of images of its size.
    """
    metadata, state = read_tensors(path, FORMAT, make_again(path))
    description = parse_description(path, metadata)
    try:
        constructor = find_constructor(path, description, builder)
        with limit_size(sum(tensor.numel() for tensor in state.values())):
            network = build_network(description.source, constructor, description.arguments)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    load_state(network, state, path, description.constructor)
    found = description.constructor, description.channels, description.size, len(description.classes)
    try:
        check_outputs(network, *found, "size")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return network, description


def find_constructor(path: Path, description: NetworkDescription, builder: Path | None) -> str:
    """What rebuilds a network: what its file says; of a network that is code of the user's own, `builder`.

    InputError unless that is named, and is what the network was made with. A network file may be others' work, and the
    path in it lead to code of theirs: so it never decides which code is run.
    """
    library = find_source(description.source)
    if not library.runs_code:
        return description.constructor
    if builder is None:
        said = f"its network is code of one's own, {description.constructor}"
        raise InputError(f"{said}; --builder={description.constructor} runs it, if you trust it")
    if library.hash_constructor(str(builder)) != description.constructor_hash:
        raise InputError(f"{builder} is not the file that it was made with; {make_again(path)}")
    return str(builder)


@contextmanager
def limit_size(held: int) -> Iterator[None]:
    """InputError, before its memory is used, for a network that is built far larger than a file's `held` numbers.

    Parameters count when modules get them, still untouched. Parts that are built and then replaced count too.
    """
    built = 0

    def count(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        nonlocal built
        built += 0 if tensor is None or tensor.is_meta else tensor.numel()
        if built > SPARE * held + REPLACED:
            raise InputError(f"its arguments ask for {built:,} numbers or more; the file holds {held:,}")

    hooks = [
        register_module_parameter_registration_hook(count),
        register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def load_state(network: nn.Module, state: dict[str, Tensor], path: Path, constructor: str) -> None:
    """Put a file's weights into a network, in place.

    Raises InputError, naming the file, unless they are the weights of this architecture, and finite.
    """
    wanted = network.state_dict()
    for name in sorted(wanted.keys() | state.keys()):
        found, expected = (str(tuple(s[name].shape)) if name in s else "absent" for s in (state, wanted))
        if found != expected:
            raise InputError(f"{path}: not a {constructor}: {name} is {found}; expected {expected}")
        if state[name].layout is not torch.strided or state[name].is_quantized or state[name].is_meta:
            raise InputError(f"{path}: {name} is sparse, quantised or without values; allowed are plain tensors")
        if state[name].is_complex() != wanted[name].is_complex():
            raise InputError(f"{path}: {name} is of {state[name].dtype}; expected {wanted[name].dtype}")
        if state[name].is_floating_point() and not torch.isfinite(state[name]).all():
            raise InputError(f"{path}: {name} holds NaN or infinite values; all weights must be finite")
    wanted.update(state)  # keeps the versions of modules, which safetensors drops and MNASNet asks for
    network.load_state_dict(wanted)


# --- images to inputs --------------------------------------------------------------------------------------------


def preprocess(images: Tensor, description: NetworkDescription, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    """Turn (n, C, H, W) uint8 images into the network's float inputs, in memory as is fastest where they are.

    Pixel values, in [0, 1], are first multiplied by `scale` and moved by `shift`; 1 is their full range (Suppl. B.1).
    """
    mean, std = (images.new_tensor(values, dtype=torch.float32) for values in (description.mean, description.std))
    pixels = images.float() / 255 * scale + shift
    normalised = (pixels - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    return normalised.contiguous(memory_format=fastest_layout(images.device))


@torch.no_grad()
def predict_logits(
    network: nn.Module,
    images: Tensor,
    description: NetworkDescription,
    batch: int = 64,
    scale: float = 1.0,
    shift: float = 0.0,
) -> Tensor:
    """The logits (n, classes) of (n, C, H, W) uint8 images, in batches, where the network is; else as preprocess."""
    device = next(network.parameters()).device
    return torch.cat([network(preprocess(part.to(device), description, scale, shift)) for part in images.split(batch)])


def pixel_bounds(description: NetworkDescription) -> Tensor:
    """The lowest and the highest value that pixels have in the network's input space, (2, C, 1, 1)."""
    darkest = torch.zeros(1, description.channels, 1, 1, dtype=torch.uint8)
    return preprocess(torch.cat([darkest, ~darkest]), description)
