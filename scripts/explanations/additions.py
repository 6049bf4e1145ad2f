"""Which learned tensors of a network are added to what is computed from the image, whatever its modules are called.

A network runs once, and every call of torch's own operations is seen: a convolution's bias, a parameter that some
module adds by itself, a vector that is put together from two parameters first. Nothing depends on lists of module
classes, and networks that torch.fx can't trace are seen as well.
"""

import copy
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from explanations.command import InputError
from explanations.operations import attention_in_parts

KINDS = ("none", "layer", "batch")  # of normalisation; where there are two, the later one counts
# Operations by torch's name, without the underscore of those that overwrite their input. Of each, what is added to its
# other arguments, or cuts them off:
ADDED = {
    **dict.fromkeys(("add", "sub", "rsub", "maximum", "minimum", "fmax", "fmin"), ("self", "other")),
    **dict.fromkeys(("addmm", "addmv", "addbmm", "baddbmm", "addcmul", "addcdiv", "addr"), ("self",)),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max"), ("min", "max")),
}
MATRIX_PRODUCTS = ("mm", "bmm", "mv", "addmm", "addmv", "baddbmm", "addbmm")  # linear maps, in their parts
SHAPED = ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty")
OWN = ("bias", "running_mean")  # arguments of convolutions and normalisations, which are biases whatever their shape
JOINED = ("cat", "stack", "copy", "index_put", "slice_scatter", "select_scatter", "scatter", "masked_scatter", "where")
MULTIPLIED = ("mul", "div", "mm", "bmm", "mv", "dot", "pow", "prelu_kernel", "embedding")
FACTORS = ("weight", "running_var", "mat1", "mat2", "vec", "vec1", "vec2", "batch1", "batch2", "tensor1", "tensor2")
# what is 0 if all of its learned arguments are:
LINEAR = (
    *("cat", "stack", "repeat", "clone", "to_copy", "neg", "sum", "mean", "add", "sub", "rsub", "copy", "index"),
    *("index_select", "gather", "roll", "flip", "constant_pad_nd", "unsafe_view", "slice_scatter", "select_scatter"),
    *("index_put", "upsample_bicubic2d", "upsample_bilinear2d", "upsample_nearest2d", "embedding", "where"),
    *("zero", "fill", "masked_fill", "index_fill"),
)
# What divides activities by a statistic of theirs normalises them. (AlexNet's, of neighbours, is a pooling.)
STATISTICS = ("mean", "var", "std", "var_mean", "std_mean", "linalg_vector_norm", "norm")
KEEPING = ("add", "sub", "sqrt", "rsqrt", "reciprocal", "pow", "maximum", "clamp", "clamp_min", "to_copy", "mean")
BATCH_NORMALISATIONS = ("native_batch_norm", "native_batch_norm_legit", "native_batch_norm_legit_no_training")
LAYER_NORMALISATIONS = ("native_layer_norm", "native_group_norm", "fused_rms_norm")


@dataclass(frozen=True)
class Additions:
    """What is added to a network's activities: names of learned tensors, as in its state and in its order.

    `biases` are added to all positions alike, or cut values off there. What stays: `by_position`, which are added with
    values that differ along more than one dimension, as position embeddings do, and `joined` with activities, as tokens
    are. `maps` are weights of convolutions and linear maps, which activities are mapped by. `normalisation`: what the
    activities are divided by: statistics of the training images (`batch`), of the image itself (`layer`), or `none`.
    """

    biases: tuple[str, ...]
    by_position: tuple[str, ...]
    joined: tuple[str, ...]
    maps: tuple[str, ...]
    normalisation: str


def find_additions(network: nn.Module, size: tuple[int, int, int]) -> Additions:
    """Watch a copy of a network on two random images of `size`, (channels, H, W), in evaluation mode.

    Learned are parameters and what else a network's state holds, such as batch normalisation's means; what is shared
    counts under its first name. Raises InputError, naming them, where learned tensors are added in such a way that it
    can't be told which of them to set to 0.
    """
    network = copy.deepcopy(network).cpu().eval().requires_grad_(False)
    learned: dict[str, Tensor] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        if tensor.is_floating_point() and not any(tensor is other for other in learned.values()):
            learned[name] = tensor
    _randomise(learned.values())
    watcher = _watch(network, learned, size)
    biases = watcher.biases()
    for name in biases:
        learned[name].data.zero_()
    left = _watch(network, learned, size).remaining()
    if left:
        raise InputError(
            f"the network's {left} can't be told to be a bias or none: it is added to the activities after "
            "operations that don't leave 0 as 0; allowed are sums, and products with what else multiplies activities"
        )
    found = (biases, watcher.by_position() - biases, watcher.joined, watcher.maps)
    return Additions(*(tuple(name for name in learned if name in names) for names in found), watcher.normalisation)


