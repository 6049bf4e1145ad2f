"""Decay all biases of a network to zero while it is fine-tuned to keep its outputs (Supplementary C).

In:  a network file, the manifest of images to tune on (no labels are used) and its folder, the manifest of test images
     and its folder.
Out: the network file of its `decayed` variant, with its accuracy; and the record, tidy CSV with a row for each decay
     step: the biases' factor, the accuracy of the network as tuned so far, and that of the network as it came with its
     biases brought to the same factor by brute force.

At every decay step the biases are set to the profile's factor times their original values and held there, while the
weights take some training steps (see explanations/decay.py). A checkpoint beside the output lets a killed run go on
where it was, to the same weights on the same machine; it is removed at the end.
"""

import hashlib
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from explanations.command import InputError, check_range, run_command, step_parser
from explanations.decay import Decay, plan_phases, run_decay
from explanations.descriptions import file_hash
from explanations.devices import PRECISIONS, compute_in, place_network, use_device
from explanations.evaluation import LabelledImages
from explanations.manifests import read_manifest
from explanations.networks import load_network, save_network
from explanations.tables import write_table

TEMPERATURES = 1e-18, 1e18  # whose squares, factors of the loss, are float32's


def main(
    network: Path,
    name: str,
    tuning_images: Path,
    tuning: Path,
    test_images: Path,
    images: Path,
    output: Path,
    record: Path,
    profile: str,
    steps: int,
    floor: float,
    training_steps: int,
    extra_steps: int,
    temperature: float,
    learning_rate: float,
    batch: int,
    record_images: int,
    checkpoint_seconds: float,
    precision: str,
    seed: int,
    device: str,
    threads: int,
) -> None:
    check_range("decay.training_steps", training_steps, low=1)
    check_range("decay.extra_steps", extra_steps, low=0)
    check_range("decay.temperature", temperature, *TEMPERATURES)
    check_range("decay.learning_rate", learning_rate, low=0, open_low=True)
    check_range("decay.batch", batch, low=1)
    check_range("decay.record_images", record_images, low=1)
    check_range("--checkpoint-seconds", checkpoint_seconds, low=0)
    phases = plan_phases(profile, steps, floor, training_steps, extra_steps)
    place = use_device(device, threads)
    classifier, description = load_network(network)
    place_network(classifier, place)
    pictures = [row.picture(tuning, tuning_images) for row in read_manifest(tuning_images)]
    if batch > len(pictures):
        raise InputError(f"decay.batch is {batch}; {tuning_images} holds {len(pictures)} images")
    test = LabelledImages.read(test_images, images, description, threads).with_decisions(classifier)
    recorded = test.draw(record_images, seed)
    settings = {"profile": profile, "steps": steps, "floor": floor, "training_steps": training_steps}
    settings |= {"extra_steps": extra_steps, "temperature": temperature, "learning_rate": learning_rate}
    settings |= {"batch": batch, "precision": precision, "seed": seed}
    decay = Decay(classifier, pictures, description, temperature, learning_rate, batch, seed, threads, precision)
    checkpoint = output.with_suffix(".checkpoint")
    files = [file_hash(path) for path in (network, tuning_images, test_images)]
    made_of = f"{settings} {record_images} {files} {tuning} {images} {torch.__version__}"

    def measure(tuned: nn.Module) -> float:
        with compute_in(precision, place):
            return recorded.accuracy(tuned)

    fingerprint = hashlib.sha256(made_of.encode()).hexdigest()
    rows = run_decay(decay, phases, measure, checkpoint, fingerprint, checkpoint_seconds)
    about = {"network": name, "profile": profile, "steps": steps, "temperature": temperature, "n": len(recorded)}
    tested = {**settings, **test.record_accuracy(classifier)}
    write_table(record, pd.DataFrame(rows), about)
    save_network(output, classifier, description.with_variant("decayed", "biases decayed", file_hash(network), tested))
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--name", required=True, help="the network's name in the record")
    parser.add_argument("--tuning-images", type=Path, required=True, help="manifest of images to tune on")
    parser.add_argument("--tuning", type=Path, required=True, help="folder that its paths are below")
    parser.add_argument("--test-images", type=Path, required=True, help="manifest of test images")
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--output", type=Path, required=True, help="network file to write")
    parser.add_argument("--record", type=Path, required=True, help="CSV to write")
    parser.add_argument("--profile", default="exponential", help="of the biases' factor: exponential or linear")
    parser.add_argument("--steps", type=int, default=200, help="decay steps")
    parser.add_argument("--floor", type=float, default=1e-3, help="the exponential profile's factor before 0")
    parser.add_argument("--training-steps", type=int, default=200, help="training steps at each decay step")
    parser.add_argument("--extra-steps", type=int, default=0, help="training steps after the biases are 0")
    parser.add_argument("--temperature", type=float, default=100.0)
    parser.add_argument("--learning-rate", type=float, default=5e-6)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--record-images", type=int, default=1000, help="test images behind the record's accuracies")
    parser.add_argument("--checkpoint-seconds", type=float, default=30, help="least time between two checkpoints")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the passes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    run_command(parser, main)
