"""Where in the image the values of a network's operations lie: what turns attributions of any layout into maps.

Convolutions keep channels first, some blocks put them last, transformers work on tokens or windows of tokens. Positions
are followed through the graph: operations that move values move their positions in the same way, those that mix
channels keep them, convolutions, poolings and paddings start a grid of their own.
"""

import math
import operator
from functools import cached_property

import torch
from torch import Tensor, fx, nn

from explanations.command import InputError

NOWHERE = -1  # the cell of a value that belongs to no position: a class token's, say
MOVING_CALLS = (
    *(torch.flatten, torch.reshape, torch.permute, torch.transpose, torch.swapaxes, torch.squeeze, torch.unsqueeze),
    *(torch.cat, torch.concat, torch.stack, torch.chunk, torch.split, torch.unbind, torch.roll, torch.flip),
    *("flatten", "reshape", "view", "permute", "transpose", "swapaxes", "squeeze", "unsqueeze", "contiguous"),
    *("chunk", "split", "unbind", "roll", "flip", "expand", "unflatten", operator.getitem),
)
MOVING_MODULES = (nn.Flatten, nn.Unflatten, nn.ChannelShuffle)
MATRIX_PRODUCTS = (operator.matmul, torch.matmul, torch.bmm, "matmul", "bmm")
REDUCTIONS = (torch.mean, torch.sum, torch.amax, torch.amin, "mean", "sum", "amax", "amin")


