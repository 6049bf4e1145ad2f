"""Make the saliency maps of a method with passes of its own, for one block of images (networks.<name>.explain).

In:  a network file, the manifest and its folder of images, all attribution shards of that network, which have the
     decisions to explain; the method's settings; of one that is made of another's maps, all files of these.
Out: an HDF5 file of maps (image × height × width), or of the reason why the method can't explain the network.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from explanations.command import run_command, step_parser
from explanations.data.images import load_images
from explanations.errors import InputError, check_range
from explanations.files.hashes import file_hash
from explanations.files.made_maps import MadeMaps, write_maps
from explanations.files.manifests import check_labels, choose_block, read_manifest
from explanations.files.shards import ShardReader
from explanations.flags import dictionary
from explanations.methods.maps import ShardMaps
from explanations.methods.names import parse_method
from explanations.methods.saliency import saliency_maps
from explanations.methods.sources.base import NotApplicableError, Untouched, make_maps
from explanations.methods.sources.registry import SOURCES, complete_settings, load_source
from explanations.methods.transform import UPSAMPLINGS
from explanations.networks.devices import place_network, use_device
from explanations.networks.files import load_network, pixel_bounds, preprocess
from explanations.progress import ProgressBar


def main(
    network: Path,
    manifest: Path,
    images: Path,
    shards: list[Path],
    output: Path,
    method: str,
    settings: dict,
    shard: int,
    shard_size: int,
    batch: int,
    seed: int,
    device: str,
    threads: int,
    upsampling: str = UPSAMPLINGS[0],
    of: Sequence[Path] = (),
    builder: Path | None = None,
) -> None:
    check_range("attributions.shard_size", shard_size, low=1)
    check_range("attributions.batch", batch, low=1)
    try:
        complete = complete_settings(settings)
        source = load_source(settings["source"])
    except InputError as error:
        raise InputError(f"methods.{method}.{error}") from None
    device = use_device(device, threads)
    rows = read_manifest(manifest)
    block = choose_block(rows, shard, shard_size, manifest)
    classifier, description = load_network(network, builder)
    check_labels(rows, len(description.classes), manifest)
    classifier = place_network(classifier, device).requires_grad_(False)
    chosen = [row.index for row in block]
    gaps, reason, start = np.zeros(0, np.float32), "", None
    made, untouched = np.zeros((0, description.size, description.size), np.float32), Untouched(classifier)
    with ShardReader(shards, file_hash(network)) as reader:
        reader.check_manifest(rows, manifest)
        identity, targets = reader.identity, reader.read("target", chosen)
        loaded = load_images([row.picture(images, manifest) for row in block], description.framing, threads)
        inputs = preprocess(torch.from_numpy(loaded), description).to(device)
        explained = torch.from_numpy(targets).to(device)
        try:
            names, other = [row.path for row in rows], []
            if SOURCES[settings["source"]].of:
                other.append(read_other(complete["of"], of, reader, upsampling))
            if SOURCES[settings["source"]].bounded:
                other.append(pixel_bounds(description).to(device))
            prepared = source.prepare(complete, classifier, (description.size,) * 2, names, *other)
            start = time.perf_counter()
            parts = []
            with ProgressBar(f"{identity['network']} {identity['variant']} {method}", len(block), "image") as bar:
                step = 1 if prepared.alone else batch
                for place in range(0, len(block), step):
                    part = slice(place, place + step)
                    parts.append(make_maps(prepared, inputs[part], explained[part], chosen[part], seed, batch))
                    bar.advance(len(chosen[part]))
            made = torch.cat(parts).numpy()
            gaps = torch.cat(prepared.gaps).numpy() if prepared.gaps else gaps
            untouched.check()
        except NotApplicableError as error:
            reason = str(error)
            print(f"{method} is not applicable to {identity['network']}, because {reason}")
        except InputError as error:
            raise InputError(f"methods.{method}: {error}") from None
    seconds = (time.perf_counter() - start) / len(block) if start and not reason else np.nan
    about = {"method": method, "settings": json.dumps(settings, sort_keys=True), "not_applicable": reason}
    about |= {**identity, "seconds_per_image": seconds}
    write_maps(output, [] if reason else chosen, [] if reason else targets, made, gaps, about)


def read_other(
    method: str, files: Sequence[Path], reader: ShardReader, upsampling: str
) -> Callable[[Sequence[int]], Tensor]:
    """What gives another method's maps (n, H, W) of images by their indices: from its files, or from shards.

    NotApplicableError, with the reason, if that method can't explain the network.
    """
    if files:
        made = MadeMaps(files, reader.identity["weights"])
        if made.not_applicable:
            raise NotApplicableError(made.not_applicable)
        return lambda images: torch.from_numpy(made.choose(images))
    name = parse_method(method)
    return lambda images: saliency_maps(name, ShardMaps(reader, images), upsampling)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--builder", type=Path, help="your own file that builds the network, if it is of source file")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="all attribution shards of the network")
    parser.add_argument("--output", type=Path, required=True, help="file of maps to write")
    parser.add_argument("--method", required=True, help="the method's name, kept in the file")
    parser.add_argument("--settings", type=dictionary, required=True, help="the method's source and settings")
    meaning = "all files of maps of the method whose maps this one is made of, if it has passes of its own"
    parser.add_argument("--of", type=Path, nargs="*", default=[], help=meaning)
    meaning = "of the paper's maps that this method is made of"
    parser.add_argument("--upsampling", choices=UPSAMPLINGS, default=UPSAMPLINGS[0], help=meaning)
    parser.add_argument("--shard", type=int, default=0, help="which block of images")
    parser.add_argument("--shard-size", type=int, default=100, help="images in a block")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0, help="of methods that draw random numbers")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    run_command(parser, main)
