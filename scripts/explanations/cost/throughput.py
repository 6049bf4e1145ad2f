"""How many images a second a GPU passes through a network: estimated from its operations, without the GPU.

Each operation takes as long as its arithmetic or its traffic with memory, whichever is longer (a roofline). What is
assumed stands against published measurements in docs/cost.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

ARITHMETIC, MEMORY = 0.5, 0.7  # of what a data sheet says, that operations reach
TRAINING = 0.6  # of the rate of forward passes, that passes of training reach (a backward pass counting as two)
VALUE_BYTES = {"float32": 4, "tf32": 4, "bfloat16": 2, "float16": 2}  # of an activity in memory
RATES = {"float16": "bfloat16"}  # tensor cores are as fast in both
BATCH = 64  # images that share a pass's reading of the weights
aten = torch.ops.aten
WITHOUT_TRAFFIC = (aten.empty, aten._unsafe_view)  # beside views


@dataclass(frozen=True)
class GPU:
    """A data sheet: 10^12 FLOP a second in each precision, dense and adding in float32; memory's 10^12 bytes a second.

    float32 is that of the ordinary cores; tf32 and bfloat16 (or float16) that of tensor cores.
    """

    name: str
    float32: float
    tf32: float
    bfloat16: float
    bandwidth: float


GPUS = {
    gpu.name: gpu
    for gpu in (
        GPU("A100", 19.5, 156, 312, 2.04),
        GPU("H100", 67, 494, 989, 3.35),
        GPU("H200", 67, 494, 989, 4.8),
        GPU("B200", 75, 1_125, 2_250, 7.7),
        GPU("RTX 3090", 35.6, 35.6, 71, 0.936),
        GPU("RTX 4090", 82.6, 82.6, 165, 1.008),
    )
}


@dataclass(frozen=True)
class Operation:
    """What an operation does for one image: FLOP, a multiply-add counting as two; values that it reads and writes."""

    flop: float
    values: float


class OperationRecorder(TorchDispatchMode):
    """Records the operations of what is computed, views left out: the FLOP of each, the values that go in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        output = function(*args, **kwargs)
        if not function.is_view and function.overloadpacket not in WITHOUT_TRAFFIC:
            count = flop_registry.get(function.overloadpacket)
            flop = count(*args, **kwargs, out_val=output) if count else 0
            tensors = [leaf for leaf in tree_leaves((args, kwargs, output)) if isinstance(leaf, Tensor)]
            self.operations.append(Operation(float(flop), float(sum(tensor.numel() for tensor in tensors))))
        return output


@torch.no_grad()
def list_operations(network: nn.Module, size: int, channels: int = 3) -> tuple[Operation, ...]:
    """The operations of a forward pass of a network on the meta device, for each of BATCH images of `size` pixels."""
    images = torch.zeros(BATCH, channels, size, size, device="meta")
    with OperationRecorder() as recorder:
        network(images)
    return tuple(Operation(found.flop / BATCH, found.values / BATCH) for found in recorder.operations)


def count_flop(operations: Sequence[Operation]) -> float:
    """FLOP of a forward pass of one image."""
    return sum(operation.flop for operation in operations)


def passes_per_second(operations: Sequence[Operation], gpu: GPU, precision: str, *, training: bool = False) -> float:
    """Forward passes of one image in a second, in large batches; in training, a backward pass counting as two."""
    arithmetic = ARITHMETIC * getattr(gpu, RATES.get(precision, precision)) * 1e12
    traffic = MEMORY * gpu.bandwidth * 1e12 / VALUE_BYTES[precision]
    seconds = sum(max(operation.flop / arithmetic, operation.values / traffic) for operation in operations)
    return (TRAINING if training else 1) / seconds
