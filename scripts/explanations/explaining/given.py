"""A network and its images as they are given to steps that make maps anew, by all methods that it is explained by."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from explanations.data.images import load_images
from explanations.errors import check_range
from explanations.files.descriptions import NetworkDescription
from explanations.files.hashes import file_hash
from explanations.files.manifests import ManifestRow, check_labels, read_manifest
from explanations.files.shards import ShardReader
from explanations.flags import dictionary, flag
from explanations.methods.maps import ShardMaps
from explanations.methods.names import MethodName, parse_kind
from explanations.methods.saliency import LAYERS, list_methods
from explanations.methods.transform import UPSAMPLINGS
from explanations.networks.devices import place_network, use_device
from explanations.networks.files import load_network, pixel_bounds, preprocess


@dataclass(frozen=True, kw_only=True)
class GivenSettings:
    """Files by their paths, methods, and how maps are made; InputError for values out of range."""

    network: Path = flag("network file")
    manifest: Path = flag("of the images that are evaluated")
    images: Path = flag("folder that the manifest's paths are below")
    shards: Sequence[Path] = flag("all attribution shards of the network", nargs="+")
    builder: Path | None = flag("your own file that builds the network, if it is of source file", None)
    methods: Sequence[str] = flag("kinds of methods: gradient activity …", (), nargs="*")
    own: Mapping[str, Mapping] = flag("methods with passes of their own, with settings", type=dictionary)
    layers: str = flag("that have maps: all, or one for each stage", LAYERS[0], choices=LAYERS)
    upsampling: str = flag("of maps to the images' size", "bilinear", choices=UPSAMPLINGS)
    batch: int = flag("images of a pass", 32)
    resamples: int = flag("of the bootstrap", 2000)
    seed: int = flag("of stochastic methods, of what is drawn, of the bootstrap", 0)
    device: str = flag("auto, cpu, cuda or cuda:<n>", "auto")
    threads: int = flag("CPU threads", 1)

    def __post_init__(self):
        check_range("attributions.batch", self.batch, low=1)
        check_range("statistics.resamples", self.resamples, low=100)

    @property
    def kinds(self) -> list[MethodName]:
        """The kinds of the methods that read the decomposition."""
        return [parse_kind(name) for name in self.methods]


@dataclass(frozen=True, eq=False)  # tensors have no truth value
class Given:
    """A network in evaluation mode on its device, the manifest's rows, and what the network's shards hold of them."""

    settings: GivenSettings
    network: nn.Module
    description: NetworkDescription
    device: torch.device
    rows: list[ManifestRow]
    reader: ShardReader

    @property
    def about(self) -> dict:
        """What tables name: the experiment, the network, its variant."""
        return {key: self.reader.identity[key] for key in ("experiment", "network", "variant")}

    @property
    def bounds(self) -> Tensor:
        """The lowest and the highest value that pixels have, (2, C, 1, 1)."""
        return pixel_bounds(self.description).to(self.device)

    def list_papers(self) -> list[MethodName]:
        """The methods that read the decomposition."""
        maps = ShardMaps(self.reader, [])
        return [name for kind in self.settings.kinds for name in list_methods(kind, maps, self.settings.layers)]

    def load(self, images: Sequence[int]) -> Tensor:
        """The images of these numbers as the network reads them, (n, C, H, W), on its device."""
        shape = self.description.shape
        files = [self.rows[image].picture(self.settings.images, self.settings.manifest) for image in images]
        framed = (self.description.framing, self.settings.threads)
        pixels = load_images(files, *framed) if files else np.zeros((0, *shape), np.uint8)
        return preprocess(torch.from_numpy(pixels), self.description).to(self.device)


@contextmanager
def open_given(settings: GivenSettings) -> Iterator[Given]:
    """What is given, whose shards are read within `with`; InputError for files that don't belong together."""
    device = use_device(settings.device, settings.threads)
    rows = read_manifest(settings.manifest)
    network, description = load_network(settings.network, settings.builder)
    check_labels(rows, len(description.classes), settings.manifest)
    network = place_network(network, device).requires_grad_(False)
    with ShardReader(settings.shards, file_hash(settings.network)) as reader:
        reader.check_manifest(rows, settings.manifest)
        yield Given(settings, network, description, device, rows, reader)
