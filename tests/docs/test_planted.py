"""What pages state of planted evidence: gathered from tables of a run, and in the page's block."""

import pandas as pd
import pytest

import words
import write_pages
from explanations.localisation.measures import MEASURES
from gather_planted import gather_objects, gather_planted

RANKED = [("activity_2", "Layer 2", 2, 0.25), ("activity_13", "Layer 13", 1, 0.5), ("activity_from_1", "All", 3, 0.125)]
RANKED += [("activity_from_5", "Above 4", 4, 0.1), ("random", "Random", 5, -0.0123456)]
FOUND = {"activity_2": (4, 0.3), "activity_13": (2, 0.1), "activity_from_1": (6, 0.5), "activity_from_5": (5, 0.6)}
FOUND |= {"random": (1, 0.05), "bias_3": (7, 0.9)}  # the last one isn't removed by


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "statistics/vgg16"
    folder.mkdir(parents=True)
    for measure in ("e_minus", "delta_e_minus"):
        rows = [(measure, method, title, rank, 10, median) for method, title, rank, median in RANKED]
        table = pd.DataFrame(rows, columns=["measure", "method", "title", "rank", "n", "median"])
        table["median"] += measure == "e_minus"
        path = folder / "leaderboard.csv"
        table.to_csv(path, index=False, mode="a", header=not path.exists())
    rows = [(method, *pair) for method, values in FOUND.items() for pair in zip(MEASURES, 2 * values, strict=True)]
    pd.DataFrame(rows, columns=["method", "measure", "mean"]).to_csv(folder / "localisation.csv", index=False)
    shown = [("whole", 10, 1.0, 0.7, 1.0, 0.1), ("object removed", 10, 0.1, 0.0025, 0.44502, 0.1)]
    shown += [("object alone", 10, 0.9, 0.555, 0.9975, 0.1)]
    columns = ["image", "n", "accuracy", "ci_low", "ci_high", "chance"]
    pd.DataFrame(shown, columns=columns).assign(network="vgg16").to_csv(folder / "objects.csv", index=False)
    return tmp_path


def test_methods_are_gathered_in_their_order(results):
    table = gather_planted(results, ["vgg16"])
    assert list(table.columns) == ["network", "method", "title", "n", "delta_e_minus", *MEASURES]
    assert table.to_numpy().tolist() == [
        ["VGG-16", "activity_13", "Layer 13", 10, 0.5, 2, 0.1, 2, 0.1],
        ["VGG-16", "activity_2", "Layer 2", 10, 0.25, 4, 0.3, 4, 0.3],
        ["VGG-16", "activity_from_1", "All", 10, 0.125, 6, 0.5, 6, 0.5],
        ["VGG-16", "activity_from_5", "Above 4", 10, 0.1, 5, 0.6, 5, 0.6],
        ["VGG-16", "random", "Random", 10, -0.012346, 1, 0.05, 1, 0.05],
    ]


def test_accuracies_are_gathered(results):
    table = gather_objects(results, ["vgg16"])
    assert table.to_numpy().tolist()[1] == ["VGG-16", "object removed", 10, 0.1, 0.0025, 0.44502, 0.1]
    assert list(table.image) == ["whole", "object removed", "object alone"]


def test_a_page_has_the_top_layer_and_the_mean_of_all(results):
    rows = gather_planted(results, ["vgg16"]).astype(str).to_dict("records")
    shown = words.choose_planted([*rows, {"network": "ViT", "method": "random"}], "VGG-16")
    assert [row["method"] for row in shown] == ["activity_13", "activity_from_1", "random"]
    assert words.correlate_planted(rows, "VGG-16", "delta_e_minus", "relative_energy") == pytest.approx(
        0.1
    )  # 1 − 6·18/(5·24)


def test_networks_without_tables_are_left_out(results):
    assert gather_planted(results, ["resnet50", "vgg16"]).equals(gather_planted(results, ["vgg16"]))
    assert gather_objects(results, ["vgg16", "resnet50"]).equals(gather_objects(results, ["vgg16"]))
    (results / "statistics/vgg16/leaderboard.csv").unlink()
    assert len(gather_planted(results, ["vgg16"])) == 0


def test_facts_let_the_patch_alone_decide():
    facts = write_pages.read_facts()
    objects = facts["planted_objects"]
    assert objects and len(objects) % 3 == 0
    for whole, removed, alone in zip(objects[::3], objects[1::3], objects[2::3], strict=True):
        assert len({row["network"] for row in (whole, removed, alone)}) == 1
        assert float(whole["accuracy"]) >= 0.97 and float(alone["accuracy"]) >= 0.9
        assert float(removed["ci_low"]) <= float(removed["chance"]) <= float(removed["ci_high"])
    assert {row["network"] for row in facts["planted"]} <= {row["network"] for row in objects}
