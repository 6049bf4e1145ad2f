"""A network that explains images: attributions of one image (Eqs 5–15), and its maps measured by removal (§4).

    explainer = Explainer(network, description, Computing())
    cat, *others = [explainer.read(path) for path in paths]
    explanation = explainer.explain(cat, others, ["gradcam", "fullgrad"], RemovalSettings())

Every image passes by itself, so that no number depends on which other images are explained.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from explanations.data.images import inspect_image, load_image
from explanations.data.pictures import as_rgb
from explanations.decomposition.completeness import check_attributions
from explanations.decomposition.decomposition import Attributions, Decomposition, completeness_gap
from explanations.decomposition.layer_bias import layer_bias
from explanations.errors import InputError
from explanations.explaining.explanation import ClassScore, ExplainedLayer, Explanation, MeasuredMap
from explanations.explaining.maps import AttributionMaps
from explanations.files.descriptions import NetworkDescription
from explanations.files.framing import Picture
from explanations.files.hashes import file_hash
from explanations.files.measurements import STORED
from explanations.files.orders import ORDERS
from explanations.methods.names import MethodName, parse_method
from explanations.methods.saliency import list_methods, saliency_maps
from explanations.networks.decisions import decide_in
from explanations.networks.devices import place_network, use_device
from explanations.networks.files import preprocess
from explanations.removal.measuring import check_whole_images, learn_errors, make_scans, measure
from explanations.removal.operators.base import Pictures
from explanations.removal.orders import rank_pixels, tie_orders
from explanations.removal.scans import Flip
from explanations.removal.settings import Computing, RemovalSettings
from explanations.text import is_one_line

ALPHA = 4  # channels of a network that sees transparency
TOP = 5  # classes that are named
FIRST = 0  # ties of an image are decided as of a manifest's first, whatever other images are explained


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class AttributedImage:
    """An image with its attributions: `pixels` (C, H, W) uint8, `inputs` (1, C, H, W) as the network takes them."""

    name: str
    content: str
    pixels: np.ndarray
    inputs: Tensor
    attributions: Attributions
    maps: AttributionMaps

    @property
    def decision(self) -> int:
        """The network's own decision, whatever class was explained."""
        return int(self.attributions.logits[0].argmax())


