"""Where in the image the values of a network's operations lie: what turns attributions of any layout into maps.

Convolutions keep channels first, some blocks put them last, transformers work on tokens or windows of tokens. Positions
are followed through the graph: operations that move values move their positions in the same way, those that mix
channels keep them, convolutions, poolings and paddings start a grid of their own.
"""

import operator

import torch
from torch import Tensor, fx, nn

NOWHERE = -1  # the cell of a value that belongs to no position: a class token's, say
MOVING_CALLS = (
    *(torch.flatten, torch.reshape, torch.permute, torch.transpose, torch.swapaxes, torch.squeeze, torch.unsqueeze),
    *(torch.cat, torch.concat, torch.stack, torch.chunk, torch.split, torch.unbind, torch.roll, torch.flip),
    *("flatten", "reshape", "view", "permute", "transpose", "swapaxes", "squeeze", "unsqueeze", "contiguous"),
    *("chunk", "split", "unbind", "roll", "flip", "expand", "unflatten", operator.getitem),
)
MOVING_MODULES = (nn.Flatten, nn.Unflatten, nn.ChannelShuffle)


class Layout:
    """The positions of one operation's values: `cells`, of the shape of one image's values, in a grid of `size`.

    A cell is a row times the grid's width plus a column, or NOWHERE. Without cells no value has a position.
    Values are read as rows, (n, P, C): what lies at one position, a pixel or a token, whatever order they come in.
    """

    def __init__(self, cells: Tensor | None, size: tuple[int, int] = (1, 1), device: torch.device | str = "cpu"):
        self.size, self.order, self.places = size, "none", None
        self.located: slice | Tensor = slice(None)  # the rows that have a position
        if cells is None or size == (1, 1):
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

    def layout(self, node: fx.Node, device: torch.device | str) -> Layout:
        """The layout of a node's values."""
        cells = self.cells.get(node)
        return Layout(None) if cells is None else Layout(cells[0], self.sizes[node], device)

    def run_node(self, node: fx.Node) -> object:
        """Compute a node's value, and the cells of all it holds."""
        value = super().run_node(node)
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
            cells, size = self._move(node), self.sizes[sources[0]]
        elif isinstance(value, Tensor):
            cells, size = self._mix(node, value, sources)
        else:
            return
        if cells is not None and not (isinstance(cells, Tensor) and (cells == NOWHERE).all()):
            self.cells[node], self.sizes[node] = cells, size

    def _moves(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(self.fetch_attr(node.target), MOVING_MODULES)
        return node.target in MOVING_CALLS

    def _move(self, node: fx.Node) -> Tensor | tuple:
        """The same operation on cells; what has no position, a class token say, is nowhere."""

        def cells(source: fx.Node) -> object:
            if source in self.cells:
                return self.cells[source]
            value = self.env[source]
            return (
                torch.full(value.shape, NOWHERE) if isinstance(value, Tensor) and value.is_floating_point() else value
            )

        args, kwargs = fx.map_arg((node.args, node.kwargs), cells)
        return getattr(self, node.op)(node.target, args, kwargs)

    def _mix(self, node: fx.Node, value: Tensor, sources: list[fx.Node]) -> tuple[Tensor | None, tuple[int, int]]:
        """What keeps its input's shape keeps its positions, as does a linear map; grids of another size start anew."""
        found = {source: self.env[source] for source in sources if isinstance(self.env[source], Tensor)}
        for source, before in found.items():
            if before.shape == value.shape:
                return self.cells[source], self.sizes[source]
        for source, before in found.items():
            cells = self.cells[source]
            if value.dim() == before.dim() == 4:
                for order in (channels_first, channels_last):
                    if torch.equal(cells, order(before.shape)) and not _is_linear(before, value, order):
                        self._start_grid(node, value, order)
                        return self.cells[node], self.sizes[node]
            if before.shape[:-1] == value.shape[:-1] and (cells == cells[..., :1]).all():
                return cells[..., :1].expand(value.shape), self.sizes[source]
        return None, (1, 1)


def _is_linear(before: Tensor, value: Tensor, order) -> bool:
    """Whether a map of channels-last values changes but their channels."""
    return order is channels_last and before.shape[:-1] == value.shape[:-1]
