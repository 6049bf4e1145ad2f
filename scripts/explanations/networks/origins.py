"""What a value in a network's run is made of: learned tensors alone, or the image too."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from explanations.networks.aten import ADDED, LINEAR, MULTIPLIED


@dataclass(frozen=True)
class Made:
    """A value made of learned tensors alone: a `tensor` by its name, a `sum`, a `product` or `other` of `parts`."""

    kind: str
    parts: tuple["Made", ...] = ()
    name: str = ""

    def names(self) -> set[str]:
        """The learned tensors in it."""
        return {self.name} if self.name else set().union(*(part.names() for part in self.parts))

    def zeroing(self, kept: set[str]) -> set[str]:
        """The learned tensors to set to 0 for it to be 0, those `kept` excepted; none where no choice is the right one.

        Of a product it is the factor that isn't `kept`, if there is one such factor.
        """
        if self.kind == "tensor":
            return {self.name} - kept
        choices = [names for names in (part.zeroing(kept) for part in self.parts) if names]
        if self.kind == "sum":
            return set().union(*choices)
        return choices[0] if self.kind == "product" and len(choices) == 1 else set()


@dataclass(frozen=True)
class Flow:
    """A value computed from the image: the kinds of statistics that it is made of, and whether it is one over them.

    `raw`: no parameter has been applied to it yet. What buffers do to it then is preprocessing, as a fixed mean's is.
    """

    statistics: frozenset[str] = frozenset()
    inverse: bool = False
    raw: bool = False


class Input(NamedTuple):
    """A tensor that an operation gets: the argument's name, and what the tensor is made of, if that is known."""

    key: str
    value: Tensor
    tag: Made | Flow | None


def added_product(name: str, inputs: list[Input]) -> Made | None:
    """The product of learned tensors that addcmul, addmm and the like add to activities; None if there is none."""
    if ADDED.get(name) != ("self",) or not isinstance(inputs[0].tag, Flow):
        return None
    factors = [each.tag for each in inputs[1:] if each.tag is not None]
    return Made("product", tuple(factors)) if factors and not any(isinstance(tag, Flow) for tag in factors) else None


def combine(name: str, inputs: list[Input]) -> Made:
    """What an operation makes of learned tensors."""
    parts = {each.key: each.tag for each in inputs if each.tag is not None}
    made = tuple(each.tag for each in inputs if each.tag is not None)
    if ADDED.get(name) == ("self",):  # a product, and what is added to it
        product = tuple(tag for key, tag in parts.items() if key != "self")
        return Made("sum", (*([parts["self"]] if "self" in parts else []), Made("product", product)))
    if name == "convolution":
        product = tuple(parts[key] for key in ("input", "weight") if key in parts)
        return Made("sum", (Made("product", product), *([parts["bias"]] if "bias" in parts else [])))
    if name in LINEAR:
        return Made("sum", made)
    if name in MULTIPLIED and name != "pow":
        return Made("product", made)
    return Made("other", made)
