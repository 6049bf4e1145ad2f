"""Where in the image the values of a network's operations lie.

Convolutions keep channels first, some blocks put them last, transformers work on tokens or windows of tokens. Positions
are followed through the graph: operations that move values move their positions in the same way, those that mix
channels keep them, convolutions, poolings and paddings start a grid of their own.
"""

import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, fx

from explanations.decomposition.layouts import NOWHERE, Layout, channels_first, channels_last
from explanations.decomposition.operations import MATRIX_PRODUCTS, MOVING, REDUCTIONS, flows, has_parameters
from explanations.errors import InputError

Cells = tuple[Tensor | None, tuple[int, int]]  # of an operation's values, None without positions; their grid's size


class PositionTracer(fx.Interpreter):
    """Follows positions through a traced network, whose nodes are marked as flowing: run it on one image, (1, 3, H, W).

    Then cells[node], of the shape of the node's value, says where each of its elements lies (see Layout), in a grid of
    sizes[node]. Nodes without positions are in neither.
    """

    def __init__(self, module: fx.GraphModule):
        super().__init__(module)
        self.cells: dict[fx.Node, Tensor | tuple] = {}
        self.sizes: dict[fx.Node, tuple[int, int]] = {}
        self.shapes: dict[fx.Node, torch.Size] = {}

    def layout(self, node: fx.Node, device: torch.device | str) -> Layout:
        """The layout of a node's values."""
        images, parts = self._images(node)
        cells = self.cells.get(node)
        if cells is None:
            return Layout(None, images=images, parts=parts)
        cells = cells.movedim(images, 0)
        return Layout(cells[0] if parts == 1 else cells, self.sizes[node], device, images, parts)

    def _images(self, node: fx.Node) -> tuple[int, int]:
        """The dimension along which a node's values count images, and how many entries of it make one image."""
        shape = self.shapes.get(node, ())
        if not shape or shape[0] == 1:  # the example's one image
            return 0, 1
        differ = [dim for dim, (one, two) in enumerate(zip(shape, self._pair[node], strict=True)) if one != two]
        if len(differ) != 1:
            raise InputError(f"the network's operation {node.name} mixes the images of a batch; none may")
        return differ[0], shape[differ[0]]

    @cached_property
    def _pair(self) -> dict[fx.Node, torch.Size]:
        """The shapes of all values for two images: a dimension that is larger than for one counts images."""
        tracer = PositionTracer(self.module)
        fx.Interpreter.run(tracer, torch.cat([self.example] * 2))
        return tracer.shapes

    def run(self, example: Tensor) -> object:
        """Follow the positions of one image, (1, 3, H, W)."""
        self.example = example
        return super().run(example)

    def run_node(self, node: fx.Node) -> object:
        """Compute a node's value, and the cells of its elements."""
        value = super().run_node(node)
        if isinstance(value, Tensor):
            self.shapes[node] = value.shape
        if node.op == "placeholder":
            self._start_grid(node, value, channels_first)
        elif flows(node):
            self._follow(node, value)
        return value

    def _start_grid(self, node: fx.Node, value: Tensor, order: Callable[[torch.Size], Tensor]) -> None:
        self.cells[node] = order(value.shape)
        self.sizes[node] = tuple(value.shape[2:] if order is channels_first else value.shape[1:3])

    def _follow(self, node: fx.Node, value: object) -> None:
        sources = [source for source in node.all_input_nodes if source in self.cells]
        if not sources:
            return
        if MOVING.includes(self.module, node):
            size = max((self.sizes[source] for source in sources), key=math.prod)
            cells = self._move(node, size)
        elif isinstance(value, Tensor):
            cells, size = self._mix(node, value, sources)
            if cells is None:
                cells, size = self._probe(node, value, sources[0]), self.sizes[sources[0]]
        else:
            return
        if cells is not None and not (isinstance(cells, Tensor) and (cells == NOWHERE).all()):
            self.cells[node], self.sizes[node] = cells, size

    def _move(self, node: fx.Node, size: tuple[int, int]) -> Tensor | tuple:
        """The same operation on cells of the grid of `size`; what has no position in it is NOWHERE."""

        def cells(source: fx.Node) -> object:
            if source in self.cells and self.sizes[source] == size:
                return self.cells[source]
            value = self.env[source]
            is_moved = isinstance(value, Tensor) and value.is_floating_point()
            return torch.full(value.shape, NOWHERE) if is_moved else value  # a shape or an index stays

        args, kwargs = fx.map_arg((node.args, node.kwargs), cells)
        target = "reshape" if node.target == "view" else node.target  # cells have other strides than values
        return getattr(self, node.op)(target, args, kwargs)

    def _mix(self, node: fx.Node, value: Tensor, sources: list[fx.Node]) -> Cells:
        """What keeps its input's shape keeps its positions, so does a linear map; grids of another size start anew."""
        if MATRIX_PRODUCTS.includes(self.module, node):
            return self._multiply(node, value)
        if REDUCTIONS.includes(self.module, node):
            return self._reduce(node, value, sources[0])
        inputs = {source: self.env[source] for source in sources if isinstance(self.env[source], Tensor)}
        for source, before in inputs.items():
            if before.shape == value.shape:
                return self.cells[source], self.sizes[source]
        for source, before in inputs.items():
            cells, size = self.cells[source], self.sizes[source]
            if before.shape[:-1] == value.shape[:-1]:  # a map of the last dimension alone
                cells, size = _join(cells, size, -1)
                if cells is not None:
                    return cells.expand(value.shape), size
            elif value.dim() == before.dim() == 4:
                for order, channels in ((channels_first, 1), (channels_last, 3)):
                    joined, _ = _join(cells, size, channels)
                    if joined is not None and torch.equal(joined.expand(before.shape), order(before.shape)):
                        self._start_grid(node, value, order)
                        return self.cells[node], self.sizes[node]
        return None, (1, 1)

    def _multiply(self, node: fx.Node, value: Tensor) -> Cells:
        """A matrix product's rows lie where the first factor's do; if those mix all, its columns as the second's."""
        for factor, summed in zip(node.args, (-1, -2), strict=False):
            cells = self.cells.get(factor)
            if cells is not None and cells.dim() == value.dim():
                joined, size = _join(cells, self.sizes[factor], summed)
                if joined is not None and size == self.sizes[factor]:
                    return joined.expand(value.shape), size
        return None, (1, 1)

    def _reduce(self, node: fx.Node, value: Tensor, source: fx.Node) -> Cells:
        """A mean, sum or maximum over dimensions lies where all of its terms do."""
        dims = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        dims = (dims,) if isinstance(dims, int) else dims
        cells, size = self.cells[source], self.sizes[source]
        if not isinstance(dims, list | tuple) or not all(isinstance(dim, int) for dim in dims):
            return None, (1, 1)
        dims = sorted({dim % cells.dim() for dim in dims})
        last = cells.movedim(dims, tuple(range(-len(dims), 0))).flatten(-len(dims))
        joined, size = _join(last, size, -1)
        return (None, size) if joined is None else (joined.view(value.shape), size)

    def _probe(self, node: fx.Node, value: Tensor, source: fx.Node) -> Tensor | None:
        """The cells of an unknown operation that only moves its input's values: it is tried on numbers; None if not."""
        before = self.env[source]
        tensors = [other for other in node.all_input_nodes if isinstance(self.env[other], Tensor)]
        if tensors != [source] or not isinstance(before, Tensor) or before.numel() != value.numel():
            return None
        if has_parameters(self.module, node):
            return None
        numbers = torch.arange(before.numel(), dtype=torch.float64)

        def call(values: Tensor) -> Tensor:
            known = self.env | {source: values.view(before.shape)}
            args, kwargs = fx.map_arg((node.args, node.kwargs), known.get)
            return getattr(self, node.op)(node.target, args, kwargs).flatten()

        moved = call(numbers)
        if not torch.equal(moved.sort()[0], numbers) or not torch.equal(call(-numbers), -moved):
            return None
        return self.cells[source].flatten()[moved.long()].view(value.shape)


def _join(cells: Tensor, size: tuple[int, int], dim: int) -> Cells:
    """The cells of what mixes values along a dimension, which is kept with length 1, and their grid.

    Where the values that are mixed have one cell, it stays theirs. Where they have several, as four neighbours that are
    merged into one token, they get a cell of a coarser grid if the grid falls into such blocks, and none (None) if not.
    """
    first = cells.amin(dim, keepdim=True)
    if (cells == first).all():
        return first, size
    anchors = first[first != NOWHERE].unique()
    rows, row = (anchors // size[1]).unique(return_inverse=True)
    columns, column = (anchors % size[1]).unique(return_inverse=True)
    coarse = (len(rows), len(columns))
    if min(coarse) < 2 or len(anchors) != math.prod(coarse):
        return None, (1, 1)
    number = torch.full((math.prod(size) + 1,), NOWHERE)  # NOWHERE, the last, stays so
    number[cells] = first.expand_as(cells)
    if not torch.equal(number[cells], first.expand_as(cells)):  # a cell is in several blocks
        return None, (1, 1)
    number[anchors] = row * coarse[1] + column
    return number[first], coarse
