"""The plan of every method that there is: config/leaderboard.yaml has all, and means get the maps of their methods."""

import re

import pytest
import yaml
from workflow_copy import ROOT, copy_workflow, snakemake

from explanations.methods.sources.registry import SOURCES

pytestmark = pytest.mark.workflow


def read_methods(*files: str) -> dict[str, dict]:
    """The methods of configurations that are laid over each other."""
    read = [yaml.safe_load((ROOT / "config" / file).read_text())["methods"] for file in files]
    return {name: method for methods in read for name, method in methods.items()}


METHODS = read_methods("config.yaml", "leaderboard.yaml")
EXTRAS = read_methods("leaderboard_extras.yaml")  # of libraries that not everyone has
FORMS = [("fullgrad", "image"), ("fullgrad", "batch")]


def test_every_method_of_a_name_is_there():
    """But those of one's own, which need a file; those of extras in a file of their own."""
    held = {(method["source"], method.get("name", "")) for method in (METHODS | EXTRAS).values()}
    assert {SOURCES[method["source"]].extra != "" for method in EXTRAS.values()} == {True}
    assert not any(SOURCES[method["source"]].extra for method in METHODS.values())
    assert held >= {(source, name) for source, entry in SOURCES.items() if not entry.path for name in entry.names}
    assert {(method["source"], method.get("normalise")) for method in METHODS.values()} >= set(FORMS)


def test_means_get_the_maps_of_their_methods(tmp_path):
    """Of methods with passes of their own; the paper's are in the shards."""
    options = ("--dry-run", "--printshellcmds", "--configfile", "config/leaderboard.yaml", "--", "leaderboard")
    said = snakemake(copy_workflow(tmp_path), *options).stdout
    commands = re.findall(r"^Shell command: python scripts/make_maps\.py .*$", said, re.MULTILINE)
    assert len(commands) == 3 * len(METHODS)  # the paper's networks, and one with attention
    for command in commands:
        name = re.search(r" --method=(\S+)", command)[1]
        of = re.search(r" --of ?(.*?) --upsampling=bilinear", command)[1].split()
        network = re.search(r"--network=\S*/models/(\w+)/", command)[1]
        averaged = METHODS[name].get("of")
        wanted = f"results/leaderboard/maps/{network}/original/{averaged}-0.h5"
        assert of == ([wanted] if averaged in METHODS else [])
