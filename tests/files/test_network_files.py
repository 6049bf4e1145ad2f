"""Network files that changed since they were written, by a single bit too, and those that are wrong in themselves."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import refused
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small import ARGUMENTS, build, describe
from workflow_copy import ROOT

from explanations.errors import InputError
from explanations.files.descriptions import ALLOWED, FORMAT, NetworkDescription, read_description
from explanations.files.tensors import read_tensors, write_tensors
from explanations.networks.decay_checkpoints import load_checkpoint
from explanations.networks.files import build_network, limit_size, load_network, save_network

TINY = {"size": 4, "channels": 3, "num_classes": 2}
FLIPS = 4000  # of about 8,300 bits


@pytest.fixture
def network_file(tmp_path) -> Path:
    """The file of a network of a hundred weights."""
    path = tmp_path / "n.safetensors"
    changes = {"arguments": TINY, "size": 4, "resize": 4, "classes": ("cat", "dög"), "record": {"accuracy": 0.5}}
    save_network(path, build_network("narrow", "linear", TINY), describe("linear", **changes))
    return path


def again(path: Path) -> str:
    return f"make it again: snakemake --cores all --force {path}"


def flip(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def rewrite(path: Path, **metadata: str) -> Path:
    """Give a file other metadata, and the hash that goes with them, as a file that somebody else made would have it."""
    with safe_open(path, "pt") as file:
        found = {key: value for key, value in file.metadata().items() if key != "hash"}
    write_tensors(path, {name: tensor.clone() for name, tensor in load_file(path).items()}, {**found, **metadata})
    return path


# --- changed -----------------------------------------------------------------------------------------------------


def test_a_flipped_bit_is_noticed_or_changes_nothing(network_file):
    """Any bit: of lengths, names, types, metadata, weights. The error is one line that names the file."""
    content = network_file.read_bytes()
    network, description = load_network(network_file)
    state = network.state_dict()
    chosen = random.Random(0).sample(range(8 * len(content)), FLIPS)
    errors = []
    for bit in chosen:
        network_file.write_bytes(flip(content, bit))
        try:
            network, found = load_network(network_file)
        except InputError as error:
            errors.append(str(error))
            continue
        assert found == description and network.state_dict().keys() == state.keys(), bit
        assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items()), bit
    assert all(error.startswith(f"{network_file}: ") and "\n" not in error for error in errors)
    assert len(errors) > 0.99 * FLIPS


def test_a_changed_weight_is_named_as_such(network_file):
    content = network_file.read_bytes()
    network_file.write_bytes(flip(content, 8 * len(content) - 30))
    message = f"{network_file}: changed since it was written (its weights); {again(network_file)}"
    assert refused(load_network, network_file) == message
    assert read_description(network_file).classes == ("cat", "dög")


@pytest.mark.parametrize(
    ("old", "new"), [(b"[0.5, 0.5, 0.5]", b"[0.4, 0.5, 0.5]"), (b"original", b"decayed "), (b"cat", b"cow")]
)
def test_changed_metadata_are_named_as_such(network_file, old, new):
    network_file.write_bytes(network_file.read_bytes().replace(old, new))
    message = f"{network_file}: changed since it was written (its metadata); {again(network_file)}"
    assert refused(load_network, network_file) == refused(read_description, network_file) == message


def test_a_file_of_an_older_format_is_to_be_made_again(network_file):
    save_file(load_file(network_file), network_file, {"format": "explanations-network-2"})
    message = f"{network_file}: of format explanations-network-2; read is {FORMAT}; {again(network_file)}"
    assert refused(load_network, network_file) == refused(read_description, network_file) == message


def test_a_changed_checkpoint_is_not_gone_on_from(tmp_path, capsys):
    path = tmp_path / "c"
    write_tensors(path, {"a": torch.ones(3)}, {"format": "explanations-decay-1", "fingerprint": "f", "record": "[]"})
    path.write_bytes(flip(path.read_bytes(), 8 * path.stat().st_size - 3))
    assert load_checkpoint(path, None, "f") == []
    assert capsys.readouterr().out == f"{path}: changed since it was written (its weights); starting anew\n"


# --- written -----------------------------------------------------------------------------------------------------

KINDS = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64)
KINDS += (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


def test_every_kind_of_tensor_comes_back(tmp_path):
    """Also as safetensors' own reader reads it; those without numbers, of no dimension, in another order in memory."""
    tensors = {str(kind): torch.randn(3, 5).mul(9).to(kind) for kind in KINDS}
    tensors |= {"none": torch.empty(0, 3), "scalar": torch.tensor(7), "turned": torch.randn(4, 3).t()}
    write_tensors(tmp_path / "t", tensors, {"format": "x-1", "ü": "\n"})
    metadata, found = read_tensors(tmp_path / "t", "x-1", "")
    assert metadata["ü"] == "\n"
    for read in (found, load_file(tmp_path / "t")):
        assert read.keys() == tensors.keys()
        assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())
        assert all(read[name].dtype == tensor.dtype for name, tensor in tensors.items())
        assert all(read[name].data_ptr() % tensor.element_size() == 0 for name, tensor in tensors.items())


