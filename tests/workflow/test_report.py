"""The report's front page suits any experiment, and captions are text that docutils reads without a complaint."""

import copy
from types import SimpleNamespace

import docutils.core
import jinja2
import pytest
import yaml
from workflow_copy import ROOT

from explanations.figures.catalogue import note_stages
from explanations.plan import Plan

EXPERIMENTS = {name: yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("config", "photographs")}
CAPTIONS = sorted(path.stem for path in (ROOT / "workflow/report").glob("*.rst"))


def render(caption: str, config: dict) -> str:
    """A caption as HTML; what is undefined, or no reStructuredText, is an error."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # as Snakemake
    stages = note_stages(list(config["networks"]), Plan(config))
    labels = config["images"].get("labels", "folders")
    job = SimpleNamespace(config=config, params=SimpleNamespace(networks="A, B", stages=stages, labels=labels))
    text = environment.from_string((ROOT / f"workflow/report/{caption}.rst").read_text()).render(snakemake=job)
    settings = {"halt_level": 2, "report_level": 2}
    return docutils.core.publish_parts(text, writer="html", settings_overrides=settings)["body"]


@pytest.mark.parametrize("caption", CAPTIONS)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_captions_are_read(caption, experiment):
    assert render(caption, EXPERIMENTS[experiment])


BY_LAYERS = {"fig5", "fig6", "figB", "figL", "figM", "figT", *(f"figS{number}" for number in range(9, 17))}


@pytest.mark.parametrize("caption", CAPTIONS)
def test_captions_say_which_networks_were_measured_at_some_layers(caption):
    without = copy.deepcopy(EXPERIMENTS["config"])
    for network in without["networks"].values():
        network.pop("layers", None)
    lite0, two, none = (
        render(caption, config) for config in (EXPERIMENTS["photographs"], EXPERIMENTS["config"], without)
    )
    assert ("Not all layers of EfficientNet-Lite0 were measured" in lite0) == (caption in BY_LAYERS)
    assert ("Not all layers of EfficientNet, ViT were measured" in two) == (caption in BY_LAYERS)
    assert "Not all layers" not in none


def test_the_front_page_says_what_the_run_is_of():
    embedded, photographs = (render("workflow", EXPERIMENTS[name]) for name in EXPERIMENTS)
    assert "10 of each of 10 classes, from the source" in embedded and "labelled" not in embedded
    assert "100, each of a kind of its own, from the Python package" in photographs
    assert "Nobody has labelled the images" in photographs


@pytest.mark.parametrize("caption", ["fig3", "figS1", "figS3", "figS6", "figS7"])
def test_captions_say_what_accuracy_is_where_nobody_has_labelled_images(caption):
    in_part, whole = (" ".join(render(caption, EXPERIMENTS[name]).split()) for name in ("photographs", "config"))
    said = "accuracy is here the share of images whose decision stays as it was"
    assert said in in_part and said not in whole