def _randomise(tensors: Iterable[Tensor]) -> None:
    """Give tensors values that differ and are not 0, which show what a sum is made of; those of maps keep its scale."""
    generator = torch.Generator().manual_seed(0)
    for tensor in tensors:
        values = torch.empty(tensor.shape, dtype=tensor.dtype).uniform_(0.5, 1.5, generator=generator)
        is_map = values.dim() > 1 and len(values) > 1
        tensor.data = values / values[0].numel() if is_map else values


def _watch(network: nn.Module, learned: dict[str, Tensor], size: tuple[int, int, int]) -> "_Watcher":
    dtype = next((tensor.dtype for tensor in learned.values()), torch.get_default_dtype())
    images = torch.rand(2, *size, generator=torch.Generator().manual_seed(0)).to(dtype)
    watcher = _Watcher(learned, images)
    # recurrent maps are to be seen in their parts too
    recurrent = any(isinstance(module, nn.RNNBase) for module in network.modules())
    in_parts = torch.backends.mkldnn.flags(enabled=False) if recurrent else nullcontext()
    with torch.no_grad(), attention_in_parts(), in_parts, watcher:
        network(images)
    return watcher


@dataclass(frozen=True)
class _Made:
    """A value made of learned tensors alone: one (`name`), or a sum, a product or some other function of `parts`."""

    kind: str
    parts: tuple["_Made", ...] = ()
    name: str = ""

    def names(self) -> set[str]:
        """The learned tensors in it."""
        return {self.name} if self.name else set().union(*(part.names() for part in self.parts))

    def zeroing(self, kept: set[str]) -> set[str]:
        """The learned tensors to set to 0 for it to be 0, those `kept` excepted; of a product one factor's."""
        if self.kind == "tensor":
            return {self.name} - kept
        found = [names for names in (part.zeroing(kept) for part in self.parts) if names]
        if self.kind == "sum":
            return set().union(*found)
        return found[0] if self.kind == "product" and len(found) == 1 else set()


@dataclass(frozen=True)
class _Flow:
    """A value computed from the image: the kinds of statistics that it is made of, and whether it is one over them.

    `raw`: no parameter has met it yet. What buffers do to it is part of making the image ready, as a fixed mean is.
    """

    statistics: frozenset[str] = frozenset()
    inverse: bool = False
    raw: bool = False