class Layout:
    """The positions of one operation's values: `cells`, of the shape of one image's values, in a grid of `size`.

    A cell is a row times the grid's width plus a column, or NOWHERE. Without cells no value has a position. Values are
    of n images, or n · `parts` where windows of an image count as images, cells then of (parts, …); images are counted
    along the dimension `images` of the values. They are read as rows, (n, P, C): what lies at one position, a pixel or
    a token, whatever order they come in.
    """

    def __init__(
        self,
        cells: Tensor | None,
        size: tuple[int, int] = (1, 1),
        device: torch.device | str = "cpu",
        images: int = 0,
        parts: int = 1,
    ):
        self.size, self.order, self.places = size, "none", None
        self.images, self.parts = images, parts
        self.located: slice | Tensor = slice(None)  # the rows that have a position
        if cells is None or size == (1, 1):
            self.size = (1, 1)
            return
        if cells.dim() == 3 and torch.equal(cells, channels_first(cells.shape)):
            self.order = "channels first"
            return
        self.order = "channels last" if cells.dim() > 1 and (cells == cells[..., :1]).all() else "single values"
        places = (cells[..., 0] if self.order == "channels last" else cells).flatten()
        if torch.equal(places, torch.arange(size[0] * size[1])):
            return
        located = (places != NOWHERE).nonzero()[:, 0]
        first, last = int(located[0]), int(located[-1])
        if len(located) == last - first + 1:  # a slice costs no copy
            self.located = slice(first, last + 1)
        else:
            self.located = located.to(device)
        nowhere = size[0] * size[1]  # a cell behind the last
        self.places = torch.where(places == NOWHERE, nowhere, places).to(device)
        self._one_each = torch.equal(places[located].sort().values, torch.arange(nowhere))

    def rows(self, values: Tensor) -> Tensor:
        """(n, …) values as (n, P, C): of a single position, P = 1, where they have none."""
        values = self._of_images(values)
        if self.order == "channels first":
            return values.flatten(2).transpose(1, 2)
        if self.order == "channels last":
            return values.flatten(1, -2)
        flat = values.flatten(1)
        return flat[:, None] if self.order == "none" else flat[..., None]

    def split(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Rows' sums (n, P) as a map (n, H, W), and the sum of those that have no position, (n,)."""
        if self.places is None:
            return sums.unflatten(1, self.size), sums.new_zeros(len(sums))
        grid = sums.new_zeros(len(sums), self.size[0] * self.size[1] + 1).index_add_(1, self.places, sums)
        return grid[:, :-1].unflatten(1, self.size), grid[:, -1]

    def cell_rows(self, values: Tensor) -> Tensor:
        """(n, …) values as (n, H·W, C), one row for each cell of the grid, in the order that `from_cells` takes."""
        rows = self.rows(values)
        if self.places is None:
            return rows
        if self._one_each:
            return rows[:, self.located]
        grid = rows.new_zeros(len(rows), self.size[0] * self.size[1] + 1, rows.shape[2])
        return grid.index_add_(1, self.places, rows)[:, :-1]

    def from_cells(self, sums: Tensor) -> Tensor:
        """The sums (n, H·W) of cell_rows as a map (n, H, W)."""
        if self.places is not None and self._one_each:
            sums = torch.empty_like(sums).index_copy_(1, self.places[self.located], sums)
        return sums.unflatten(1, self.size)

    def _of_images(self, values: Tensor) -> Tensor:
        if self.images:
            values = values.movedim(self.images, 0)
        return values if self.parts == 1 else values.unflatten(0, (-1, self.parts))  # (n, parts, …)


def channels_first(shape: torch.Size) -> Tensor:
    """The cells of (C, H, W) values."""
    height, width = shape[-2:]
    return torch.arange(height * width).view(height, width).expand(shape)


def channels_last(shape: torch.Size) -> Tensor:
    """The cells of (H, W, C) values."""
    height, width = shape[-3:-1]
    return torch.arange(height * width).view(height, width, 1).expand(shape)


class PositionTracer(fx.Interpreter):
    """Follows positions through a traced network; run on an example, (1, 3, H, W), it fills `cells` and `sizes`.

    Nodes on the way from the input have their meta "flows" set. cells[node] has the shape of the node's value.
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
        """The dimension along which a node's values count images, and how many of it make one image."""
        shape = self.shapes.get(node, ())
        if not shape or shape[0] == 1:  # the example's one image
            return 0, 1
        differ = [dim for dim, (one, two) in enumerate(zip(shape, self._pair[node], strict=True)) if one != two]
        if len(differ) != 1:
            raise InputError(f"the network's operation {node.name} mixes the images of a batch; none may")
        return differ[0], shape[differ[0]]

    @cached_property
    def _pair(self) -> dict[fx.Node, torch.Size]:
        """The shapes of all values for two images: what is larger than for one counts images."""
        shapes = PositionTracer(self.module)
        fx.Interpreter.run(shapes, torch.cat([self.example] * 2))
        return shapes.shapes

    def run(self, example: Tensor) -> object:
        """Follow the positions of one image, (1, 3, H, W)."""
        self.example = example
        return super().run(example)

    def run_node(self, node: fx.Node) -> object:
        """Compute a node's value, and the cells of all it holds."""
        value = super().run_node(node)
        if isinstance(value, Tensor):
            self.shapes[node] = value.shape
        if node.op == "placeholder":
            self._start_grid(node, value, channels_first)
        elif node.meta.get("flows"):
            self._follow(node, value)
        return value

    def _start_grid(self, node: fx.Node, value: Tensor, order) -> None:
        cells = order(value.shape)
        self.cells[node] = cells
        self.sizes[node] = tuple(value.shape[2:] if order is channels_first else value.shape[1:3])

    def _follow(self, node: fx.Node, value: object) -> None:
        sources = [source for source in node.all_input_nodes if source in self.cells]
        if not sources:
            return
        if self._moves(node):
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

    def _moves(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(self.fetch_attr(node.target), MOVING_MODULES)
        return node.target in MOVING_CALLS

    def _move(self, node: fx.Node, size: tuple[int, int]) -> Tensor | tuple:
        """The same operation on cells of a grid; what has no position in it, a class token say, is nowhere."""

        def cells(source: fx.Node) -> object:
            if source in self.cells and self.sizes[source] == size:
                return self.cells[source]
            value = self.env[source]
            return (
                torch.full(value.shape, NOWHERE) if isinstance(value, Tensor) and value.is_floating_point() else value
            )

        args, kwargs = fx.map_arg((node.args, node.kwargs), cells)
        target = "reshape" if node.target == "view" else node.target  # cells have other strides than values
        return getattr(self, node.op)(target, args, kwargs)

    def _mix(self, node: fx.Node, value: Tensor, sources: list[fx.Node]) -> tuple[Tensor | None, tuple[int, int]]:
        """What keeps its input's shape keeps its positions, as does a linear map; grids of another size start anew."""
        found = {source: self.env[source] for source in sources if isinstance(self.env[source], Tensor)}
        if node.target in MATRIX_PRODUCTS:
            return self._multiply(node, value)
        if node.target in REDUCTIONS:
            return self._reduce(node, value, sources[0])
        for source, before in found.items():
            if before.shape == value.shape:
                return self.cells[source], self.sizes[source]
        for source, before in found.items():
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

    def _multiply(self, node: fx.Node, value: Tensor) -> tuple[Tensor | None, tuple[int, int]]:
        """A matrix product's rows lie where the first factor's do; if those mix all, its columns as the second's."""
        for factor, summed in zip(node.args, (-1, -2), strict=False):
            cells = self.cells.get(factor)
            if cells is not None and cells.dim() == value.dim():
                joined, size = _join(cells, self.sizes[factor], summed)
                if joined is not None and size == self.sizes[factor]:
                    return joined.expand(value.shape), size
        return None, (1, 1)

    def _reduce(self, node: fx.Node, value: Tensor, source: fx.Node) -> tuple[Tensor | None, tuple[int, int]]:
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
        """The cells of an unknown operation that does no more than move values, which is tried on their numbers."""
        before = self.env[source]
        tensors = [other for other in node.all_input_nodes if isinstance(self.env[other], Tensor)]
        if tensors != [source] or not isinstance(before, Tensor) or before.numel() != value.numel():
            return None
        if node.op == "call_module" and any(True for _ in self.fetch_attr(node.target).parameters()):
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


def _join(cells: Tensor, size: tuple[int, int], dim: int) -> tuple[Tensor | None, tuple[int, int]]:
    """The cells of what mixes values along a dimension, kept with length 1, and their grid.

    Those of one cell stay there. Those of several, as of the four neighbours that are merged into one token, get one of
    a coarser grid, if the grid falls into such blocks; else they have none (None).
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
