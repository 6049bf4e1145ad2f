"""Files of weights as people have them: which weights are taken, by which names, and what is refused in one line."""

import argparse
import re
import types
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from conftest import refused
from safetensors.torch import save_file
from torch import nn

from explanations.networks.checkpoints import read_checkpoint

NAMES = ("first.weight", "first.bias", "norm.weight", "norm.num_batches_tracked")


def weights(value: float = 1.0, prefix: str = "", names: tuple = NAMES) -> dict[str, torch.Tensor]:
    return {prefix + name: torch.full((2,), value + index) for index, name in enumerate(names)}


def read(folder: Path, content: object, key: str = "", suffix: str = ".pth", **options) -> dict[str, torch.Tensor]:
    path = folder / f"w{suffix}"
    if suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path, **options)
    return read_checkpoint(path, NAMES, key)


def same(found: dict, wanted: dict) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


SETTINGS = {
    **{"args": argparse.Namespace(lr=0.1, path=Path("/data/x")), "best": np.float64(0.5), "epoch": 3},
    **{"scores": np.arange(3.0), "kind": np.dtype("float32"), "more": types.SimpleNamespace(a=1), "count": np.int64(3)},
    "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
}
SHAPES = {
    "plain": weights(),
    "DataParallel": weights(prefix="module."),
    "compiled": weights(prefix="_orig_mod."),
    "compiled within": {name.replace("norm.", "norm._orig_mod."): tensor for name, tensor in weights().items()},
    "both": weights(prefix="module._orig_mod."),
    "state_dict": {"state_dict": weights(), **SETTINGS},
    "model": {"model": weights(prefix="module."), **SETTINGS},
    "one of any name": {"student": weights(), **SETTINGS},
    "Lightning": {
        **{"state_dict": {**weights(prefix="model."), "loss.weight": torch.ones(3)}, "epoch": 1},
        **{"hyper_parameters": {"lr": 0.1}, "pytorch-lightning_version": "2.5.0", "callbacks": {"x": {"best": 1.0}}},
    },
    "Lightning by another name": {"state_dict": {**weights(prefix="encoder.net."), "encoder.tau": torch.ones(1)}},
    "two levels": {"checkpoint": {"weights": weights(), "epoch": 3}},
    "without counters": weights(names=NAMES[:-1]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_that_people_have(tmp_path, shape):
    found = read(tmp_path, SHAPES[shape])
    assert same(found, weights(names=NAMES[:-1] if shape == "without counters" else NAMES))


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_older_files(tmp_path, options):
    assert same(read(tmp_path, {"state_dict": weights(), **SETTINGS}, **options), weights())


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_safetensors(tmp_path, prefix):
    assert same(read(tmp_path, weights(prefix=prefix), suffix=".safetensors"), weights())


def test_names_that_are_older_lose_a_known_wrapper_alone(tmp_path):
    """A network's names of today are not in the file: its family's filter is to see the old ones."""
    old = weights(names=("conv.weight", "conv.bias"))
    assert same(read(tmp_path, {f"module.model.{name}": tensor for name, tensor in old.items()}), old)
    assert same(
        read(tmp_path, {f"mine.{name}": tensor for name, tensor in old.items()}), weights(1, "mine.", tuple(old))
    )


def test_what_is_taken_and_left_out_is_said(tmp_path, capsys):
    read(tmp_path, SHAPES["Lightning"])
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2] for line in said] == [
        "state_dict is taken",
        "the prefix model. is taken off 4 names",
        "left out: loss.weight",
    ]


AVERAGED = {"state_dict_ema": weights(5.0), "state_dict": weights(), "epoch": 3}
REFERENCE = {"model": weights(), "model_ema": {**weights(5.0, "module."), "n_averaged": torch.tensor(9)}}


@pytest.mark.parametrize(
    ("content", "averaged", "taken"),
    [(AVERAGED, "state_dict_ema", "state_dict"), (REFERENCE, "model_ema", "model")],
)
def test_means_over_training_are_taken_if_the_key_says_so(tmp_path, capsys, content, averaged, taken):
    assert same(read(tmp_path, content), weights())
    said = capsys.readouterr().out
    assert f"w.pth: {taken} is taken; weights.key can choose {averaged} instead\n" in said
    assert same(read(tmp_path, content, averaged), weights(5.0))
    assert same(read(tmp_path, content, taken), weights())


