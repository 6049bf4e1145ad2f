"""A network that is a file of the user's own: trained or with weights, in every step; what is wrong with it; safety."""

import os
import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import HERE, extract, images_of, refused, remove
from safetensors import safe_open
from test_train_and_decay import DECAY
from torch import nn
from workflow_copy import MINIMAL, ROOT, copy_workflow, edited, snakemake

import check_network
import decay_biases
import fetch_network
import make_maps
import survey_network
import train_network
import zero_biases
from explanations.cost.projection import examine
from explanations.files.code import import_file
from explanations.files.descriptions import read_description
from explanations.files.hashes import file_hash
from explanations.files.made_maps import MadeMaps
from explanations.files.shards import ShardReader
from explanations.flags import call_with_flags
from explanations.networks.builders import check_arguments, check_configured, constructor_of
from explanations.networks.files import build_network, load_network, save_network
from explanations.networks.pretrained import look_up
from explanations.networks.trained import describe_training

PAGE = (ROOT / "docs/any_network.md").read_text()
(EXAMPLE,) = re.findall(r"<!-- example: network -->\n```python\n(.*?)```", PAGE, re.DOTALL)
SIZE = 32  # of the world's images
LINEAR = """
from torch import nn
def build(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, num_classes))
"""
FIXED = LINEAR.replace("def build(num_classes)", "def build()").replace("num_classes", "10")
STATED = {"size": SIZE, "mean": 0.5, "std": 0.25}
SURVEY = {"scales": [10], "shifts": [1], "change_images": 4, "fits": 4, "seed": 0, "precision": "float32"}


