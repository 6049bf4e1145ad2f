"""What methods with passes of their own cost: each through this workflow against its library alone, at the same batch.

Prints, and writes as CSV, seconds of CPU time per image of each method of Captum and pytorch-grad-cam, called by itself
on a shipped network, and this workflow's as a ratio to it, in turns within one run. Both get the same
images in the same batches, one by one where the method is made image by image; a network whose weights need no
gradient; attributions are summed over channels; and of methods that claim completeness Captum also says by how much
they miss it, as this workflow does. Runs in the environment of `make bench`, which has both libraries.
"""

import argparse
import csv
import inspect
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytorch_grad_cam
import torch
from pytorch_grad_cam.utils.model_targets import ClassifierOutputReST, ClassifierOutputTarget
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from explanations.files.writing import whole_file
from explanations.methods.sources import captum, gradcam
from explanations.methods.sources.base import NotApplicableError, make_maps
from explanations.methods.sources.registry import SOURCES, complete_settings
from explanations.networks.files import load_network

NETWORKS = Path(__file__).parent.parent / "resources/networks"
SOURCE = {"captum": captum, "gradcam": gradcam}
LAYERS = {  # what a user of pytorch-grad-cam names: the last of each size of maps
    "vgg16": ("features.3", "features.8", "features.15", "features.22", "features.29"),
    "resnet50": ("relu", "layer1.2", "layer2.3", "layer3.5", "layer4.2"),
}
FEWER = {"n_steps": 10, "n_samples": 20, "stride": 8, "patch": 16}  # of the slowest methods, so that all take minutes
ENOUGH, MOST = 1.5, 15  # seconds that a method's turns take together, if so many turns suffice for it


def main(networks: Sequence[str], images: int, repeats: int, output: Path | None) -> None:
    torch.set_num_threads(1)
    print(f"batches of {images} images, one thread; medians of {repeats} to {MOST} turns")
    rows = [("source", "method", "network", "library", "ratio")]
    for name in networks:
        network, description = load_network(NETWORKS / name / "original.safetensors")
        network.requires_grad_(False)
        inputs = torch.randn(images, 3, description.size, description.size)
        targets = network(inputs).argmax(1)
        for source in SOURCE:
            for method in SOURCES[source].names:
                settings = complete_settings({"source": source, "name": method})
                settings |= {key: value for key, value in FEWER.items() if key in settings}
                try:
                    ours, alone = list_calls(source, settings, name, network, inputs, targets)
                    times = measure((ours, alone), repeats)
                except NotApplicableError:
                    continue
                ratio = statistics.median(a / b for a, b in zip(*times, strict=True))
                seconds = statistics.median(times[1]) / images
                print(
                    f"{source:8} {method:20} {name:9} {1000 * seconds:9.2f} ms an image alone, ours {ratio:.2f} of it"
                )
                rows.append((source, method, name, f"{seconds:.5f}", f"{ratio:.2f}"))
    if output is not None:
        with whole_file(output) as temporary, open(temporary, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def list_calls(
    source: str, settings: Mapping, name: str, network: nn.Module, images: Tensor, targets: Tensor
) -> tuple[Callable[[], object], Callable[[], object]]:
    """A method through this workflow, and its library alone."""
    size = tuple(images.shape[2:])
    prepared = SOURCE[source].prepare(settings, network, size, [])
    places = list(range(len(images)))
    ask = ask_captum if source == "captum" else ask_gradcam
    one_by_one = 1 if prepared.alone else len(images)
    library = ask(settings, name, captum.without_inplace(network), size)

    def alone() -> None:
        for part, of in zip(images.split(one_by_one), targets.split(one_by_one), strict=True):
            library(part, of)

    return lambda: make_maps(prepared, images, targets, places, 0, len(images)), alone


def ask_captum(settings: Mapping, name: str, network: nn.Module, size: tuple[int, int]) -> Callable:
    """Captum's own method, with what it is to be called with."""
    method = settings["name"]
    library = captum.build(method, network)
    further = {"return_convergence_delta": True} if method in (*captum.COMPLETE, "LRP") else {}
    if "show_progress" in inspect.signature(library.attribute).parameters:
        further["show_progress"] = False

    def call(images: Tensor, targets: Tensor) -> object:
        given = captum.arguments(method, settings, images, size)
        found = library.attribute(images, target=targets, **given, **further)
        return captum.reduce_channels(found[0] if isinstance(found, tuple) else found, "magnitude_of_sum")

    return call


def ask_gradcam(settings: Mapping, name: str, network: nn.Module, size: tuple[int, int]) -> Callable:
    """pytorch-grad-cam's own method, of layers named by hand."""
    method = settings["name"]
    paths = LAYERS[name] if method == "RefineCAM" else LAYERS[name][-1:]
    library = getattr(pytorch_grad_cam, method)(network, [network.get_submodule(path) for path in paths])
    kind = ClassifierOutputReST if method == "ShapleyCAM" else ClassifierOutputTarget

    def call(images: Tensor, targets: Tensor) -> object:
        images = images.detach().requires_grad_(True)  # the weights need none, and something must
        if method == "FinerCAM":  # chooses the classes nearest to one target for all images
            return library(images, target_idx=int(targets[0]))
        return library(images, [kind(int(target)) for target in targets])

    return call


def measure(calls: Sequence[Callable[[], object]], repeats: int) -> tuple[list[float], ...]:
    """Seconds of CPU time of each call, in turns so that all see the same machine, and in more if calls are quick."""
    times: tuple[list[float], ...] = tuple([] for _ in calls)
    for call in calls:  # warms up
        call()
    while len(times[0]) < repeats or (len(times[0]) < MOST and sum(map(sum, times)) < ENOUGH):
        for call, taken in zip(calls, times, strict=True):
            start = time.process_time()
            call()
            taken.append(time.process_time() - start)
    return times


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(LAYERS), choices=LAYERS)
    parser.add_argument("--images", type=int, default=16, help="in a batch")
    parser.add_argument("--repeats", type=int, default=3, help="at least so many turns")
    parser.add_argument("--output", type=Path, help="CSV to write: docs/methods_cost.csv, which pages show")
    main(**vars(parser.parse_args()))
