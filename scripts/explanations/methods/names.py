"""A saliency method's name as a value: the kind of method, the layer that a map is of, whether it ranks by a or |a|.

As text it is the kind, `signed_` before it if it ranks by a (Supplementary D), _<l> after it where the kind makes a map
for each layer: `gradient`, `activity_3`, `signed_activity_from_3`. Nothing else takes such a text apart. It needs no
library, so that a plan can ask.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from explanations.errors import InputError
from explanations.methods.registry import METHODS

SIGNED = "signed_"
LAYER = re.compile(r"0|[1-9][0-9]*")


@dataclass(frozen=True)
class MethodName:
    """The name of an image's map; of all maps of a kind, if that makes one for each layer and `layer` is None."""

    kind: str
    layer: int | None = None
    signed: bool = False

    def __str__(self) -> str:
        """The name as files, tables and configurations have it."""
        return f"{SIGNED * self.signed}{self.kind}{'' if self.layer is None else f'_{self.layer}'}"

    def at(self, layer: int) -> "MethodName":
        """The same kind's map of a layer."""
        return replace(self, layer=layer)

    @property
    def all_layers(self) -> "MethodName":
        """The same kind, of whatever layers there are: what removal is measured and stored by."""
        return replace(self, layer=None)


def parse_method(name: str) -> MethodName:
    """The name of one map; InputError, with what is allowed, if there is no such method."""
    parsed = _take_apart(name)
    if parsed is None or METHODS[parsed.kind].of_layers != (parsed.layer is not None):
        allowed = [f"{each}_<layer>" if METHODS[each.kind].of_layers else str(each) for each in all_kinds()]
        raise InputError(f"method is {name}; allowed are {', '.join(allowed)}")
    return parsed


def parse_kind(name: str) -> MethodName:
    """The name of all maps of a kind; InputError, with what is allowed, if there is no such kind."""
    parsed = _take_apart(name)
    if parsed is None or parsed.layer is not None:
        raise InputError(f"method is {name}; allowed are {', '.join(map(str, all_kinds()))}")
    return parsed


def all_kinds() -> list[MethodName]:
    """All kinds of methods, in the registry's order; the signed ones last."""
    signed = [MethodName(kind, signed=True) for kind, entry in METHODS.items() if entry.signed]
    return [*(MethodName(kind) for kind in METHODS), *signed]


def check_own_name(name: str, groups: Iterable[str]) -> None:
    """InputError unless a method with passes of its own can have a name, beside those of kinds, layers and groups."""
    taken = [*METHODS, *groups]
    if _take_apart(name) is not None or name in taken or name.startswith(SIGNED):
        raise InputError(
            f"methods has {name}, no name for a method of one's own; taken are {', '.join(dict.fromkeys(taken))}"
        )


def layers_of(kind: MethodName, names: Iterable[str]) -> list[int]:
    """The layers of those names that are of a kind, each once, ascending as numbers: 9 before 10."""
    parsed = [name for name in map(_take_apart, names) if name is not None and name.all_layers == kind]
    return sorted({name.layer for name in parsed if name.layer is not None})


def _take_apart(name: str) -> MethodName | None:
    """A kind as the registry has it, with or without a layer, signed or not; None if it is no such name."""
    for text, signed in ((name, False), (name.removeprefix(SIGNED), name.startswith(SIGNED))):
        stem, _, layer = text.rpartition("_")
        if text in METHODS:
            found = MethodName(text, None, signed)
        elif LAYER.fullmatch(layer) and stem in METHODS and METHODS[stem].of_layers:
            found = MethodName(stem, int(layer), signed)
        else:
            continue
        if METHODS[found.kind].signed or not signed:
            return found
    return None