class Explainer:
    """A network and its description, traced once and placed on a device, for any number of images.

    `tolerance` is that of the gate (Eq. 13), `upsampling` how maps get the images' size. `layers` are those with more
    than one position, from 0, the input; `operation_layers` the layers of the biased operations.
    """

    def __init__(
        self,
        network: nn.Module,
        description: NetworkDescription,
        computing: Computing,
        upsampling: str = "bilinear",
        tolerance: float = 1e-5,
    ):
        """`network` is in evaluation mode, and moved to the device; InputError if it can't be traced."""
        self.description, self.computing = description, computing
        self.upsampling, self.tolerance = upsampling, tolerance
        self.device = use_device(computing.device, computing.threads)
        self._decide = decide_in(computing.precision, network, self.device, description.shape)
        network = place_network(network, self.device).requires_grad_(False)
        example = torch.zeros(1, *description.shape, device=self.device)
        self._decomposition = Decomposition(network, example)
        self.layer_names = ["input", *(layer.name for layer in self._decomposition.layers)]
        self.operation_layers = [operation.layer for operation in self._decomposition.operations]
        with_positions = [layer.index for layer in self._decomposition.layers if layer.layout.size != (1, 1)]
        self.layers = [0, *with_positions]

    # --- attributions

    def read(self, path: Path, target: int | None = None) -> AttributedImage:
        """The attributions of an image file, turned upright as its EXIF orientation says; else as `attribute`.

        InputError, naming the file, if it can't be read as an image, or if there is nothing to see in it.
        """
        if not is_one_line(str(path)):  # no result could name it
            raise InputError(f"{str(path)!a}: allowed are names in UTF-8, without line breaks and control characters")
        inspection = inspect_image(path)
        if inspection.transparent and self.description.channels < ALPHA:
            raise InputError(f"{path}: all of it is transparent; allowed are images in which there is something to see")
        picture = Picture(path, inspection.orientation)
        attributed = self.attribute(load_image(picture, self.description.framing), str(path), target)
        return replace(attributed, content=file_hash(path))

    def attribute(self, pixels: np.ndarray, name: str, target: int | None = None) -> AttributedImage:
        """The attributions of pixels (C, H, W) uint8, of the network's size: of `target`'s score, or the decision's.

        InputError, with the image's `name`, unless the decomposition is complete at every layer and all is finite.
        """
        inputs = preprocess(torch.from_numpy(pixels[None].copy()).to(self.device), self.description)
        targets = None if target is None else torch.tensor([target], device=self.device)
        attributions = self._decomposition(inputs, targets)
        check_attributions(attributions, self.operation_layers, [name], self.tolerance)
        maps = AttributionMaps(attributions, self.operation_layers)
        return AttributedImage(name, "", pixels, inputs, attributions, maps)

    # --- methods

    def parse_methods(self, names: Sequence[str]) -> list[MethodName]:
        """Methods by their names; InputError for one that there isn't, or not of this network."""
        parsed = [parse_method(name) for name in names]
        for name in parsed:
            known = list_methods(name.all_layers, self)
            if name not in known:
                have = f"has {', '.join(map(str, known))}" if known else "has no map of this kind"
                raise InputError(f"method is {name}; {self.description.constructor} {have}")
        return parsed

    def default_methods(self) -> list[str]:
        """The main methods, from the gradient to the top layer's activity, as far as the network has maps of them."""
        kinds = ("gradient", "input", "gradcam", "fullgrad", "activity_with_input")
        aggregates = list_methods(MethodName("activity_from"), self)
        singles = list_methods(MethodName("activity"), self)
        # all layers, the top two, the top one: where layers are few, some of them are the same
        chosen = [*map(MethodName, kinds), *aggregates[:1], *aggregates[-1:], *singles[-1:]]
        return list(dict.fromkeys(map(str, chosen)))

    # --- explanations

    def explain(
        self,
        image: AttributedImage,
        references: Sequence[AttributedImage],
        methods: Sequence[str],
        settings: RemovalSettings,
        advance: Callable[[Flip], None] = lambda flip: None,
    ) -> Explanation:
        """All that is found of an image. Maps of `references`, each of its own decision's score, are the noise maps.

        Removal waits for the network's own decision on the image to change, whatever class is explained. `advance` is
        told of the end of every scan: `count_scans` says how many there are. InputError without references, for one
        that explains another class than its decision, for methods that the network hasn't, and for an image without
        signal.
        """
        if not references:
            raise InputError(f"{image.name}: there is no other image, whose maps would be the noise maps")
        for other in references:
            if int(other.attributions.target[0]) != other.decision:
                raise InputError(f"{other.name}: as a reference it must be explained for its own decision")
        parsed = self.parse_methods(methods)
        logits, batch = image.attributions.logits, self.computing.batch
        check_whole_images(self._decide, image.inputs, logits.float().cpu().numpy(), [image.name], batch)
        operator = settings.make_operator(Pictures.of(image.inputs, [FIRST], self.description, settings.seed))
        learn_errors(self._decide, image.inputs, operator)
        order = tie_orders([FIRST], image.inputs[0, 0].numel(), settings.seed, settings.ties).to(self.device)
        sources = [image.maps, *(other.maps for other in references)]
        found = measure(
            decide=self._decide,
            inputs=image.inputs,
            targets=logits.argmax(1),
            scans=make_scans(parsed, lambda name, maps: saliency_maps(name, maps, self.upsampling), sources, order),
            shape=(1, len(parsed), len(sources), len(ORDERS)),
            names=[image.name],
            settings=settings,
            operator=operator,
            batch=batch,
            advance=advance,
        )
        saliency = [saliency_maps(name, image.maps, self.upsampling) for name in parsed]
        maps = [
            MeasuredMap(
                method=str(name),
                saliency=values[0].cpu().numpy(),
                stored={measure: float(found[measure][0, m]) for measure in STORED},
                flip_minus=int(found["flip_minus"][0, m]),
                flip_plus=int(found["flip_plus"][0, m]),
            )
            for m, (name, values) in enumerate(zip(parsed, saliency, strict=True))
        ]
        explanation = Explanation(
            name=image.name,
            content=image.content,
            network=self.description,
            pixels=as_rgb(image.pixels),
            top=tuple(self._score(image, index) for index in logits[0].argsort(descending=True, stable=True)[:TOP]),
            target=self._score(image, image.attributions.target[0]),
            layers=tuple(self._layers(image)),
            maps=tuple(maps),
            references=tuple(other.name for other in references),
            removed=None,
        )
        best = explanation.best
        if best is None:
            return explanation
        rank = rank_pixels(saliency[maps.index(best)], order)[0]
        count = settings.removed_counts(rank.numel(), "minus")[best.flip_minus]
        return replace(explanation, removed=(rank < count).view(*image.maps.size).cpu().numpy())

    @staticmethod
    def count_scans(references: int, methods: int) -> int:
        """How many scans an image's explanation takes."""
        return methods * (1 + references) * len(ORDERS)

    def _score(self, image: AttributedImage, index: Tensor) -> ClassScore:
        logits, k = image.attributions.logits[0].double(), int(index)
        return ClassScore(k, self.description.classes[k], float(logits[k]), float(logits.softmax(0)[k]))

    def _layers(self, image: AttributedImage) -> list[ExplainedLayer]:
        """The input's and all layers' attributions, with their gross sums (Eq. 14) in double precision."""
        found, owners = image.attributions, self.operation_layers
        gap, size = completeness_gap(found, owners)
        rest = [found.activity_non_spatial[0].double(), found.bias_non_spatial[0].double()]
        bias_sums = [float(each.double().sum() + share) for each, share in zip(found.bias, rest[1], strict=True)]
        layers = []
        for l, (name, activity) in enumerate(zip(self.layer_names, found.activity, strict=True)):
            own = [each[0] for each, owner in zip(found.bias, owners, strict=True) if owner == l]
            layers.append(
                ExplainedLayer(
                    name=name,
                    activity=activity[0].float().cpu().numpy(),
                    bias=layer_bias(own).float().cpu().numpy() if own else None,
                    activity_sum=float(activity.double().sum() + rest[0][l]),
                    bias_sum=sum(value for value, owner in zip(bias_sums, owners, strict=True) if owner == l),
                    above=sum(value for value, owner in zip(bias_sums, owners, strict=True) if owner > l),
                    gap=float(gap[0, l]),
                    relative_gap=float(gap[0, l] / size[0, l]) if size[0, l] else 0.0,
                )
            )
        return layers
