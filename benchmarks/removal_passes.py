"""What makes a network faster for removal: CPU time of its forward passes as removal makes them, against without.

Prints, for each network, passes of one image per second of CPU time as the network is, channels last in memory; and as
ratios to it, in turns within one run: with batch normalisation folded and rectifying convolutions
(explanations.networks.inference), and with batches taken in parts too. Weights are random; the narrow networks are
those of config/config.yaml.
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from explanations.networks.devices import place_network
from explanations.networks.files import build_network
from explanations.networks.inference import optimise_for_inference

CPU = torch.device("cpu")
EMBEDDED = yaml.safe_load((Path(__file__).parent.parent / "config/config.yaml").read_text())
ZOO, NARROW, NARROW_SIZE = EMBEDDED["networks"], ("vgg16", "resnet50", "convnext", "vit"), EMBEDDED["images"]["size"]
TIMM, TIMM_SIZE = ("tf_efficientnet_lite0", "resnet50", "convnext_atto", "vit_tiny_patch16_224"), 224


@torch.no_grad()
def main(batch: int, repeats: int) -> None:
    torch.set_num_threads(1)
    print(f"batches of {batch}, one thread; medians of {repeats}")
    print(f"{'network':<24}{'passes/s':>10}{'folded':>8}{'in parts':>10}{'images in a part':>18}")
    for title, network, size in list_networks():
        place_network(network.requires_grad_(False), CPU)
        fast = optimise_for_inference(copy.deepcopy(network), CPU)
        images = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
        plain, *others = measure([network, fast.network, fast], images, repeats)
        folded, parts = (statistics.median(a / b for a, b in zip(plain, other, strict=True)) for other in others)
        rate = batch / statistics.median(plain)
        print(f"{title:<24}{rate:>10.1f}{folded:>8.2f}{parts:>10.2f}{min(fast.images, batch):>18}", flush=True)


def list_networks() -> Iterator[tuple[str, nn.Module, int]]:
    """Each network's title, itself, and the size of its images."""
    for name in NARROW:
        arguments = {**ZOO[name]["arguments"], "num_classes": 10}
        yield f"narrow {name}", build_network("narrow", ZOO[name]["constructor"], arguments), NARROW_SIZE
    for name in TIMM:
        yield name, build_network("timm", name, {}), TIMM_SIZE


def measure(calls: list[nn.Module], images: Tensor, repeats: int) -> list[list[float]]:
    """Seconds of CPU time of each call, taken in turns so that all see the same machine."""
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(repeats + 1):
        for call, taken in zip(calls, times, strict=True):
            start = time.process_time()
            call(images)
            if turn:  # the first warms up
                taken.append(time.process_time() - start)
    return times


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    main(**vars(parser.parse_args()))