def write(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def train(world, path: Path, output: Path, **changes) -> Path:
    flags = {"train_images": world.test_images, "train": world.images, "test_images": world.test_images}
    flags |= {"images": world.images, "output": output, "source": "file", "constructor": str(path), "size": SIZE}
    flags |= {"arguments": {}, "epochs": 1, "batch": 5, "learning_rate": 1e-3, "weight_decay": 0.0}
    train_network.main(**{**flags, "seed": 3, "threads": 1, **changes})
    return output


def fetch(folder: Path, path: Path, state: dict, **changes) -> tuple:
    torch.save(state, folder / "w.pth")
    flags = {"arguments": {}, "weights": "", "url": str(folder / "w.pth"), "sha256": "", "preprocessing": STATED}
    output = folder / "fetched.safetensors"
    fetch_network.main("file", str(path), **{**flags, "output": output, **changes})
    return load_network(output, path)


@pytest.fixture(scope="module")
def mine(world, tmp_path_factory):
    """The page's network, trained here on the world's images: its file, and its network file."""
    folder = tmp_path_factory.mktemp("mine")
    path = write(folder, EXAMPLE, "my_network.py")
    return path, train(world, path, folder / "n.safetensors", arguments={"width": 8})


# --- through every step ------------------------------------------------------------------------------------------


def test_the_pages_example_passes(tmp_path, capsys):
    """Biases by hand: of the stem 8, of each block's convolution and gate 8, of its norm β and μ, of the top 10."""
    check_network.main(write(tmp_path, EXAMPLE), SIZE, 10, {"width": 8})
    trained, decomposed = capsys.readouterr().out.splitlines()
    assert trained.startswith("mine.py: can be trained here; ") and trained.endswith("logits of 10 classes")
    assert decomposed == f"decomposed at 5 layers, 4 of them with a map; {8 + 3 * 4 * 8 + 10} biases"
    check_network.main(write(tmp_path, FIXED), SIZE, 10)
    assert capsys.readouterr().out.startswith("mine.py: has no argument num_classes: needs weights; 30,730 parameters")


def test_a_trained_network_says_what_builds_it(mine):
    path, file = mine
    network, description = load_network(file, path)
    assert (description.source, description.constructor) == ("file", str(path))
    assert description.constructor_hash == file_hash(path) and description.arguments == {"width": 8, "num_classes": 10}
    assert description.classes == tuple("0123456789") and description.record["epochs"] == 1
    with safe_open(file, "pt") as held:
        assert "class Block" not in str(held.metadata())
    own = import_file(path, "build()").build(width=8).eval()
    own.load_state_dict(network.state_dict())
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        assert torch.equal(network(images), own(images))


def test_every_step_takes_it(world, mine, tmp_path):
    path, file = mine
    own = {"network": file, "builder": path}
    zero_biases.main(file, tmp_path / "zeroed.safetensors", path)
    zeroed, described = load_network(tmp_path / "zeroed.safetensors", path)
    assert described.variant == "zeroed" and described.constructor_hash == file_hash(path)
    assert not any(zeroed.state_dict()[name].any() for name in ("0.0.bias", "1.gate.bias", "1.norm.running_mean"))

    decayed = {
        "output": tmp_path / "decayed.safetensors",
        "record": tmp_path / "decayed.csv",
        "checkpoint_seconds": 99.0,
    }
    call_with_flags(decay_biases.main, {**DECAY, **own, "name": "mine", **images_of(world), **decayed})
    assert not load_network(decayed["output"], path)[0].state_dict()["1.map.bias"].any()

    tables = {name: tmp_path / f"{name}.csv" for name in ("accuracy", "outputs", "fits_table", "robustness")}
    data = {"test_images": [world.test_images], "images": [world.images], "name": "mine"}
    call_with_flags(survey_network.main, {**own, **data, **SURVEY, **HERE, **tables})
    assert pd.read_csv(tables["accuracy"], comment="#")["biases"].unique().tolist() == [8 + 3 * 4 * 8 + 10]

    shard = extract(world, "mine", tmp_path / "shard.h5", **own)
    ShardReader([shard], file_hash(file)).close()
    removed = remove(world, "mine", tmp_path / "removal.h5", **own, shards=[shard])
    with h5py.File(removed) as held:
        assert np.isfinite(held["e_minus"]).all() and held["e_minus"].shape[0] == 10

    flags = {"manifest": world.manifest, "images": world.images, "shards": [shard], "output": tmp_path / "maps.h5"}
    flags |= {"method": "sobel", "settings": {"source": "controls", "name": "sobel"}}
    make_maps.main(**own, **flags, shard=0, shard_size=100, batch=4, seed=0, **HERE)
    assert sorted(MadeMaps([tmp_path / "maps.h5"], file_hash(file)).maps) == list(range(10))


@pytest.mark.parametrize(("text", "counted"), [(LINEAR, {"num_classes": 10}), (FIXED, {})])
def test_weights_of_ones_own(tmp_path, text, counted):
    """Whether its function takes the number of classes, or always has these."""
    path = write(tmp_path, text)
    network = import_file(path, "build()").build(**counted)
    state = {"state_dict": {f"module.{name}": tensor for name, tensor in network.state_dict().items()}, "epoch": 3}
    found, description = fetch(tmp_path, path, state, classes=list("abcdefghij"))
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        assert torch.equal(found(images), network(images))
    assert description.classes == tuple("abcdefghij") and description.arguments == counted
    assert (description.size, description.resize, description.mean, description.std) == (
        32,
        32,
        (0.5,) * 3,
        (0.25,) * 3,
    )
    assert description.origin_hash == file_hash(tmp_path / "w.pth")
    assert description.constructor_hash == file_hash(path)
    _, description = fetch(tmp_path, path, state, classes=10, preprocessing={**STATED, "resize": 40})
    assert description.resize == 40 and not description.named


def test_grey_images(tmp_path):
    path = write(tmp_path, LINEAR.replace("num_classes)", "num_classes, in_chans)", 1).replace("3 *", "in_chans *"))
    state = nn.Sequential(nn.Flatten(), nn.Linear(SIZE**2, 4)).state_dict()
    _, description = fetch(tmp_path, path, state, classes=4, arguments={"in_chans": 1})
    assert description.channels == 1 and description.mean == (0.5,)


def test_what_it_costs(mine):
    path, _ = mine
    entry = {"source": "file", "path": str(path), "arguments": {"width": 8}, "training": {}}
    facts = examine(entry, SIZE, 10, True)
    network = build_network("file", str(path), {"width": 8})
    assert facts.weights == sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    assert facts.methods["activity"] == 4 and facts.size == SIZE


# --- what is wrong, in a line ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def build(:", "{path}: no Python, line 1 (invalid syntax)"),
        ("def other(): pass", "{path}: has no function build(**arguments)"),
        ("import nothing_of_that_name\ndef build(): pass", "{path}: can't be imported, ModuleNotFoundError: No module"),
        ("def build(): return 1 / 0", "{path}: build raised ZeroDivisionError: division by zero"),
        ("def build(): return 'a network'", "{path}: build gave a str; allowed is a torch.nn.Module"),
        ("def build(): pass\ndel build", "{path}: has no function build(**arguments)"),
        ("def build(width): pass", "arguments.width is missing; build in {path} takes it"),
        (LINEAR.replace(", num_classes)", ", 9)"), "mine.py's output is (1, 9) for 1 images; it must be (1, 10)"),
        (FIXED.replace("32 * 32", "16"), "--size is 32; mine.py can't take it: mat1 and mat2 shapes"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path, text, message):
    path = write(tmp_path, text)
    assert refused(check_network.main, path, SIZE, 10).startswith(message.format(path=path))


FORWARD = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.top = nn.Linear(3, 10)
    def forward(self, x):
        {forward}
def build():
    return Net()
"""


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        ("return unknown", "--size is 32; mine.py can't take it: NameError: name 'unknown' is not defined"),
        ("return self.top(x.mean((2, 3))), x", "mine.py's output is a tuple; it must be logits alone"),
        ("return self.top(x.mean((2, 3))) / 0", "{path}: its logits hold NaN or infinite values"),
        ("return self.top(x.mean((2, 3)) + torch.rand(3))", "{path}: its logits of the same images differ"),
        ("x = x - x.mean(0) * 0.5; return self.top(x.mean((2, 3)))", "{path}: its logits of an image depend on the"),
    ],
)
def test_what_a_network_must_not_do(tmp_path, forward, message):
    path = write(tmp_path, FORWARD.format(forward=forward))
    assert refused(check_network.main, path, SIZE, 10).startswith(message.format(path=path))


def test_a_line_of_the_users_code_is_named(tmp_path):
    """Where torch.fx stops, as for any network."""
    path = write(tmp_path, FORWARD.format(forward="return self.top(x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3)))"))
    said = refused(check_network.main, path, SIZE, 10)
    assert said.startswith("Net can't be traced by torch.fx") and "at line 9 of mine.py, `return self.top(" in said


def test_a_file_is_absent(tmp_path):
    said = f"{tmp_path / 'no.py'}: no such file; allowed is a Python file with a function build"
    assert refused(check_network.main, tmp_path / "no.py", SIZE, 10).startswith(said)
    assert refused(build_network, "file", str(tmp_path / "no.py"), {}).startswith(said)
    assert refused(import_file, tmp_path / "no.py", "explain(network)").endswith("Python file with a function explain")


def test_a_trained_network_takes_the_number_of_classes(world, tmp_path):
    path = write(tmp_path, FIXED)
    said = refused(train, world, path, tmp_path / "n.safetensors")
    assert said.startswith(f"{path}: build takes no num_classes, and a network that is trained here has the classes of")
    assert not (tmp_path / "n.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "IMAGENET1K_V1"}, "weights.name is IMAGENET1K_V1; nothing is published of a network of source"),
        ({"classes": ""}, "classes is missing; a network of source file goes with it"),
        ({"preprocessing": {"size": 32, "std": 1}}, "preprocessing.mean is missing; a network of source file with"),
        ({"preprocessing": {**STATED, "resize": 8}}, "networks.<name>.preprocessing.resize is 8; allowed is a number"),
        ({"classes": 9}, "{folder}/w.pth: not a {folder}/mine.py: 1.bias is (10,); expected (9,)"),
        (
            {"arguments": {"width": 3}},
            "arguments.width is none of build's in {folder}/mine.py; allowed are num_classes",
        ),
        ({"url": ""}, "weights.url is missing"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, changes, message):
    path = write(tmp_path, LINEAR)
    state = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)).state_dict()
    said = refused(fetch, tmp_path, path, state, **{"classes": 10, **changes})
    assert said.startswith(message.format(folder=tmp_path))


def test_imagenets_classes_by_their_number(tmp_path):
    path = write(tmp_path, LINEAR)
    published = look_up("file", str(path), "", {"num_classes": 1000}, preprocessing=STATED)
    assert published.classes == 1000 and not published.own and published.framing.size == published.framing.resize == 32


@pytest.mark.parametrize(
    ("signature", "given", "message"),
    [
        ("a, b=1", ("a",), None),
        ("a, b=1", ("a", "b"), None),
        ("a, b=1", (), "arguments.a is missing; build in "),
        ("a, *, c, d=2", ("a",), "arguments.c is missing; build in "),
        ("a, *, c, d=2", ("a", "c", "d"), None),
        ("a, b=1", ("a", "z"), "arguments.z is none of build's in "),
        ("a, **rest", ("a", "z"), None),
        ("**rest", (), None),
    ],
)
def test_arguments_are_the_functions(tmp_path, signature, given, message):
    """As Python itself has it, which is asked here too."""
    path = write(tmp_path, f"def build({signature}): return None")
    function = import_file(path, "build()").build
    if message is None:
        check_arguments(path, given)
        assert function(**dict.fromkeys(given)) is None
    else:
        assert refused(check_arguments, path, given).startswith(message)
        with pytest.raises(TypeError):
            function(**dict.fromkeys(given))


# --- code is run where it is named, as it is ---------------------------------------------------------------------


MARKING = LINEAR + "\nimport pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\n"


def test_a_network_file_runs_no_code_by_itself(world, tmp_path, monkeypatch):
    """Not of a file of the very hash that it states, which may have come with it; nor of another that is named."""
    path = write(tmp_path, MARKING)
    file, ran = train(world, path, tmp_path / "n.safetensors"), path.with_suffix(".ran")
    assert ran.exists()
    ran.unlink()
    said = refused(load_network, file)
    assert said.startswith(
        f"{file}: its network is code of one's own, {path}; --builder={path} runs it, if you trust it"
    )
    for text in (MARKING + "\n", MARKING.replace("32 * 32", "16 * 64")):
        with edited(path, lambda _, text=text: text):
            said = refused(load_network, file, path)
            assert said.startswith(f"{file}: {path} is not the file that it was made with; make it again: snakemake ")
    assert refused(load_network, file, tmp_path / "no.py").startswith(f"{file}: {tmp_path / 'no.py'}: no such file")
    assert not ran.exists()
    load_network(file, path)
    assert ran.exists()


def test_a_network_file_without_a_hash_runs_no_code(world, tmp_path):
    path = write(tmp_path, MARKING)
    network, description = load_network(train(world, path, tmp_path / "n.safetensors"), path)
    path.with_suffix(".ran").unlink()
    save_network(tmp_path / "n.safetensors", network, replace(description, constructor_hash=""))
    assert "is not the file that it was made with" in refused(load_network, tmp_path / "n.safetensors", path)
    assert not path.with_suffix(".ran").exists()


def test_a_plan_runs_no_code(tmp_path):
    path = write(tmp_path, MARKING)
    check_configured({"source": "file", "path": str(path), "arguments": {}, "training": {}})
    assert not path.with_suffix(".ran").exists()


def test_a_file_is_taken_as_it_is(tmp_path):
    """Not as Python compiled it before, which it takes for the same by size and second; nothing is left beside it."""
    path = write(tmp_path, "def build(): return 1")
    assert import_file(path, "build()").build() == 1
    status = path.stat()
    path.write_text("def build(): return 2")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert import_file(path, "build()").build() == 2
    assert [each.name for each in tmp_path.iterdir()] == ["mine.py"]


def test_other_networks_files_are_as_they_were(world):
    """They say nothing of a file that builds them."""
    with safe_open(world.networks["vgg16"], "pt") as file:
        assert "constructor_hash" not in file.metadata()
    assert read_description(world.networks["vgg16"]).constructor_hash == ""


def test_another_file_is_another_training(tmp_path):
    """A network is taken from a folder of trained ones if its file has the same text, wherever that lies."""
    images = {"source": "digits", "size": 32, "scraps": 0, "train_count": 20}
    made = []
    for name, text in (("a.py", LINEAR), ("b.py", LINEAR), ("c.py", LINEAR + "\n")):
        network = {"source": "file", "path": str(write(tmp_path, text, name)), "arguments": {}, "training": {}}
        made.append(describe_training({"images": images, "seed": 0, "networks": {"mine": network}}, "mine"))
    assert made[0] == made[1] != made[2] and made[0]["constructor"] == file_hash(tmp_path / "a.py")
    assert refused(
        describe_training,
        {"images": images, "seed": 0, "networks": {"mine": {**network, "path": "no.py"}}},
        "mine",
    ).startswith("no.py: no such file")


# --- the plan ----------------------------------------------------------------------------------------------------

TRAINED = {"source": "file", "path": "mine.py", "arguments": {}, "explain": ["layers", "aggregates"]}
TRAINED |= {"training": {"epochs": 1, "batch": 5, "learning_rate": 0.001, "weight_decay": 0}}
WEIGHTED = {"source": "file", "path": "mine.py", "arguments": {}, "weights": {"url": "w.pth"}, "classes": 10}
WEIGHTED |= {"preprocessing": STATED}


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (TRAINED, None),
        (WEIGHTED, None),
        ({**TRAINED, "path": "{x}.py"}, "path is {x}.py; allowed is a path without { and }"),
        ({**TRAINED, "path": "no.py"}, "path is no.py: no such file; allowed is a Python file with a function build"),
        ({**TRAINED, "path": "empty.py"}, "path is empty.py: has no function build(**arguments)"),
        (
            {**TRAINED, "path": "fixed.py"},
            "path is fixed.py: build takes no num_classes, and a network that is trained",
        ),
        ({**WEIGHTED, "path": "fixed.py"}, None),
        ({**WEIGHTED, "path": "fixed.py", "arguments": {"num_classes": 10}}, None),
        ({**TRAINED, "arguments": {"width": 3}}, "arguments.width is none of build's in mine.py; allowed are num_clas"),
        (
            {**WEIGHTED, "preprocessing": {}},
            "preprocessing.size is missing; a network of source file with weights goes",
        ),
        ({**WEIGHTED, "weights": {}}, "weights.url is missing; nothing is published of a network of source file"),
        (
            {**WEIGHTED, "weights": {"name": "a", "url": "w.pth"}},
            "weights.name is a; nothing is published of a network",
        ),
    ],
)
def test_what_is_configured(tmp_path, monkeypatch, network, message):
    monkeypatch.chdir(tmp_path)
    for name, text in (("mine.py", LINEAR), ("fixed.py", FIXED), ("empty.py", "")):
        write(tmp_path, text, name)
    assert constructor_of(network) == network["path"]
    if message is None:
        check_configured(network)
    else:
        assert refused(check_configured, network).startswith(message)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A copy of the workflow, with a network's file beside it."""
    folder = copy_workflow(tmp_path_factory.mktemp("files"))
    write(folder, LINEAR)
    (folder / "w.pth").write_bytes(b"")
    return folder


def plan(folder: Path, networks: dict, *arguments: str) -> str:
    write(folder, yaml.safe_dump({"networks": networks}), "mine.yaml")
    return snakemake(folder, *arguments, *MINIMAL, "mine.yaml", check=False).stdout


@pytest.mark.workflow
def test_a_configuration_with_files_is_planned(folder):
    """All that builds the network waits for its file, and is told of it; nothing of another network is."""
    networks = {"own": TRAINED, "fetched": WEIGHTED}
    targets = ["results/minimal/statistics/own/leaderboard.csv", "results/minimal/survey/own/fits.csv"]
    targets += [f"results/minimal/models/{name}/zeroed.safetensors" for name in ("own", "fetched", "vgg16")]
    said = plan(folder, networks, "--dry-run", "--printshellcmds", *targets)
    built = {}
    for job in said.split("\n\n"):
        rule, network = re.search(r"rule (\w+):", job), re.search(r"wildcards: network=(\w+)", job)
        if rule and network and "scripts/explanations/networks/files.py" in job:
            inputs = re.search(r"    input: (.*)", job)[1].split(", ")
            command = re.search(r"Shell command: (.*)", job)[1]
            built.setdefault((rule[1], network[1]), []).append(("mine.py" in inputs, command))
    loading = {"zero_biases", "survey_network", "extract_attributions", "measure_removal"}
    assert {rule for rule, name in built if name == "own"} == {"train", *loading}
    assert {rule for rule, name in built if name == "fetched"} == {"fetch_network", "zero_biases"}
    for (rule, name), found in built.items():
        for waits, command in found:
            assert waits == (name != "vgg16"), (rule, name)
            assert ("--builder=mine.py" in command) == (name != "vgg16" and rule in loading), (rule, name)
            assert ("--constructor=mine.py" in command) == (name != "vgg16" and rule not in loading), (rule, name)


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({**TRAINED, "path": "no.py"}, "configuration: networks.own.path is no.py: no such file; allowed is a Python"),
        ({**TRAINED, "constructor": "a"}, "networks.own.constructor is 'a'; allowed is nothing: path says what builds"),
        ({key: TRAINED[key] for key in TRAINED if key != "path"}, "networks.own: 'path' is a required property"),
        (
            {**TRAINED, "source": "timm", "constructor": "a"},
            "networks.own.path is 'mine.py'; allowed is nothing: it is of",
        ),
        ({**WEIGHTED, "preprocessing": {"size": 32}}, "configuration: networks.own.preprocessing.mean is missing; a"),
    ],
)
def test_a_bad_configuration_is_one_line(folder, network, message):
    said = plan(folder, {"own": network}, "--dry-run")
    assert sum(message in line for line in said.splitlines()) == 1


@pytest.mark.workflow
def test_a_changed_file_makes_its_network_again(folder):
    network = "results/minimal/models/fetched/original.safetensors"
    state = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)).state_dict()
    torch.save(state, folder / "w.pth")
    ran = plan(folder, {"fetched": WEIGHTED}, "--cores", "1", network)
    assert (folder / network).is_file(), ran
    assert read_description(folder / network).constructor == "mine.py"
    with edited(folder / "mine.py", lambda text: text + "# changed\n"):
        assert "Updated input files: mine.py" in plan(folder, {"fetched": WEIGHTED}, "--dry-run", network)
