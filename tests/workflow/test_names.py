"""Networks, classes and images called NA, 101 or 1e5 are text to every reader of tables, and told apart in figures."""

import csv
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import SEED
from made import write_shard
from matplotlib.figure import Figure
from names import AWKWARD, NAMES
from PIL import Image
from small import build, describe

import compare_methods
import plot_accuracy_difference
import plot_aggregates
import plot_correlations
import plot_decay
import plot_decay_trials
import plot_decomposition
import plot_example_maps
import plot_output_correlations
import plot_output_fits
import plot_robustness
import plot_variants_attributions
import plot_zoo_accuracy
import summarise_removal
from explanations.data.folders import list_folder
from explanations.data.listing import list_labelled
from explanations.figures import zoo
from explanations.figures.examples import read_examples
from explanations.files.hdf5 import write_hdf5
from explanations.files.manifests import ManifestRow, read_manifest, write_manifest
from explanations.files.measurements import SETTINGS, STORED, write_measurements
from explanations.files.tables import read_tables, write_table
from explanations.networks.files import save_network
from explanations.statistics import claim_tests
from explanations.statistics.evidence import ZooEvidence
from explanations.statistics.findings_page import render_page
from explanations.text import plain

METHODS = ["gradient", "input", "activity_1", "activity_2", "activity_with_input", "activity_from_1", "fullgrad"]
METHODS += ["activity_9", "activity_10", "activity_from_2", "activity_from_9"]


@pytest.fixture
def drawn(tmp_path, monkeypatch) -> dict:
    """Where a figure goes; its networks' names, as they come to be written, are in `names`."""
    names = []

    def title(name: str, variant: str | None = None) -> str:
        names.append(name)
        return str(name)

    steps = (plot_accuracy_difference, plot_aggregates, plot_correlations, plot_decay, plot_example_maps)
    for step in (*steps, plot_robustness, plot_zoo_accuracy, zoo):
        monkeypatch.setattr(step, "network_title", title)
    return {"names": names, "flags": {"pdf": tmp_path / "f.pdf", "png": tmp_path / "f.png", "dpi": 60}}


def write_all(folder: Path, table: pd.DataFrame, **about) -> list[Path]:
    """A table of every network."""
    paths = [folder / f"{place}.csv" for place in range(len(NAMES))]
    for place, (path, name) in enumerate(zip(paths, NAMES, strict=True)):
        write_table(
            path, table, {"network": name, "biases": place + 1, "normalisation": "none", "classes": 10, **about}
        )
    return paths


# --- tables ------------------------------------------------------------------------------------------------------


def test_text_columns_stay_text_and_numbers_may_be_missing(tmp_path):
    table = pd.DataFrame({"image": NAMES, "method": NAMES[::-1], "n": range(len(NAMES)), "alpha": np.nan, "beta": 0.1})
    table.loc[1:, "alpha"] = np.arange(1, len(NAMES)) / 7
    table.loc[2, "beta"] = -1e300
    write_table(tmp_path / "t.csv", table, {"network": "NA", "class": ""})
    found = read_tables([tmp_path / "t.csv"], ())
    assert found["network"].tolist() == ["NA"] * len(NAMES) and found["class"].tolist() == [""] * len(NAMES)
    assert found["image"].tolist() == list(NAMES) and found["method"].tolist() == list(NAMES[::-1])
    assert found["n"].dtype == int and found["alpha"].isna().tolist() == [True] + [False] * (len(NAMES) - 1)
    # numbers are read as pandas reads them by itself
    pd.testing.assert_frame_equal(
        found[["n", "alpha", "beta"]], pd.read_csv(tmp_path / "t.csv")[["n", "alpha", "beta"]]
    )
    (tmp_path / "t.csv").write_text("network,median\n101,nan\n1e5,\nNA,NaN\n")
    found = read_tables([tmp_path / "t.csv"], ())
    assert found["network"].tolist() == ["101", "1e5", "NA"] and found["median"].isna().all()


