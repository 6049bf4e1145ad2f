"""Nothing of a configuration is run by a shell: every text of it arrives at a step as it is, or is refused by name."""

import ast
import copy
import json
import os
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from conftest import refused
from PIL import Image
from workflow_copy import MINIMAL, ROOT, copy_workflow, snakemake

from explanations.configuration import LONGEST, check_argument, check_config, check_folder
from explanations.errors import InputError
from explanations.methods.registry import load_method
from explanations.networks.files import build_network
from explanations.networks.sources.registry import find_source
from explanations.removal.operators.registry import load_operator

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
EMBEDDED = yaml.safe_load((ROOT / "config/config.yaml").read_text())
TEXTS = (
    *("$(touch X)", "`touch X`", "; touch X #", "a'b\"c", "{x}", "{params}", "{params.url:q}", "-rf", "--help", "=a"),
    *(
        "Ünïcode 漢字 \u200fעברית",
        "a b ",
        "$HOME \\n",
        "*?[a]",
        "%s !! &",
        "a\nb",
        "a\n",
        "a\r",
        "a\0b",
        "a\u2028b",
        "\ud800",
    ),
)
PLACEHOLDER = re.compile(r"(?<!{){([^{}]*)}(?!})")
LISTS = (
    *("--chosen", "--methods", "--orders", "--digits", "--scales", "--shifts", "--measures", "--reverse"),
    *("--fullgrad", "--note", "--grid-plus"),
)


# --- how rules write commands ------------------------------------------------------------------------------------


def written_texts(path: Path) -> Iterator[str]:
    """The texts of a rules file that stand in shell directives and in calls of shell()."""
    with path.open("rb") as file:
        tokens = [
            token for token in tokenize.tokenize(file.readline) if token.type not in (tokenize.NL, tokenize.COMMENT)
        ]
    inside = False
    for token, after in zip(tokens, [*tokens[1:], tokens[-1]], strict=True):
        if token.string == "shell" and after.string in (":", "("):
            inside = True
        elif token.type in (tokenize.DEDENT, tokenize.ENDMARKER):
            inside = False
        elif inside and token.type == tokenize.STRING:
            yield token.string


WRITTEN = [
    (path.name, text) for path in sorted((ROOT / "workflow/rules").glob("*.smk")) for text in written_texts(path)
]


def test_rules_quote_whatever_they_fill_in():
    filled = [(name, text, inner) for name, text in WRITTEN for inner in PLACEHOLDER.findall(text)]
    assert len(filled) > 200
    assert [(name, text) for name, text, inner in filled if not inner.endswith(":q")] == []


def test_rules_give_a_value_after_an_equals_sign():
    """It may begin with a dash, or be empty. Only lists come after a space: of files made here, numbers, methods."""
    spaced = [re.findall(r"(--[\w-]+) \{([^{}]+):q\}", text) for _, text in WRITTEN]
    for flag, value in (pair for pairs in spaced for pair in pairs):
        assert value.startswith("input.") or flag in LISTS, flag


NAMED_REGISTRIES = (
    *("methods/registry.py", "methods/sources/registry.py", "networks/sources/registry.py"),
    "removal/operators/registry.py",
)
REGISTRIES = [ROOT / "scripts/explanations" / name for name in NAMED_REGISTRIES]


