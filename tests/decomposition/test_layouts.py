"""Values of any layout as maps: channels first or last, tokens, single values."""

import pytest
import torch
from torch import Tensor

from explanations.decomposition.layouts import NOWHERE, Layout, channels_first, channels_last


def cells(*rows: list[int]) -> Tensor:
    return torch.tensor(rows)


def as_map(layout: Layout, values: Tensor) -> Tensor:
    """Values as (n, C, H, W), by way of the rows that have a position."""
    rows = layout.cell_rows(values)
    return torch.stack([layout.from_cells(rows[..., channel]) for channel in range(rows.shape[2])], 1)


def test_channels_first_cost_no_copy():
    values = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    layout = Layout(channels_first(values.shape[1:]), (4, 5))
    rows = layout.rows(values)
    assert rows.shape == (2, 20, 3)
    assert rows.is_contiguous()
    assert rows.data_ptr() == layout.cell_rows(values).data_ptr() == values.data_ptr()
    torch.testing.assert_close(as_map(layout, values), values)
    whole, rest = layout.split(rows.sum(2))
    torch.testing.assert_close(whole, values.sum(1))
    assert not rest.any()


def test_channels_last_are_moved():
    values = torch.randn(2, 4, 5, 3)
    layout = Layout(channels_last(values.shape[1:]), (4, 5))
    torch.testing.assert_close(as_map(layout, values), values.movedim(-1, 1))


@pytest.mark.parametrize("order", [[NOWHERE, 2, 0, 3, 1], [2, NOWHERE, 0, 3, 1], [2, 0, 3, 1, NOWHERE]])
def test_tokens_are_put_in_their_cells(order):
    """Five tokens of three channels: a class token, and four of a 2×2 grid, out of order."""
    values = torch.randn(2, 5, 3)
    layout = Layout(torch.tensor(order)[:, None].expand(5, 3), (2, 2))
    whole, rest = layout.split(layout.rows(values).sum(2))
    spread = as_map(layout, values)
    for token, cell in enumerate(order):
        if cell == NOWHERE:
            torch.testing.assert_close(rest, values[:, token].sum(1))
        else:
            torch.testing.assert_close(spread[:, :, cell // 2, cell % 2], values[:, token])
    torch.testing.assert_close(whole, spread.sum(1))


def test_values_of_one_cell_are_added():
    values = torch.randn(2, 2, 3)
    layout = Layout(cells([0, 1, 1], [3, NOWHERE, 0]), (2, 2))
    wanted = torch.stack([values[:, 0, 0] + values[:, 1, 2], values[:, 0, 1] + values[:, 0, 2], 0 * values[:, 0, 0]], 1)
    wanted = torch.cat([wanted, values[:, 1, :1]], 1).view(2, 1, 2, 2)
    torch.testing.assert_close(as_map(layout, values), wanted)
    whole, rest = layout.split(layout.rows(values).sum(2))
    torch.testing.assert_close(whole, wanted[:, 0])
    torch.testing.assert_close(rest, values[:, 1, 1])


def test_without_a_grid_there_is_one_position():
    values = torch.randn(2, 3, 4)
    whole, rest = Layout(None).split(Layout(None).rows(values).sum(2))
    torch.testing.assert_close(whole[:, 0, 0], values.sum((1, 2)))
    assert not rest.any()
