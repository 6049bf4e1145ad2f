"""Methods of pytorch-grad-cam (Gildenblat et al., 2021), each as its library makes it, at layers that the graph finds.

The layer is that of the paper's Grad-CAM, the last with positions; or, by `layers: stages`, the last of each size of
maps. It needn't be a module's output: the library hooks an identity that is put behind it in the traced network. Tokens
go back to their places by the layer's layout. Maps are in [0, 1], enlarged by OpenCV, as the library has them.

All explain the score of the target, but for ShapleyCAM, which explains what its paper does: that score plus the
logarithm of its softmax (arXiv 2501.06261), without which it is Grad-CAM wherever only ReLUs and linear maps follow.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytorch_grad_cam
import torch
from pytorch_grad_cam import ablation_cam, score_cam
from pytorch_grad_cam.ablation_layer import AblationLayer, AblationLayerVit
from pytorch_grad_cam.utils.model_targets import (
    ClassifierOutputReST,
    ClassifierOutputTarget,
    FinerWeightedTarget,
)
from torch import Tensor, fx, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from explanations.decomposition.layers import Layer, list_mapped, list_stages, trace_network
from explanations.decomposition.layouts import Layout
from explanations.errors import InputError
from explanations.methods.sources.base import Method, NotApplicableError
from explanations.methods.sources.registry import GRADCAM

Score = Callable[[Tensor], Tensor]  # of an image's logits
STAGES = ("RefineCAM",)  # are of several layers, always
# image by image: each takes passes of its own for the first two, a batch of which takes only memory; KPCA_CAM may draw
# where its solver begins
ALONE = ("ScoreCAM", "AblationCAM", "KPCA_CAM")
COMPARED = 3  # classes, the nearest by score, that FinerCAM sets the target apart from
LINES = 200  # letters of the library's reason

for module in (ablation_cam, score_cam):
    module.tqdm = SimpleNamespace(tqdm=lambda batches: batches)  # they show a bar for every image


@dataclass(frozen=True)
class Shown:
    """A traced network, and modules in it whose outputs are the values of `layers`."""

    network: fx.GraphModule
    modules: list[nn.Module]
    layers: list[Layer]


def prepare(settings: Mapping, network: nn.Module, size: tuple[int, int], names: Sequence[str]) -> Method:
    """A method by its name; NotApplicableError for a network that it can't explain."""
    name, ready = settings["name"], []
    smooth = {key: True for key in ("eigen_smooth", "aug_smooth") if settings.get(key)}
    stages = name in STAGES or settings.get("layers") == "stages"

    def make(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        if not ready:  # once, by an image: a trace takes a pass
            ready.append(show_layers(network, images[:1], stages=stages))
            refuse(name, ready[0].layers)
        scores = [score_of(name, settings, int(target)) for target in targets]
        with context_of(name), reported(name), hooked(name, settings, ready[0]) as library:
            images = images.detach().requires_grad_(torch.is_grad_enabled())
            return torch.from_numpy(library(images, scores, **smooth))

    return Method(make, alone=name in ALONE)


def show_layers(network: nn.Module, image: Tensor, *, stages: bool) -> Shown:
    """The network traced on an image, (1, C, H, W), with identities behind layers; the network itself isn't changed.

    The layers are the last of each size of maps, or the last with positions alone.
    """
    graph = trace_network(network, image)
    mapped = list_mapped(graph, image)
    layers = list_stages(mapped) if stages else mapped[-1:]
    modules = [nn.Identity() for _ in layers]
    for layer, module in zip(layers, modules, strict=True):
        name = f"shown_{layer.index}"
        graph.module.add_submodule(name, module)
        with graph.module.graph.inserting_after(layer.node):
            shown = graph.module.graph.call_module(name)
        layer.node.replace_all_uses_with(shown)
        shown.args = (layer.node,)
    graph.module.recompile()
    return Shown(graph.module.eval(), modules, layers)


def refuse(name: str, layers: Sequence[Layer]) -> None:
    """NotApplicableError if a method can't take what one of the layers holds."""
    for layer in layers:
        layout = layer.layout
        if layout.images or layout.parts > 1:
            raise NotApplicableError(f"layer {layer.name} doesn't count images along its first dimension")
        if name == "ShapleyCAM" and layout.order != "channels first":
            raise NotApplicableError(f"layer {layer.name} has its channels last, which pytorch-grad-cam's can't take")
        if name == "AblationCAM" and layout.order == "single values":
            raise NotApplicableError(f"layer {layer.name} has no channels that could be ablated")


@contextlib.contextmanager
def hooked(name: str, settings: Mapping, shown: Shown) -> Iterator[Callable[..., np.ndarray]]:
    """Within `with`, the library's object, whose hooks are on the identities."""
    library = build(name, settings, shown)
    try:
        yield library
    finally:
        for base in getattr(library, "base_cam_per_layer", [getattr(library, "base_cam", library)]):
            held = base.activations_and_grads
            held.activations, held.gradients = [], []  # the library would detach them in place, which views refuse
            held.release()


def build(name: str, settings: Mapping, shown: Shown) -> Callable[..., np.ndarray]:
    """The library's object."""
    kind, further = getattr(pytorch_grad_cam, name), {}
    if name == "AblationCAM":
        last = shown.layers[0].layout.order == "channels last"
        further = {"ablation_layer": AblationLayerVit() if last else AblationLayer(), "batch_size": settings["batch"]}
    return kind(shown.network, shown.modules, reshape_by(shown.layers), **further)


def reshape_by(layers: Sequence[Layer]) -> Callable[[Tensor], Tensor] | None:
    """What puts layers' values in their places, as (n, C, h, w); None if all are in theirs."""
    if all(layer.layout.order == "channels first" for layer in layers):
        return None
    layouts = {layer.node.meta["tensor_meta"].shape[1:]: layer.layout for layer in layers}
    return lambda values: place_values(layouts[values.shape[1:]], values)


def place_values(layout: Layout, values: Tensor) -> Tensor:
    """The values of a layout, (n, …), as (n, C, h, w); those without a position are left out."""
    rows = layout.cell_rows(values).transpose(1, 2)  # (n, C, h·w)
    return layout.from_cells(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])


def score_of(name: str, settings: Mapping, target: int) -> Score:
    """What a method explains: a function of an image's logits."""
    if name == "ShapleyCAM":
        return ClassifierOutputReST(target)
    if name == "FinerCAM":
        return lambda logits: FinerWeightedTarget(target, nearest(logits, target), settings["alpha"])(logits)
    return ClassifierOutputTarget(target)


def nearest(logits: Tensor, target: int) -> list[int]:
    """The classes whose logits, (C,), are nearest to the target's, as FinerCAM chooses them for one image."""
    order = (logits.detach() - logits[target].detach()).abs().argsort(stable=True).tolist()
    return [index for index in order if index != target][:COMPARED]


def context_of(name: str) -> contextlib.AbstractContextManager:
    """What a method's passes run in: without derivatives if it takes none; second ones have only plain attention."""
    if name == "ShapleyCAM":
        return sdpa_kernel(SDPBackend.MATH)
    return torch.set_grad_enabled(GRADCAM[name].backward)


@contextlib.contextmanager
def reported(name: str) -> Iterator[None]:
    """InputError, in a line, for what the library may raise."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:LINES]
        raise InputError(f"pytorch-grad-cam's {name} raised {type(error).__name__}: {said}") from error
