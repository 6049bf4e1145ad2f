"""What removal costs a map: this workflow's scans against Quantus' PixelFlipping and pytorch-grad-cam's ROAD.

Prints, and writes as CSV, milliseconds of CPU time per map of the shipped networks, and of the others as ratios to
them, in turns within one run: scans from the least and from the most salient pixel to the first flip, and both;
Quantus' PixelFlipping, which removes from the most salient and goes on to the last pixel; ROAD, which fills removed
pixels by solving for their neighbours' means. All take the same maps (of the gradient), the same number of steps, the
same batch. Runs in the environment of `make bench`, which has the other tools.
"""

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import quantus
import torch
from pytorch_grad_cam.metrics.road import ROADMostRelevantFirst
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from explanations.files.writing import whole_file
from explanations.networks.decisions import decide_in
from explanations.networks.files import load_network, preprocess
from explanations.removal.operators import OPERATORS
from explanations.removal.orders import rank_pixels, removed_counts
from explanations.removal.scans import Scan, find_flips
from make_digit_images import Material, paint_images

NETWORKS = Path(__file__).parent.parent / "resources/networks"
CPU = torch.device("cpu")
TURNS = {"least": "least salient first", "most": "most salient first", "both": "both"}
OTHERS = {"quantus": "Quantus' PixelFlipping", "road": "pytorch-grad-cam's ROAD"}


def main(networks: list[str], maps: int, steps: int, batch: int, repeats: int, precision: str, output: Path | None):
    torch.set_num_threads(1)
    print(f"{maps} maps of {steps} steps, batches of {batch}, one thread, {precision}; medians of {repeats}")
    print("ms per map, and the others as ratios to most salient first" + " and to both")
    rows = [("network", *TURNS, *OTHERS)]
    for name in networks:
        network, description = load_network(NETWORKS / name / "original.safetensors")
        images = preprocess(paint(maps, description.size), description)
        times = measure(list_calls(network.requires_grad_(False), images, steps, batch, precision), repeats, maps)
        own = {key: statistics.median(times[key]) for key in TURNS}
        said = [f"{1000 * value:8.1f} ms {TURNS[key]}" for key, value in own.items()]
        ratios = {
            key: statistics.median(a / b for a, b in zip(times[key], times["most"], strict=False)) for key in OTHERS
        }
        said += [f"{value:8.1f} times {OTHERS[key]}" for key, value in ratios.items()]
        print(f"{name:12}" + ",".join(said), flush=True)
        rows.append((name, *(f"{1000 * value:.2f}" for value in own.values()), *(f"{v:.1f}" for v in ratios.values())))
    if output is not None:
        with whole_file(output) as temporary, open(temporary, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def paint(count: int, size: int) -> Tensor:
    """Images of the embedded experiment's val split, (n, 3, H, W), uint8."""
    painted = [pixels for _, pixels, _ in paint_images(Material.of_split("val", 0), range(count), (0, 1), size, 2)]
    return torch.from_numpy(np.stack(painted)).permute(0, 3, 1, 2)


def list_calls(network: nn.Module, images: Tensor, steps: int, batch: int, precision: str) -> dict[str, Callable]:
    """What is timed, by name: all remove pixels by the same maps; each returns how many maps it took."""
    leaves = images.clone().requires_grad_(True)
    logits = network(leaves)
    targets = logits.argmax(1)
    gradient = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), leaves)[0].abs().sum(1)
    ranks = rank_pixels(gradient, torch.rand(len(images), gradient[0].numel()).argsort(1))
    last = gradient[0].numel() - 1
    decide, operator = decide_in(precision, network, CPU), OPERATORS["fill"](0.0)
    decide.measure(images[:batch])  # as the step does, of all whole images

    def scan(*orders: str) -> int:
        scans = [
            Scan((image, order), image, rank if order == "minus" else last - rank)
            for image, rank in enumerate(ranks)
            for order in orders
        ]
        list(find_flips(decide, images, targets, scans, [removed_counts(last + 1, steps)], operator, batch))
        return len(images)

    flipping = quantus.PixelFlipping(
        **{"features_in_step": gradient[0].numel() // steps, "normalise": False, "perturb_baseline": 0.0},
        **{"disable_warnings": True, "display_progressbar": False},
    )
    arrays = {"x_batch": images.numpy(), "y_batch": targets.numpy(), "a_batch": gradient[:, None].numpy()}
    few = slice(0, 4)  # ROAD takes seconds for a map

    def road() -> int:
        chosen = [ClassifierOutputSoftmaxTarget(int(target)) for target in targets[few]]
        for step in range(1, steps):
            ROADMostRelevantFirst(percentile=100 * (1 - step / steps))(
                images[few], gradient[few].numpy(), chosen, network
            )
        return len(chosen)

    return {
        "least": lambda: scan("minus"),
        "most": lambda: scan("plus"),
        "both": lambda: scan("minus", "plus"),
        "quantus": lambda: len(flipping(network, **arrays, device="cpu", batch_size=batch)),
        "road": road,
    }


def measure(calls: dict[str, Callable], repeats: int, maps: int) -> dict[str, list[float]]:
    """Seconds of CPU time per map of each call, taken in turns so that all see the same machine."""
    times: dict[str, list[float]] = {key: [] for key in calls}
    for turn in range(repeats + 1):
        for key, call in calls.items():
            if key == "road" and turn != 1:
                continue
            start = time.process_time()
            taken = call()
            if turn:  # the first warms up
                times[key].append((time.process_time() - start) / taken)
    return times


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=("vgg16", "resnet50"), help="in resources/networks")
    parser.add_argument("--maps", type=int, default=100)
    parser.add_argument("--steps", type=int, default=48)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", default="float32", help="that decisions are first tried in")
    parser.add_argument("--output", type=Path, help="CSV to write: docs/removal_cost.csv, which pages show")
    main(**vars(parser.parse_args()))
