"""Decaying a network's biases while its weights are tuned to keep its outputs (Suppl. C), with checkpoints."""

import copy
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from explanations.biases import decay_factors, find_biases, named_tensors, scale_biases
from explanations.command import InputError, ProgressBar, check_range
from explanations.descriptions import NetworkDescription
from explanations.devices import compute_in
from explanations.framing import Picture
from explanations.images import read_batches
from explanations.networks import preprocess
from explanations.tensor_files import read_tensors, write_tensors

FORMAT = "explanations-decay-1"  # of checkpoints
ADAM_STATE = ("exp_avg", "exp_avg_sq", "step")


class Decay:
    """A network whose biases are scaled down while its weights are tuned in place, on image files.

    Images are drawn in a random order, each once before any twice, and read ahead by `threads`; a file that can't be
    read, or a loss that isn't finite, stops it with an InputError. Computed where the network is, in `precision`;
    weights and loss are float32.

    Cross-entropy between the outputs of the network as it came and of the tuned one, both softened at `temperature`,
    with Adam. Tuned are the weights of all convolutions and linear maps, attention's among them; what scales, such as
    batch normalisation's γ and variance, is held, and biases are held at their factor.
    """

    def __init__(
        self,
        network: nn.Module,
        pictures: Sequence[Picture],
        description: NetworkDescription,
        temperature: float,
        learning_rate: float,
        batch: int,
        seed: int,
        threads: int = 1,
        precision: str = "float32",
    ):
        self.network, self.pictures, self.description = network, pictures, description
        self.temperature, self.batch, self.seed = temperature, batch, seed
        self.threads, self.precision = threads, precision
        found = find_biases(network, description)
        self.biases = {name: tensor.clone() for name, tensor in named_tensors(network, found.biases).items()}
        self.teacher = copy.deepcopy(network)
        self.weights = named_tensors(network, found.maps)
        network.requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.weights.values(), learning_rate)
        self.steps = 0  # taken so far
        self.pixels: Iterator[np.ndarray] | None = None  # of the steps to come

    def tune(self, factor: float, steps: int, bar: ProgressBar) -> None:
        """Hold the biases at `factor` times their first values and take some training steps."""
        place = next(self.network.parameters()).device
        self.pixels = self.pixels or self._read()
        scale_biases(self.network, factor, self.biases)
        for weight in self.weights.values():
            weight.requires_grad_(True)
        for pixels in islice(self.pixels, steps):
            inputs = preprocess(torch.from_numpy(pixels).to(place), self.description)
            self.optimiser.zero_grad()
            with compute_in(self.precision, place):
                with torch.no_grad():
                    wanted = self.teacher(inputs)
                loss = distillation_loss(self.network(inputs).float(), wanted.float(), self.temperature)
                loss.backward()
            self.optimiser.step()
            self.steps += 1
            settings = f"temperature {self.temperature:g}, learning_rate {self.optimiser.param_groups[0]['lr']:g}"
            check_range(f"decay ({settings}): the loss of training step {self.steps}", loss.item())
            bar.advance(1, f"biases × {factor:.3g}, loss {loss.item():.4f}")
        self.network.requires_grad_(False)

    def _read(self) -> Iterator[np.ndarray]:
        """The images of the steps to come: the same for the same seed, however often the decay was broken off."""
        batches = islice(self._draw(), self.steps, None)
        return read_batches(batches, self.description.framing, self.threads)

    def _draw(self) -> Iterator[list[Picture]]:
        random = torch.Generator().manual_seed(self.seed)
        while True:
            for chosen in torch.randperm(len(self.pictures), generator=random).split(self.batch):
                if len(chosen) == self.batch:
                    yield [self.pictures[index] for index in chosen.tolist()]

    @contextmanager
    def by_brute_force(self, factor: float) -> Iterator[nn.Module]:
        """The network as it came, for a while with its biases scaled by `factor`."""
        scale_biases(self.teacher, factor, self.biases)
        try:
            yield self.teacher
        finally:
            scale_biases(self.teacher, 1.0, self.biases)

    def state(self) -> dict[str, Tensor]:
        """All that the next training step depends on, but for the images and settings."""
        state = {f"weight {name}": weight.detach() for name, weight in self.weights.items()}
        for name, weight in self.weights.items():
            for key in ADAM_STATE:
                state[f"{key} {name}"] = self.optimiser.state[weight][key]
        return {**state, "steps": torch.tensor(self.steps)}

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a state, to the same weights as if there had been no break."""
        for name, weight in self.weights.items():
            weight.copy_(state[f"weight {name}"])
            moments = {key: torch.empty_like(weight).copy_(state[f"{key} {name}"]) for key in ADAM_STATE[:2]}
            self.optimiser.state[weight] = {**moments, "step": state[f"step {name}"]}
        self.steps = int(state["steps"])


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross-entropy between (n, C) outputs softened at T, times T² (Hinton et al., 2015).

    T² keeps the gradient's size the same for every T; Adam is blind to it but for its ε.
    """
    target = (teacher / temperature).softmax(1)
    return temperature**2 * nn.functional.cross_entropy(logits / temperature, target)


