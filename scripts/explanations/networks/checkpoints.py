"""Files of weights as people have them: which weights in them are taken, and by which names.

A file holds tensors by name; or those beside an optimiser's state and settings, under a key such as `state_dict` or
`model`; or as part of a larger module, behind a prefix such as `module.` or `model.`. What is taken and what is left
out of it is printed.
"""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from torch import Tensor

from explanations.errors import InputError
from explanations.files.weights import read_weights_file

USUAL_KEYS = ("state_dict", "model", "model_state_dict")  # taken before others, the first before the second
WRAPPERS = ("module.", "model.", "net.", "network.")  # of modules that hold a network and nothing else
COMPILED = "_orig_mod."  # torch.compile's, wherever a module was compiled
AVERAGED = re.compile(r"(^|[._])(ema|swa|shadow)([._]|$)|averag", re.IGNORECASE)  # means over training: the last choice
COUNTER = ".num_batches_tracked"  # older files have none
SHOWN = 8  # names in a message

Weights = dict[str, Tensor]


def read_checkpoint(path: Path, names: Collection[str], key: str = "") -> Weights:
    """The weights that a file holds, by the names that a network, whose own are `names`, has for them.

    `key` says which, where there are several. InputError, naming the file, if it holds none, or if it isn't clear which
    are meant. Whether they fit the network is for who loads them to see: names that are its family's older ones stay.
    """
    chosen, rest = choose(read_weights_file(path), path, key)
    return unwrap(chosen, path, names, rest)


def rename_in_order(weights: Weights, own: Weights, path: Path) -> Weights:
    """Weights of other names, by the network's: entry by entry in the order of both, of which `own` is the network's.

    Two implementations of one architecture have the same entries in the same order. InputError, naming the entry, where
    shapes differ, or the last part of the names does, as weight and running_mean; counters may lack.
    """
    if not any(name.endswith(COUNTER) for name in weights):
        own = {name: tensor for name, tensor in own.items() if not name.endswith(COUNTER)}
    if len(weights) != len(own):
        raise InputError(f"{path}: holds {len(weights)} tensors, the network {len(own)}; names: order needs the same")
    for place, (name, mine) in enumerate(zip(weights, own, strict=True), 1):
        kinds = name.rpartition(".")[2], mine.rpartition(".")[2]
        shapes = tuple(weights[name].shape), tuple(own[mine].shape)
        if kinds[0] != kinds[1] or shapes[0] != shapes[1]:
            said = f"its entry {place}, {name}, is {shapes[0]}; the network's, {mine}, is {shapes[1]}"
            raise InputError(f"{path}: {said}; names: order needs the same shapes and kinds in the same order")
    print(f"{path}: its {len(weights)} tensors are the network's in order, under other names")
    return dict(zip(own, weights.values(), strict=True))


# --- which weights -----------------------------------------------------------------------------------------------


def choose(content: dict, path: Path, key: str) -> tuple[Weights, str]:
    """The weights of a file that are meant, and what of `key` is left: a prefix of their names, if any."""
    if holds_weights(content):
        return content, key
    held = list_weights(content)
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not held and tensors:  # beside a count of epochs, say
        print(
            f"{path}: left out, which are no tensors: {shorten(str(name) for name in content.keys() - tensors.keys())}"
        )
        return tensors, key
    if not held:
        held = f"holds {shorten(map(str, content))}" if content else "is empty"
        raise InputError(f"{path}: not a file of weights; expected tensors by name, alone or under a key; it {held}")
    if key in held:
        return held[key], ""
    if key:
        behind = [name for name, weights in held.items() if any(other.startswith(f"{key}.") for other in weights)]
        if len(behind) != 1:
            raise InputError(f"weights.key is {key}; {path} holds {shorten(held)}")
        return held[behind[0]], key
    taken = prefer(held, path)
    others = [name for name in held if name != taken]
    print(f"{path}: {taken} is taken" + (f"; weights.key can choose {shorten(others)} instead" if others else ""))
    return held[taken], ""