def test_means_are_taken_where_there_is_nothing_else(tmp_path):
    assert same(read(tmp_path, {"ema": weights(), "epoch": 3}), weights())


def test_two_networks_in_a_larger_module(tmp_path, capsys):
    both = {**weights(1.0, "model."), **weights(5.0, "ema.")}
    assert same(read(tmp_path, {"state_dict": both}), weights())
    assert "what starts with model. is taken; weights.key can choose ema instead" in capsys.readouterr().out
    assert same(read(tmp_path, {"state_dict": both}, "ema"), weights(5.0))
    beside = {**weights(), **weights(5.0, "teacher.")}
    assert same(read(tmp_path, beside), weights())
    assert same(read(tmp_path, beside, "teacher"), weights(5.0))


def test_what_is_no_tensor_beside_the_weights_is_left_out(tmp_path, capsys):
    assert same(read(tmp_path, {**weights(), "epoch": 5}), weights())
    assert "left out, which are no tensors: epoch" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "key", "message"),
    [
        ({"student": weights(), "teacher": weights()}, "", "weights.key is missing; {path} holds student, teacher"),
        (
            {**weights(prefix="student."), **weights(prefix="teacher.")},
            "",
            "weights.key is missing; {path} holds student, teacher",
        ),
        (AVERAGED, "ema", "weights.key is ema; {path} holds state_dict_ema, state_dict"),
        (weights(), "ema", "weights.key is ema; {path} holds names that start with first, norm"),
        (
            {"epoch": 3, "loss": 0.5},
            "",
            "{path}: not a file of weights; expected tensors by name, alone or under a key; it holds epoch, loss",
        ),
        ({}, "", "{path}: not a file of weights; expected tensors by name, alone or under a key; it is empty"),
        ([1, 2], "", "{path}: not a file of weights; expected a dictionary of tensors, not a list"),
        (torch.ones(2), "", "{path}: not a file of weights; expected a dictionary of tensors, not a Tensor"),
        (
            {**weights(), **weights(prefix="_orig_mod.")},
            "",
            "{path}: holds weights twice, with _orig_mod. in their names and without",
        ),
    ],
)
def test_what_is_not_clear(tmp_path, content, key, message):
    assert refused(read, tmp_path, content, key) == message.format(path=tmp_path / "w.pth")


# --- what would run code -----------------------------------------------------------------------------------------

ADVICE = 'save its weights alone: torch.save(model.state_dict(), "weights.pth")'


class Own(nn.Module):
    """A network of the user's own class."""

    def __init__(self):
        super().__init__()
        self.top = nn.Linear(2, 2)


class Trap:
    """Unpickling it leaves a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("network", [torchvision.models.squeezenet1_1, Own])
def test_a_whole_pickled_network(tmp_path, network, within, options):
    built = network()
    kind = f"{type(built).__module__}.{type(built).__qualname__}"
    message = refused(read, tmp_path, {"model": built, "epoch": 3} if within else built, **options)
    said = f"a whole pickled network ({kind}), which is not loaded since that runs code; {ADVICE}"
    assert message == f"{tmp_path / 'w.pth'}: {said}"


def test_nothing_in_a_file_is_run(tmp_path):
    message = refused(read, tmp_path, {"state_dict": weights(), "extra": Trap(tmp_path / "sprung")})
    assert not (tmp_path / "sprung").exists()
    assert re.search(r"w.pth: holds a \S+, which is not loaded since that could run code; save its weights ", message)


def test_a_torchscript_program(tmp_path):
    path = tmp_path / "w.pt"
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), path)
    message = refused(read_checkpoint, path, NAMES)
    assert message == f"{path}: a TorchScript program, not a file of weights; {ADVICE}"


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04" + bytes(50), b"\x80\x02}q\x00."])
def test_broken_files_are_said_to_be_so_in_plain_letters(tmp_path, content):
    (tmp_path / "w.pth").write_bytes(content)
    message = refused(read_checkpoint, tmp_path / "w.pth", NAMES)
    assert message.startswith(f"{tmp_path / 'w.pth'}: not a file of weights")
    assert message.isprintable() and len(message) < 300


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>", b""])
def test_files_of_something_else_are_said_to_be_so(tmp_path, content):
    (tmp_path / "w.pth").write_bytes(content)
    message = refused(read_checkpoint, tmp_path / "w.pth", NAMES)
    assert message.endswith("w.pth: not a file of weights (torch.save didn't write it, or it is cut off)")
