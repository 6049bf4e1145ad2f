"""Where a step computes: the device that a flag names, the number of CPU threads, and how a network lies there."""

import torch
from torch import nn

from explanations.command import InputError, check_range


def use_device(device: str, threads: int) -> torch.device:
    """`auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:<n>`; CPU work runs on `threads` threads."""
    check_range("--threads", threads, low=1)
    torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise InputError(f"device is {device}; allowed are auto, cpu, cuda, cuda:<n>")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device is {device}; no such GPU is available here, which has {torch.cuda.device_count()}")
    return chosen


def place_network(network: nn.Module, device: torch.device | str) -> nn.Module:
    """Move a network to a device, convolutions' weights channels last in memory; in place.

    torch's own option for that refuses buffers of five dimensions, such as masks of windows.
    """
    network.to(device)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return network
