"""Where a step computes and how exactly: the device that a flag names, threads, precision, a network's layout on it."""

import getpass
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import nn

from explanations.errors import InputError, check_choice, check_range

PRECISIONS = ("float32", "tf32", "bfloat16")
RETRY = 1.0  # seconds between two looks for a free GPU
_CLAIMS: list[FileLock] = []  # held until the process ends


def use_device(device: str, threads: int) -> torch.device:
    """`auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:<n>`; CPU work runs on `threads` threads.

    Where there are several GPUs, `auto` and `cuda` take one that no other step of this user has taken, and wait for one
    if need be. float32 is float32 on a GPU too: only compute_in allows its faster approximation, tf32.
    """
    check_range("--threads", threads, low=1)
    torch.set_num_threads(threads)
    _allow_tf32(False)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise InputError(f"device is {device}; allowed are auto, cpu, cuda, cuda:<n>")
    if chosen.type == "cpu":
        return chosen
    count = torch.cuda.device_count()
    if (chosen.index or 0) >= count:
        raise InputError(f"device is {device}; no such GPU is available here, which has {count}")
    if chosen.index is None and count > 1:
        chosen = torch.device("cuda", claim([str(torch.cuda.get_device_properties(k).uuid) for k in range(count)]))
    if chosen.index is not None:
        torch.cuda.set_device(chosen)
    return chosen


def claim(names: Sequence[str]) -> int:
    """The index among GPUs' names of one that is free: it is this process's until it ends, however that happens."""
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()  # in a container it may have no name
    folder = Path(tempfile.gettempdir(), f"explanations-gpus-{user}")
    folder.mkdir(exist_ok=True)
    start = os.getpid()  # steps that start together begin with different GPUs
    said = False
    while True:
        for k in range(len(names)):
            index = (start + k) % len(names)
            lock = FileLock(folder / f"{names[index]}.lock")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            _CLAIMS.append(lock)
            return index
        if not said:
            print(f"all {len(names)} GPUs are taken by other steps; waiting for one", flush=True)
            said = True
        time.sleep(RETRY)


@contextmanager
def compute_in(precision: str, device: torch.device) -> Iterator[None]:
    """Within `with`, compute in a precision: float32; tf32, which is float32 on a CPU; bfloat16 where that is safe.

    tf32 rounds the factors of matrix products and convolutions to 10 bits; bfloat16 is torch's autocast. InputError
    for another precision.
    """
    check_choice("precision", precision, PRECISIONS)
    if precision == "bfloat16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
        return
    before = torch.backends.cudnn.allow_tf32
    _allow_tf32(precision == "tf32")
    try:
        yield
    finally:
        _allow_tf32(before)


def _allow_tf32(allowed: bool) -> None:
    # torch's older names: setting them sets the newer ones too; the reverse isn't so
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed


def fastest_layout(device: torch.device | str, precision: str = "float32") -> torch.memory_format:
    """How images and weights lie in memory where networks are fastest: channels last, but in float32 on a GPU first.

    There float32 gains nothing by channels last (VGG-16 on an H200: 0.95 of the rate, in tf32 and bfloat16 1.3 and 1.4
    times; docs/cost.md), and a network of depthwise convolutions was many times slower than its arithmetic takes.
    """
    first = torch.device(device).type != "cpu" and precision == "float32"
    return torch.contiguous_format if first else torch.channels_last


def place_network(network: nn.Module, device: torch.device | str, precision: str = "float32") -> nn.Module:
    """Move a network to a device, convolutions' weights laid out as is fastest there; in place.

    torch's own option for that refuses buffers of five dimensions, such as masks of windows.
    """
    network.to(device)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=fastest_layout(device, precision))
    return network
