"""All methods whose maps files hold, one after the other: the paper's from shards, others from files of maps."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from explanations.files.hdf5 import read_hdf5
from explanations.files.made_maps import MadeMaps
from explanations.files.shards import ShardReader
from explanations.methods.maps import ShardMaps
from explanations.methods.names import parse_kind
from explanations.methods.saliency import LAYERS, list_methods, saliency_maps
from explanations.progress import progress

BLOCK = 100  # images whose maps are in memory at a time

Maker = Callable[[Sequence[int]], np.ndarray]  # a method's maps (n, H, W) of images of the manifest


def list_makers(
    task: str,
    reader: ShardReader,
    kinds: Sequence[str],
    maps: Sequence[Path],
    upsampling: str,
    layers: str = LAYERS[0],
) -> Iterator[tuple[str, Maker]]:
    """Each method's name, and what makes its maps: those of some kinds from shards, then those from files of maps.

    `task` is what the progress says is done with them.
    """
    held, own = ShardMaps(reader, []), group_by_method(maps)
    names = [name for kind in kinds for name in list_methods(parse_kind(kind), held, layers)]
    for name in progress(names, f"{task} {reader.identity['network']}", unit="method"):
        yield str(name), lambda block, name=name: saliency_maps(name, ShardMaps(reader, block), upsampling).numpy()
    for name, files in own.items():
        made = MadeMaps(files, reader.identity["weights"])
        if made.not_applicable:
            print(f"left out: {name} is not applicable, because {made.not_applicable}")
        else:
            yield name, made.choose


def group_by_method(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Files of maps by the method that made them, in the order given."""
    groups: dict[str, list[Path]] = {}
    for path in paths:
        method = read_hdf5(path, "file of maps", (), ("method",))[1]["method"]
        groups.setdefault(str(method), []).append(path)
    return groups