FULL = """
import resource, signal, sys
sys.path.insert(0, sys.argv[1])
import torch
from pathlib import Path
from explanations.files.tensors import write_tensors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, 10**5))
try:
    write_tensors(Path(sys.argv[2]), {"a": torch.ones(10**6)}, {"format": "x-1"})
except ValueError as error:
    print(error)
"""


def test_a_file_that_can_not_grow_is_one_line(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", FULL, ROOT / "scripts", tmp_path / "f"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(f"no space left on the disk of {tmp_path}: f: file too large, ")
    assert (found.stdout.count("\n"), found.stderr) == (1, "")
    assert not list(tmp_path.iterdir())


# --- wrong in themselves -----------------------------------------------------------------------------------------

SIDE, MAPPING = "a whole number from 1 to 4096", ALLOWED["record"][1]
RESIZE, CHANNELS = "a whole number from size to 4096", "1, 3 or 4 numbers from -1e+06 to 1e+06"
STD = "1, 3 or 4 numbers from 1e-06 to 1e+06, as many as the means"
CLASSES = "2 names or more, each of them text"
INTERPOLATION = "nearest, bilinear, bicubic, lanczos"
WRONG = [
    ("size", "'48'", SIDE),
    ("size", 0, SIDE),
    ("size", -4, SIDE),
    ("size", 4.0, SIDE),
    ("size", True, SIDE),
    ("size", 10**9, SIDE),
    ("size", 10**400, SIDE),
    ("resize", 3, RESIZE),
    ("resize", None, RESIZE),
    ("mean", (0.5, 0.5), CHANNELS),
    ("mean", 0.5, CHANNELS),
    ("mean", (0.5, 0.5, float("nan")), CHANNELS),
    ("mean", (0.5, 0.5, "0.5"), CHANNELS),
    ("mean", (0.5, 0.5, 10**400), CHANNELS),
    ("std", (0.5,), STD),
    ("std", (0.5, 0.5, 0.0), STD),
    ("std", (0.5, 0.5, -0.5), STD),
    ("std", (0.5, 0.5, float("inf")), STD),
    ("interpolation", "cubic", INTERPOLATION),
    ("interpolation", [], INTERPOLATION),
    ("squash", "no", "true or false"),
    ("variant", "pruned", "original, zeroed, decayed"),
    ("classes", ("a",), CLASSES),
    ("classes", (1, 2), CLASSES),
    ("classes", "ab", CLASSES),
    ("arguments", [1], MAPPING),
    ("arguments", {"width": float("nan")}, MAPPING),
    ("record", "good", MAPPING),
    ("record", {"accuracy": float("inf")}, MAPPING),
    ("source", 7, "text"),
    ("constructor", None, "text"),
    ("origin", {}, "text"),
]


@pytest.mark.parametrize(("key", "value", "allowed"), WRONG)
def test_wrong_metadata(network_file, key, value, allowed):
    """Whether they are read or about to be written: the key, the value, what is allowed; the file that they are in."""
    value = "48" if value == "'48'" else value
    rewrite(network_file, **{key: json.dumps(value)})
    message = refused(read_description, network_file)
    assert message.startswith(f"{network_file}: {key} is ") and message.endswith(f"; allowed is {allowed}")
    assert len(message) < 400
    if not isinstance(value, list):  # JSON's, which are the tuples of here
        assert f"{network_file}: {refused(describe, 'linear', **{key: value})}" == message


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "nan", "", "{'a': 1}"])
def test_metadata_that_are_no_json(network_file, text):
    for key in ALLOWED:
        message = refused(read_description, rewrite(network_file, **{key: text}))
        assert message.startswith(f"{network_file}: {key} can't be read as JSON (")
        rewrite(network_file, **{key: json.dumps(getattr(describe("linear"), key))})


