"""Compare a network's attributions between layers' activities and biases and between variants (fig. S8, claim 11).

In:  the attribution shards of a network: original, and zeroed, decayed or both.
Out: correlations, CSV: comparison (bias, zeroed, decayed) × layer: n, p10, median, p90 of Pearson's correlation over
     positions, per image; gross sums, CSV: variant × layer: how far A^{h,l} is from the score, how often it is
     negative. Empty where no image has a correlation, and where a gap has no bound: of a score that is 0.

Each network explains its own decision; maps of one position have no correlation and are left out.
"""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from explanations.command import run_command, step_parser
from explanations.files.shards import ShardReader
from explanations.files.tables import write_table
from explanations.methods.bias import add_biases
from explanations.methods.maps import ShardMaps
from explanations.plan import VARIANTS
from explanations.statistics.tests import pearson

BLOCK = 100  # images whose maps are in memory at a time


def main(original: list[Path], zeroed: list[Path], decayed: list[Path], correlations: Path, gross_sums: Path) -> None:
    shards = dict(zip(VARIANTS, (original, zeroed, decayed), strict=True))
    with ExitStack() as stack:
        readers = {variant: stack.enter_context(ShardReader(paths)) for variant, paths in shards.items() if paths}
        collected = correlate(readers)
        sums = [row for reader in readers.values() for row in sum_layers(reader)]
    for rows, path in ((collected, correlations), (sums, gross_sums)):
        write_table(path, pd.DataFrame(rows))


def blocks(reader: ShardReader) -> list[list[int]]:
    """The images of a reader's shards, so many at a time: memory does not grow with their number."""
    return [reader.images[start : start + BLOCK] for start in range(0, len(reader.images), BLOCK)]


def correlate(readers: dict[str, ShardReader]) -> list[dict]:
    """Rows of spatial correlations: the original's activity with its bias, and with the other variants' activity."""
    collected: dict[tuple[int, str], list[np.ndarray]] = {}
    for images in blocks(readers["original"]):
        maps = {variant: ShardMaps(reader, images) for variant, reader in readers.items()}
        original = maps["original"]
        for layer in original.layers:
            activity = original.activity(layer).numpy()
            others = {variant: maps[variant].activity(layer).numpy() for variant in readers if variant != "original"}
            if layer in original.operation_layers:
                others["bias"] = add_biases(original, layer).numpy()
            for comparison, other in others.items():
                collected.setdefault((layer, comparison), []).append(pearson(activity, other))
    rows = []
    for (layer, comparison), parts in collected.items():
        rho = np.concatenate(parts)
        rho = rho[~np.isnan(rho)]
        p10, median, p90 = np.percentile(rho, [10, 50, 90]) if len(rho) else [np.nan] * 3
        network = readers["original"].identity["network"]
        row = {"network": network, "comparison": comparison, "layer": layer, "n": len(rho)}
        rows.append({**row, "p10": p10, "median": median, "p90": p90})
    return rows


def sum_layers(reader: ShardReader) -> list[dict]:
    """Rows of gross sums A^{h,l} (Eq. 14) against the score, over images."""
    score = reader.read("score", reader.images)
    rows = []
    for layer in range(len(reader.layer_names)):
        gross = np.concatenate([reader.gross_sum(layer, images) for images in blocks(reader)])
        row = {"network": reader.identity["network"], "variant": reader.identity["variant"], "layer": layer}
        row |= {"name": reader.layer_names[layer], "n": len(gross), "median_gross_sum": np.median(gross)}
        gap = relative_gaps(gross, score)
        largest, median = (bound if np.isfinite(bound) else np.nan for bound in (gap.max(), np.median(gap)))
        row |= {"median_relative_gap": median, "largest_relative_gap": largest}
        rows.append({**row, "negative_share": (gross < 0).mean()})
    return rows


def relative_gaps(gross: np.ndarray, score: np.ndarray) -> np.ndarray:
    """|A − f_c| / |f_c|, (n,); 0 where both are 0, infinite where the score alone is."""
    gap, size = np.abs(gross - score), np.abs(score).astype(float)
    return np.divide(gap, size, out=np.where(gap > 0, np.inf, 0.0), where=size > 0)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    for variant in VARIANTS:
        parser.add_argument(
            f"--{variant}", type=Path, nargs="*", required=True, help=f"shards of the {variant} network"
        )
    parser.add_argument("--correlations", type=Path, required=True, help="CSV to write")
    parser.add_argument("--gross-sums", type=Path, required=True, help="CSV to write")
    run_command(parser, main)
