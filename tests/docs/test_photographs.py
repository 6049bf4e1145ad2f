"""What pages state of the run on photographs: facts of a small made-up results folder, and the blocks of them."""

import json
import re
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from made_up_results import CONFIG, make_results
from PIL import Image

import make_example_maps
import write_pages
from explanations.files.hdf5 import read_attributes
from gather_photographs import WIDTH, copy_picture, describe_decay, gather_photographs
from gather_times import sum_jobs
from write_pages import GALLERY, PHOTOGRAPHS, ROOT

IMAGES, METHODS = [7, 0], ["gradient", "activity_13", "activity_from_1"]
KINDS = ("gradient", "activity", "activity_from")
FIGURES = {
    "fig7": {"images": [0], "methods": {}},
    "figP": {"images": IMAGES, "methods": {"resnet50": [], "vgg16": METHODS}},
}
PHOTOGRAPHED = CONFIG | {
    "images": {"source": "package", "classes": 5, "per_class": 2},
    "networks": {"vgg16": {"explain": True}, "resnet50": {"explain": ["layers", "aggregates"]}, "vit": {}},
    "figures": FIGURES,
}
PICTURES = ["fig3", "fig5", "fig6", "figS1", "figS2", "figS4", "figS5", "figS12", "figS13", "figP"]
PAGE = ROOT / "docs/photographs.md"
BLOCKS = [path.stem for path in write_pages.TEMPLATES.glob("photographs*.md")]


@pytest.fixture(scope="module")
def folder(world, results, tmp_path_factory):
    """Made-up results whose removal by VGG-16's maps is real."""
    folder = make_results(world, tmp_path_factory.mktemp("photographs"))
    removal = folder / "removal/vgg16/original-bilinear"
    shutil.rmtree(removal)
    removal.mkdir()
    for kind in KINDS:
        shutil.copy(results[kind], removal / f"{kind}-0.h5")
        shutil.copy(results[kind], removal / f"{kind}-1.h5")  # left from when blocks were smaller
    data = (world.networks["vgg16"], world.manifest, world.images, [world.shards["vgg16"]])
    (folder / "examples").mkdir()
    make_example_maps.main(*data, folder / "examples/figP-vgg16.h5", IMAGES, METHODS, "bilinear")
    for name in PICTURES:
        (folder / "figures").mkdir(exist_ok=True)
        Image.new("RGB", (1400, 700), "white").save(folder / "figures" / f"{name}.png")
    for name, row in (("a/long", "10.4\t100\t20.4"), ("short", "1.2\tNA\t0.0")):
        path = folder / "benchmarks" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\tmax_rss\tcpu_time\n{row}\n")
    return folder


@pytest.fixture(scope="module")
def facts(folder):
    return gather_photographs(folder, PHOTOGRAPHED)


def test_examples_are_the_measurements(facts, results):
    """Read from the files without the library."""
    found = facts["examples"]
    assert found["network"] == "vgg16" and [image["image"] for image in found["images"]] == IMAGES
    for kind, method in zip(KINDS, METHODS, strict=True):
        with h5py.File(results[kind]) as file:
            column = list(read_attributes(file)["methods"]).index(method)
            e, noise, flips = (file[name][:, column] for name in ("e_minus", "e_minus_noise", "flip_minus"))
        better = 0
        for own, other in zip(e, noise, strict=True):
            better += own - other > 0
        assert found["helps"][method] == pytest.approx(better / 10)
        for image in found["images"]:
            row = image["image"]
            expected = {"e_minus": e[row], "delta_e_minus": e[row] - noise[row], "flips": flips[row] != -1}
            assert image["maps"][method] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert found["titles"] == {"gradient": "Gradient", "activity_13": "Layer 13", "activity_from_1": "All layers"}


def test_other_facts(facts):
    assert facts["images"] == {"evaluated": 10, "other": 20} and facts["whole"] == {"seconds": 22, "memory": 105}
    assert facts["medians"]["vgg16"]["e_minus"]["activity_from_1"] == pytest.approx(0.11)
    assert [name for name, _ in facts["figures"]] == PICTURES
    assert dict(facts["figures"])["figP"] == "VGG-16: images, decisions, and maps with their own measurement"
    assert json.loads(write_pages.write_facts(facts)) == facts


def test_a_job_that_nobody_looked_at_counts_its_duration(folder):
    assert sum_jobs(folder / "benchmarks") == {"seconds": round(20.4 + 1.2), "memory": round(100 * 1.048576)}


def test_pages_can_be_made_of_them(facts):
    pages = {name: write_pages.render_block(name, facts) for name in BLOCKS}
    assert "each with 4 maps of ResNet-50 and 4 maps of VGG-16; 20 others" in re.sub(
        r"\s+", " ", pages["photographs_run"]
    )
    for name in PICTURES:
        assert (f"gallery/photographs/{name}.png" in pages["photographs_gallery"]) == (name != "figP")
    assert "Of 1 measured layers of VGG-16, activity is significantly better in layer 2" in pages["photographs_gallery"]
    assert (
        "Decisions that stay the same as biases are zeroed: 40% (ResNet-50), 89% (VGG-16)"
        in pages["photographs_gallery"]
    )
    assert (
        "| 14a | a \\| b | p < 1e-5 | ours 14a | undecided (about 340 images: supported) |"
        in pages["photographs_findings"]
    )
    for image in facts["examples"]["images"]:
        scores = {method: values["delta_e_minus"] for method, values in image["maps"].items()}
        best = max(scores, key=scores.get)
        assert f"**{image['decision']}**" in pages["photographs_examples"]
        said = f"The largest δe₋ is that of {facts['examples']['titles'][best]}, {scores[best]:+.2f}."
        assert said in pages["photographs_examples"]
    helps = facts["examples"]["helps"]
    assert f"{helps['gradient']:.0%} (Gradient)" in pages["photographs"] and "three ways" in pages["photographs"]
    assert not any("\n\n\n\n" in page for page in pages.values())