def test_metadata_that_nest_too_deep(network_file):
    rewrite(network_file, record='{"a":' * 30 + "1" + "}" * 30)
    assert refused(read_description, network_file).startswith(f"{network_file}: record is {{'a': ")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": "caffe"}, "source is caffe; allowed are narrow, torchvision, timm"),
        ({"constructor": "linear2"}, "constructor is linear2; source narrow has "),
        ({"arguments": {**TINY, "num_classes": -1}}, "arguments of linear: "),
        ({"arguments": {**TINY, "num_classes": "2"}}, "arguments of linear: "),
        ({"arguments": {**TINY, "size": 10**30}}, "arguments of linear: "),
        ({"arguments": {}}, "arguments of linear: "),
        ({"arguments": {**TINY, "num_classes": 3}}, "not a linear: "),
        ({"classes": ["a", "b", "c"]}, "linear's output is (1, 2) for 1 images; it must be (1, 3)"),
        ({"mean": [0.5], "std": [0.5]}, "arguments of linear: linear takes images of 3 channels, not of 1"),
        ({"size": 5, "resize": 5}, "size is 5; linear can't take it: "),
    ],
)
def test_a_network_that_does_not_fit_its_description(network_file, changes, said):
    rewrite(network_file, **{key: json.dumps(value) for key, value in changes.items()})
    assert refused(load_network, network_file).startswith(f"{network_file}: {said}")


HUGE = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from explanations.errors import InputError
from explanations.networks.files import load_network
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_network(Path(sys.argv[2]))
except InputError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_network_that_asks_for_far_more_than_its_file_holds(tmp_path):
    """147 GB, none of which is taken."""
    path = tmp_path / "n.safetensors"
    save_network(path, build("vgg16"), describe("vgg16"))
    rewrite(path, arguments=json.dumps({**ARGUMENTS["vgg16"], "width": 50}))
    command = [sys.executable, "-W", "ignore", "-c", HUGE, ROOT / "scripts", path]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    said, taken = found.stdout.splitlines()
    assert said.startswith(f"{path}: its arguments ask for ") and said.endswith("; the file holds 59,470")
    assert int(taken) < 600_000  # kB


def test_networks_may_build_parts_that_they_replace():
    for name, arguments in ARGUMENTS.items():
        with limit_size(1):
            build_network("narrow", name, arguments)
    with pytest.raises(InputError, match="ask for"), limit_size(1):
        build_network("torchvision", "vgg16", {})
    build_network("narrow", "linear", ARGUMENTS["linear"])


def test_a_description_of_here_is_checked_too():
    with pytest.raises(InputError, match=r"std is \(1.0,\); allowed is 1, 3 or 4 numbers"):
        NetworkDescription("narrow", "linear", TINY, ("a", "b"), 4, (0.5,) * 3, (1.0,), 4)