def test_nothing_is_evaluated_as_code():
    """No function that runs text as code or by a shell is called; pickles of torch are read as tensors alone.

    Modules are imported by name where the name is one of a registry's. A file of code is imported where the
    configuration names one, as a method's or a network's (`source: file`), and nowhere else.
    """
    called, of_files, importing = set(), set(), set()
    for path in (ROOT / "scripts").rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            name, keywords = ast.unparse(call.func), {keyword.arg for keyword in call.keywords}
            if path not in REGISTRIES or name != "importlib.import_module":
                called.add(name)
            for users, function in ((of_files, "exec_module"), (importing, "import_file")):
                if name.endswith(function):
                    users.add(path.relative_to(ROOT / "scripts/explanations").as_posix())
            assert "shell" not in keywords, path
            assert name != "torch.load" or "weights_only" in keywords, path
            assert not (name.startswith("pickle.") and "load" in name.lower()), path
    assert not called & {
        "eval",
        "exec",
        "__import__",
        "import_module",
        "importlib.import_module",
        "os.system",
        "os.popen",
    }
    assert {"ast.literal_eval", "torch.load"} <= called and of_files == {"files/code.py"}
    assert importing == {"methods/sources/file.py", "networks/sources/file.py"}


# --- the schema --------------------------------------------------------------------------------------------------

TRAINING = EMBEDDED["networks"]["vgg16"]["training"]
SAMPLE = {  # every key
    **{**EMBEDDED, "whole": True, "experiment": "safety", "device": "cpu", "pathvars": {"results": "a"}},
    **{"training_seed": 0, "trained": "a", "twins": [{"poolings": "vgg16", "strides": "resnet50"}]},
    "images": {
        **{**EMBEDDED["images"], "source": "folder", "folder": "a", "tuning": "a", "labels": "none"},
        **{"package": "a", "version": "1.0", "sha256": 64 * "0", "test": ["a"], "train": ["a"]},
        **{"start_count": 10, "tuning_count": 10, "planted": False},
    },
    "networks": {
        "vgg16": {**EMBEDDED["networks"]["vgg16"], "arguments": {"a": 1}},
        "resnet50": {
            **{**EMBEDDED["networks"]["resnet50"], "arguments": {"a": 1}},
            "training": {**TRAINING, "start_epochs": 0, "precision": "float32"},
        },
        "mine": {
            **{"source": "timm", "constructor": "resnet18", "explain": True, "classes": ["a", "b"]},
            "variants": ["original"],
            "layers": "all",
            "orders": ["minus"],
            "preprocessing": {"size": 2, "resize": 2, "interpolation": "bilinear", "mean": [0.5], "std": [0.5]},
            "arguments": {"num_classes": 2, "in_chans": 3, "free": "a", "list": ["a"], "mapping": {"a": "b"}},
            "weights": {
                **{"key": "a", "name": "a", "url": "a.pth", "sha256": ""},
                **{"package": "a", "version": "1.0", "file": "a", "names": "order"},
            },
        },
        "own": {"source": "file", "path": "a", "arguments": {"a": 1}, "training": {**TRAINING}},
    },
    "survey": {**EMBEDDED["survey"], "images": "test"},
    "figures": {**EMBEDDED["figures"], "figP": {"images": [0], "methods": {"mine": ["input"]}}},
    "removal": {**EMBEDDED["removal"], "operators": ["fill", "road"], "blur": 0.1, "road": 0.01, "grid_plus": [0.5, 1]},
    "statistics": {**EMBEDDED["statistics"], "zeros": "pratt"},
    "sanity": {"images": 2, "steps": 1, "shift": 0.5},
    "grid_pointing": {"grids": 1, "methods": ["layers"]},
    "linear": {**EMBEDDED["linear"], "source": "mnist", "folder": "a"},
}
METHOD = {"source": "file", "name": "a", "path": "a", "of": "a", "title": "a", "free": "a"}
PLACES = {**SAMPLE["images"], "masks": "a", "boxes": "a"}
# those too that a run of the sample can't have
ALL_KEYS = {**SAMPLE, "only": ["vgg16"], "methods": {"mine": METHOD}, "images": PLACES}
FREE = {  # where any text of one line is allowed
    *(
        "trained",
        "images.folder",
        "images.tuning",
        "images.masks",
        "images.boxes",
        "linear.folder",
        "methods.mine.path",
        "methods.mine.title",
        "methods.mine.free",
        "networks.own.path",
        "networks.mine.classes.0",
        "networks.mine.classes.1",
    ),
    *("images.test.0", "images.train.0", "networks.mine.weights.file"),
    *("networks.mine.weights.url", "networks.mine.arguments.free", "networks.mine.arguments.list.0"),
    *("networks.mine.arguments.mapping.a", "networks.mine.arguments.mapping.(key)"),
    *("networks.vgg16.arguments.a", "networks.resnet50.arguments.a", "networks.own.arguments.a"),
}


