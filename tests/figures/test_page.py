"""The journal's page, names, and figures that show as many networks as are given."""

import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import refused
from matplotlib.figure import Figure
from workflow_copy import ROOT

import plot_correlations
import plot_decay
import plot_decay_trials
import plot_example_maps
from explanations.figures.names import count_images, letter_panels, network_title, title_method, variant_title
from explanations.figures.page import lay_out
from explanations.figures.style import STYLE
from explanations.files.hdf5 import write_hdf5
from explanations.files.tables import write_table

MANY = [f"network{number}" for number in range(11)]


@pytest.fixture
def flags(tmp_path) -> dict:
    return {"pdf": tmp_path / "f.pdf", "png": tmp_path / "f.png", "dpi": 60}


@pytest.fixture
def figures(monkeypatch) -> list[Figure]:
    """Figures that are made; they are not drawn, which takes seconds."""
    found = []

    def keep(figure: Figure, path: Path, **options) -> None:
        found.append(figure)
        Path(path).touch()

    monkeypatch.setattr(Figure, "savefig", keep)
    return found


def write_examples(folder: Path, networks: list[str], methods: list[str]) -> list[Path]:
    """Files of example maps of the same two images."""
    paths = [folder / f"{name}.h5" for name in networks]
    for path in paths:
        with write_hdf5(path) as file:
            file["image"], file["rgb"] = np.arange(2), np.zeros((2, 4, 4, 3), np.uint8)
            file["maps"] = np.zeros((2, len(methods), 4, 4))
            file.attrs.update({"methods": methods, "classes": ["a", "b"], "target_classes": ["a", "c"]})
            file.attrs.update({"network": path.stem, "runners_up": ["c", "a"]})
            file["probabilities"] = np.tile([0.7, 0.2], (2, 1))
    return paths


# --- names -------------------------------------------------------------------------------------------------------


def test_a_plan_reads_names_without_libraries():
    """Figures' names and the catalogue import neither matplotlib, pandas nor torch."""
    code = "import sys, explanations.figures.catalogue; print(*{'matplotlib', 'pandas', 'torch'} & {*sys.modules})"
    command = [sys.executable, "-c", code]
    assert not subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, text=True, check=True).stdout.strip()


def test_titles():
    assert network_title("vgg16", "decayed") == "VGG-16, biases decayed to zero"
    assert network_title("$own$") == r"\$own\$" and variant_title("$v") == r"\$v"
    titles = {"activity_from_1": "All layers", "activity_from_2": "Layers 2\nand up", "bias_3": "Bias of\nlayer 3"}
    titles |= {"signed_activity_0": "Signed\nlayer 0", "signed_activity_from_1": "Signed\nfrom layer 1"}
    assert {method: title_method(method) for method in titles} == titles
    assert refused(title_method, "lime").startswith("method is lime; allowed are gradient, ")


def test_counts_of_images():
    assert count_images([7, 7]) == "n = 7 images" and count_images(pd.Series([9, 7])) == "n = 7–9 images"
    assert count_images([]) == "n = 0 images"


def test_letters_of_panels_do_not_end():
    letters = list(islice(letter_panels(), 80))
    assert letters[:3] == ["a", "b", "c"] and letters[25:28] == ["z", "aa", "ab"] and len({*letters}) == 80


# --- as many as are given ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (2, 1), (3, 2), (11, 6)])
def test_panels_fill_rows(count, rows):
    axes, first = lay_out(Figure(), count, 2)
    assert len(axes) == count and len(first) == rows


def test_all_networks_are_drawn(tmp_path, flags, figures):
    record = {"profile": "linear", "steps": 1, "temperature": 9.0, "n": 5, "phase": [0, 1], "training_steps": [0, 1]}
    record |= {"factor": [1.0, 0.0], "accuracy": 0.5, "brute_force_accuracy": 0.5}
    series = {"comparison": "zeroed", "layer": [0, 1], "n": 3, "p10": 0.1, "median": 0.2, "p90": 0.3}
    paths = {"records": [], "correlations": []}
    for name in MANY:
        for key, table in (("records", record), ("correlations", series)):
            paths[key].append(tmp_path / f"{key}-{name}.csv")
            write_table(paths[key][-1], pd.DataFrame(table), {"network": name})
    for step, files in ((plot_decay, paths["records"]), (plot_correlations, paths["correlations"])):
        step.main(files, **flags)
        titles = [ax.get_title(loc="left") for ax in figures[-1].axes if ax.axison]
        assert [title.split()[1].strip(",") for title in titles] == MANY


def test_trials_of_two_networks_are_refused(tmp_path, flags):
    record = {"profile": "linear", "steps": 1, "temperature": 9.0, "n": 5, "phase": [0, 1], "training_steps": [0, 1]}
    record |= {"factor": [1.0, 0.0], "accuracy": 0.5, "brute_force_accuracy": 0.5}
    paths = [tmp_path / f"{name}.csv" for name in "ab"]
    for path in paths:
        write_table(path, pd.DataFrame(record), {"network": path.stem})
    message = refused(plot_decay_trials.main, paths[:1], paths[1:], **flags)
    assert message == "the records given are of a, b; allowed are those of one network"


@pytest.mark.parametrize(("networks", "count"), [(1, 1), (1, 14), (2, 4), (11, 4)])
def test_example_maps_of_all_networks_stay_on_the_page(tmp_path, flags, figures, networks, count):
    methods = [f"activity_{l}" for l in range(1, count + 1)]
    plot_example_maps.main(write_examples(tmp_path, MANY[:networks], methods), **flags)
    texts = [text.get_text() for text in figures[-1].texts]
    assert [text.split()[-1] for text in texts if re.match(r"\(\w\) ", text)] == MANY[:networks]
    places = [ax.get_position() for ax in figures[-1].axes]
    assert all(0 <= place.x0 < place.x1 <= 1 and 0 <= place.y0 < place.y1 <= 1 for place in places)
    assert len({(round(place.x0, 6), round(place.y0, 6)) for place in places}) == len(places)
    lines = texts.count("Image")
    assert len(places) == 2 * (lines + networks * count) + 1 and lines == (6 if networks == 11 else 1)


def test_no_text_is_under_six_points():
    """At the page's width, which figures are set for; sizes are given by themselves or by the style."""
    sizes = [value for key, value in STYLE.items() if key.endswith("size") and "major" not in key]
    for path in [*(ROOT / "scripts").glob("plot_*.py"), *(ROOT / "scripts/explanations/figures").glob("*.py")]:
        sizes += map(float, re.findall(r"(?:font|label)size\"?[=:] ?([0-9.]+)", path.read_text()))
    assert len(sizes) > 30 and min(sizes) >= 6
