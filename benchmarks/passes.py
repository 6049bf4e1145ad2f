"""How fast a machine passes images through VGG-16 and ResNet-50, against what `snakemake cost` estimates of its GPU.

Forward passes as removal makes them (batch normalisation folded, in its batches) in every precision, and a teacher's
forward and a student's forward and backward pass as decay makes them; in passes of one image, a backward pass counting
as two. Without a GPU the CPU is timed, and there is nothing to compare it with.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from estimate_cost import read_gpu
from explanations.cost.projection import BACKWARD
from explanations.cost.throughput import GPU, GPUS, list_operations, passes_per_second
from explanations.networks.decisions import decide_in
from explanations.networks.devices import PRECISIONS, compute_in, place_network, use_device
from explanations.networks.inference import optimise_for_inference

NETWORKS = ("vgg16", "resnet50")
SIZE = 224


def main(gpu: GPU | None, removal_batch: int, decay_batch: int, seconds: float, threads: int) -> None:
    device = use_device("auto", threads)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    gpu = gpu or next((known for title, known in GPUS.items() if title in name), None)
    print(f"{name}, compared with {gpu.name if gpu else 'nothing'}; passes of one image per second")
    print(f"{'network':<10} {'passes':<10} {'precision':<10} {'measured':>9} {'estimated':>10} {'ratio':>6}")
    for title in NETWORKS:
        network = torchvision.models.get_model(title, weights=None).eval().requires_grad_(False)
        on_meta = copy.deepcopy(network).to("meta")
        folded = list_operations(optimise_for_inference(on_meta, torch.device("meta")), SIZE)
        for precision in PRECISIONS:
            rate = removal_batch * repeat(removal_pass(network, precision, device, removal_batch), device, seconds)
            report(title, "removal", precision, rate, gpu and passes_per_second(folded, gpu, precision))
        plain = list_operations(on_meta, SIZE)
        for precision in PRECISIONS:
            steps = repeat(decay_step(network, precision, device, decay_batch), device, seconds)
            rate = decay_batch * (1 + 1 + BACKWARD) * steps
            estimate = gpu and passes_per_second(plain, gpu, precision, training=True)
            report(title, "decay", precision, rate, estimate)


def removal_pass(network: nn.Module, precision: str, device: torch.device, batch: int) -> Callable[[], None]:
    """A forward pass of a batch as removal's engine makes it, but for its checks in float32."""
    decide = decide_in(precision, network, device)
    images = make_images(batch, device)

    @torch.no_grad()
    def run() -> None:
        decide.compute(images)

    return run


def decay_step(network: nn.Module, precision: str, device: torch.device, batch: int) -> Callable[[], None]:
    """A teacher's forward and a student's forward and backward pass of a batch."""
    teacher = place_network(copy.deepcopy(network), device)
    student = copy.deepcopy(teacher).requires_grad_(True)
    images = make_images(batch, device)

    def run() -> None:
        with compute_in(precision, device):
            with torch.no_grad():
                wanted = teacher(images)
            loss = (student(images) - wanted).square().mean()
        loss.backward()
        student.zero_grad()

    return run


def make_images(batch: int, device: torch.device) -> Tensor:
    """Random images, channels last."""
    return torch.randn(batch, 3, SIZE, SIZE, device=device).contiguous(memory_format=torch.channels_last)


def repeat(run: Callable[[], None], device: torch.device, seconds: float) -> float:
    """How often something runs in a second, once it has run twice."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    for _ in range(2):
        run()
    wait()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        run()
        count += 1
        wait()
    return count / (time.perf_counter() - start)


def report(network: str, passes: str, precision: str, measured: float, estimated: float | None) -> None:
    beside = f"{estimated:>10,.0f} {measured / estimated:>6.2f}" if estimated else ""
    print(f"{network:<10} {passes:<10} {precision:<10} {measured:>9,.0f} {beside}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", type=read_gpu, help="as in scripts/estimate_cost.py; left out: by the device's name")
    parser.add_argument("--removal-batch", type=int, default=256)
    parser.add_argument("--decay-batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU")
    main(**vars(parser.parse_args()))
