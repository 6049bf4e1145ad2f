"""What attributions cost: a batch's decomposition against a plain forward and backward pass, and against Captum.

Prints, and writes as CSV, the seconds of a plain pass (score to input) of each network, and as ratios to it, in turns
within one run: all that a shard holds, at all layers; Captum's layer gradient × activation, one call with the list of
layers; and the same layer by layer; pytorch-grad-cam's GradCAM of the same layers, one call, of networks whose layers
are images. Captum gives activities alone, no biases, at the outputs of blocks or activation functions; GradCAM one map,
the mean over these. Runs in the environment of `make bench`.
"""

import argparse
import copy
import csv
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from captum.attr import LayerGradientXActivation
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn
from torchvision.models import SwinTransformer, VisionTransformer
from torchvision.models.resnet import BasicBlock, Bottleneck

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from explanations.decomposition.decomposition import Decomposition
from explanations.files.writing import whole_file
from explanations.networks.devices import place_network

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish)
NETWORKS = ("vgg16", "resnet50", "mobilenet_v2", "efficientnet_b0", "convnext_tiny", "swin_t", "vit_b_16")
COLUMNS = {
    **{"shard": "all of a shard", "together": "Captum, one call", "apart": "Captum by layer"},
    "gradcam": "pytorch-grad-cam",
}
ONCE = ("apart",)  # takes as long as all the rest, many times over


def main(networks: list[str], batch: int, repeats: int, threads: int, device: str, output: Path | None) -> None:
    torch.set_num_threads(threads)
    place = torch.device(device)
    print(f"{batch} images of 224 pixels, {threads} threads, {device}; medians of {repeats}, as ratios to a plain pass")
    print(f"{'network':20}{'plain':>9}" + "".join(f"{title:>18}" for title in COLUMNS.values()))
    rows = [("network", "plain", *COLUMNS)]
    for name in networks:
        torch.manual_seed(0)
        network = torchvision.models.get_model(name, weights=None).eval().requires_grad_(False)
        place_network(network, place)
        images = torch.randn(batch, 3, 224, 224, device=place).contiguous(memory_format=torch.channels_last)
        times = measure(list_calls(network, images), repeats, place)
        ratios = [compare(times.get(key), times["plain"]) for key in COLUMNS]
        plain = statistics.median(times["plain"])
        said = ["" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
        print(f"{name:20}{plain:8.3f}s" + "".join(f"{text:>18}" for text in said), flush=True)
        rows.append((name, f"{plain:.3f}", *said))
    if output is not None:
        with whole_file(output) as temporary, open(temporary, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def compare(times: list[float] | None, plain: list[float]) -> float | None:
    """The median ratio to a plain pass, turn by turn; None of what wasn't timed."""
    return times and statistics.median(a / b for a, b in zip(times, plain, strict=False))


def list_calls(network: nn.Module, images: Tensor) -> dict[str, Callable]:
    """What is timed, by name; all explain the network's decisions."""
    target = network(images).argmax(1)
    decomposition = Decomposition(network, images[:1])
    hooked = copy.deepcopy(network)
    layers = captum_layers(hooked)
    together = LayerGradientXActivation(hooked, layers)
    calls = {
        "plain": lambda: plain_pass(network, images, target),
        "shard": lambda: decomposition(images, target),
        "together": lambda: together.attribute(images, target),
        "apart": lambda: [LayerGradientXActivation(hooked, x).attribute(images, target) for x in layers],
    }
    if not isinstance(network, (SwinTransformer, VisionTransformer)):  # whose layers are tokens
        shown = copy.deepcopy(network)
        cam = GradCAM(shown, layers_of_images(shown, captum_layers(shown), images[:1]))
        targets = [ClassifierOutputTarget(int(index)) for index in target]
        calls["gradcam"] = lambda: cam(images.detach().requires_grad_(), targets)  # parameters take no gradient
    return calls


def plain_pass(network: nn.Module, images: Tensor, target: Tensor) -> Tensor:
    """The gradient of the targets' scores with respect to the images."""
    images = images.detach().requires_grad_(True)
    with torch.enable_grad():
        return torch.autograd.grad(network(images).gather(1, target[:, None]).sum(), images)[0]


def captum_layers(network: nn.Module) -> list[nn.Module]:
    """The stem's ReLU and the blocks of a ResNet; the activation functions of other networks."""
    activations = [module for module in network.modules() if isinstance(module, ACTIVATIONS)]
    for module in activations:
        module.inplace = False  # Captum would see what the next operation left
    blocks = [module for module in network.modules() if isinstance(module, (BasicBlock, Bottleneck))]
    return [network.relu, *blocks] if blocks else activations


@torch.no_grad()
def layers_of_images(network: nn.Module, layers: list[nn.Module], image: Tensor) -> list[nn.Module]:
    """Those layers whose outputs are images (n, C, H, W), as GradCAM takes them: none behind a flattening."""
    found: list[nn.Module] = []

    def note(layer: nn.Module, _: object, output: Tensor) -> None:
        if output.dim() == 4:
            found.append(layer)

    hooks = [layer.register_forward_hook(note) for layer in layers]
    network(image)
    for hook in hooks:
        hook.remove()
    return [layer for layer in layers if layer in found]


def measure(calls: dict[str, Callable], repeats: int, place: torch.device) -> dict[str, list[float]]:
    """Seconds of each call, taken in turns so that all see the same machine."""
    times: dict[str, list[float]] = {key: [] for key in calls}
    for turn in range(repeats + 1):
        for key, call in calls.items():
            if key in ONCE and turn != 1:
                continue
            start = time.perf_counter()
            call()
            if place.type == "cuda":
                torch.cuda.synchronize(place)
            if turn:  # the first warms up
                times[key].append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="classifiers of torchvision")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, help="CSV to write: docs/extraction_cost.csv, which pages show")
    main(**vars(parser.parse_args()))
