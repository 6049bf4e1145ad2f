"""How one operation's values lie over the image: makes maps of sums over channels, whatever the values' order."""

import torch
from torch import Tensor

NOWHERE = -1  # the cell of a value that belongs to no position: a class token's, say


class Layout:
    """The positions of one operation's values in a grid of `size`, (H, W).

    `cells` has the shape of one image's values, and for each its position: row · W + column, or NOWHERE. Without cells
    no value has a position. Images are counted along the dimension `images` of the values. Where windows of an image
    count as images, `parts` of them make one image, and cells are (parts, …).

    Values are read as rows, (n, P, C): of n images, at P pixels or tokens, C channels each.
    """

    def __init__(
        self,
        cells: Tensor | None,
        size: tuple[int, int] = (1, 1),
        device: torch.device | str = "cpu",
        images: int = 0,
        parts: int = 1,
    ):
        self.size, self.order = size, "none"
        self.row_cells: Tensor | None = None  # of each row; None: row by row as the grid has them, or no positions
        self.images, self.parts = images, parts
        self.located: slice | Tensor = slice(None)  # the rows that have a position
        if cells is None or size == (1, 1):
            self.size = (1, 1)
            return
        if cells.dim() == 3 and torch.equal(cells, channels_first(cells.shape)):
            self.order = "channels first"
            return
        self.order = "channels last" if cells.dim() > 1 and (cells == cells[..., :1]).all() else "single values"
        row_cells = (cells[..., 0] if self.order == "channels last" else cells).flatten()
        if torch.equal(row_cells, torch.arange(size[0] * size[1])):
            return
        located = (row_cells != NOWHERE).nonzero()[:, 0]
        first, last = int(located[0]), int(located[-1])
        if len(located) == last - first + 1:  # a slice costs no copy
            self.located = slice(first, last + 1)
        else:
            self.located = located.to(device)
        extra = size[0] * size[1]  # one cell more, which collects what has no position
        self.row_cells = torch.where(row_cells == NOWHERE, extra, row_cells).to(device)
        self._one_each = torch.equal(row_cells[located].sort().values, torch.arange(extra))

    def rows(self, values: Tensor) -> Tensor:
        """(n, …) values as rows, (n, P, C); P is 1 where no value has a position."""
        values = self._of_images(values)
        if self.order == "channels first":
            return values.flatten(2).transpose(1, 2)
        if self.order == "channels last":
            return values.flatten(1, -2)
        flat = values.flatten(1)
        return flat[:, None] if self.order == "none" else flat[..., None]

    def split(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of rows, (n, P), as a map (n, H, W), and the sum of those without a position, (n,)."""
        if self.row_cells is None:
            return sums.unflatten(1, self.size), sums.new_zeros(len(sums))
        grid = sums.new_zeros(len(sums), self.size[0] * self.size[1] + 1).index_add_(1, self.row_cells, sums)
        return grid[:, :-1].unflatten(1, self.size), grid[:, -1]

    def cell_rows(self, values: Tensor) -> Tensor:
        """(n, …) values as (n, H·W, C): one row for each position, in the order that `from_cells` takes."""
        rows = self.rows(values)
        if self.row_cells is None:
            return rows
        if self._one_each:
            return rows[:, self.located]
        grid = rows.new_zeros(len(rows), self.size[0] * self.size[1] + 1, rows.shape[2])
        return grid.index_add_(1, self.row_cells, rows)[:, :-1]

    def from_cells(self, sums: Tensor) -> Tensor:
        """Sums (n, H·W) of `cell_rows` as a map (n, H, W)."""
        if self.row_cells is not None and self._one_each:
            sums = torch.empty_like(sums).index_copy_(1, self.row_cells[self.located], sums)
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
