"""Names of saliency methods: their kinds, and the layer that a name means. It needs no library, so that a plan can ask.

A name is that of a kind, followed by _<l> where it belongs to a layer: `activity_3`, `activity_from_3`, `fullgrad`.
Kinds that start with `signed_` rank by a, not |a| (Supplementary D). explanations/saliency.py computes them.
"""

import re
from collections.abc import Iterable

KINDS = ("gradient", "input", "gradcam", "activity_with_input", "fullgrad", "fullgrad_feature")
LAYER_KINDS = ("activity", "bias", "activity_from", "signed_activity", "signed_activity_from")
OF_A_LAYER = re.compile(rf"({'|'.join(LAYER_KINDS)})_([0-9]+)")


def parse_method(name: str) -> tuple[str, int | None]:
    """A method's kind and layer, None if it has none; ValueError, one line with what is allowed, if it is no method."""
    if name in KINDS:
        return name, None
    found = OF_A_LAYER.fullmatch(name)
    if not found:
        allowed = [*KINDS, *(f"{kind}_<layer>" for kind in LAYER_KINDS)]
        raise ValueError(f"method is {name}; allowed are {', '.join(allowed)}")
    return found[1], int(found[2])


def layers_of(kind: str, names: Iterable[str]) -> list[int]:
    """The layers of those names that are of a kind, each once, ascending as numbers: 9 before 10."""
    found = (OF_A_LAYER.fullmatch(name) for name in names)
    return sorted({int(match[2]) for match in found if match and match[1] == kind})
