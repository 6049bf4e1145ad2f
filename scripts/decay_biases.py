"""Decay all biases of a network to zero while it is fine-tuned to keep its outputs (Supplementary C).

In:  a network file, a folder <class>/<file> of images to tune on (their labels aren't used), one to test on.
Out: the network file of its `decayed` variant, with its accuracy.

At every decay step the biases are set to the profile's factor times their original values and held there, while the
weights take some training steps: cross-entropy between the original's and the tuned network's outputs, both softened
at temperature T, with Adam. For batch normalisation mean and β are decayed; γ and the variance are held.
"""

from pathlib import Path

import torch
from torch import nn

from explanations.command import InputError, ProgressBar, check_range, run_command, step_parser
from explanations.descriptions import NetworkDescription, file_hash
from explanations.evaluation import measure_accuracy
from explanations.images import list_images, load_images
from explanations.networks import (
    CONVOLUTIONS,
    bias_tensors,
    decay_factors,
    load_network,
    predict_logits,
    preprocess,
    save_network,
    scale_biases,
)


def main(
    network: Path,
    train: Path,
    val: Path,
    output: Path,
    profile: str,
    steps: int,
    floor: float,
    training_steps: int,
    extra_steps: int,
    temperature: float,
    learning_rate: float,
    batch: int,
    seed: int,
    threads: int,
) -> None:
    check_range("decay.training_steps", training_steps, low=1)
    check_range("decay.extra_steps", extra_steps, low=0)
    check_range("decay.temperature", temperature, low=0, open_low=True)
    check_range("decay.learning_rate", learning_rate, low=0, open_low=True)
    check_range("decay.batch", batch, low=1)
    schedule = [factor for factor in decay_factors(profile, steps, floor) for _ in range(training_steps)]
    schedule += [0.0] * extra_steps
    check_range("--threads", threads, low=1)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    classifier, description = load_network(network)
    classifier.to(memory_format=torch.channels_last)
    _, paths, _ = list_images(train)
    if batch > len(paths):
        raise InputError(f"decay.batch is {batch}; {train} holds {len(paths)} images")
    images = torch.from_numpy(load_images(paths, description.size, "read training images"))
    decay(classifier, images, description, schedule, temperature, learning_rate, batch)
    settings = {"profile": profile, "steps": steps, "floor": floor, "training_steps": training_steps}
    settings |= {"extra_steps": extra_steps, "temperature": temperature, "learning_rate": learning_rate}
    settings |= {"batch": batch, "seed": seed}
    record = {**settings, **measure_accuracy(classifier, description, val)}
    save_network(output, classifier, description.with_variant("decayed", "biases decayed", file_hash(network), record))


def decay(
    network: nn.Module,
    images: torch.Tensor,
    description: NetworkDescription,
    schedule: list[float],
    temperature: float,
    learning_rate: float,
    batch: int,
) -> None:
    """Tune a network in place on (n, 3, H, W) uint8 images; `schedule` holds the biases' factor at every step."""
    biases = {name: tensor.clone() for name, tensor in bias_tensors(network)}
    teacher = predict_logits(network, images, description)
    weights = [m.weight for m in network.modules() if isinstance(m, (*CONVOLUTIONS, nn.Linear))]
    network.requires_grad_(False)
    for weight in weights:
        weight.requires_grad_(True)
    optimiser = torch.optim.Adam(weights, learning_rate)
    order = torch.empty(0, dtype=torch.long)
    held = None
    with ProgressBar("decay", len(schedule), "step") as bar:
        for factor in schedule:
            if factor != held:
                scale_biases(network, factor, biases)
                held = factor
            if len(order) < batch:
                order = torch.randperm(len(images))
            chosen, order = order[:batch], order[batch:]
            logits = network(preprocess(images[chosen], description))
            loss = distillation_loss(logits, teacher[chosen], temperature)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            agreement = (logits.argmax(1) == teacher[chosen].argmax(1)).double().mean().item()
            bar.advance(1, f"biases × {factor:.3g}, {agreement:.0%} of decisions as the original's")
    network.requires_grad_(False)


def distillation_loss(logits: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross-entropy between (n, C) outputs softened at T, times T² (Hinton et al., 2015).

    T² keeps the gradient's size the same for every T; Adam is blind to it but for its ε.
    """
    target = (teacher / temperature).softmax(1)
    return temperature**2 * nn.functional.cross_entropy(logits / temperature, target)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--train", type=Path, required=True, help="folder of images to tune on")
    parser.add_argument("--val", type=Path, required=True, help="folder of test images")
    parser.add_argument("--output", type=Path, required=True, help="network file to write")
    parser.add_argument("--profile", default="exponential", help="of the biases' factor: exponential or linear")
    parser.add_argument("--steps", type=int, default=200, help="decay steps")
    parser.add_argument("--floor", type=float, default=1e-3, help="the exponential profile's factor before 0")
    parser.add_argument("--training-steps", type=int, default=200, help="training steps at each decay step")
    parser.add_argument("--extra-steps", type=int, default=0, help="training steps after the biases are 0")
    parser.add_argument("--temperature", type=float, default=100.0)
    parser.add_argument("--learning-rate", type=float, default=5e-6)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    run_command(parser, main)
