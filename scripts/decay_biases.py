"""Decay all biases of a network to zero while it is fine-tuned to keep its outputs (Supplementary C).

In:  a network file, the manifest of images to tune on (no labels are used) and its folder, the manifest of test images
     and its folder.
Out: the network file of its `decayed` variant, with its accuracy; and the record, tidy CSV with a row for each decay
     step: the biases' factor, the accuracy of the network as tuned so far, and that of the network as it came with its
     biases brought to the same factor by brute force.

At every decay step the biases are set to the profile's factor times their original values and held there, while the
weights take some training steps (see explanations/networks/decay.py). A checkpoint beside the output lets a killed run
go on where it was, to the same weights on the same machine; it is removed at the end.
"""

import hashlib
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from explanations.command import run_command, step_parser
from explanations.errors import InputError, check_range
from explanations.files.hashes import file_hash
from explanations.files.manifests import read_manifest
from explanations.files.tables import write_table
from explanations.flags import dictionary
from explanations.networks.decay import Decay, DecaySettings
from explanations.networks.decay_checkpoints import run_decay
from explanations.networks.devices import compute_in, place_network, use_device
from explanations.networks.evaluation import LabelledImages
from explanations.networks.files import load_network, save_network


def main(
    network: Path,
    name: str,
    tuning_images: Path,
    tuning: Path,
    test_images: Path,
    images: Path,
    output: Path,
    record: Path,
    settings: DecaySettings,
    record_images: int,
    checkpoint_seconds: float,
    device: str,
    threads: int,
    recipe: dict | None = None,
    builder: Path | None = None,
) -> None:
    check_range("decay.record_images", record_images, low=1)
    check_range("--checkpoint-seconds", checkpoint_seconds, low=0)
    chosen = use_device(device, threads)
    classifier, description = load_network(network, builder)
    place_network(classifier, chosen, settings.precision)
    pictures = [row.picture(tuning, tuning_images) for row in read_manifest(tuning_images)]
    if settings.batch > len(pictures):
        raise InputError(f"decay.batch is {settings.batch}; {tuning_images} holds {len(pictures)} images")
    test = LabelledImages.read(test_images, images, description, threads).with_decisions(classifier)
    recorded = test.draw(record_images, settings.seed)
    decay = Decay(classifier, pictures, description, settings, threads)
    checkpoint = output.with_suffix(".checkpoint")
    files = [file_hash(path) for path in (network, tuning_images, test_images)]
    made_of = f"{asdict(settings)} {record_images} {files} {tuning} {images} {torch.__version__}"

    def measure(tuned: nn.Module) -> float:
        with compute_in(settings.precision, chosen):
            return recorded.accuracy(tuned)

    fingerprint = hashlib.sha256(made_of.encode()).hexdigest()
    rows = run_decay(decay, measure, checkpoint, fingerprint, checkpoint_seconds)
    about = {"network": name, "profile": settings.profile, "steps": settings.steps}
    about |= {"temperature": settings.temperature, "n": len(recorded)}
    tested = {**asdict(settings), **test.record_accuracy(classifier)}
    if recipe:
        tested["recipe"] = recipe
    write_table(record, pd.DataFrame(rows), about)
    save_network(output, classifier, description.with_variant("decayed", "biases decayed", file_hash(network), tested))
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--builder", type=Path, help="your own file that builds the network, if it is of source file")
    parser.add_argument("--name", required=True, help="the network's name in the record")
    parser.add_argument("--tuning-images", type=Path, required=True, help="manifest of images to tune on")
    parser.add_argument("--tuning", type=Path, required=True, help="folder that its paths are below")
    parser.add_argument("--test-images", type=Path, required=True, help="manifest of test images")
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--output", type=Path, required=True, help="network file to write")
    parser.add_argument("--record", type=Path, required=True, help="CSV to write")
    parser.add_argument("--record-images", type=int, default=1000, help="test images behind the record's accuracies")
    parser.add_argument("--recipe", type=dictionary, default={}, help="what it is made by, to be kept with it")
    parser.add_argument("--checkpoint-seconds", type=float, default=30, help="least time between two checkpoints")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    run_command(parser, main)