@pytest.mark.parametrize(
    ("load", "name"), [(load_method, "registry"), (load_method, "..os"), (find_source, "base"), (load_operator, "base")]
)
def test_registries_import_what_they_list_alone(load, name):
    assert f" is {name}; allowed are " in refused(load, name)


def schema_keys(schema: dict) -> Iterator[str]:
    """The names of all keys that a schema lists."""
    schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    for key, value in schema.get("properties", {}).items():
        yield key
        yield from schema_keys(value)
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), dict) and schema[part].get("$ref") != "#/$defs/plain":
            yield from schema_keys(schema[part])


def places(values: object, way: tuple = ()) -> Iterator[tuple]:
    """The way to each value in mappings and lists, and to each of a mapping's keys, which ends in None."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in items:
        yield from places(value, (*way, key))
    if way and not isinstance(values, dict | list):
        yield way
    if isinstance(values, dict):
        yield (*way, None)


def put(config: dict, way: tuple, text: str) -> dict:
    """A copy of a configuration with a text in place of the value at the end of a way, or of a mapping's first key."""
    config = copy.deepcopy(config)
    inner = config
    for key in way[:-1]:
        inner = inner[key]
    if way[-1] is None:
        inner[text] = inner.pop(next(iter(inner)))
    else:
        inner[way[-1]] = text
    return config


def test_every_text_at_every_key_is_refused_by_name_or_free():
    assert {*schema_keys(SCHEMA)} <= {key for way in places(ALL_KEYS) for key in way}
    check_config(ALL_KEYS, SCHEMA)
    allowed = {text: set() for text in TEXTS}
    for way in places(ALL_KEYS):
        name = ".".join("(key)" if key is None else str(key) for key in way)
        for text in TEXTS:
            try:
                check_config(put(ALL_KEYS, way, text), SCHEMA)
                allowed[text].add(name)
            except InputError as error:
                said = str(error)
                assert said.isprintable() and (".".join(map(str, way[:-1])) in said), (name, text, said)
    for text, names in allowed.items():
        assert names == (FREE if text.isprintable() or "\u200f" in text else set()), text


def patterns(values: object) -> Iterator[str]:
    """All patterns of a schema."""
    if isinstance(values, dict):
        yield from (value for key, value in values.items() if key == "pattern")
    for value in values.values() if isinstance(values, dict) else values if isinstance(values, list) else ():
        yield from patterns(value)


def test_no_pattern_lets_a_line_break_through():
    found = {*patterns(SCHEMA)}
    assert len(found) >= 8
    for pattern in found:
        fitting = [text for text in ("a", "cpu", 64 * "0") if re.search(pattern, text)]
        assert fitting, pattern
        assert not [text for text in fitting if re.search(pattern, f"{text}\n")], pattern


@pytest.mark.parametrize("name", ["checkpoint_path", "pretrained", "pretrained_cfg", "weights", "weights_backbone"])
def test_arguments_load_no_weights(name):
    """Neither those of a configuration nor those in a network file's metadata, which others may have written."""
    config = put(SAMPLE, ("networks", "mine", "arguments", "free"), "a")
    config["networks"]["mine"]["arguments"][name] = "w.pth"
    assert f"networks.mine.arguments.{name}: " in refused(check_config, config, SCHEMA)
    for source in ("timm", "torchvision"):
        message = f"arguments of resnet18: {name} is not allowed; weights are none of a constructor's arguments here"
        assert refused(build_network, source, "resnet18", {name: "w.pth"}).startswith(message)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none(value):
    """Which a schema's limits let through: NaN is not below any."""
    for way in (
        ("attributions", "tolerance"),
        ("removal", "fill"),
        ("linear", "regularisation"),
        ("survey", "scales", 0),
    ):
        key = ".".join(map(str, way))
        assert refused(check_config, put(SAMPLE, way, value), SCHEMA).startswith(
            f"{key} is {value}; allowed is a number"
        )


