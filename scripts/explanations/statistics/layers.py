"""Which layers a network has: those with maps, of which removal may have measured a part (`networks.<name>.layers`)."""

from collections.abc import Iterable
from pathlib import Path

from explanations.files.shards import ShardReader


def read_sizes(shards: Iterable[Path]) -> dict[str, dict[int, int]]:
    """The height of the maps of each layer that has any, 0 the input, of each network that a shard is given of."""
    sizes = {}
    for path in shards:
        with ShardReader([path]) as reader:
            sizes[reader.identity["network"]] = {l: height for l, (height, _) in reader.map_sizes().items()}
    return sizes


def read_layers(shards: Iterable[Path]) -> dict[str, list[int]]:
    """The layers that have maps, ascending, without the input, of each network that a shard is given of."""
    return {network: [layer for layer in sizes if layer] for network, sizes in read_sizes(shards).items()}
