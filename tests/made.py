"""Made-up results of networks of any layers: shards of a manifest's images, and the statistics of their removal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from explanations.files.hdf5 import write_hdf5
from explanations.files.manifests import read_manifest
from explanations.files.shards import Operation, ShardWriter
from explanations.files.tables import write_table

MEASURED = ("delta_e_minus", "e_minus", "delta_e_delta", "e_delta")


def write_shard(
    path: Path,
    manifest: Path,
    sizes: Sequence[int],
    biases: Sequence[tuple[int, int]] = (),
    *,
    network: str = "made",
    variant: str = "original",
    non_spatial: bool = False,
) -> Path:
    """A shard of all images of a manifest: layers of the heights `sizes`, biased operations (layer, height).

    With `non_spatial`, part of every attribution has no position.
    """
    rows = read_manifest(manifest)
    rng = np.random.default_rng(0)
    count = len(rows)

    def maps(heights: Sequence[int]) -> list[np.ndarray]:
        return [rng.normal(size=(count, height, height)).astype(np.float32) for height in heights]

    def rest(number: int) -> np.ndarray:
        return rng.normal(size=(count, number)) * non_spatial

    logits = np.eye(10)[np.arange(count) % 10]
    arrays = {"image": np.arange(count), "label": np.array([row.label for row in rows]), "logits": logits}
    arrays |= {"target": logits.argmax(1), "score": logits.max(1)}
    arrays |= {"gradient": maps([sizes[0]])[0], "gradcam": maps([2])[0]}
    arrays |= {"activity": maps(sizes), "activity_elsewhere": rest(len(sizes))}
    heights = [height for _, height in biases]
    arrays |= {"bias": maps(heights), "fullgrad_feature": maps(heights), "bias_elsewhere": rest(len(biases))}
    operations = [Operation(f"operation {k}", layer) for k, (layer, _) in enumerate(biases)]
    identity = {"experiment": "tests", "network": network, "variant": variant, "weights": "0" * 64}
    with write_hdf5(path) as file:
        writer = ShardWriter(file, count, identity, [f"layer {l}" for l in range(len(sizes))], operations, {})
        writer.append(arrays)
    return path


def write_summaries(path: Path, methods: Sequence[str], network: str = "made", variant: str = "original") -> Path:
    """The summaries of some methods."""
    rng = np.random.default_rng(len(methods))
    rows = []
    for method in methods:
        for measure in MEASURED:
            middle = rng.normal(0.3, 0.1)
            quartiles = {"q25": middle - 0.1, "median": middle, "q75": middle + 0.1}
            interval = {"ci_low": middle - 0.02, "ci_high": middle + 0.02}
            rows.append({"method": method, "measure": measure, "n": 90, **quartiles, **interval})
    about = {"experiment": "tests", "network": network, "variant": variant, "upsampling": "bilinear"}
    write_table(path, pd.DataFrame(rows), about)
    return path


def write_tests(path: Path, pairs: Mapping[str, Sequence[tuple[str, str]]], network: str = "made") -> Path:
    """The tests of pairs of methods, by family; across variants where the family says so."""
    rng = np.random.default_rng(len(pairs))
    rows = []
    for family, methods in pairs.items():
        for a, b in methods:
            for measure in MEASURED:
                row = {"family": family, "measure": measure, "method_a": a, "method_b": b, "n": 90}
                middle = rng.normal(0, 0.1)
                row |= {"q25_difference": middle - 0.1, "median_difference": middle, "q75_difference": middle + 0.1}
                row |= {"ci_low": middle - 0.02, "ci_high": middle + 0.02, "effect_size": np.tanh(middle)}
                rows.append({**row, "log10_p_holm": -abs(rng.normal(0, 20)) - 1e-3})
    decayed = all(family.startswith("variant") for family in pairs)
    about = {"network": network, "variant_a": "decayed" if decayed else "original", "variant_b": "original"}
    write_table(path, pd.DataFrame(rows), about)
    return path
