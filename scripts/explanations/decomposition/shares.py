"""Which of a network's values have attributions by position, and which have none whatever the image.

A layer normalisation over a position's channels undoes any factor of them: where it is all that reads a layer,
Σ_φ h_φ ∂f_c/∂h_φ is 0 at every position (but for its ε), and a map would show rounding alone. After a transformer's
last attention, where the class token decides, the patches are still there and nothing reads them.
"""

from torch import Tensor, fx, nn
from torch.nn import functional as F

from explanations.decomposition.operations import (
    ADDITIONS,
    ELEMENTWISE_PRODUCTS,
    PASSING,
    call_arguments,
    flows,
    is_activation,
    leaf_module,
)

ELEMENTWISE = ADDITIONS | ELEMENTWISE_PRODUCTS


class Shares:
    """The attributions of a traced network's values, whose positions are `cells` (of a PositionTracer)."""

    def __init__(self, module: fx.GraphModule, cells: dict[fx.Node, Tensor | tuple]):
        self._module, self._cells = module, cells
        self._unread: dict[fx.Node, bool] = {}

    def has_map(self, node: fx.Node) -> bool:
        """Whether a value's positions have attributions that differ from 0."""
        return not all(
            self._normalises(user, node)
            or (self._passes(user) and (user not in self._cells or not self.has_map(user)))
            or self._is_unread(user)
            for user in _readers(node)
        )

    def _is_unread(self, node: fx.Node) -> bool:
        """Whether nothing of a value that has a position gets to the output."""
        if node not in self._unread:
            self._unread[node] = node.op != "output" and all(self._leaves_unread(user, node) for user in _readers(node))
        return self._unread[node]

    def _leaves_unread(self, user: fx.Node, node: fx.Node) -> bool:
        """Whether nothing of a value's positions gets to the output through one operation that reads it."""
        if self._passes(user):
            return user not in self._cells or self._is_unread(user)
        return self._keeps_positions_apart(user, node) and self._is_unread(user)

    def _passes(self, node: fx.Node) -> bool:
        return PASSING.includes(self._module, node)

    def _keeps_positions_apart(self, node: fx.Node, source: fx.Node) -> bool:
        """Whether an operation computes its output at a position from the source's values there alone."""
        if isinstance(leaf_module(self._module, node), nn.Linear):
            return self._share_positions(source, 1)
        if ELEMENTWISE.includes(self._module, node) or is_activation(self._module, node):
            return True
        return self._normalises(node, source)

    def _normalises(self, node: fx.Node, source: fx.Node) -> bool:
        """Whether an operation is a layer normalisation of each position by itself."""
        leaf = leaf_module(self._module, node)
        if isinstance(leaf, nn.LayerNorm):
            return self._share_positions(source, len(leaf.normalized_shape))
        if node.target is F.layer_norm and node.args[:1] == (source,):
            shape = call_arguments(F.layer_norm, node)["normalized_shape"]
            return isinstance(shape, tuple | list) and self._share_positions(source, len(shape))
        return False

    def _share_positions(self, node: fx.Node, dims: int) -> bool:
        """Whether values that differ only in the last `dims` dimensions have one position."""
        cells = self._cells.get(node)
        if not isinstance(cells, Tensor):
            return False
        last = cells.flatten(-dims)
        return bool((last == last[..., :1]).all())


def _readers(node: fx.Node) -> list[fx.Node]:
    """The operations that compute with a node's value; those that take its shape alone are left out."""
    return [user for user in node.users if flows(user) or user.op == "output"]
