"""Which of a network's values have attributions by position, and which have none whatever the image.

A layer normalisation over a position's channels undoes any factor of them: where it is all that reads a layer,
Σ_φ h_φ ∂f_c/∂h_φ is 0 at every position (but for its ε), and a map would show rounding alone. Behind a transformer's
last attention, where the class token decides, the patches are still there and nothing reads them.
"""

from torch import Tensor, fx, nn
from torch.nn import functional as F
from torchvision.ops import stochastic_depth

from explanations.positions import MOVING_CALLS, MOVING_MODULES
from explanations.remainders import ACTIVATION_CALLS, ADDITIONS, ELEMENTWISE_PRODUCTS, is_activation, leaf_module

PASSING_MODULES = (*MOVING_MODULES, nn.Identity, nn.Dropout)
PASSING_CALLS = (*MOVING_CALLS, F.dropout, stochastic_depth)
ELEMENTWISE_CALLS = (*ACTIVATION_CALLS, *ADDITIONS, *ELEMENTWISE_PRODUCTS)


class Shares:
    """The attributions of a traced network's values, of which `cells` says where they lie (PositionTracer)."""

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
        """Whether an operation takes nothing that has a position, or does not mix positions and is unread itself."""
        if self._passes(user):
            return user not in self._cells or self._is_unread(user)
        return self._keeps_positions_apart(user, node) and self._is_unread(user)

    def _passes(self, node: fx.Node) -> bool:
        """Whether an operation does no more than move its input's values, or choose from them."""
        leaf = leaf_module(self._module, node)
        return node.target in PASSING_CALLS if leaf is None else isinstance(leaf, PASSING_MODULES)

    def _keeps_positions_apart(self, node: fx.Node, source: fx.Node) -> bool:
        leaf = leaf_module(self._module, node)
        if isinstance(leaf, nn.Linear):
            return self._lie_together(source, 1)
        if leaf is None and node.target in ELEMENTWISE_CALLS:
            return True
        return is_activation(self._module, node) or self._normalises(node, source)

    def _normalises(self, node: fx.Node, source: fx.Node) -> bool:
        """Whether an operation is a layer normalisation of each position by itself."""
        leaf = leaf_module(self._module, node)
        if isinstance(leaf, nn.LayerNorm):
            return self._lie_together(source, len(leaf.normalized_shape))
        if node.target is F.layer_norm and node.args[:1] == (source,):
            shape = node.args[1] if len(node.args) > 1 else node.kwargs["normalized_shape"]
            return isinstance(shape, tuple | list) and self._lie_together(source, len(shape))
        return False

    def _lie_together(self, node: fx.Node, dims: int) -> bool:
        """Whether values along the last dimensions lie in one cell."""
        cells = self._cells.get(node)
        if not isinstance(cells, Tensor):
            return False
        last = cells.flatten(-dims)
        return bool((last == last[..., :1]).all())


def _readers(node: fx.Node) -> list[fx.Node]:
    """The operations that compute with a node's value; its shape is read by others."""
    return [user for user in node.users if user.meta.get("flows") or user.op == "output"]
