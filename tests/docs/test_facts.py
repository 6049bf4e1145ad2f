"""Facts are the results' numbers: of a small made-up results folder, worked out by hand."""

import json
import shutil

import h5py
import numpy as np
import pytest
from made_up_results import CONFIG, FINDINGS, make_results
from PIL import Image

import write_pages
from explanations.errors import InputError
from explanations.files.manifests import read_manifest
from gather_facts import count_zeros, gather_facts, read_hours, read_statistics

BLOCKS = ("gallery", "findings", "other_networks", "verdicts", "differences", "zoo")
BIASES = ("delta_e_minus", "e_delta", "delta_e_delta")


@pytest.fixture(scope="module")
def results(world, tmp_path_factory):
    return make_results(world, tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def facts(results):
    return gather_facts(results, CONFIG)


def test_the_survey(facts):
    network = facts["networks"]["vgg16"]
    assert (network["normalisation"], network["tested"]) == ("none", 20)
    assert (network["top1"], network["zeroed"], network["lost"]) == pytest.approx((0.9, 0.89, 0.01))
    assert (network["correlation"], network["alpha"], network["beta"]) == pytest.approx((0.6, 0.8, 0.1))
    assert (network["scaled"], network["scaled_up"], network["shifted"]) == (-0.05, -0.06, -0.5)
    assert facts["networks"].keys() == {"vgg16", "resnet50", "vit"}


def test_statistics(facts):
    assert facts["maps"] == {"vgg16": 4, "resnet50": 4}
    assert facts["comparisons"]["vgg16"]["bilinear"]["bias e_delta"] == [
        ["input", "gradient", 0.1, 0.5, -4.0],
        ["activity_2", "bias_2", 0.1, 0.5, -4.0],
    ]
    assert "noise delta_e_minus" not in facts["comparisons"]["vgg16"]["bilinear"]
    assert facts["comparisons"]["vgg16"]["nearest"].keys() == {f"bias {m}" for m in BIASES}
    assert facts["medians"]["resnet50"]["e_plus"]["activity_from_1"] == pytest.approx(0.11)
    assert facts["correlations"]["resnet50"]["zeroed"]["17"] == 1
    assert facts["gross_sums"]["resnet50"]["original"] == {"median": 0.25, "largest": 0.5, "negative": 0.25}


def test_removal_and_decay(facts):
    assert facts["flips"] == {"vgg16": 10, "resnet50": 10}  # 9 × 4, 9 × 10 and two that never flip
    ends = {"start": 0.8, "end": 0.6, "brute_force": 0.2}
    assert facts["decays"]["vgg16"] == {"decayed": ends, "steps-5": ends}


def test_images_and_masks(facts, results):
    assert facts["images"] == {"evaluated": 10, "test": 20, "classes": 5}
    shares, boxes = [], []
    for row in read_manifest(results / "manifest.csv"):
        mask = np.asarray(Image.open(results / "masks/val" / row.path))
        marked = [(i, j) for i, j in np.ndindex(mask.shape) if mask[i, j]]
        rows, columns = zip(*marked, strict=True)
        shares.append(len(marked) / mask.size)
        boxes.append((max(rows) - min(rows) + 1) * (max(columns) - min(columns) + 1) / mask.size)
    assert facts["masks"] == pytest.approx({"share": np.mean(shares), "box": np.mean(boxes)}, rel=1e-4)


def test_one_decomposition(facts, results):
    """Eq. 13 from the shard's arrays; all of VGG-16's operations have positions."""
    with h5py.File(results / "attributions/vgg16/original/0.h5") as file:
        layers = file.attrs["operation_layers"]
        activity = file["activity/06"][3].sum()
        biases = sum(file[f"bias/{k + 1:02d}"][3].sum() for k, layer in enumerate(layers) if layer > 6)
        score = file["score"][3]
    found = facts["decomposition"]
    assert (found["activity"], found["biases"], found["score"]) == pytest.approx((activity, biases, score), rel=1e-4)
    assert found["gap"] < 1e-4
    assert facts["sizes"]["vgg16"]["0"] == 32 and facts["linear"]["gap"] < 1e-12


def test_findings_are_text(facts):
    found = [(row["claim"], row["paper_network"], row["network"], row["verdict"]) for row in facts["findings"]]
    assert found == FINDINGS
    assert facts["findings"][0]["statement"] == "a | b"


def test_facts_are_plain(facts):
    """They survive being written, and hold no path."""
    text = write_pages.write_facts(facts)
    assert json.loads(text) == facts
    assert '["input", "gradient", 0.1, 0.5, -4.0]' in text and "/tmp" not in text


def test_pages_can_be_made_of_them(facts):
    """The blocks that state no times say what the facts say."""
    row = {"seed": "1", "claim": "14a", "network": "VGG-16", "verdict": "supported", "estimate": "1.25"}
    facts = facts | {"seeds": [row]}
    pages = {name: write_pages.render_block(name, facts) for name in BLOCKS}
    assert "of 1 layers activity wins significantly in layer 2 (p down to 10⁻⁴·⁰), bias in none" in pages["gallery"]
    assert "all layers are significantly better than layer 13 alone, worse than none" in pages["gallery"]
    assert "the others: 5 steps 75.0%." in pages["gallery"]
    assert (
        "| 14a | VGG-16 | a \\| b | p < 1e-5 | ours 14a | undecided (about 340 images: supported) "
        "| 1 of 2; ratio 0.5 to 1.2 |" in pages["findings"]
    )
    assert "there are 8 tests: 0 support the claim, 0 don't, and 8 are undecided" in pages["findings"]
    assert "ViT" not in pages["findings"]
    assert "| | claim | VGG-16 | ResNet-50 | ViT |\n| --- | --- | --- | --- | --- |" in pages["other_networks"]
    assert pages["other_networks"].endswith("| 14a | a \\| b | **?** | **?** | − |\n")
    assert "of which the paper doesn't make the claim, 0 of 1 tests support it." in pages["verdicts"]
    assert "*This run:* VGG-16: ours 14a; ResNet-50: ours 14a;" in pages["gallery"]
    assert "half of the decisions flip by grid step 10 of 50 in VGG-16" in pages["differences"]
    assert "Without batch or layer normalisation: VGG-16." in pages["zoo"]


def test_statistics_that_are_missing(results, tmp_path):
    with pytest.raises(InputError, match="holds no table; make the statistics first"):
        read_statistics(tmp_path, ["correlations"])


def test_hours_of_the_cost_page():
    page = "| as above, on one H100                      |       6.2 |\n| `removal.grid: 50`   | 4.8 |\n"
    assert read_hours(page) == {"H100": 6.2}


def test_positions_without_attribution(world):
    """The share of exact zeros in each layer's maps, of the layers that have any."""
    folder = world.root / "zeros"
    folder.mkdir()
    shutil.copyfile(world.shards["vgg16"], folder / "0.h5")
    wanted = {}
    with h5py.File(folder / "0.h5") as file:
        for name, maps in file["activity"].items():
            if maps.shape[1] > 1 and (maps[:] == 0).any():
                wanted[str(int(name))] = pytest.approx(np.mean(maps[:] == 0), rel=1e-4)
    assert count_zeros(folder) == wanted and wanted