@pytest.mark.parametrize("source", ["controls", "captum"])
def test_a_control_that_leads_is_said(facts, source):
    def rank(*titles: str) -> list[dict]:
        sources = {"Edges": source, "Gradient": "decomposition", "Layer 3": "decomposition"}
        return [{"title": each, "source": sources[each], "median": 0.1234, "ties": ["1"]} for each in titles]

    ranks = {
        "delta_e_minus": rank("Edges", "Layer 3", "Gradient"),
        "delta_e_plus": rank("Layer 3", "Gradient", "Edges"),
    }
    assert facts["leaderboard"] == {}  # without methods that have passes of their own there is none
    shown = facts | {"leaderboard": {"vgg16": ranks}, "figures": [["figB", "All methods"]]}
    page = write_pages.render_block("photographs_gallery", shown)
    assert "In VGG-16 “Edges” is first of 3 by δe₋, median +0.123; tied with it: 2. The ranks" in page
    assert "and of the gradient: Edges 1, Gradient 3.\n" in page
    said = "by δe₊, it is number 3, and “Layer 3” is first."
    assert (said in page) == (source == "controls") == ("knows nothing of the network" in page)


def test_without_findings_it_is_said(facts):
    assert write_pages.render_block("photographs_findings", facts | {"findings": []}).startswith(
        "No claim of the paper"
    )


def test_blocks_wait_for_a_run(facts):
    page = "<!-- photographs_run -->\n\n*none*\n\n<!-- /photographs_run -->\n"
    assert write_pages.render_page(page, {}) == page
    assert "10 photographs" in write_pages.render_page(page, {"photographs": facts})


def test_what_stands_in_for_a_run_has_no_number():
    """Until one is recorded."""
    if not PHOTOGRAPHS.exists():
        for name in write_pages.BLOCK.findall(PAGE.read_text()):
            block = re.search(rf"<!-- {name} -->(.*?)<!-- /{name} -->", PAGE.read_text(), re.DOTALL)[1]
            assert block.strip() == "*No run is recorded here yet.*"


@pytest.mark.parametrize(
    ("name", "width", "size", "mode"),
    [("fig5", 1400, (1400, 700), "P"), ("figP", 1400, (WIDTH, WIDTH // 2), "RGB"), ("fig7", 300, (300, 150), "RGB")],
)
def test_pictures_are_small(tmp_path, name, width, size, mode):
    """They have the same colours as before, plots about."""
    ramp = np.linspace(0, 255, width, dtype=np.uint8)
    large, small = tmp_path / f"{name}.png", tmp_path / "small.png"
    Image.fromarray(np.stack([np.tile(ramp, (width // 2, 1))] * 3, 2)).save(large)
    copy_picture(large, small)
    with Image.open(small) as picture:
        assert (picture.size, picture.mode) == (size, mode)
        assert np.asarray(picture.convert("L"), int)[10] == pytest.approx(np.linspace(0, 255, size[0]), abs=2)


def test_the_gallery_is_small():
    assert sum(path.stat().st_size for path in (GALLERY / "photographs").glob("*.png")) < 3e6


def test_the_page_names_the_packages_that_are_used():
    config = yaml.safe_load((ROOT / "config/photographs.yaml").read_text())
    used = [config["images"], *(network["weights"] for network in config["networks"].values())]
    rows = dict(re.findall(r"^\| \[`([\w-]+)`\]\(\S+\) \| (\S+) \|", PAGE.read_text(), re.MULTILINE))
    assert {entry["package"]: entry["version"] for entry in used}.items() <= rows.items()


def test_a_decay_is_described_where_biases_are_and_are_not(tmp_path):
    """Factors of the record that are nearest to those asked for; what its last step kept."""
    steps = [(0, 1.0, 1.0, 1.0), (8, 0.7, 0.9, 0.8), (16, 0.3, 0.6, 0.1), (24, 0.0, 0.2, 0.0), (90, 0.0, 0.3, 0.0)]
    table = pd.DataFrame(steps, columns=["training_steps", "factor", "accuracy", "brute_force_accuracy"])
    table = table.assign(network="lite0", profile="linear", steps=3, temperature=100.0, n=50, phase=range(5))
    table.to_csv(tmp_path / "decayed.csv", index=False)
    found = describe_decay(tmp_path / "decayed.csv", {"batch": 16, "learning_rate": 1e-4, "steps": 3})
    assert [row["factor"] for row in found["rows"]] == [0.7, 0.7, 0.3, 0.0, 0.0, 0.0]
    assert found["rows"][0] == {"factor": 0.7, "tuned": 0.9, "brute_force": 0.8}
    assert {key: found[key] for key in ("n", "steps", "after", "end", "brute_force")} == {
        **{"n": 50, "steps": 90, "after": 66, "end": 0.3, "brute_force": 0.0}
    }
    said = write_pages.render_block("photographs_decay", {"decays": {"lite0": found}, "images": {"other": 7}})
    assert "| 0.7 | 90% | 80% |" in said and "| 0, 66 steps later | 30% | 0% |" in said
