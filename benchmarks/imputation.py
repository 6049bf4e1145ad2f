"""What ROAD's imputation takes beside the network's own passes, on one thread or on a GPU.

Prints, for scans of VGG-16 at 224 pixels (or another network of torchvision) from the least and from the most salient
pixel, at steps along the grid: seconds of the network's pass of a batch, of the removal that makes the batch's images,
and their ratio; then of the whole scan. Weights are random; images are random fields without details below a few
pixels. Maps are smooth, as upsampled ones of the top layers are, or of single pixels, as gradients are. The network
passes few of the steps' batches, and removal makes all, as each starts from the step before.

`--traffic` counts instead what imputation reads and writes, which is the same on any device, and writes the table that
`snakemake cost` goes by (docs/imputation.csv): values a pixel and step, of the mean over a scan's steps.
"""

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from explanations.cost.throughput import OperationRecorder
from explanations.networks.decisions import decide_in
from explanations.networks.files import build_network
from explanations.removal.operators.base import Operator, Pictures, Removal
from explanations.removal.operators.road import make
from explanations.removal.orders import rank_pixels, removed_counts
from explanations.removal.scans import Scan, ScansUnderWay

MAPS = {"smooth": 65, "of single pixels": 1}  # and the width of what they show
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@torch.no_grad()
def main(network: str, size: int, batch: int, grid: int, shown: int, precision: str, device: str) -> None:
    torch.set_num_threads(1)
    place = torch.device(device)
    classifier = build_network("torchvision", network, {"num_classes": 1000}).requires_grad_(False)
    decide = decide_in(precision, classifier, place, (3, size, size))
    inputs = draw_images(batch, size).to(place)
    decide.measure(inputs)  # warms up, and says how large errors are of a fast precision
    passes = min(clock(lambda: decide.compute(inputs), place) for _ in range(3))
    print(f"{network}, batches of {batch}, {size} pixels, {grid} steps, {precision}, {describe(place)}")
    print(f"a pass: {1000 * passes / batch:.2f} ms an image\n")
    print(f"{'maps':<18}{'salient first':<15}{'pixels removed':>15}{'ms an image':>13}{'of a pass':>11}")
    for title, order, under_way in start_scans(inputs, grid):
        times = [clock(under_way.remove, place) for _ in range(grid)]
        every = max(1, grid // shown)
        for step in [1, *range(every, grid + 1, every)]:
            report(title, order, f"{step / grid:.0%}", times[step - 1] / batch, passes / batch)
        report(title, order, "all steps", sum(times) / grid / batch, passes / batch)


@torch.no_grad()
def count_traffic(output: Path, size: int, batch: int, grid: int) -> None:
    """Write how many values a step's imputation reads and writes, for each pixel of an image."""
    torch.set_num_threads(1)
    rows = []
    for title, order, under_way in start_scans(draw_images(batch, size), grid):
        under_way.operator = counted = Counted(under_way.operator)
        for _ in range(grid):
            under_way.remove()
        values = round(counted.values / grid / batch / size**2)
        rows.append({"maps": title, "first": order, "size": size, "grid": grid, "values": values})
    with output.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


class Counted:
    """An operator, and how many values it has read and written."""

    def __init__(self, operator: Operator):
        self.operator, self.values = operator, 0.0

    def remove(self, removal: Removal, pixels: Tensor) -> None:
        """What the operator does, counted."""
        with OperationRecorder() as recorder:
            self.operator.remove(removal, pixels)
        self.values += sum(operation.values for operation in recorder.operations)


def start_scans(inputs: Tensor, grid: int) -> Iterator[tuple[str, str, ScansUnderWay]]:
    """A scan of each image (n, 3, size, size) by each kind of maps, from the least and from the most salient pixel."""
    batch, size, place = len(inputs), inputs.shape[2], inputs.device
    pictures = Pictures(inputs, range(batch), torch.tensor(MEAN).to(place), torch.tensor(STD).to(place), 0)
    operator = make(pictures, 0.01)
    for title, width in MAPS.items():
        maps = draw(batch, size, width).to(place)
        ties = torch.arange(size * size, device=place).expand(batch, -1)
        for order in ("least", "most"):
            ranks = rank_pixels(maps if order == "least" else -maps, ties)
            under_way = ScansUnderWay(inputs, [removed_counts(size * size, grid)], operator, batch)
            under_way.refill(iter([Scan(image, image, rank) for image, rank in enumerate(ranks)]))
            yield title, order, under_way


def report(title: str, order: str, removed: str, seconds: float, passes: float) -> None:
    """A line of the table."""
    print(f"{title:<18}{order:<15}{removed:>15}{1000 * seconds:>13.2f}{seconds / passes:>11.2f}", flush=True)


def draw_images(count: int, size: int) -> Tensor:
    """Random images (count, 3, size, size)."""
    return draw(3 * count, size, 5).view(count, 3, size, size)


def draw(count: int, size: int, width: int) -> Tensor:
    """Random fields (count, size, size) without details smaller than `width` pixels, of deviation 1."""
    fields = torch.randn(count, 1, size + width - 1, size + width - 1, generator=torch.Generator().manual_seed(width))
    fields = F.avg_pool2d(fields, width, stride=1)[:, 0]
    return fields / fields.std()


def clock(call: Callable[[], object], device: torch.device) -> float:
    """Seconds that a call takes: of CPU time, or until a GPU is done."""
    now = time.process_time if device.type == "cpu" else time.perf_counter
    start = now()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return now() - start


def describe(device: torch.device) -> str:
    """The device, in words."""
    return "one thread" if device.type == "cpu" else torch.cuda.get_device_name(device)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="vgg16", help="of torchvision")
    parser.add_argument("--size", type=int, default=224, help="pixels of an image's side")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--grid", type=int, default=100)
    parser.add_argument("--shown", type=int, default=5, help="steps along the grid that have a line")
    parser.add_argument("--precision", default="float32", help="that decisions are tried in")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--traffic", type=Path, help="count instead what is read and written, and write this table")
    given = vars(parser.parse_args())
    if traffic := given.pop("traffic"):
        count_traffic(traffic, given["size"], given["batch"], given["grid"])
    else:
        main(**given)