def test_tables_of_several_networks_have_one_kind_of_name(tmp_path):
    table = read_tables(write_all(tmp_path, pd.DataFrame({"k": [1, 2]})), ())
    assert table["network"].unique().tolist() == list(NAMES)


def test_claims_count_every_network(tmp_path):
    columns = {"k": [1], "n": 9, "original": 0.9, "zeroed": 0.89, "standard_error": 0.001}
    accuracy = read_tables(write_all(tmp_path, pd.DataFrame(columns)), ())
    outputs = read_tables(write_all(tmp_path, pd.DataFrame({"image": ["NA", "nan"], "correlation": [0.5, 1.0]})), ())
    columns = {"image": [*"abcdefghijklmnop"], "alpha": np.linspace(0.1, 0.2, 16), "beta": 0.0, "largest_output": 1.0}
    fits = read_tables(write_all(tmp_path, pd.DataFrame(columns)), ())

    found = ZooEvidence({"accuracy": accuracy, "outputs": outputs, "fits": fits})
    assert f"of {len(NAMES)} networks" in claim_tests.zeroing_costs_little(found).ours
    assert f"below 1 in {len(NAMES)} of {len(NAMES)} networks" in claim_tests.outputs_shrink(found).ours
    assert claim_tests.outputs_stay_correlated(found).ours.count("0.750") > 0


# --- figures -----------------------------------------------------------------------------------------------------


def test_figures_of_the_zoo(tmp_path, drawn):
    columns = {"k": [1, 2], "n": 9, "original": [0.5, 0.7], "zeroed": [0.2, 0.3], "difference": -0.3}
    paths = write_all(tmp_path, pd.DataFrame({**columns, "standard_error": 0.1}))
    for step in (plot_zoo_accuracy, plot_accuracy_difference):
        drawn["names"].clear()
        step.main(paths, **drawn["flags"])
        assert list(dict.fromkeys(drawn["names"])) == list(NAMES)
    images = {
        "image": ["NA", "null", "1e5"],
        "correlation": [0.1, 0.2, np.nan],
        "alpha": 0.5,
        "beta": [0.1, 0.2, np.nan],
    }
    paths = write_all(tmp_path, pd.DataFrame({**images, "largest_output": 3.0}))
    for step in (plot_output_correlations, plot_output_fits):
        drawn["names"].clear()
        step.main(paths, **drawn["flags"])
        assert list(dict.fromkeys(drawn["names"])) == list(NAMES)
    values = pd.DataFrame({"change": "scale", "value": [1.0, 10.0], "n": 9, "accuracy": 0.5, "relative_change": -0.1})
    drawn["names"].clear()
    plot_robustness.main(write_all(tmp_path, values), "scale", **drawn["flags"])
    assert drawn["names"] == list(NAMES)


def test_networks_of_equal_biases_stand_as_they_were_given(tmp_path, drawn):
    """Not by their names as text, which has network10 before network9."""
    columns = {"k": [1], "n": 9, "original": 0.5, "zeroed": 0.2}
    paths = []
    for number in (8, 9, 10, 11, 100):
        paths.append(tmp_path / f"{number}.csv")
        about = {"network": f"network{number}", "biases": 7, "normalisation": "none", "classes": 10}
        write_table(paths[-1], pd.DataFrame(columns), about)
    plot_zoo_accuracy.main(paths, **drawn["flags"])
    assert drawn["names"] == [f"network{number}" for number in (8, 9, 10, 11, 100)]


