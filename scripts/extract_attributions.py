"""Extract the attributions of a block of images: one forward and one backward pass per batch.

In:  a network file, the manifest and its folder of images.
Out: an attribution shard (HDF5) of images [shard·size, (shard + 1)·size) of the manifest.

The gate: at every layer the activity's and all higher biases' gross sums must add up to the score (Eq. 13), and no
value may be NaN or infinite; otherwise the step stops and names the image, the layer and both numbers.
"""

from pathlib import Path

import h5py
import numpy as np
import torch

from explanations.command import run_command, step_parser
from explanations.data.images import read_batches
from explanations.decomposition.completeness import check_attributions
from explanations.decomposition.decomposition import Decomposition
from explanations.errors import check_range
from explanations.files.hashes import file_hash
from explanations.files.hdf5 import write_hdf5
from explanations.files.manifests import check_labels, choose_block, read_manifest
from explanations.files.shards import Operation, ShardWriter
from explanations.networks.devices import place_network, use_device
from explanations.networks.files import load_network, preprocess
from explanations.progress import ProgressBar


def main(
    network: Path,
    manifest: Path,
    images: Path,
    output: Path,
    experiment: str,
    name: str,
    shard: int,
    shard_size: int,
    batch: int,
    tolerance: float,
    device: str,
    threads: int,
    builder: Path | None = None,
) -> None:
    check_range("attributions.shard_size", shard_size, low=1)
    check_range("attributions.batch", batch, low=1)
    check_range("attributions.tolerance", tolerance, low=0, open_low=True)
    device = use_device(device, threads)
    listed = read_manifest(manifest)
    rows = choose_block(listed, shard, shard_size, manifest)
    classifier, description = load_network(network, builder)
    check_labels(listed, len(description.classes), manifest)
    classifier = place_network(classifier, device).requires_grad_(False)
    example = torch.zeros(1, *description.shape, device=device)
    decomposition = Decomposition(classifier, example)
    operations = [Operation(operation.name, operation.layer) for operation in decomposition.operations]
    identity = {
        "experiment": experiment,
        "network": name,
        "variant": description.variant,
        "weights": file_hash(network),
    }
    versions = {"torch": str(torch.__version__), "numpy": np.__version__, "h5py": h5py.__version__}
    layers = ["input", *(layer.name for layer in decomposition.layers)]
    with write_hdf5(output) as file:
        writer = ShardWriter(file, len(rows), identity, layers, operations, versions)
        with ProgressBar(f"{name} {description.variant}", len(rows), "image") as bar:
            blocks = [rows[start : start + batch] for start in range(0, len(rows), batch)]
            files = ([row.picture(images, manifest) for row in block] for block in blocks)
            for block, loaded in zip(blocks, read_batches(files, description.framing, threads), strict=True):
                # every pass has the same size: kernels differ by it, and so would an image's last digits by its block
                filled = loaded[np.minimum(np.arange(batch), len(block) - 1)]
                inputs = preprocess(torch.from_numpy(filled).to(device), description)
                attributions = decomposition(inputs).first(len(block))
                names = [f"{output}: image {row.index} ({row.path})" for row in block]
                check_attributions(attributions, [operation.layer for operation in operations], names, tolerance)
                index, label = (np.array([getattr(row, key) for row in block], np.int64) for key in ("index", "label"))
                writer.append({"image": index, "label": label, **attributions.to_arrays()})
                bar.advance(len(block))


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--builder", type=Path, help="your own file that builds the network, if it is of source file")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--output", type=Path, required=True, help="shard to write")
    parser.add_argument("--experiment", default="experiment", help="the experiment's name, kept in the shard")
    parser.add_argument("--name", default="network", help="the network's name, kept in the shard")
    parser.add_argument("--shard", type=int, default=0, help="which block of images")
    parser.add_argument("--shard-size", type=int, default=100, help="images in a block")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tolerance", type=float, default=1e-5, help="of the completeness gate, relative")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    run_command(parser, main)
