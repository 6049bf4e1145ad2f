"""Training, decay and zeroing: seeded, and leaving exactly the weights that they should."""

import argparse
import math
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import images_of
from PIL import Image
from small import ARGUMENTS, build, describe, module_biases, vary
from torch import nn

import decay_biases
import train_network
import zero_biases
from explanations.files.descriptions import NetworkDescription, read_description
from explanations.files.framing import Picture
from explanations.files.hashes import file_hash
from explanations.flags import call_with_flags, dictionary
from explanations.networks import decay_checkpoints
from explanations.networks.decay import Decay, DecaySettings, distillation_loss, plan_phases
from explanations.networks.evaluation import LabelledImages
from explanations.networks.files import build_network, load_network
from explanations.progress import ProgressBar
from train_network import Training, TrainingImages, fit

COUNT = 12


def images(count: int = COUNT) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Picture]:
    """The files of the images above."""
    folder = tmp_path_factory.mktemp("images")
    for index, image in enumerate(images()):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index:02d}.png")
    return [Picture(path) for path in sorted(folder.iterdir())]


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(first: dict, second: dict) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


# --- training ----------------------------------------------------------------------------------------------------


def fitted(name: str, seed: int, pictures: list[Picture]) -> nn.Module:
    torch.manual_seed(seed)
    network = build_network("narrow", name, ARGUMENTS[name])
    fit(network, [(listed(pictures, describe(name), 5), 2)], describe(name), Training(2, 5, 1e-2, 0.01))
    return network


def listed(pictures: list[Picture], description: NetworkDescription, batch: int) -> TrainingImages:
    return TrainingImages(pictures, torch.arange(COUNT) % 10, description.framing, batch, threads=1)


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_the_same_seed_trains_the_same_weights(pictures, name):
    first = state(fitted(name, 0, pictures))
    assert same(first, state(fitted(name, 0, pictures)))
    assert not same(first, state(fitted(name, 1, pictures)))


def test_training_lowers_the_loss_and_ends_in_evaluation_mode(pictures):
    torch.manual_seed(0)
    network, labels = build_network("narrow", "linear", ARGUMENTS["linear"]), torch.arange(COUNT) % 10
    description = describe("linear")
    inputs = (images().float() / 255 - 0.5) / 0.25
    before = nn.functional.cross_entropy(network(inputs), labels).item()
    fit(network, [(listed(pictures, description, 6), 5)], description, Training(5, 6, 1e-3, 0.0))
    assert nn.functional.cross_entropy(network(inputs), labels).item() < 0.8 * before
    assert not network.training and not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("held", [0, 2**31])
def test_images_are_the_same_whether_held_or_read(pictures, monkeypatch, held):
    """Every image once in an epoch, but for what is too few for a batch, in an order of its own."""
    monkeypatch.setattr(train_network, "HELD", held)
    found = listed(pictures, describe("vgg16"), 6)
    assert (found.held is None) == (held == 0) and len(found) == COUNT // 6
    torch.manual_seed(0)
    epochs = [list(found.epoch()) for _ in range(2)]
    torch.manual_seed(0)
    order = torch.randperm(COUNT)
    for number, (pixels, labels) in enumerate(epochs[0]):
        chosen = order[6 * number : 6 * number + 6]
        assert torch.equal(labels, chosen % 10)
        assert torch.equal(pixels, images()[chosen])
    assert not torch.equal(epochs[0][0][1], epochs[1][0][1])


