"""A block of images, alone or with all of their scans by a kind of method: what steps that remove pixels begin with."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from explanations.data.images import load_images
from explanations.errors import InputError, check_range
from explanations.files.descriptions import read_description
from explanations.files.hashes import file_hash
from explanations.files.made_maps import MadeMaps
from explanations.files.manifests import check_labels, choose_block, read_manifest
from explanations.files.shards import ShardReader
from explanations.flags import flag
from explanations.methods.maps import ShardMaps
from explanations.methods.names import MethodName, parse_kind
from explanations.methods.saliency import LAYERS, list_methods, saliency_maps
from explanations.methods.transform import UPSAMPLINGS
from explanations.networks.decisions import Decisions, decide_in
from explanations.networks.devices import use_device
from explanations.networks.files import load_network, preprocess
from explanations.removal.measuring import check_whole_images, learn_errors, make_scans
from explanations.removal.operators.base import Operator, Pictures
from explanations.removal.orders import noise_partners, tie_orders
from explanations.removal.scans import Scan
from explanations.removal.settings import Computing, OperatorSettings, RemovalSettings


@dataclass(frozen=True)
class ImageSettings:
    """Which images, and of which network: files by their paths, a block of the manifest's images."""

    network: Path = flag("network file")
    manifest: Path = flag("of the images that are evaluated")
    images: Path = flag("folder that the manifest's paths are below")
    shards: Sequence[Path] = flag("all attribution shards of the network", nargs="+")
    shard: int = flag("which block of images", 0)
    shard_size: int = flag("images in a block", 100)
    builder: Path | None = flag("your own file that builds the network, if it is of source file", None)

    def __post_init__(self):
        check_range("removal.shard_size", self.shard_size, low=1)


@dataclass(frozen=True, kw_only=True)
class BlockSettings(ImageSettings):
    """Which images and maps: as ImageSettings, and a kind of method."""

    method: str = flag("all maps of this kind are measured; or, with --maps, the name of the method that these are of")
    maps: Sequence[Path] = flag("files of maps of a method with passes of its own", (), nargs="*")
    layers: str = flag("that have maps: all, or one for each stage", LAYERS[0], choices=LAYERS)
    upsampling: str = flag("of maps to the images' size", "bilinear", choices=UPSAMPLINGS)

    @property
    def kind(self) -> MethodName:
        """The kind of method, or the method with passes of its own."""
        return MethodName(self.method) if self.maps else parse_kind(self.method)


@dataclass(frozen=True)
class Images:
    """n images of a network, as pixels are removed from them; shards are read within open_images."""

    images: list[int]  # of the manifest
    labels: list[int]
    paths: list[str]
    inputs: Tensor  # (n, C, H, W)
    targets: Tensor  # (n,): the decisions
    decide: Decisions
    operator: Operator
    reader: ShardReader


@dataclass(frozen=True)
class Block(Images):
    """n images and their scans; a scan's key is (image, method, source, order), its place in results of `shape`.

    The first source is the image's own map, the others are noise maps. Scans read maps as they come, within open_block.
    """

    methods: list[MethodName]
    scans: Iterator[Scan]
    shape: tuple[int, int, int, int]  # (n, methods, 1 + noise maps, orders)
    title: str
    about: dict  # what results keep of settings


@contextmanager
def open_images(settings: ImageSettings, removal: OperatorSettings, computing: Computing) -> Iterator[Images]:
    """A block of images, and the network that decides for them.

    InputError for files that don't belong together, and for images that can't be measured (check_whole_images).
    """
    manifest = settings.manifest
    device = use_device(computing.device, computing.threads)
    rows = read_manifest(manifest)
    block = choose_block(rows, settings.shard, settings.shard_size, manifest)
    classifier, description = load_network(settings.network, settings.builder)
    check_labels(rows, len(description.classes), manifest)
    decide = decide_in(computing.precision, classifier, device, description.shape)
    pictures = [row.picture(settings.images, manifest) for row in block]
    loaded = load_images(pictures, description.framing, computing.threads)
    inputs = preprocess(torch.from_numpy(loaded), description).to(device)
    chosen, paths = [row.index for row in block], [row.path for row in block]
    with ShardReader(settings.shards, file_hash(settings.network)) as reader:
        reader.check_manifest(rows, manifest)
        check_whole_images(decide, inputs, reader.read("logits", chosen), paths, computing.batch)
        operator = removal.make_operator(Pictures.of(inputs, chosen, description, removal.seed))
        learn_errors(decide, inputs, operator)
        yield Images(
            images=chosen,
            labels=[row.label for row in block],
            paths=paths,
            inputs=inputs,
            targets=torch.from_numpy(reader.read("target", chosen)).to(device),
            decide=decide,
            operator=operator,
            reader=reader,
        )


@contextmanager
def open_block(
    settings: BlockSettings, removal: RemovalSettings, computing: Computing, orders: Sequence[str]
) -> Iterator[Block]:
    """A block's images, and its scans in some orders of removal; InputError as open_images."""
    kind, manifest, noise_maps = settings.kind, settings.manifest, removal.noise_maps
    count = len(read_manifest(manifest))
    if count == 1:
        raise InputError(
            f"removal.noise_maps is {noise_maps}; {manifest} holds 1 image, and noise maps are other images'"
        )
    check_range("removal.noise_maps", noise_maps, low=1, high=count - 1)
    partners = noise_partners(count, noise_maps, removal.seed)
    pixels = read_description(settings.network).size ** 2
    for order in orders:  # refuses a grid that has a step without a pixel, before any work
        removal.removed_counts(pixels, order)
    with open_images(settings, removal, computing) as block:
        chosen, reader, device = block.images, block.reader, block.inputs.device
        sources = [chosen, *(partners[chosen, r].tolist() for r in range(noise_maps))]
        methods, make = prepare_maps(kind, reader, settings, device)
        ties = tie_orders(chosen, pixels, removal.seed, removal.ties).to(device)
        kept = {key: getattr(settings, key) for key in ("upsampling", "method", "layers")}
        yield Block(
            **vars(block),
            methods=methods,
            scans=make_scans(methods, make, sources, ties, orders),
            shape=(len(chosen), len(methods), 1 + noise_maps, len(orders)),
            title=f"{reader.identity['network']} {reader.identity['variant']} {kind}",
            about={**reader.identity, **kept, **removal.describe(), "orders": list(orders)},
        )


def prepare_maps(
    kind: MethodName, reader: ShardReader, settings: BlockSettings, device: torch.device
) -> tuple[list[MethodName], Callable[[MethodName, Sequence[int]], Tensor]]:
    """The methods of a kind, and what makes a method's maps (n, H, W) of images: from shards, or from files of maps.

    There are none of a method that can't explain the network.
    """
    if settings.maps:
        made = MadeMaps(settings.maps, reader.identity["weights"])
        return ([] if made.not_applicable else [kind]), lambda name, images: torch.from_numpy(made.choose(images)).to(
            device
        )
    methods = list_methods(kind, ShardMaps(reader, [], device), settings.layers)
    return methods, lambda name, images: saliency_maps(name, ShardMaps(reader, images, device), settings.upsampling)