def plan_phases(
    profile: str, steps: int, floor: float, training_steps: int, extra_steps: int
) -> list[tuple[float, int]]:
    """The biases' factor and the number of training steps of each phase: the decay steps, then those without biases."""
    phases = [(factor, training_steps) for factor in decay_factors(profile, steps, floor)]
    while extra_steps > 0:
        phases.append((0.0, min(training_steps, extra_steps)))
        extra_steps -= training_steps
    return phases


def run_decay(
    decay: Decay,
    phases: Sequence[tuple[float, int]],
    measure: Callable[[nn.Module], float],
    checkpoint: Path,
    fingerprint: str,
    seconds: float,
) -> list[dict]:
    """Tune through all phases, from the checkpoint on if there is one that fits, and return the record.

    The record has a row for the start and for each phase: phase, training_steps taken so far, factor, accuracy of the
    network as tuned at the end of the phase, brute_force_accuracy of the untuned one at the same factor; `measure`
    gives the accuracy. A checkpoint is written after a phase if the last one is `seconds` old.
    """
    record = load_checkpoint(checkpoint, decay, fingerprint)
    if not record:
        usual = measure(decay.network)
        record = [_row(0, 0, 1.0, usual, usual)]
    saved = time.monotonic()
    with ProgressBar("decay", sum(steps for _, steps in phases), "step") as bar:
        bar.advance(record[-1]["training_steps"])
        for factor, steps in phases[len(record) - 1 :]:
            decay.tune(factor, steps, bar)
            last = record[-1]
            known = factor == last["factor"]
            if known:
                brute_force = last["brute_force_accuracy"]
            else:
                with decay.by_brute_force(factor) as network:
                    brute_force = measure(network)
            accuracy = measure(decay.network)
            record.append(_row(len(record), last["training_steps"] + steps, factor, accuracy, brute_force))
            if time.monotonic() - saved >= seconds:
                save_checkpoint(checkpoint, decay, fingerprint, record)
                saved = time.monotonic()
    return record


def _row(phase: int, training_steps: int, factor: float, accuracy: float, brute_force: float) -> dict:
    row = {"phase": phase, "training_steps": training_steps, "factor": factor}
    return {**row, "accuracy": accuracy, "brute_force_accuracy": brute_force}


# --- checkpoints -------------------------------------------------------------------------------------------------


def save_checkpoint(path: Path, decay: Decay, fingerprint: str, record: list[dict]) -> None:
    """Write the state of a decay and its record so far; `fingerprint` says of what network, images and settings."""
    metadata = {"format": FORMAT, "fingerprint": fingerprint, "record": json.dumps(record)}
    write_tensors(path, decay.state(), metadata)


def load_checkpoint(path: Path, decay: Decay, fingerprint: str) -> list[dict]:
    """Restore a decay from its checkpoint and return the record up to there; an empty one if none fits."""
    if not path.exists():
        return []
    try:
        metadata, state = read_tensors(path, FORMAT, "starting anew")
    except InputError as error:
        print(error)
        return []
    if metadata["fingerprint"] != fingerprint:
        print(f"{path}: of another network, other images or other settings; starting anew")
        return []
    decay.restore(state)
    record = json.loads(metadata["record"])
    print(f"{path}: going on after phase {record[-1]['phase']}")
    return record