def test_training_begins_with_the_easier_images(pictures):
    network, seen = build_network("narrow", "linear", ARGUMENTS["linear"]), []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    description = describe("linear")
    phases = [(listed(pictures, description, 4), 1), (listed(pictures, description, 5), 2)]
    fit(network, phases, description, Training(2, 5, 1e-3, 0.0, start_epochs=1))
    assert seen == [4] * (COUNT // 4) + [5] * (2 * (COUNT // 5))


def test_training_writes_a_described_network(world, tmp_path):
    output = tmp_path / "n.safetensors"
    arguments = {key: value for key, value in ARGUMENTS["vgg16"].items() if key != "num_classes"}
    train_network.main(
        **{"train_images": world.test_images, "train": world.images},
        **{"test_images": world.test_images, "images": world.images, "output": output},
        **{"source": "narrow", "constructor": "vgg16"},
        **{"arguments": arguments, "size": 32, "epochs": 1, "batch": 5, "learning_rate": 1e-3, "weight_decay": 0.0},
        **{"seed": 3, "threads": 1},
    )
    network, description = load_network(output)
    assert (description.variant, description.size, description.classes) == ("original", 32, tuple("0123456789"))
    assert description.arguments["num_classes"] == network.classifier[-1].out_features == 10
    assert (description.record["train_images"], description.record["test_images"]) == (20, 20)
    assert 0 <= description.record["accuracy"] <= 1 and description.record["seed"] == 3


def test_arguments_are_a_dictionary():
    assert dictionary("{'width': 0.125, 'hidden': 4}") == {"width": 0.125, "hidden": 4}
    for text in ("[1]", "width=1", "__import__('os')", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a dictionary"):
            dictionary(text)


# --- decay -------------------------------------------------------------------------------------------------------


def decayed(pictures: list[Picture], name: str, schedule: list[float], seed: int = 0) -> nn.Module:
    network = build(name)
    settings = DecaySettings(temperature=100.0, learning_rate=1e-3, batch=4, seed=seed)
    decay = Decay(network, pictures, describe(name), settings)
    with ProgressBar("decay", len(schedule)) as bar:
        for factor in schedule:
            decay.tune(factor, 1, bar)
    return network


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_decay_ends_without_biases_and_holds_scales_and_variances(pictures, name):
    before, after = state(build(name)), decayed(pictures, name, [0.5, 0.5, 0.1, 0.0])
    biases = module_biases(after).keys()
    for key, tensor in after.state_dict().items():
        if key in biases:
            assert not tensor.any(), key
        elif tensor.dim() > 1:
            assert not torch.equal(tensor, before[key]), key  # a weight is tuned
        else:
            assert torch.equal(tensor, before[key]), key  # γ, variance, count of batches
    assert not after.training and not any(p.requires_grad for p in after.parameters())


def test_attention_is_tuned_too(pictures):
    before, after = state(build("vit")), decayed(pictures, "vit", [0.5, 0.0])
    kept = {"class_token", "encoder.pos_embedding"}
    maps = {key for key, tensor in after.state_dict().items() if tensor.dim() > 1} - kept
    assert any(key.endswith("in_proj_weight") for key in maps)
    for key, tensor in after.state_dict().items():
        assert torch.equal(tensor, before[key]) == (key not in maps | module_biases(after).keys()), key


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_biases_are_held_at_their_factor_while_weights_are_tuned(pictures, name):
    before, after = state(build(name)), decayed(pictures, name, [0.5, 0.25, 0.25])
    for key, tensor in module_biases(after).items():
        torch.testing.assert_close(tensor.detach(), 0.25 * before[key])


def test_the_same_seed_decays_to_the_same_weights(pictures):
    first = state(decayed(pictures, "vgg16", [0.5, 0.0], 0))
    assert same(first, state(decayed(pictures, "vgg16", [0.5, 0.0], 0)))
    assert not same(first, state(decayed(pictures, "vgg16", [0.5, 0.0], 1)))


def test_decay_brings_outputs_back(pictures):
    """Tuned with its biases at 0 a network is closer to its former outputs than one whose biases are just zeroed."""
    inputs = (images().float() / 255 - 0.5) / 0.25
    tuned = decayed(pictures, "vgg16", [0.5] * 10 + [0.0] * 30)
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


DECAY = {
    **{"profile": "exponential", "steps": 3, "floor": 0.1, "training_steps": 2, "extra_steps": 3},
    **{"temperature": 100.0, "learning_rate": 1e-3, "batch": 8, "record_images": 15, "seed": 0},
    **{"precision": "float32", "device": "cpu", "threads": 1},
}


def run(world, folder, name: str = "vgg16", **changes) -> tuple:
    """Decay a network of the world; the network's file and its record."""
    output, record = folder / "n.safetensors", folder / "n.csv"
    data = {"network": world.networks[name], "name": name, **images_of(world)}
    data |= {"output": output, "record": record, "checkpoint_seconds": 1000.0}
    call_with_flags(decay_biases.main, {**data, **DECAY, **changes})
    return output, pd.read_csv(record)


def test_decay_writes_the_decayed_variant(world, tmp_path):
    output, _ = run(world, tmp_path)
    network, description = load_network(output)
    assert all(not tensor.any() for tensor in module_biases(network).values())
    assert (description.variant, description.origin_hash) == ("decayed", file_hash(world.networks["vgg16"]))
    assert description.record["steps"] == 3 and "accuracy" in description.record
    assert description.classes == read_description(world.networks["vgg16"]).classes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.csv", "n.safetensors"]


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_the_record_follows_the_decay(world, tmp_path, name):
    output, record = run(world, tmp_path, name, record_images=20)
    factors = [1, 0.1 ** (1 / 3), 0.1 ** (2 / 3), 0, 0, 0]
    assert record.factor.tolist() == pytest.approx(factors)
    assert record.phase.tolist() == [0, 1, 2, 3, 4, 5]
    assert record.training_steps.tolist() == [0, 2, 4, 6, 8, 9]  # three decay steps, then three steps without biases
    assert set(zip(record.network, record.profile, record.steps, record.n, strict=True)) == {
        (name, "exponential", 3, 20)
    }
    assert record.accuracy.iloc[-1] == read_description(output).record["accuracy"]
    assert record.accuracy[0] == record.brute_force_accuracy[0]
    for factor, accuracy in zip(record.factor, record.brute_force_accuracy, strict=True):
        network, description = load_network(world.networks[name])
        with torch.no_grad():
            for tensor in module_biases(network).values():
                tensor *= factor
        test = LabelledImages.read(world.test_images, world.images, description)
        assert accuracy == test.accuracy(network)


def test_the_records_accuracies_are_of_so_many_images(world, tmp_path):
    _, record = run(world, tmp_path, record_images=7)
    assert (record.n == 7).all()
    assert np.allclose(7 * record.accuracy, (7 * record.accuracy).round())
    assert (run(world, tmp_path, record_images=1000)[1].n == 20).all()  # there are no more


@pytest.mark.parametrize("extra", [0, 1, 4, 5])
def test_phases(extra):
    phases = plan_phases("linear", 4, 0.1, 4, extra)
    assert phases[:4] == [(0.75, 4), (0.5, 4), (0.25, 4), (0.0, 4)]
    assert sum(steps for _, steps in phases[4:]) == extra
    assert all(factor == 0 and 0 < steps <= 4 for factor, steps in phases[4:])


# --- checkpoints -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
@pytest.mark.parametrize("phase", [1, 3, 4])
def test_a_broken_decay_goes_on_to_the_same_weights(world, tmp_path, monkeypatch, name, phase):
    wanted, record = run(world, tmp_path / "whole", name)
    broken = tmp_path / "broken"
    save = decay_checkpoints.save_checkpoint

    def save_and_break(path, decay, fingerprint, rows):
        save(path, decay, fingerprint, rows)
        if rows[-1]["phase"] == phase:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(decay_checkpoints, "save_checkpoint", save_and_break)
        with pytest.raises(KeyboardInterrupt):
            run(world, broken, name, checkpoint_seconds=0.0)
    assert [path.name for path in broken.iterdir()] == ["n.checkpoint"]
    taken = []
    tune = Decay.tune
    monkeypatch.setattr(Decay, "tune", lambda self, factor, *rest: (taken.append(factor), tune(self, factor, *rest)))
    again, resumed = run(world, broken, name, checkpoint_seconds=0.0)
    assert len(taken) == 5 - phase  # what was done isn't done again
    assert same(*(state(load_network(path)[0]) for path in (wanted, again)))
    pd.testing.assert_frame_equal(record, resumed)
    assert not (broken / "n.checkpoint").exists()


def test_a_killed_process_leaves_a_checkpoint_to_go_on_from(world, tmp_path):
    """The real command, killed without warning, then run again."""
    flags = {**DECAY, "training_steps": 3, "steps": 30, "checkpoint_seconds": 0.0}
    wanted, record = run(world, tmp_path / "whole", **flags)
    output = tmp_path / "killed/n.safetensors"
    places = {"network": world.networks["vgg16"], "name": "vgg16", **images_of(world)}
    flags |= {**places, "output": output, "record": output.with_suffix(".csv")}
    command = [sys.executable, decay_biases.__file__]
    for key, value in flags.items():
        command += [f"--{key.replace('_', '-')}", str(value)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = output.with_suffix(".checkpoint")
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert checkpoint.exists() and not output.exists()
    result = subprocess.run(command, text=True, capture_output=True)
    assert result.returncode == 0 and "going on after phase" in result.stdout
    assert same(*(state(load_network(path)[0]) for path in (wanted, output)))
    pd.testing.assert_frame_equal(record, pd.read_csv(output.with_suffix(".csv")))


@pytest.mark.parametrize("changes", [{"temperature": 50.0}, {"seed": 1}, {"name": "resnet50"}])
def test_a_checkpoint_of_another_decay_is_not_used(world, tmp_path, capsys, changes):
    leave_checkpoint(world, tmp_path / "old")
    wanted, _ = run(world, tmp_path / "fresh", **changes)
    again, _ = run(world, tmp_path / "old", **changes)
    assert "of another network, other images or other settings; starting anew" in capsys.readouterr().out
    assert same(*(state(load_network(path)[0]) for path in (wanted, again)))


def test_an_unreadable_checkpoint_is_not_used(world, tmp_path, capsys):
    checkpoint = leave_checkpoint(world, tmp_path / "old")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    wanted, _ = run(world, tmp_path / "fresh")
    again, _ = run(world, tmp_path / "old")
    assert "n.checkpoint: truncated, or not a safetensors file (" in capsys.readouterr().out
    assert same(*(state(load_network(path)[0]) for path in (wanted, again)))


def leave_checkpoint(world, folder):
    """Run a decay that breaks when it measures its last phase."""
    calls = iter(range(100))

    class BrokenError(Exception):
        pass

    def fail(self, factor, steps, bar, tune=Decay.tune):
        tune(self, factor, steps, bar)
        if next(calls) == 3:
            raise BrokenError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decay, "tune", fail)
        with pytest.raises(BrokenError):
            run(world, folder, checkpoint_seconds=0.0)
    return folder / "n.checkpoint"


# --- zeroing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_zeroing_writes_the_zeroed_variant(world, tmp_path, name):
    output = tmp_path / "n.safetensors"
    zero_biases.main(world.networks[name], output)
    network, description = load_network(output)
    before = vary(load_network(world.networks[name])[0], "zeroed")
    assert same(state(before), state(network))
    assert (description.variant, description.origin_hash) == ("zeroed", file_hash(world.networks[name]))
    count = sum(tensor.numel() for tensor in module_biases(network).values())
    assert description.record == {"zeroed_biases": count}
