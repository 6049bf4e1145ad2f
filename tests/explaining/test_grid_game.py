"""The grid pointing game of methods: where the truth is known by construction, against autograd, and the step."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import HERE, SEED, extract, refused
from small import build, describe, inputs
from torch import nn

import play_grid_game as step
from explanations.data.images import load_images
from explanations.explaining.grids import Game
from explanations.files.manifests import read_manifest, write_manifest
from explanations.files.shards import ShardReader
from explanations.files.tables import read_tables
from explanations.flags import call_with_flags
from explanations.localisation.grid import CELLS, choose_grids, rank_confident, tile
from explanations.methods.names import MethodName
from explanations.networks.files import load_network, preprocess, save_network

INPUT = {"source": "captum", "name": "InputXGradient"}
FLAGS = {
    **{"methods": ["gradient", "input", "activity"], "own": {}, "layers": "stages", "upsampling": "bilinear"},
    **{"grids": 9, "batch": 16, "resamples": 100, "seed": 0, **HERE},
}


def prepare(network: nn.Module, images: torch.Tensor, classes: list[list[int]], batch: int = 8) -> Game:
    bounds = torch.tensor([-9.0, 9.0]).reshape(2, 1, 1, 1).expand(2, images.shape[2], 1, 1)
    return Game(network, images, torch.tensor(classes), bounds, batch, 0)


class Colours(nn.Module):
    """The class of an image is the channel that it is brightest in, over all positions."""

    def forward(self, x):
        return x.mean((2, 3))


def test_the_evidence_of_a_colour_lies_in_its_own_cell():
    """Input times gradient of a mean is exact: all of a colour's evidence is in its image. The gradient is constant."""
    classes = [[0, 1, 2, 3], [3, 2, 1, 0]]
    images = torch.zeros(2, CELLS, 4, 6, 6)
    for grid, cell in np.ndindex(2, CELLS):
        images[grid, cell, classes[grid][cell]] = 1 + grid + cell
    game = prepare(Colours(), images, classes)
    own = {"exact": INPUT, "constant": {"source": "captum", "name": "Saliency"}}
    steps = []
    scores, reasons = game.play_all([], own, "bilinear", steps.append)
    assert (scores["exact"] == 1).all() and (scores["constant"] == 0.25).all() and not reasons
    assert steps == [1, 1, 1] and scores["exact"].shape == (2, CELLS)


def test_maps_of_the_decomposition_are_those_of_the_whole_grid():
    """|x ∂f/∂x|, and Σ|∂f/∂x|, of each class's score of the grid, by autograd; Captum's is the same."""
    network, images = build("resnet50").float(), inputs(CELLS).float()[None]
    names = [MethodName("input"), MethodName("gradient"), MethodName("activity", 0)]
    scores, reasons = prepare(network, images, [[3, 0, 7, 5]]).play_all(names, {"own": INPUT}, "bilinear", print)
    assert not reasons and list(scores) == ["input", "gradient", "activity_0", "own"]
    grid = tile(images).requires_grad_()
    for cell, target in enumerate([3, 0, 7, 5]):
        (gradient,) = torch.autograd.grad(network(grid)[0, target], grid)
        maps = {"input": (gradient * grid)[0].sum(0).abs(), "gradient": gradient[0].abs().sum(0)}
        for name, attributed in {**maps, "own": maps["input"]}.items():
            parts = [float(part.detach().sum()) for half in attributed.chunk(2, 0) for part in half.chunk(2, 1)]
            assert float(scores[name][0, cell]) == pytest.approx(parts[cell] / sum(parts), rel=1e-3), name


def test_who_can_not_play_says_why():
    network, images = build("resnet50").float(), inputs(CELLS).float()[None]
    own = {
        "mine": {"source": "maps", "path": "nowhere"},
        "smooth": {"source": "blurred", "of": "flat"},
        "lift": {"source": "captum", "name": "DeepLift"},
        "flat": {"source": "controls", "name": "random"},
    }
    scores, reasons = prepare(network, images, [[0, 1, 2, 3]]).play_all([], own, "bilinear", print)
    assert list(scores) == ["flat"] and float(scores["flat"].mean()) == pytest.approx(0.25, abs=0.02)
    assert reasons["mine"] == "its maps are made elsewhere" and reasons["smooth"].startswith("its maps are made of ano")
    assert reasons["lift"].startswith("module layer1.0.relu is called 3 times")


def test_a_method_that_fails_is_named(tmp_path):
    (tmp_path / "bad.py").write_text("def explain(network, images, targets):\n    return images[:, 0, :3]\n")
    game = prepare(Colours(), torch.rand(1, CELLS, 4, 6, 6), [[0, 1, 2, 3]])
    said = refused(game.play_own, "bad", {"source": "file", "path": str(tmp_path / "bad.py")})
    assert said.startswith("methods.bad: its maps are of (2, 3, 12)")


