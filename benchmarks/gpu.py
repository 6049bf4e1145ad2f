"""What a GPU makes of VGG-16 and ResNet-50 at 224 pixels: rates of all that this workflow does with it, as CSV.

Rows, in passes of one image per second unless said otherwise, of networks with random weights:

product     a matrix product of 8192 rows and columns, in 10^12 FLOP per second: what the chip can do
plain       forward passes of torchvision's network as it is, by layout in memory, and run as it is, with cuDNN's
            choices by trial, as a CUDA graph, or compiled by torch
removal     forward passes of what removal runs: batch normalisation folded; and of the same in these ways, or with
            convolutions that rectify
engine      the same with everything that removal does between passes, flips found and checked in float32
extraction  images per second whose attributions are extracted and copied to the CPU
decay       passes of a decay's training steps, a backward pass counting as two

`share` is that of the product's FLOP in the same precision, `estimated` what `snakemake cost` takes for this GPU. On a
machine without a GPU the CPU is timed, and what it can't do is left out.
"""

import argparse
import copy
import gc
import operator
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import torch
import torchvision
from torch import Tensor, fx, nn

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from explanations.cost.projection import BACKWARD
from explanations.cost.throughput import GPU, GPUS, Operation, count_flop, list_operations, passes_per_second
from explanations.decomposition.decomposition import Decomposition
from explanations.files.measurements import NEVER
from explanations.networks.decisions import DECIDED_IN, HALVES, decide_in
from explanations.networks.devices import PRECISIONS, compute_in, place_network, use_device
from explanations.networks.inference import optimise_for_inference
from explanations.removal.operators import Fill
from explanations.removal.orders import removed_counts
from explanations.removal.scans import Scan, find_flips

NETWORKS = ("vgg16", "resnet50")
CLASSES = 1000
PRODUCT = 8192
LAYOUTS = {"first": torch.contiguous_format, "last": torch.channels_last}
RUNS = ("as it is", "tuned", "graph", "compiled")
COMPILED = {"plain": ("tf32", "bfloat16"), "removal": ("float16",)}  # compiling takes long
COLUMNS = ("part", "network", "precision", "channels", "run", "rate", "share", "estimated")


