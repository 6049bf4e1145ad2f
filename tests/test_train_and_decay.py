"""Training, decay and zeroing: seeded, and leaving exactly the weights that they should."""

import math

import pytest
import torch
from small import ARGUMENTS, build, describe, vary
from torch import nn

import decay_biases
import train_network
import zero_biases
from decay_biases import decay, distillation_loss
from explanations.descriptions import file_hash, read_description
from explanations.networks import bias_tensors, build_network, load_network
from train_network import dictionary, fit

COUNT = 12


def images(count: int = COUNT) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(first: dict, second: dict) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


# --- training ----------------------------------------------------------------------------------------------------


def fitted(name: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = build_network("narrow", name, ARGUMENTS[name])
    fit(network, images(), torch.arange(COUNT) % 10, describe(name), 2, 5, 1e-2, 0.01)
    return network


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_the_same_seed_trains_the_same_weights(name):
    first = state(fitted(name, 0))
    assert same(first, state(fitted(name, 0)))
    assert not same(first, state(fitted(name, 1)))


def test_training_lowers_the_loss_and_ends_in_evaluation_mode():
    torch.manual_seed(0)
    network, labels = build_network("narrow", "linear", ARGUMENTS["linear"]), torch.arange(COUNT) % 10
    inputs = (images().float() / 255 - 0.5) / 0.25
    before = nn.functional.cross_entropy(network(inputs), labels).item()
    fit(network, images(), labels, describe("linear"), 5, 6, 1e-3, 0.0)
    assert nn.functional.cross_entropy(network(inputs), labels).item() < 0.8 * before
    assert not network.training and not any(p.requires_grad for p in network.parameters())


def test_training_writes_a_described_network(world, tmp_path):
    output = tmp_path / "n.safetensors"
    arguments = {key: value for key, value in ARGUMENTS["vgg16"].items() if key != "num_classes"}
    train_network.main(
        **{"train": world.images, "val": world.images, "output": output, "source": "narrow", "constructor": "vgg16"},
        **{"arguments": arguments, "size": 32, "epochs": 1, "batch": 5, "learning_rate": 1e-3, "weight_decay": 0.0},
        **{"seed": 3, "threads": 1},
    )
    network, description = load_network(output)
    assert (description.variant, description.size, description.classes) == ("original", 32, tuple("0123456789"))
    assert description.arguments["num_classes"] == network.classifier[-1].out_features == 10
    assert (description.record["train_images"], description.record["val_images"]) == (20, 20)
    assert 0 <= description.record["accuracy"] <= 1 and description.record["seed"] == 3


def test_arguments_are_a_dictionary():
    assert dictionary("{'width': 0.125, 'hidden': 4}") == {"width": 0.125, "hidden": 4}
    for text in ("[1]", "width=1", "__import__('os')", ""):
        with pytest.raises(train_network.argparse.ArgumentTypeError, match="is not a dictionary"):
            dictionary(text)


# --- decay -------------------------------------------------------------------------------------------------------


def decayed(name: str, schedule: list[float], seed: int = 0) -> nn.Module:
    network = build(name)
    torch.manual_seed(seed)
    decay(network, images(), describe(name), schedule, 100.0, 1e-3, 4)
    return network


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_decay_ends_without_biases_and_holds_scales_and_variances(name):
    before, after = state(build(name)), decayed(name, [0.5, 0.5, 0.1, 0.0])
    biases = {key for key, _ in bias_tensors(after)}
    for key, tensor in after.state_dict().items():
        if key in biases:
            assert not tensor.any(), key
        elif tensor.dim() > 1:
            assert not torch.equal(tensor, before[key]), key  # a weight is tuned
        else:
            assert torch.equal(tensor, before[key]), key  # γ, variance, count of batches
    assert not after.training and not any(p.requires_grad for p in after.parameters())


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_biases_are_held_at_their_factor_while_weights_are_tuned(name):
    before, after = state(build(name)), decayed(name, [0.5, 0.25, 0.25])
    for key, tensor in bias_tensors(after):
        torch.testing.assert_close(tensor.detach(), 0.25 * before[key])


def test_the_same_seed_decays_to_the_same_weights():
    first = state(decayed("vgg16", [0.5, 0.0], 0))
    assert same(first, state(decayed("vgg16", [0.5, 0.0], 0)))
    assert not same(first, state(decayed("vgg16", [0.5, 0.0], 1)))


def test_decay_brings_outputs_back():
    """Tuned with its biases at 0 a network is closer to its former outputs than one whose biases are just zeroed."""
    inputs = (images().float() / 255 - 0.5) / 0.25
    tuned = decayed("vgg16", [0.5] * 10 + [0.0] * 30)
    with torch.no_grad():
        wanted, zeroed, tuned = (network(inputs) for network in (build("vgg16"), build("vgg16", "zeroed"), tuned))
    wanted, zeroed, tuned = (logits - logits.mean(1, keepdim=True) for logits in (wanted, zeroed, tuned))
    assert (tuned - wanted).norm() < 0.7 * (zeroed - wanted).norm()


@pytest.mark.parametrize("temperature", [1.0, 4.0, 100.0])
def test_distillation_loss(temperature):
    logits, teacher = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    total = 0.0
    for mine, other in zip(logits.tolist(), teacher.tolist(), strict=True):
        mine, other = ([math.exp(value / temperature) for value in row] for row in (mine, other))
        p, q = ([value / sum(row) for value in row] for row in (mine, other))
        total -= sum(b * math.log(a) for a, b in zip(p, q, strict=True))
    wanted = temperature**2 * total / 3
    assert distillation_loss(logits, teacher, temperature).item() == pytest.approx(wanted)


def test_decay_writes_the_decayed_variant(world, tmp_path):
    output = tmp_path / "n.safetensors"
    decay_biases.main(
        **{"network": world.networks["vgg16"], "train": world.images, "val": world.images, "output": output},
        **{"profile": "exponential", "steps": 2, "floor": 0.1, "training_steps": 1, "extra_steps": 1},
        **{"temperature": 100.0, "learning_rate": 1e-4, "batch": 4, "seed": 0, "threads": 1},
    )
    network, description = load_network(output)
    assert all(not tensor.any() for _, tensor in bias_tensors(network))
    assert (description.variant, description.origin_hash) == ("decayed", file_hash(world.networks["vgg16"]))
    assert description.record["steps"] == 2 and "accuracy" in description.record
    assert description.classes == read_description(world.networks["vgg16"]).classes


# --- zeroing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_zeroing_writes_the_zeroed_variant(world, tmp_path, name):
    output = tmp_path / "n.safetensors"
    zero_biases.main(world.networks[name], world.images, output, 1)
    network, description = load_network(output)
    before = vary(load_network(world.networks[name])[0], "zeroed")
    assert same(state(before), state(network))
    assert (description.variant, description.origin_hash) == ("zeroed", file_hash(world.networks[name]))
    count = sum(tensor.numel() for _, tensor in bias_tensors(network))
    assert description.record["zeroed_biases"] == count and description.record["val_images"] == 20
