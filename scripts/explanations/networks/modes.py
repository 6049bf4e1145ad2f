"""What watches operations as a network runs."""

from torch.utils._python_dispatch import TorchDispatchMode


class Mode(TorchDispatchMode):
    """Sees every operation while it is on, in `__torch_dispatch__`; for networks that aren't compiled.

    torch would tell its compiler to leave that function alone, and import it for that: a third of a step's start.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