def holds_weights(value: object) -> bool:
    """Whether something is a dictionary of tensors by name."""
    return (
        isinstance(value, dict)
        and len(value) > 0
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


def list_weights(content: dict) -> dict[str, Weights]:
    """All dictionaries of tensors in another, by key; by two keys with a dot between where they are in a third."""
    held = {}
    for key, value in content.items():
        if holds_weights(value):
            held[str(key)] = value
        elif isinstance(value, dict):
            held |= {f"{key}.{inner}": weights for inner, weights in value.items() if holds_weights(weights)}
    return held


def prefer(held: Iterable[str], path: Path) -> str:
    """Which of several keys is meant; InputError if that isn't clear."""
    plain = [key for key in held if not AVERAGED.search(key)] or list(held)
    usual = [key for key in USUAL_KEYS if key in plain]
    if not usual and len(plain) > 1:
        raise InputError(f"weights.key is missing; {path} holds {shorten(plain)}")
    return (usual or plain)[0]


def shorten(names: Iterable[str]) -> str:
    """Names as a list, not longer than a line takes."""
    names = list(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} others" if len(names) > SHOWN else "")


# --- by which names ----------------------------------------------------------------------------------------------


def unwrap(weights: Weights, path: Path, names: Collection[str], key: str = "") -> Weights:
    """Weights without the prefix that a larger module's names have: `key`, or the one behind which all `names` are.

    Where the network's names are none of the file's, what all of it has in common goes if it is a known wrapper's.
    """
    plain = {name.replace(COMPILED, ""): tensor for name, tensor in weights.items()}
    if len(plain) < len(weights):
        raise InputError(f"{path}: holds weights twice, with {COMPILED} in their names and without")
    if plain.keys() != weights.keys():
        print(f"{path}: {COMPILED} is taken out of its names")
    prefixes = find_prefixes(plain, names)
    if key:
        prefix = f"{key.removesuffix('.')}."
        if not any(name.startswith(prefix) for name in plain):
            known = [prefix.removesuffix(".") for prefix in prefixes if prefix]
            held = known or dict.fromkeys(name.partition(".")[0] for name in plain)
            raise InputError(f"weights.key is {key}; {path} holds names that start with {shorten(held)}")
    elif "" in prefixes:
        prefix = ""
    elif prefixes:
        prefix = f"{prefer([each.removesuffix('.') for each in prefixes], path)}."
    else:
        prefix = common_wrapper(plain)
    others = [] if key else [each for each in prefixes if each != prefix]
    if others:
        chosen = f"what starts with {prefix}" if prefix else "what has the network's own names"
        named = shorten(each.removesuffix(".") for each in others)
        print(f"{path}: {chosen} is taken; weights.key can choose {named} instead")
    own = {name for name in plain if name.startswith(prefix)}
    if not prefix:
        own -= {name for name in own - set(names) if name.startswith(tuple(others))}
    rest = [name for name in plain if name not in own]
    if prefix:
        print(f"{path}: the prefix {prefix} is taken off {len(own)} names")
    if rest:
        print(f"{path}: left out: {shorten(rest)}")
    return {name.removeprefix(prefix): tensor for name, tensor in plain.items() if name in own}


def find_prefixes(weights: Weights, names: Collection[str]) -> list[str]:
    """The prefixes behind which a file has all of a network's names."""
    wanted = {name for name in names if not name.endswith(COUNTER)}
    first = min(wanted, default="")
    prefixes = (name.removesuffix(first) for name in weights if name.endswith(first))
    return [
        prefix
        for prefix in prefixes
        if (not prefix or prefix.endswith(".")) and all(f"{prefix}{name}" in weights for name in wanted)
    ]


def common_wrapper(weights: Weights) -> str:
    """The known wrappers' prefix that all names of a file have."""
    prefix = ""
    while True:
        wrapper = next((end for end in WRAPPERS if all(name.startswith(prefix + end) for name in weights)), None)
        if wrapper is None:
            return prefix
        prefix += wrapper