def test_removals_statistics_and_figures(world, tmp_path, drawn):
    sizes = [1 if 3 <= layer <= 8 else 4 for layer in range(11)]  # 1: no map
    summaries, comparisons = [], []
    generator = np.random.default_rng(0)
    for place, name in enumerate(NAMES):
        arrays = {"image": np.arange(6), "label": np.arange(6) // 2}
        arrays |= {key: generator.random((6, len(METHODS))) for key in STORED}
        arrays |= {f"flip_{order}": np.ones((6, len(METHODS)), int) for order in ("minus", "plus")}
        arrays |= {f"flip_{order}_noise": np.ones((6, len(METHODS), 1), int) for order in ("minus", "plus")}
        settings = {**dict.fromkeys(SETTINGS, 1), "experiment": "2024", "network": name, "variant": "original"}
        settings["orders"] = ["minus", "plus"]
        write_measurements(tmp_path / f"{place}.h5", METHODS, arrays, settings)
        summaries.append(tmp_path / f"s{place}.csv")
        comparisons.append(tmp_path / f"c{place}.csv")
        summarise_removal.main([tmp_path / f"{place}.h5"], summaries[-1], 100, 0)
        shard = write_shard(tmp_path / f"shard-{place}.h5", world.manifest, sizes, network=name)
        compare_methods.main([tmp_path / f"{place}.h5"], [], shard, comparisons[-1], ["all_layers", "noise"], 100, 0)
    for paths in (summaries, comparisons):
        assert read_tables(paths, ())["network"].unique().tolist() == list(NAMES)
    assert read_tables(summaries)["experiment"].unique().tolist() == ["2024"]
    flags = {"measures": ["e_minus"], "reverse": [], "maps": "saliency", "shards": []}
    plot_aggregates.main(summaries, fullgrad=list(NAMES), comparisons=comparisons, **flags, **drawn["flags"])
    assert drawn["names"] == list(NAMES)


def test_records_and_correlations(tmp_path, drawn):
    record = {"profile": "linear", "steps": 1, "temperature": 9.0, "n": 5, "phase": [0, 1], "training_steps": [0, 1]}
    record |= {"factor": [1.0, 0.0], "accuracy": 0.5, "brute_force_accuracy": 0.5}
    plot_decay.main(write_all(tmp_path, pd.DataFrame(record)), **drawn["flags"])
    correlations = {"comparison": "zeroed", "layer": [2, 10, 1], "n": 3, "p10": 0.1, "median": 0.2, "p90": 0.3}
    plot_correlations.main(write_all(tmp_path, pd.DataFrame(correlations)), **drawn["flags"])
    assert drawn["names"] == 2 * list(NAMES)


def test_trials_of_decay_are_in_the_order_of_their_numbers(tmp_path):
    record = {"profile": "linear", "temperature": 9.0, "n": 5, "phase": [0, 1], "training_steps": [0, 1]}
    record |= {"factor": [1.0, 0.0], "accuracy": 0.5, "brute_force_accuracy": 0.5}
    paths = [tmp_path / f"steps-{steps}.csv" for steps in sorted(["5", "9", "10", "40", "200"])]
    for path in paths:
        write_table(path, pd.DataFrame(record), {"network": "101", "steps": path.stem.removeprefix("steps-")})
    ax = Figure().subplots()
    plot_decay_trials.draw_trials(ax, read_tables(paths, ()), "steps", "{:g}")
    assert ax.get_legend_handles_labels()[1] == ["5", "9", "10", "40", "200"]


# --- classes -----------------------------------------------------------------------------------------------------


def test_classes_of_a_manifest(tmp_path):
    for name in NAMES:
        (tmp_path / "val" / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "val" / name / "NA.png")
    rows = list_labelled(tmp_path / "val", list_folder(tmp_path / "val")[0], "folders")
    assert [row.class_name for row in rows] == sorted(NAMES)
    rows.append(ManifestRow(len(rows), "NA", "", -1))
    write_manifest(tmp_path / "m.csv", rows)
    assert read_manifest(tmp_path / "m.csv") == rows


def test_classes_of_a_figure(tmp_path, drawn):
    count = len(NAMES)
    with write_hdf5(tmp_path / "m.h5") as file:
        file["image"], file["rgb"] = np.arange(count), np.zeros((count, 4, 4, 3), np.uint8)
        file["maps"] = np.zeros((count, 2, 4, 4))
        file.attrs.update({"methods": ["input", "activity_10"], "classes": NAMES, "network": "NA"})
        file.attrs["target_classes"] = file.attrs["runners_up"] = NAMES[::-1]
        file["probabilities"] = np.full((count, 2), 0.5)
    found = read_examples(tmp_path / "m.h5")
    assert (found.network, found.classes, found.targets) == ("NA", list(NAMES), list(NAMES[::-1]))
    plot_example_maps.main([tmp_path / "m.h5"], **drawn["flags"])
    assert {*drawn["names"]} == {"NA"}


@pytest.mark.filterwarnings("ignore:Glyph:UserWarning")  # of scripts that the figures' font lacks
def test_classes_of_any_name_in_figures(world, tmp_path, drawn):
    with write_hdf5(tmp_path / "m.h5") as file:
        count = len(AWKWARD)
        file["image"], file["rgb"] = np.arange(count), np.zeros((count, 4, 4, 3), np.uint8)
        file["maps"], file["probabilities"] = np.zeros((count, 1, 4, 4)), np.full((count, 2), 0.5)
        file.attrs["runners_up"] = AWKWARD
        file.attrs.update({"methods": ["input"], "classes": AWKWARD, "target_classes": AWKWARD[::-1], "network": "a"})
    plot_example_maps.main([tmp_path / "m.h5"], **drawn["flags"])
    network, shard = tmp_path / "n.safetensors", world.shards["vgg16"]
    data = {"manifest": world.manifest, "images": world.images, "image": 3, **drawn["flags"]}
    for name in (r"$\bad$", "${", "two\nlines " * 300):
        save_network(
            network, build("vgg16", seed=SEED), describe("vgg16", classes=tuple(f"{name}{k}" for k in range(10)))
        )
        plot_decomposition.main(network=network, shards=[shard], layer=6, **data)
        plot_variants_attributions.main(networks=[network] * 2, shards=[shard] * 2, **data)


@pytest.mark.parametrize("name", [*AWKWARD, "two\nlines", "a\tb\0c"])
def test_a_name_is_drawn_as_it_is_written(name):
    """What matplotlib makes of it has no formula, alone and beside one."""
    for text in (plain(name), f"“{plain(name)}” $f_c$"):
        found = Figure().text(0, 0, text)
        found.figure.savefig(BytesIO(), format="pdf")
        assert "\n" not in text and len(plain(name).replace(r"\$", "$")) <= 60
    assert plain(plain(name)) == plain(name)


def test_tables_and_manifests_hold_names_that_a_spreadsheet_would_run(tmp_path):
    rows = [ManifestRow(k, f"{name}/1.png", name, k) for k, name in enumerate(AWKWARD)]
    write_manifest(tmp_path / "m.csv", rows)
    assert read_manifest(tmp_path / "m.csv") == rows
    write_table(tmp_path / "t.csv", pd.DataFrame({"image": AWKWARD, "beta": -1.5}), {"network": "a", "class": "=1+1"})
    found = read_tables([tmp_path / "t.csv"], ())
    assert found["image"].tolist() == list(AWKWARD) and {*found["class"]} == {"=1+1"} and {*found["beta"]} == {-1.5}
    for path in (tmp_path / "m.csv", tmp_path / "t.csv"):
        with path.open(newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@")) and cell not in ("-1.5", "-1")]


def test_a_page_holds_names_as_text():
    names = ("claim", "paper_network", "network", "statement", "paper", "ours", "test", "needed")
    row = dict.fromkeys(names, "<script>alert(1)</script>") | {"verdict": "not <i>"}
    page = render_page(pd.DataFrame([row]), "<script>", labelled=True, made={"machine": "<i>"})
    assert not {"<script>", "<i>"} & {*re.findall(r"<\w+>", page)} and page.count("alert(1)") == len(names)
