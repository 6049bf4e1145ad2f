"""Watches a network's run: what is computed from the image, and what learned tensors do to it."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_leaves

from explanations.errors import InputError
from explanations.networks.aten import (
    ADDED,
    BATCH_NORMALISATIONS,
    BIAS_ARGUMENTS,
    FACTOR_ARGUMENTS,
    JOINED,
    KEEPING,
    LAYER_NORMALISATIONS,
    MATRIX_PRODUCTS,
    MULTIPLIED,
    SHAPED,
    STATISTICS,
)
from explanations.networks.modes import Mode
from explanations.networks.origins import Flow, Input, Made, added_product, combine

NORMALISATIONS = ("none", "layer", "batch")  # where a network has two, the later one counts


class Watcher(Mode):
    """Follows what is computed from the image, and from learned tensors, through all operations.

    `learned`: a network's tensors by name; `images`, (n, C, H, W): the very tensor that the network is to run on.
    Afterwards `joined` and `maps` are names of learned tensors, `normalisation` is one of NORMALISATIONS.
    """

    def __init__(self, learned: dict[str, Tensor], images: Tensor):
        super().__init__()
        self._tags: dict[int, Made | Flow] = {}  # by the memory that values lie in, which views share
        self._pinned: list[StorageWeakRef] = []  # while they are held, no new memory gets the number of one of these
        self._learned = learned
        self._buffers = {name for name, tensor in learned.items() if not isinstance(tensor, nn.Parameter)}
        self._added: list[tuple[Made, bool, bool]] = []  # what, whether by position, whether it is 0
        self._multiplied: set[str] = set()
        self.joined: set[str] = set()
        self.maps: set[str] = set()
        self.normalisation = NORMALISATIONS[0]
        for name, tensor in learned.items():
            self._tag(tensor, Made("tensor", name=name))
        self._tag(images, Flow(raw=True))

    def biases(self) -> set[str]:
        """The learned tensors that are added to all positions alike."""
        return set().union(*(made.zeroing(self._multiplied) for made, _ in self._added_everywhere()))

    def by_position(self) -> set[str]:
        """The learned tensors that are added to each position as another value."""
        return set().union(*(made.names() for made, by_position, _ in self._added if by_position)) - self._multiplied

    def remaining(self) -> str:
        """What is added to all positions alike and is not 0: names of learned tensors."""
        # the variance of batches below which EvoNorm's divisor can't fall is no bias
        left = (made.names() for made, is_zero in self._added_everywhere() if not is_zero)
        return ", ".join(next((sorted(names) for names in left if not names <= self._buffers), []))

    def _added_everywhere(self) -> list[tuple[Made, bool]]:
        """What is added to all positions alike, and whether it is 0; tokens, which are joined too, are left out."""
        added = ((made, is_zero) for made, by_position, is_zero in self._added if not by_position)
        return [(made, is_zero) for made, is_zero in added if not made.names() & self.joined]

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Run an operation, and note what it makes of the image and of learned tensors."""
        kwargs = kwargs or {}
        schema = function._schema
        name = schema.name.removeprefix("aten::").strip("_")
        if name in SHAPED:
            return function(*args, **kwargs)
        given = [(argument.name, value) for argument, value in zip(schema.arguments, args, strict=False)]
        inputs = [
            Input(key, tensor, self._tags.get(tensor.untyped_storage()._cdata))
            for key, value in [*given, *kwargs.items()]
            for tensor in tree_leaves(value)
            if isinstance(tensor, Tensor)
        ]
        tag = None
        if any(isinstance(each.tag, Flow) for each in inputs):
            if (product := added_product(name, inputs)) is not None:
                value = function(torch.zeros_like(args[0]), *args[1:], **kwargs)
                self._added.append((product, _varies(value) > 1, not value.any()))
            tag = self._follow(name, inputs, args, known=product is not None)
        elif any(each.tag is not None for each in inputs):
            tag = combine(name, inputs)
        result = function(*args, **kwargs)
        if tag is not None:
            for tensor in tree_leaves(result):
                if isinstance(tensor, Tensor):
                    self._tag(tensor, tag, overwrite=schema.is_mutable)
        return result

    def _follow(self, name: str, inputs: list[Input], args: tuple, *, known: bool) -> Flow:
        """What an operation makes of activities; notes what it does to them, unless that is `known`."""
        raw = all(each.tag.raw for each in inputs if isinstance(each.tag, Flow))
        learned = [each for each in inputs if isinstance(each.tag, Made)]
        for each in learned if not known else ():
            prepares = raw and each.key not in BIAS_ARGUMENTS and each.tag.names() <= self._buffers
            if not prepares:
                self._meet(name, each)
        raw = raw and all(each.tag.names() <= self._buffers for each in learned)
        self._normalise(name, inputs, raw=raw)
        return replace(self._flow_on(name, inputs, args), raw=raw)

    def _tag(self, tensor: Tensor, tag: Made | Flow, *, overwrite: bool = False) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._tags:
            self._pinned.append(StorageWeakRef(storage))
        elif not overwrite:  # a view
            return
        self._tags[storage._cdata] = tag

    def _meet(self, name: str, learned: Input) -> None:
        """Note what an operation does to activities with a value made of learned tensors: add, multiply or join it."""
        key, value, made = learned
        if key in BIAS_ARGUMENTS or key in ADDED.get(name, ()):
            self._added.append((made, key not in BIAS_ARGUMENTS and _varies(value) > 1, not value.any()))
        elif name in MULTIPLIED or key in FACTOR_ARGUMENTS:
            self._multiplied |= made.names()
            if name == "convolution":  # of weights, which may be standardised first, not of their gains
                self.maps |= {each for each in made.names() if self._learned[each][0].numel() > 1}
            elif name in MATRIX_PRODUCTS and made.kind == "tensor":
                self.maps.add(made.name)
        elif name in JOINED:
            self.joined |= made.names()
        else:
            raise InputError(
                f"the network's {', '.join(sorted(made.names()))} meets activities in the operation {name}, of which "
                "it is not known whether it adds or multiplies"
            )

    def _normalise(self, name: str, inputs: list[Input], *, raw: bool) -> None:
        """Note whether an operation divides activities by a statistic."""
        kinds = set()
        if name in LAYER_NORMALISATIONS:
            kinds.add("layer")
        elif name in BATCH_NORMALISATIONS and isinstance(inputs[0].tag, Flow):
            # instance normalisation calls it, with the images of a batch as channels
            kinds.add("layer" if len(inputs[0].value) == 1 else "batch")
        elif name in ("div", "mul"):
            for index, (_, _, tag) in enumerate(inputs):
                if isinstance(tag, Flow) and (tag.inverse if name == "mul" else index == 1):
                    kinds |= tag.statistics
                elif isinstance(tag, Made) and tag.names() & self._buffers and not raw:
                    kinds.add("batch")
        self.normalisation = max([self.normalisation, *kinds], key=NORMALISATIONS.index)

    def _flow_on(self, name: str, inputs: list[Input], args: tuple) -> Flow:
        """The statistics that an operation's result is made of."""
        if name in STATISTICS and not inputs[0].tag.statistics:
            return Flow(frozenset({"layer"}))
        if name not in KEEPING:
            return Flow()
        flows = [each.tag for each in inputs if isinstance(each.tag, Flow)]
        kinds = frozenset().union(*(flow.statistics for flow in flows))
        if kinds and any(isinstance(each.tag, Made) and each.tag.names() & self._buffers for each in inputs):
            kinds |= {"batch"}
        negative = name == "pow" and isinstance(args[-1], int | float) and args[-1] < 0
        return Flow(kinds, name in ("rsqrt", "reciprocal") or negative or any(flow.inverse for flow in flows))


def _varies(value: Tensor) -> int:
    """The number of dimensions along which values differ: one, of channels, in a bias; more in position embeddings."""
    return sum(bool((value != value.narrow(dim, 0, 1)).any()) for dim in range(value.dim()))