class _Watcher(TorchDispatchMode):
    """Follows what is computed from the image, and from learned tensors, through all operations."""

    def __init__(self, learned: dict[str, Tensor], images: Tensor):
        super().__init__()
        self._tags: dict[int, _Made | _Flow] = {}  # by the memory that values lie in, which views share
        self._pinned: list[StorageWeakRef] = []  # while they are held, no other memory is taken for one of these
        self._learned = learned
        self._buffers = {name for name, tensor in learned.items() if not isinstance(tensor, nn.Parameter)}
        self._added: list[tuple[_Made, bool, bool]] = []  # what, whether by position, whether it is 0
        self._multiplied: set[str] = set()
        self.joined: set[str] = set()
        self.maps: set[str] = set()
        self.normalisation = KINDS[0]
        for name, tensor in learned.items():
            self._tag(tensor, _Made("tensor", name=name))
        self._tag(images, _Flow(raw=True))

    def biases(self) -> set[str]:
        """The learned tensors that are added to all positions alike."""
        return set().union(*(made.zeroing(self._multiplied) for made, _ in self._added_everywhere()))

    def by_position(self) -> set[str]:
        """The learned tensors that are added to each position as another value."""
        return set().union(*(made.names() for made, by_position, _ in self._added if by_position)) - self._multiplied

    def remaining(self) -> str:
        """What is added to all positions alike and is not 0: names of learned tensors."""
        # a variance of batches, as in EvoNorm, which cuts a divisor off, is no bias
        left = (made.names() for made, is_zero in self._added_everywhere() if not is_zero)
        return ", ".join(next((sorted(names) for names in left if not names <= self._buffers), []))

    def _added_everywhere(self) -> list[tuple[_Made, bool]]:
        """What is added to all positions alike, and whether it is 0; no tokens, which are joined with others too."""
        added = ((made, is_zero) for made, by_position, is_zero in self._added if not by_position)
        return [(made, is_zero) for made, is_zero in added if not made.names() & self.joined]

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Run an operation, and note what it makes of the image and of learned tensors."""
        kwargs = kwargs or {}
        schema = function._schema
        name = schema.name.removeprefix("aten::").strip("_")
        if name in SHAPED:
            return function(*args, **kwargs)  # its values are no others' but the caller's
        given = [(argument.name, value) for argument, value in zip(schema.arguments, args, strict=False)]
        tensors = [
            (key, tensor, self._tags.get(tensor.untyped_storage()._cdata))
            for key, value in [*given, *kwargs.items()]
            for tensor in tree_leaves(value)
            if isinstance(tensor, Tensor)
        ]
        tags = [tag for _, _, tag in tensors if tag is not None]
        flows = [tag for tag in tags if isinstance(tag, _Flow)]
        raw = bool(flows) and all(flow.raw for flow in flows)
        if flows:
            if (product := _added_product(name, tensors)) is not None:
                value = function(torch.zeros_like(args[0]), *args[1:], **kwargs)
                self._added.append((product, _varies(value) > 1, not value.any()))
            else:
                for key, tensor, tag in tensors:
                    if isinstance(tag, _Made) and not (raw and key not in OWN and tag.names() <= self._buffers):
                        self._meet(name, key, tensor, tag)
            raw = raw and not any(isinstance(tag, _Made) and tag.names() - self._buffers for tag in tags)
            self._normalise(name, tensors, raw=raw)
            made = replace(self._flow_on(name, tensors, args), raw=raw)
        elif tags:
            made = _combine(name, tensors)
        result = function(*args, **kwargs)
        if tags:
            for tensor in tree_leaves(result):
                if isinstance(tensor, Tensor):
                    self._tag(tensor, made, overwrite=schema.is_mutable)
        return result

    def _tag(self, tensor: Tensor, tag: _Made | _Flow, *, overwrite: bool = False) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._tags:
            self._pinned.append(StorageWeakRef(storage))
        elif not overwrite:  # a view
            return
        self._tags[storage._cdata] = tag

    def _meet(self, name: str, key: str, value: Tensor, made: _Made) -> None:
        """What is made of learned tensors meets, in an operation, what is computed from the image."""
        if key in OWN or key in ADDED.get(name, ()):
            self._added.append((made, key not in OWN and _varies(value) > 1, not value.any()))
        elif name in MULTIPLIED or key in FACTORS:
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

    def _normalise(self, name: str, tensors: list, *, raw: bool) -> None:
        kinds = set()
        if name in LAYER_NORMALISATIONS:
            kinds.add("layer")
        elif name in BATCH_NORMALISATIONS and isinstance(tensors[0][2], _Flow):
            # instance normalisation calls it, with the images of a batch as channels
            kinds.add("layer" if len(tensors[0][1]) == 1 else "batch")
        elif name in ("div", "mul"):
            for index, (_, _, tag) in enumerate(tensors):
                if isinstance(tag, _Flow) and (tag.inverse if name == "mul" else index == 1):
                    kinds |= tag.statistics
                elif isinstance(tag, _Made) and tag.names() & self._buffers and not raw:
                    kinds.add("batch")
        self.normalisation = max([self.normalisation, *kinds], key=KINDS.index)

    def _flow_on(self, name: str, tensors: list, args: tuple) -> _Flow:
        if name in STATISTICS and not tensors[0][2].statistics:
            return _Flow(frozenset({"layer"}))
        if name not in KEEPING:
            return _Flow()
        flows = [tag for _, _, tag in tensors if isinstance(tag, _Flow)]
        kinds = frozenset().union(*(flow.statistics for flow in flows))
        if kinds and any(isinstance(tag, _Made) and tag.names() & self._buffers for _, _, tag in tensors):
            kinds |= {"batch"}
        negative = name == "pow" and isinstance(args[-1], int | float) and args[-1] < 0
        return _Flow(kinds, name in ("rsqrt", "reciprocal") or negative or any(flow.inverse for flow in flows))


def _added_product(name: str, tensors: list) -> _Made | None:
    """What of addcmul, addmm and the like is a product of learned tensors, added to activities; None if it isn't."""
    if ADDED.get(name) != ("self",) or not isinstance(tensors[0][2], _Flow):
        return None
    factors = [tag for _, _, tag in tensors[1:] if tag is not None]
    return _Made("product", tuple(factors)) if factors and not any(isinstance(tag, _Flow) for tag in factors) else None


def _combine(name: str, tensors: list) -> _Made:
    """What an operation makes of learned tensors."""
    parts = {key: tag for key, _, tag in tensors if tag is not None}
    made = tuple(tag for _, _, tag in tensors if tag is not None)
    if ADDED.get(name) == ("self",):  # a product, and what is added to it
        product = tuple(tag for key, tag in parts.items() if key != "self")
        return _Made("sum", (*([parts["self"]] if "self" in parts else []), _Made("product", product)))
    if name == "convolution":
        product = tuple(parts[key] for key in ("input", "weight") if key in parts)
        return _Made("sum", (_Made("product", product), *([parts["bias"]] if "bias" in parts else [])))
    if name in LINEAR:
        return _Made("sum", made)
    if name in MULTIPLIED and name != "pow":
        return _Made("product", made)
    return _Made("other", made)


def _varies(value: Tensor) -> int:
    """The number of dimensions along which values differ: one, of channels, in a bias; more in a position embedding."""
    return sum(bool((value != value.narrow(dim, 0, 1)).any()) for dim in range(value.dim()))
