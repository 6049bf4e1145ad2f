"""The networks of the paper's scale: published as named, and told apart in the table of counterparts."""

import re

import pytest
import yaml
from workflow_copy import ROOT

from explanations.figures.names import network_title
from explanations.networks.pretrained import look_up

NETWORKS = yaml.safe_load((ROOT / "config/imagenet.yaml").read_text())["networks"]
TABLE = (ROOT / "docs/networks.md").read_text()
COLUMNS = r"^\| (\w+) \| (?:`(\w+)`)? ?\| (\w+) \| ([\d,]+) \| ([\d,]*) ?\| .*\|$"  # paper's, ours, nearness, biases
ROWS = re.findall(COLUMNS, TABLE, re.MULTILINE)
FAMILIES = {
    "": ["AlexNet", "InceptionV1", "CaffeNet_caffe", "InceptionV1_caffe", "VGG16_caffe", "VGG19_caffe"],
    "Inception": ["V1_slim", "V2_slim", "V3_slim", "V4_slim", "ResnetV2_slim"],
    "Resnet": ["V1_50_slim", "V1_101_slim", "V1_152_slim", "V2_50_slim", "V2_101_slim", "V2_152_slim"],
    "Mobilenet": ["V1_slim", "V1_050_slim", "V1_025_slim", "V2_10_slim", "V2_14_slim"],
    "Nasnet": ["Mobile_slim", "Large_slim"],
    "Pnasnet": ["Mobile_slim", "Large_slim"],
}
PAPER = [family + name for family, names in FAMILIES.items() for name in names]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_library_publishes_the_weights(name):
    network = NETWORKS[name]
    found = look_up(network["source"], network["constructor"], network["weights"]["name"], network["arguments"])
    assert found.classes == 1000
    assert found.hub or len(found.sha256) >= 8


def test_no_weights_are_named_twice():
    named = [(n["source"], n["constructor"], n["weights"]["name"]) for n in NETWORKS.values()]
    assert len(set(named)) == len(named)


def test_the_table_has_the_papers_networks_in_order():
    assert [paper for paper, *_ in ROWS] == PAPER and len(PAPER) == 26


def test_the_table_names_what_the_configuration_holds():
    counterparts = [ours for _, ours, *_ in ROWS if ours]
    assert len(set(counterparts)) == len(counterparts) and set(counterparts) <= NETWORKS.keys()
    assert {(nearness, bool(ours), bool(biases)) for _, ours, nearness, _, biases in ROWS} == {
        ("converted", True, True),
        ("retrained", True, True),
        ("altered", True, True),
        ("none", False, False),
    }
    for name in NETWORKS:
        assert f"`{name}`" in TABLE


def test_networks_of_the_same_architecture_have_the_papers_biases():
    """But for the dummy class that slim's have."""
    for paper, _, nearness, there, here in ROWS:
        if nearness in ("converted", "retrained"):
            dummy = paper.endswith("_slim")
            assert int(here.replace(",", "")) == int(there.replace(",", "")) - dummy


def test_sources_are_there():
    body, _, sources = TABLE.partition("## Sources")
    listed = re.findall(r"^(\d+)\. ", sources, re.MULTILINE)
    assert listed == [str(number) for number in range(1, len(listed) + 1)]
    assert set(re.findall(r"\[(\d+)\]", body)) == set(listed)


def test_every_network_has_a_readable_title():
    for name in NETWORKS:
        assert network_title(name) != name
