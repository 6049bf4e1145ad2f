"""Decaying a network's biases while its weights are tuned to keep its outputs (Suppl. C)."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from explanations.data.images import read_batches
from explanations.errors import check_choice, check_range
from explanations.files.descriptions import NetworkDescription
from explanations.files.framing import Picture
from explanations.flags import flag
from explanations.networks.biases import decay_factors, find_biases, named_tensors, scale_biases
from explanations.networks.devices import PRECISIONS, compute_in
from explanations.networks.files import preprocess
from explanations.progress import ProgressBar

ADAM_STATE = ("exp_avg", "exp_avg_sq", "step")
TEMPERATURES = 1e-18, 1e18  # whose squares, factors of the loss, are float32's


@dataclass(frozen=True)
class DecaySettings:
    """All that the decayed weights depend on, beside the network and the images; InputError for values out of range."""

    profile: str = flag("of the biases' factor: exponential or linear", "exponential")
    steps: int = flag("decay steps", 200)
    floor: float = flag("the exponential profile's factor before 0", 1e-3)
    training_steps: int = flag("training steps at each decay step", 200)
    extra_steps: int = flag("training steps after the biases are 0", 0)
    temperature: float = flag("that softens the outputs which are to be kept", 100.0)
    learning_rate: float = flag("Adam's", 5e-6)
    batch: int = flag("images in a training step", 64)
    precision: str = flag("of the passes", "float32", choices=PRECISIONS)
    seed: int = flag("of the images' order", 0)

    def __post_init__(self):
        check_range("decay.training_steps", self.training_steps, low=1)
        check_range("decay.extra_steps", self.extra_steps, low=0)
        check_range("decay.temperature", self.temperature, *TEMPERATURES)
        check_range("decay.learning_rate", self.learning_rate, low=0, open_low=True)
        check_range("decay.batch", self.batch, low=1)
        check_choice("decay.precision", self.precision, PRECISIONS)
        decay_factors(self.profile, self.steps, self.floor)  # which checks these three

    def phases(self) -> list[tuple[float, int]]:
        """The biases' factor and the number of training steps of each phase; see plan_phases."""
        return plan_phases(self.profile, self.steps, self.floor, self.training_steps, self.extra_steps)


class Decay:
    """A network whose biases are scaled down while its weights are tuned in place, on image files.

    Images are drawn in a random order, each once before any twice, and read ahead by `threads`; a file that can't be
    read, or a loss that isn't finite, stops it with an InputError. Computed on the network's device, in the settings'
    precision; weights and loss are float32.

    Adam minimises the cross-entropy between the outputs of the network as it came and of the tuned one, both softened
    at the settings' temperature. Tuned are the weights of all convolutions and linear maps, attention's among them;
    what scales, such as batch normalisation's γ and variance, is held, and biases are held at their factor.
    """

    def __init__(
        self,
        network: nn.Module,
        pictures: Sequence[Picture],
        description: NetworkDescription,
        settings: DecaySettings,
        threads: int = 1,
    ):
        self.network, self.pictures, self.description = network, pictures, description
        self.settings, self.threads = settings, threads
        additions = find_biases(network, description)
        self.biases = {name: tensor.clone() for name, tensor in named_tensors(network, additions.biases).items()}
        self.teacher = copy.deepcopy(network)
        self.weights = named_tensors(network, additions.maps)
        network.requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.weights.values(), settings.learning_rate)
        self.steps = 0  # taken so far
        self.pixels: Iterator[np.ndarray] | None = None  # of the steps to come

    def tune(self, factor: float, steps: int, bar: ProgressBar) -> None:
        """Hold the biases at `factor` times their first values and take some training steps."""
        device = next(self.network.parameters()).device
        temperature, learning_rate = self.settings.temperature, self.settings.learning_rate
        self.pixels = self.pixels or self._read()
        scale_biases(self.network, factor, self.biases)
        for weight in self.weights.values():
            weight.requires_grad_(True)
        for pixels in islice(self.pixels, steps):
            inputs = preprocess(torch.from_numpy(pixels).to(device), self.description)
            self.optimiser.zero_grad()
            with compute_in(self.settings.precision, device):
                with torch.no_grad():
                    wanted = self.teacher(inputs)
                loss = distillation_loss(self.network(inputs).float(), wanted.float(), temperature)
                loss.backward()
            self.optimiser.step()
            self.steps += 1
            settings = f"temperature {temperature:g}, learning_rate {learning_rate:g}"
            check_range(f"decay ({settings}): the loss of training step {self.steps}", loss.item())
            bar.advance(1, f"biases × {factor:.3g}, loss {loss.item():.4f}")
        self.network.requires_grad_(False)

    def _read(self) -> Iterator[np.ndarray]:
        """The images of the steps to come: the same for the same seed, however often the decay was interrupted."""
        batches = islice(self._draw(), self.steps, None)
        return read_batches(batches, self.description.framing, self.threads)

    def _draw(self) -> Iterator[list[Picture]]:
        random = torch.Generator().manual_seed(self.settings.seed)
        while True:
            for chosen in torch.randperm(len(self.pictures), generator=random).split(self.settings.batch):
                if len(chosen) == self.settings.batch:
                    yield [self.pictures[index] for index in chosen.tolist()]

    @contextmanager
    def by_brute_force(self, factor: float) -> Iterator[nn.Module]:
        """The network as it came; within `with`, its biases are scaled by `factor`."""
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
        """Go on from a state, to the same weights as without an interruption."""
        for name, weight in self.weights.items():
            weight.copy_(state[f"weight {name}"])
            moments = {key: torch.empty_like(weight).copy_(state[f"{key} {name}"]) for key in ADAM_STATE[:2]}
            self.optimiser.state[weight] = {**moments, "step": state[f"step {name}"]}
        self.steps = int(state["steps"])


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross-entropy between (n, C) outputs softened at T, times T² (Hinton et al., 2015).

    T² keeps the gradient's size the same for every T; it changes Adam's steps only by Adam's ε.
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