def test_a_configuration_too_long_for_a_command():
    config = put(SAMPLE, ("linear", "folder"), LONGEST * "a")
    assert refused(check_config, config, SCHEMA).endswith("long lists of classes can be files")


# --- from the configuration to the step --------------------------------------------------------------------------

STUB = """#!{python} -IS
import json, os, sys
with open(os.environ["SAID"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
for flag in sys.argv:
    if flag.startswith("--output="):
        open(flag.partition("=")[2], "w").close()
"""


@pytest.fixture(scope="module")
def workflow(tmp_path_factory) -> Path:
    """A copy of the workflow, and a `python` that says what it was given and makes empty files."""
    folder = copy_workflow(tmp_path_factory.mktemp("safety"))
    (folder / "bin").mkdir()
    (folder / "bin/python").write_text(STUB.format(python=sys.executable))
    (folder / "bin/python").chmod(0o755)
    return folder


@pytest.mark.parametrize("text", [text for text in TEXTS if text.isprintable() or "\u200f" in text])
def test_a_text_arrives_as_it_is(workflow, monkeypatch, text):
    experiment = f"e{TEXTS.index(text)}"
    for split in ("train", "val"):
        (workflow / text / split / "a").mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(workflow / text / split / "a/1.png")
    config = {**SAMPLE, "experiment": experiment}
    del config["pathvars"]
    for name in (name for name in FREE if not name.startswith(("methods.", "images.masks", "images.boxes"))):
        key = None if name.endswith("(key)") else name.rpartition(".")[2]
        way = [int(part) if part.isdecimal() else part for part in name.split(".")[:-1]]
        config = put(config, (*way, int(key) if key and key.isdecimal() else key), text)
    config["networks"]["mine"]["classes"] = [text, "b"]
    config["networks"]["mine"]["arguments"]["mapping"] = {text: text}
    mine, places = config["networks"]["mine"], config["networks"]["mine"]["weights"]
    packed = {key: places.pop(key) for key in ("package", "version", "file", "names")} | {"sha256": 64 * "0"}
    config["networks"]["packed"] = {**mine, "weights": packed}  # one place is allowed, an address or a package
    places["url"] = f"{text}.pth"
    (workflow / f"{text}.pth").write_bytes(b"")
    config["networks"]["own"]["path"] = f"{text}.py"
    (workflow / f"{text}.py").write_text("def build(a, num_classes): return None")
    monkeypatch.setenv("PATH", str(workflow / "bin"), prepend=os.pathsep)
    monkeypatch.setenv("SAID", str(workflow / f"{experiment}.txt"))
    files = ["test_images.csv", "train_images.csv", "tuning_images.csv", "mnist.npz", "linear.h5"]
    files += [f"models/{name}/original.safetensors" for name in ("mine", "packed", "own")]
    targets = [f"results/{experiment}/{file}" for file in files]
    arguments = [*targets, "cost", "--cores", "2", "--configfile", "given.yaml"]
    (workflow / "given.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
    if "{" in text:
        said = snakemake(workflow, *arguments, check=False).stdout
        assert f"configuration: trained is {text}; allowed is a path without {{ and }}" in said
        config["trained"] = ""
        (workflow / "given.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
        said = snakemake(workflow, *arguments, check=False).stdout
        assert f"networks.mine.weights.url is {text}.pth; allowed is a path without {{ and }}" in said
        places["url"] = "a.pth"
        (workflow / "a.pth").write_bytes(b"")
        (workflow / "given.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
        said = snakemake(workflow, *arguments, check=False).stdout
        assert f"networks.own.path is {text}.py; allowed is a path without {{ and }}" in said
        (workflow / "a.py").write_text((workflow / f"{text}.py").read_text())
        config["networks"]["own"]["path"] = "a.py"
        (workflow / "given.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
    snakemake(workflow, *arguments)
    steps = [json.loads(line) for line in (workflow / f"{experiment}.txt").read_text().splitlines()]
    given = {(step[0], *(flag for flag in step if flag.startswith("--output="))): step for step in steps}
    assert len(given) == len(steps) == len(targets) + 1

    def values(script: str, file: str = "") -> dict[str, str]:
        output = (f"--output=results/{experiment}/{file}",) if file else ()
        return dict(flag.split("=", 1) for flag in given[f"scripts/{script}.py", *output] if "=" in flag)

    assert values("list_images", "test_images.csv")["--images"] == f"{text}/val"
    assert values("list_images", "train_images.csv")["--images"] == f"{text}/train"
    assert values("list_images", "tuning_images.csv")["--images"] == text
    assert values("fetch_mnist", "mnist.npz")["--folder"] == text
    fetched = values("fetch_network", "models/mine/original.safetensors")
    assert fetched["--url"] == places["url"]
    assert values("fetch_network", "models/packed/original.safetensors")["--file"] == text
    trained = values("train_network", "models/own/original.safetensors")
    assert trained["--constructor"] == config["networks"]["own"]["path"]
    assert ast.literal_eval(fetched["--arguments"]) == mine["arguments"]
    assert ast.literal_eval(fetched["--classes"]) == mine["classes"]
    assert json.loads(values("estimate_cost")["--config"]) == config
    assert not (workflow / "X").exists()


# --- folders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["{x}", "a}", "$(touch X)", "`touch X`", 'a"b', "a\\b", "a\nb", "a\tb"])
def test_a_working_folder_that_commands_cant_hold(name):
    message = refused(check_folder, f"/{name}/b")
    assert message.startswith(f"the working folder is {f'/{name}/b' if name.isprintable() else repr(f'/{name}/b')}; ")


@pytest.mark.parametrize("name", ["a'b", "100%"])
def test_a_working_folder_that_clusters_cant_hold(name):
    check_folder(f"/{name}/b")
    assert "the working folder is" in refused(check_folder, f"/{name}/b", "'%")


def test_what_the_command_line_says_goes_on_to_jobs():
    check_argument('images={folder: "a b"}')
    for text in ("images={folder: $(touch X)}", "a=`touch X`", "a=\\", "a=\n"):
        assert refused(check_argument, text).startswith(f"--config is {text!r}; allowed is text without ")


@pytest.mark.workflow
@pytest.mark.parametrize("name", ["-a b;touch X #", "é漢'[c]&(d)<e>|f*?=,%s!", " ~"])
def test_a_working_folder_with_an_odd_name(tmp_path, name):
    (tmp_path / name).mkdir()
    folder = copy_workflow(tmp_path / name)
    snakemake(folder, "fig1", "results/minimal/manifest.csv", "--cores", "1", *MINIMAL)
    assert (folder / "results/minimal/figures/fig1.png").exists()
    assert (folder / "results/minimal/manifest.csv").exists()
    assert not [*tmp_path.rglob("X")]


@pytest.mark.workflow
@pytest.mark.parametrize("name", ["{wildcards}", "$(touch X)", "a\nb"])
def test_a_working_folder_is_refused_when_planned(tmp_path, name):
    (tmp_path / name).mkdir()
    folder = copy_workflow(tmp_path / name)
    said = snakemake(folder, "fig1", "--cores", "1", *MINIMAL, check=False).stdout
    assert sum(line.startswith("the working folder is ") for line in said.splitlines()) == 1
    assert not (folder / "results").exists() and not [*tmp_path.rglob("X")]
