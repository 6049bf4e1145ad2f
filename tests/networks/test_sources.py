"""The sources of networks: one face, each imported only where it is named, and what the schema says of them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import refused
from test_environments import environment_packages, imported_packages
from workflow_copy import MINIMAL, ROOT, copy_workflow, snakemake

from explanations.dependencies import find_sources
from explanations.networks.channels import count_channels
from explanations.networks.files import LOADING
from explanations.networks.sources.base import Source
from explanations.networks.sources.registry import OWN_CODE, SOURCES, find_source, source_file, takes_weights

SCRIPTS = ROOT / "scripts"
NETWORK = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())["$defs"]["network"]["properties"]
MODULES = {name: SCRIPTS / source_file(name) for name in SOURCES}
BUILDERS = {"narrow": "linear", "torchvision": "squeezenet1_1", "timm": "test_vit"}


def test_the_schema_knows_every_source():
    *names, last = SOURCES
    assert NETWORK["source"] == {"enum": [*names, last], "description": f"{', '.join(names)} or {last}"}


def test_the_schema_refuses_arguments_that_load_weights():
    """As build_network does; the plan has no torch, so that it stands in both."""
    assert NETWORK["arguments"]["propertyNames"]["pattern"].startswith(f"^(?!{LOADING.pattern})[A-Za-z_]")


@pytest.mark.parametrize("name", SOURCES)
def test_one_face(name):
    source = find_source(name)
    assert isinstance(source, Source) and source.name == name
    assert (type(source).look_up is not Source.look_up) == takes_weights(name)
    assert source.runs_code == (name == OWN_CODE)


@pytest.mark.parametrize("name", BUILDERS)
def test_constructors_by_name(name):
    source = find_source(name)
    assert BUILDERS[name] in source.constructors()
    assert source.check_constructor(BUILDERS[name]) is None and source.hash_constructor(BUILDERS[name]) == ""
    assert refused(source.check_constructor, "vgg99").startswith("constructor is vgg99; ")
    assert source.training_arguments(BUILDERS[name], {"a": 1}) == {"a": 1}


def test_channels_are_an_argument_of_constructors_that_have_it():
    asked = [("narrow", "channels"), ("timm", "in_chans"), ("torchvision", "in_chans")]
    assert [count_channels(source, {name: 1}) for source, name in asked] == [1, 1, 3]


def test_an_unknown_source():
    assert refused(find_source, "caffe") == "source is caffe; allowed are narrow, torchvision, timm, file"


@pytest.mark.parametrize("script", ["fetch_network.py", "train_network.py", "extract_attributions.py"])
def test_a_step_depends_on_the_source_that_is_named(script):
    """An edit of one source makes no network of another anew."""
    assert not set(find_sources(SCRIPTS / script)) & set(MODULES.values())
    for name, module in MODULES.items():
        found = find_sources(SCRIPTS / script, module)
        assert set(found) & set(MODULES.values()) == {module}, name
        assert SCRIPTS / "explanations/networks/sources/base.py" in found and found == sorted(found)


@pytest.mark.parametrize("name", SOURCES)
def test_the_environment_has_what_a_source_imports(name):
    assert imported_packages(MODULES[name]) <= environment_packages("torch.yaml").keys()


def test_a_source_is_imported_where_it_is_named():
    code = "from explanations.networks.files import build_network; import sys; "
    code += "build_network('narrow', 'linear', {'size': 4, 'channels': 3, 'num_classes': 2}); "
    code += "print(*[name for name in sys.modules if '.networks.sources.' in name], 'timm' in sys.modules)"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); {code}"]
    said = subprocess.run(command, text=True, capture_output=True, check=True).stdout.split()
    assert {name.rpartition(".")[2] for name in said} == {"registry", "base", "narrow", "False"}


def test_files_of_sources_are_below_the_scripts():
    assert all(path.is_file() for path in MODULES.values())
    assert source_file("timm") == Path("explanations/networks/sources/timm.py")


@pytest.mark.workflow
def test_a_rule_depends_on_the_source_of_its_network(tmp_path):
    folder = copy_workflow(tmp_path)
    mine = {"source": "timm", "constructor": "test_vit", "arguments": {}, "weights": {"name": "r160_in1k"}}
    (folder / "mine.yaml").write_text(yaml.safe_dump({"networks": {"mine": mine}}))
    made = [f"results/minimal/models/{name}/original.safetensors" for name in ("mine", "vgg16")]
    plan = snakemake(folder, "--dry-run", *made, *MINIMAL, "mine.yaml").stdout
    for rule, source in (("fetch_network", "timm"), ("train", "narrow")):
        inputs = re.search(rf"rule {rule}:\n    input: (.*)", plan)[1].split(", ")
        assert {name for name in SOURCES if f"scripts/{source_file(name)}" in inputs} == {source}
