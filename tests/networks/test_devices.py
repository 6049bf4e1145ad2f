"""Which device a step takes, and how exactly it computes there; GPUs are faked."""

import multiprocessing
import os
import signal
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
import torch

from explanations.errors import InputError
from explanations.networks import devices
from explanations.networks.devices import claim, compute_in, fastest_layout, place_network, use_device

GPUS = ["GPU-a", "GPU-b", "GPU-c"]
CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Claims of this test alone, released at its end."""
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(devices, "_CLAIMS", [])
    yield tmp_path
    for lock in devices._CLAIMS:
        lock.release()


@pytest.fixture
def gpus(folder, monkeypatch):
    """A machine with three GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(GPUS))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda k: SimpleNamespace(uuid=GPUS[k]))
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)


def hold(queue, folder) -> None:
    """A step that takes a GPU and keeps it."""
    devices.tempfile.gettempdir = lambda: str(folder)
    queue.put((os.getpid(), claim(GPUS)))
    time.sleep(60)


def test_steps_take_different_gpus(folder, monkeypatch, capsys):
    """Three processes hold three GPUs; a fourth waits until one is killed, and gets its GPU."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    steps = [context.Process(target=hold, args=(queue, folder), daemon=True) for _ in GPUS]
    for step in steps:
        step.start()
    held = dict(queue.get(timeout=20) for _ in steps)
    assert sorted(held.values()) == [0, 1, 2]
    victim = steps[1].pid
    monkeypatch.setattr(devices.time, "sleep", lambda seconds: (os.kill(victim, signal.SIGKILL), steps[1].join()))
    assert claim(GPUS) == held[victim]
    assert capsys.readouterr().out == "all 3 GPUs are taken by other steps; waiting for one\n"
    for step in steps:
        step.kill()


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_gpu_of_several_is_claimed(gpus, device):
    indices = {use_device(device, 1).index for _ in GPUS}
    assert indices == {0, 1, 2} and len(devices._CLAIMS) == 3


def test_a_gpu_that_is_named_or_alone_is_not_claimed(gpus, monkeypatch):
    assert use_device("cuda:2", 1) == torch.device("cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert use_device("auto", 1) == torch.device("cuda")
    assert not devices._CLAIMS
    with pytest.raises(InputError, match="device is cuda:1; no such GPU is available here, which has 1"):
        use_device("cuda:1", 1)


def test_float32_is_float32_until_tf32_is_asked_for():
    switches = (torch.backends.cudnn, torch.backends.cuda.matmul)
    use_device("cpu", 1)
    assert not any(switch.allow_tf32 for switch in switches)
    with suppress(KeyboardInterrupt), compute_in("tf32", CPU):
        with compute_in("float32", CPU):
            assert not any(switch.allow_tf32 for switch in switches)
        assert all(switch.allow_tf32 for switch in switches)
        raise KeyboardInterrupt
    assert not any(switch.allow_tf32 for switch in switches)


@pytest.mark.parametrize(("precision", "first"), [("float32", True), ("tf32", False), ("bfloat16", False)])
def test_weights_lie_as_they_are_fastest(precision, first):
    """On a GPU, for which the meta device stands: float32's depthwise convolutions of channels last are slow there."""
    layouts = (torch.contiguous_format, torch.channels_last)
    for device, wanted in (("cpu", torch.channels_last), ("meta", layouts[not first])):
        network = torch.nn.Conv2d(3, 4, 3, device=device)
        place_network(network, device, precision)
        assert network.weight.is_contiguous(memory_format=wanted)
        assert fastest_layout(device, precision) == wanted
        assert not network.weight.is_contiguous(memory_format=layouts[wanted == layouts[0]])


def test_precisions_on_a_cpu():
    a, b = torch.randn(2, 50, 50)
    for precision, kind in (("float32", torch.float32), ("tf32", torch.float32), ("bfloat16", torch.bfloat16)):
        with compute_in(precision, CPU):
            product = a @ b
        assert product.dtype == kind
        assert torch.equal(product, a @ b) == (kind == torch.float32)
    with pytest.raises(InputError, match="precision is half; allowed are float32, tf32, bfloat16"):
        compute_in("half", CPU).__enter__()