def main(output: Path, size: int, batch: int, decay_batch: int, images: int, grid: int, seconds: float) -> None:
    device = use_device("auto", torch.get_num_threads())
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    known = next((gpu for title, gpu in GPUS.items() if title in name), None)
    print(f"# {name}, torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
    table = Table(output, name, known)
    runs = RUNS if device.type == "cuda" else RUNS[:1]
    for precision in DECIDED_IN:
        side = PRODUCT if device.type == "cuda" else PRODUCT // 16
        table.attempt({"part": "product", "precision": precision}, multiply, side, precision, device, seconds)
    for title in NETWORKS:
        network = make_network(title, size)
        on_meta = copy.deepcopy(network).to("meta")
        folded = list_operations(optimise_for_inference(on_meta, torch.device("meta")), size)
        plain = list_operations(on_meta, size)
        for precision in DECIDED_IN:
            for run in runs:
                row = {"part": "plain", "network": title, "precision": precision, "run": run}
                if run == "compiled" and precision not in COMPILED["plain"]:
                    continue
                for layout in LAYOUTS if run == RUNS[0] else ("last",):
                    how = (precision, layout, run, device, size, batch, seconds)
                    table.attempt({**row, "channels": layout}, plain_rate, network, *how, operations=plain)
        for precision in DECIDED_IN:
            for run in (*runs, "fused") if len(runs) > 1 else runs:
                if run == "compiled" and precision not in COMPILED["removal"]:
                    continue
                row = {"part": "removal", "network": title, "precision": precision, "run": run}
                how = (precision, run, device, size, batch, seconds)
                table.attempt(row, removal_rate, network, *how, operations=folded)
        for precision in DECIDED_IN:
            row, fewer = {"part": "engine", "network": title, "precision": precision}, 1 + 3 * (precision == "float32")
            how = (precision, device, size, batch // fewer, images // fewer, grid)
            table.attempt(row, engine_rate, network, *how, operations=folded)
        row = {"part": "extraction", "network": title, "precision": "float32"}
        table.attempt(row, extraction_rate, network, device, size, min(batch, 32), seconds)
        for precision in PRECISIONS:
            row = {"part": "decay", "network": title, "precision": precision}
            how = (precision, device, size, decay_batch, seconds)
            table.attempt(row, decay_rate, network, *how, operations=plain, training=True)


class Table:
    """Rows, printed and saved as they come."""

    def __init__(self, output: Path, name: str, gpu: GPU | None):
        self.output, self.name, self.gpu = output, name, gpu
        self.rows: list[dict] = []
        self.products: dict[str, float] = {}  # FLOP per second of matrix products, by precision
        print("".join(f"{column:>12}" for column in COLUMNS))

    def attempt(
        self,
        row: dict,
        measure: Callable[..., float],
        *arguments: object,
        operations: tuple[Operation, ...] = (),
        training: bool = False,
    ) -> None:
        """Measure a row's rate; or say in a line why not: one kernel that is missing need not cost the rest."""
        try:
            rate = measure(*arguments)
        except (RuntimeError, NotImplementedError) as error:  # the first is also that memory is out
            print(f"# {row}: {str(error).splitlines()[0]}", flush=True)
            return
        finally:
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        precision = row["precision"]
        if row["part"] == "product":
            self.products[precision] = rate * 1e12
        if operations and precision in self.products:
            row["share"] = count_flop(operations) * rate / self.products[precision]
        if operations and self.gpu:
            row["estimated"] = passes_per_second(operations, self.gpu, precision, training=training)
        self.rows.append({**row, "rate": rate})
        cells = [self.rows[-1].get(column, "") for column in COLUMNS]
        print("".join(f"{cell:>12.3g}" if isinstance(cell, float) else f"{cell:>12}" for cell in cells), flush=True)
        self.output.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame(self.rows, columns=COLUMNS).assign(gpu=self.name)
        table.to_csv(self.output / "gpu.csv", index=False)


# --- networks and images -----------------------------------------------------------------------------------------


@torch.no_grad()
def make_network(title: str, size: int) -> nn.Module:
    """A network of random weights, and running statistics of its activity, so that signals don't vanish or explode."""
    torch.manual_seed(0)
    network = torchvision.models.get_model(title, weights=None, num_classes=CLASSES)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # averages
    network.train()(make_images(8, size, torch.device("cpu")))
    return network.eval().requires_grad_(False)


def make_images(count: int, size: int, device: torch.device, layout: str = "last") -> Tensor:
    """Smooth random images."""
    coarse = torch.randn(count, 3, size // 16, size // 16)
    images = nn.functional.interpolate(coarse, size=size, mode="bilinear")
    return images.to(device).contiguous(memory_format=LAYOUTS[layout])


# --- rates -------------------------------------------------------------------------------------------------------


@torch.no_grad()
def multiply(size: int, precision: str, device: torch.device, seconds: float) -> float:
    """10^12 FLOP per second of a product of square matrices."""
    dtype = HALVES.get(precision, torch.float32)
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    with compute_in("tf32" if precision == "tf32" else "float32", device):
        return 2 * size**3 / 1e12 * repeat(lambda: left @ right, device, seconds)


@torch.no_grad()
def plain_rate(
    network: nn.Module,
    precision: str,
    layout: str,
    run: str,
    device: torch.device,
    size: int,
    batch: int,
    seconds: float,
) -> float:
    """Passes per second of the network as it is: weights and activities in the precision."""
    dtype = HALVES.get(precision, torch.float32)
    placed = copy.deepcopy(network).to(device, dtype, memory_format=LAYOUTS[layout])
    images = make_images(batch, size, device, layout).to(dtype)
    with compute_in("tf32" if precision == "tf32" else "float32", device):
        return batch * repeat_as(run, placed, images, device, seconds)


def repeat_as(run: str, network: nn.Module, images: Tensor, device: torch.device, seconds: float) -> float:
    """How often a network takes a batch in a second, in one of RUNS or fused."""
    if run == "fused":
        plain = network(images)
        network = fuse(network)
        print(f"# fused: off by {((network(images) - plain).abs().max() / plain.abs().max()).item():.1e}", flush=True)
    if run == "compiled":
        torch._dynamo.reset()
        network = torch.compile(network)
    torch.backends.cudnn.benchmark = run == "tuned"
    try:
        return repeat(as_graph(network, images) if run == "graph" else lambda: network(images), device, seconds)
    finally:
        torch.backends.cudnn.benchmark = False


def fuse(network: nn.Module) -> nn.Module:
    """A copy whose convolutions add and rectify in cuDNN's own operations."""
    laid_out = copy.deepcopy(network)
    network = laid_out.network

    def is_single(node: object, kind: type) -> bool:
        called = isinstance(node, fx.Node) and node.op == "call_module" and len(node.users) == 1
        return called and type(network.get_submodule(node.target)) is kind

    for node in list(network.graph.nodes):
        if node.op != "call_module" or type(network.get_submodule(node.target)) is not nn.ReLU:
            continue
        before = node.args[0]
        added = before.target in (operator.add, operator.iadd) and len(before.users) == 1
        terms = [before] if not added else list(before.args)
        convolution = next((term for term in terms if is_single(term, nn.Conv2d)), None)
        if convolution is None:
            continue
        others = [term for term in terms if term is not convolution]
        module = network.get_submodule(convolution.target)
        network.set_submodule(convolution.target, RectifyingConvolution(module))
        with network.graph.inserting_before(node):
            fused = network.graph.call_module(convolution.target, (convolution.args[0], *others))
        node.replace_all_uses_with(fused)
        for done in dict.fromkeys((node, before, convolution)):
            network.graph.erase_node(done)
    network.recompile()
    return laid_out


class RectifyingConvolution(nn.Module):
    """relu(convolution(x) + other) in one operation of cuDNN."""

    def __init__(self, convolution: nn.Conv2d):
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self.geometry = (convolution.stride, convolution.padding, convolution.dilation, convolution.groups)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """The output, channels last."""
        if other is None:
            return torch.cudnn_convolution_relu(x, self.weight, self.bias, *self.geometry)
        return torch.cudnn_convolution_add_relu(x, self.weight, other, 1.0, self.bias, *self.geometry)


def as_graph(network: nn.Module, images: Tensor) -> Callable[[], None]:
    """A forward pass captured as a CUDA graph."""
    aside = torch.cuda.Stream()
    with torch.cuda.stream(aside):
        for _ in range(3):
            network(images)
    aside.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        network(images)
    return graph.replay


@torch.no_grad()
def removal_rate(
    network: nn.Module, precision: str, run: str, device: torch.device, size: int, batch: int, seconds: float
) -> float:
    """Passes per second of what removal runs, nothing checked."""
    decide, images = decide_in(precision, network, device), make_images(batch, size, device)
    if run == RUNS[0]:
        return batch * repeat(lambda: decide.compute(images), device, seconds)
    inner = decide.exact if precision == "float32" else decide.quick
    images = images.to(HALVES.get(precision, torch.float32))
    with compute_in("tf32" if precision == "tf32" else "float32", device):
        return batch * repeat_as(run, inner, images, device, seconds)


@torch.no_grad()
def engine_rate(
    network: nn.Module, precision: str, device: torch.device, size: int, batch: int, images: int, grid: int
) -> float:
    """Passes per second of removal, four scans an image in random orders of coarse patches, none of which flips."""
    network = copy.deepcopy(network)
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    last.bias[0] += 10 * network(make_images(4, size, torch.device("cpu"))).abs().max()
    decide, inputs = decide_in(precision, network, device), make_images(images, size, device)
    with torch.no_grad():
        targets = torch.cat([decide.measure(part) for part in inputs.split(batch)]).argmax(1)

    def scans() -> Iterator[Scan]:
        for image in range(images):
            for order in range(4):
                random = torch.Generator(device).manual_seed(4 * image + order)
                coarse = torch.rand(1, 1, 14, 14, generator=random, device=device)
                values = nn.functional.interpolate(coarse, size=size, mode="bilinear").flatten()
                yield Scan((image, order), image, values.argsort().argsort().int())

    start = time.perf_counter()
    ends = list(find_flips(decide, inputs, targets, scans(), [removed_counts(size**2, grid)], Fill(0.0), batch))
    taken = time.perf_counter() - start
    passes = sum(grid if end.step == NEVER else end.step for end in ends)
    print(f"# {passes} passes; {decide.summary() or 'float32'}", flush=True)
    return passes / taken


def extraction_rate(network: nn.Module, device: torch.device, size: int, batch: int, seconds: float) -> float:
    """Images per second whose attributions are on the CPU."""
    placed = place_network(copy.deepcopy(network), device)
    decomposition = Decomposition(placed, torch.zeros(1, 3, size, size, device=device))
    images = make_images(batch, size, device, "first")
    return batch * repeat(lambda: decomposition(images).to_arrays(), device, seconds)


def decay_rate(network: nn.Module, precision: str, device: torch.device, size: int, batch: int, seconds: float):
    """Passes per second of a teacher's forward and a student's forward and backward pass, and Adam's step."""
    teacher = place_network(copy.deepcopy(network), device, precision)
    student = copy.deepcopy(teacher).requires_grad_(True)
    optimiser = torch.optim.Adam(student.parameters(), 1e-6)
    images = make_images(batch, size, device)

    def step() -> None:
        with compute_in(precision, device):
            with torch.no_grad():
                wanted = teacher(images)
            loss = (student(images).float() - wanted.float()).square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    return batch * (1 + 1 + BACKWARD) * repeat(step, device, seconds)


def repeat(run: Callable[[], object], device: torch.device, seconds: float) -> float:
    """How often something runs in a second, once it has run three times; the median of rounds."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    for _ in range(3):
        run()
    wait()
    rates, begin = [], time.perf_counter()
    while time.perf_counter() - begin < seconds or not rates:
        start = time.perf_counter()
        for _ in range(3):
            run()
        wait()
        rates.append(3 / (time.perf_counter() - start))
    return sorted(rates)[len(rates) // 2]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of gpu.csv")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=256, help="of forward passes")
    parser.add_argument("--decay-batch", type=int, default=64)
    parser.add_argument("--images", type=int, default=256, help="of the engine, four scans each")
    parser.add_argument("--grid", type=int, default=25, help="of the engine")
    parser.add_argument("--seconds", type=float, default=0.4, help="of each measurement")
    main(**vars(parser.parse_args()))