@pytest.fixture(scope="module")
def decided(world, tmp_path_factory) -> SimpleNamespace:
    """The world's ten images, a network that tells them apart, and shards whose labels are its decisions, or others.

    A class's weights are the direction in which its image's features are from their mean: no other image's are longer.
    """
    root, description = tmp_path_factory.mktemp("decided"), describe("resnet50")
    network, rows = build("resnet50", seed=SEED), read_manifest(world.manifest)
    pixels = load_images([row.picture(world.images, world.manifest) for row in rows], description.framing)
    with torch.no_grad():
        inputs = preprocess(torch.from_numpy(pixels), description)
        head, network.fc = network.fc, nn.Identity()
        features, network.fc = network(inputs), head
        directions = nn.functional.normalize(features - features.mean(0))
        head.weight.copy_(directions)
        head.bias.copy_(-directions @ features.mean(0))
        decisions = network(inputs).argmax(1)
    save_network(root / "network.safetensors", network, description)
    other = (decisions + 1) % 10
    given = {"images": world.images, "network": root / "network.safetensors"}
    for name, labels in (("right", [other[0], *decisions[1:]]), ("wrong", other)):
        found = [replace(row, label=int(own), class_name=str(int(own))) for row, own in zip(rows, labels, strict=True)]
        given[name] = {"manifest": root / f"{name}.csv", "shards": [root / f"{name}.h5"]}
        write_manifest(root / f"{name}.csv", found)
        flags = {"network": given["network"], "manifest": root / f"{name}.csv"}
        extract(world, "resnet50", root / f"{name}.h5", **flags)
    return SimpleNamespace(**given, decisions=decisions.numpy(), inputs=inputs)


def play(decided: SimpleNamespace, labels: str, output: Path, **changes) -> pd.DataFrame:
    given = {"network": decided.network, "images": decided.images, **getattr(decided, labels)}
    call_with_flags(step.main, {**given, "output": output, **FLAGS, **changes})
    return read_tables([output]).set_index("method")


def test_the_step(decided, tmp_path, capsys):
    """Grids of images that are decided rightly; the batch changes rounding alone; who can't play has none."""
    own = {"edges": {"source": "controls", "name": "sobel"}, "mine": {"source": "maps", "path": "nowhere"}}
    table = play(decided, "right", tmp_path / "g.csv", own=own)
    with ShardReader(decided.right["shards"]) as reader:
        logits = reader.read("logits", range(10))
    ranked = rank_confident(logits, decided.decisions, decided.decisions)
    groups = choose_grids(decided.decisions, ranked[ranked > 0], 9, 0)  # the first image's label is another
    said = capsys.readouterr().out
    assert len(groups) == 2 and f"{len(groups)} of 9 grids, from 9 images that are decided as they are labelled" in said
    assert "no grids of resnet50 for mine: its maps are made elsewhere" in said
    assert list(table.index[:3]) == ["gradient", "input", "activity_1"] and list(table.index[-2:]) == ["edges", "mine"]
    assert set(table.grids) == {len(groups)} and set(table.chance) == {0.25} and set(table.network) == {"resnet50"}
    assert table.n.tolist() == [groups.size] * (len(table) - 1) + [0]
    assert table.loc["mine", "reason"] and not table.reason[:-1].any() and np.isnan(table.loc["mine", "median"])
    game = prepare(load_network(decided.network)[0], decided.inputs[groups], decided.decisions[groups].tolist())
    scores = game.play_own("input", INPUT).numpy()
    expected = [scores.mean(), *np.percentile(scores, [25, 50, 75])]
    assert table.loc["input", ["mean", "q25", "median", "q75"]].tolist() == pytest.approx(expected, rel=1e-3)
    other = play(decided, "right", tmp_path / "other.csv", own=own, batch=1)
    # flat colours make ties: where a ReLU's input is next to 0, the last digit decides where the gradient goes
    assert other["median"].tolist() == pytest.approx(table["median"].tolist(), abs=0.005, nan_ok=True)


def test_as_many_grids_as_are_asked_for(decided, tmp_path):
    table = play(decided, "right", tmp_path / "g.csv", methods=["input"], grids=1)
    assert table.grids.tolist() == [1] and table.n.tolist() == [CELLS]


def test_a_network_without_right_decisions_says_so_in_a_line(decided, tmp_path, capsys):
    table = play(decided, "wrong", tmp_path / "g.csv", own={"edges": {"source": "controls", "name": "sobel"}})
    assert set(table.reason) == {"no four images of different classes are decided as they are labelled"}
    assert (
        set(table.n) == set(table.grids) == {0} and table["mean"].isna().all() and {"input", "edges"} < {*table.index}
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("no grids of resnet50 for grad")]
    assert len(lines) == 1 and lines[0].endswith(", edges: " + table.reason.iloc[0])


def test_a_network_of_one_size_says_so_of_all_methods():
    game = prepare(build("vit").float(), inputs(CELLS).float()[None], [[0, 1, 2, 3]])
    scores, reasons = game.play_all([MethodName("gradient")], {"own": INPUT}, "bilinear", print)
    assert not scores and list(reasons) == ["gradient", "own"]
    assert all(reason.startswith("the network takes images of one size alone: ") for reason in reasons.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grids": 0}, "grid_pointing.grids is 0; allowed is a number >= 1"),
        ({"methods": ["signed_activity"]}, "method is signed_activity; allowed are unsigned ones: rescaled, a map"),
        ({"methods": ["gradients"]}, "method is gradients; allowed are "),
    ],
)
def test_what_can_not_be_is_refused_in_a_line(changes, message, decided, tmp_path):
    assert refused(play, decided, "right", tmp_path / "g.csv", **changes).startswith(message)
    assert not (tmp_path / "g.csv").exists()
