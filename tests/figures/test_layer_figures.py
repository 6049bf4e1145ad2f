"""Figures 5, 6, 9 to 16 and M of any networks: of few layers and many, with layers without a map or without biases."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import refused
from made import write_shard, write_summaries, write_tests
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import plot_activity_and_bias
import plot_aggregates
import plot_variants
from explanations.figures import layers
from explanations.files.tables import read_tables

NETWORKS = {  # layers with a map, of these those with biases
    "four": ([1, 2, 3], [1, 2, 3]),
    "gaps": ([1, 3, 4, 9, 10], [1, 9, 10]),
    "forty": (list(range(1, 41)), list(range(1, 41))),
}


@pytest.fixture
def flags(tmp_path) -> dict:
    return {"pdf": tmp_path / "f.pdf", "png": tmp_path / "f.png", "dpi": 60}


@pytest.fixture
def panels(monkeypatch) -> list[Axes]:
    """A figure's panels, once it is made; it is not drawn, which takes seconds."""
    found = []

    def read(figure: Figure, path: Path, **options) -> None:
        found[:] = figure.axes
        Path(path).touch()

    monkeypatch.setattr(Figure, "savefig", read)
    return found


def boxes(ax: Axes) -> list[float]:
    """Where the boxes of a panel stand, in layers."""
    return sorted(round(box.get_x() + box.get_width() / 2, 2) for box in ax.patches if box.get_width() < 1)


def signed(layer: int) -> str:
    return f"signed_activity_{layer}"


def activity_and_bias(folder: Path, *names: str) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {"statistics": [], "comparisons": []}
    for name in names:
        maps, biased = NETWORKS[name]
        methods = ["gradient", "input", *(f"activity_{l}" for l in maps), *(f"bias_{l}" for l in biased)]
        pairs = [("input", "gradient"), *((f"activity_{l}", f"bias_{l}") for l in biased)]
        files["statistics"].append(write_summaries(folder / f"{name}.csv", methods, name))
        files["comparisons"].append(write_tests(folder / f"{name}-tests.csv", {"bias": pairs}, name))
    return files


def aggregates(folder: Path, *names: str) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {"statistics": [], "comparisons": []}
    for name in names:
        maps, _ = NETWORKS[name]
        methods = ["gradient", "input", "fullgrad", "activity_with_input"]
        methods += [f"activity_{l}" for l in maps] + [f"activity_from_{l}" for l in maps[:-1]]
        pairs = {"all_layers": [("activity_from_1", f"activity_{l}") for l in maps]}
        files["statistics"].append(write_summaries(folder / f"{name}.csv", methods, name))
        files["comparisons"].append(write_tests(folder / f"{name}-tests.csv", pairs, name))
    return files


def variants(folder: Path, *names: str) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {"statistics": [], "comparisons": []}
    for name in names:
        maps, _ = NETWORKS[name]
        unsigned = ["gradient", "input", *(f"activity_{l}" for l in maps)]
        ranked = [signed(l) for l in (0, *maps)]
        for variant in ("original", "decayed"):
            path = folder / f"{name}-{variant}.csv"
            files["statistics"].append(write_summaries(path, [*unsigned, *ranked], name, variant))
        pairs = {"variant": [(m, m) for m in unsigned], "variant_signed": [(m, m) for m in ranked]}
        files["comparisons"].append(write_tests(folder / f"{name}-tests.csv", pairs, name))
    return files


@pytest.mark.parametrize("name", NETWORKS)
def test_activity_against_bias_of_any_network(tmp_path, flags, panels, name):
    maps, biased = NETWORKS[name]
    measures = ["e_delta", "delta_e_delta"]
    plot_activity_and_bias.main(**activity_and_bias(tmp_path, name), measures=measures, **flags)
    assert len(panels) == 2
    for ax in panels:
        wanted = [0, *(round(l - 0.19, 2) for l in maps), *(round(l + 0.19, 2) for l in biased)]
        assert boxes(ax) == sorted(wanted)
        written = [text for text in ax.texts if text.get_text() != "$p$"]
        assert [text.xy[0] for text in written] == [0, *biased]  # none where there is nothing to compare


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("maps", ["saliency", "signed"])
def test_variants_of_any_network(tmp_path, flags, panels, name, maps):
    plot_variants.main(**variants(tmp_path, name), measure="delta_e_minus", maps=maps, **flags)
    left, right, difference = panels
    places = [0, *NETWORKS[name][0]]
    assert boxes(left) == boxes(right) == places
    shifts = (-0.2, 0.2) if maps == "signed" else (0,)
    assert boxes(difference) == sorted(round(l + shift, 2) for l in places for shift in shifts)


def test_several_networks_stand_below_each_other(tmp_path, flags, panels):
    plot_activity_and_bias.main(**activity_and_bias(tmp_path, *NETWORKS), measures=["e_minus"], **flags)
    assert [ax.get_title(loc="left").split(",")[0] for ax in panels] == list(NETWORKS)
    assert [ax.get_xlim()[1] for ax in panels] == [max(maps) + 0.6 for maps, _ in NETWORKS.values()]
    plot_variants.main(**variants(tmp_path, *NETWORKS), measure="e_minus", maps="saliency", **flags)
    assert len(panels) == 3 * len(NETWORKS)
    plot_aggregates.main(
        columns=3,
        **aggregates(tmp_path, *NETWORKS),
        measures=["e_minus"],
        reverse=[],
        fullgrad=[],
        maps="saliency",
        shards=[],
        **flags,
    )
    assert [boxes(ax)[0] for ax in panels] == [-0.2] * 3


def test_marks_over_averages_of_signed_maps_say_which_variant_is_better(tmp_path, flags, panels):
    """Over the decayed variant's panels alone; down where the original is better, nothing where p is large."""
    maps = NETWORKS["four"][0]
    files = variants(tmp_path, "four")
    names = [f"signed_activity_from_{l}" for l in (0, *maps[:-1])]
    files["statistics"] = [
        write_summaries(
            tmp_path / f"from-{variant}.csv", ["gradient", *names, *map(signed, (0, *maps))], "four", variant
        )
        for variant in ("original", "decayed")
    ]
    table = pd.read_csv(write_tests(tmp_path / "t.csv", {"variant_signed_from": [(m, m) for m in names]}, "four"))
    better, worse, same = names[0], names[1], names[2:]
    for method, effect, p in ((better, 0.5, -3), (worse, -0.5, -3), *((m, 0.5, -0.1) for m in same)):
        table.loc[table.method_a == method, ["effect_size", "log10_p_holm"]] = effect, p
    table.to_csv(tmp_path / "t.csv", index=False)
    chosen = {"measures": ["e_minus"], "reverse": [], "fullgrad": [], "maps": "signed", "columns": 3, "shards": []}
    plot_aggregates.main(files["statistics"], comparisons=[tmp_path / "t.csv"], **chosen, **flags)
    left, right = panels[:2]

    def marks(ax) -> dict[str, list[int]]:
        return {line.get_marker(): list(line.get_xdata()) for line in ax.lines if line.get_marker() in "^v"}

    assert marks(left) == {} and marks(right) == {"^": [0], "v": [maps[0]]}


def test_layers_without_a_map_are_marked(world, tmp_path, flags, panels):
    """Layer 2 of 1 to 4 holds one position, which is no map."""
    shard = write_shard(tmp_path / "s.h5", world.manifest, [8, 8, 1, 4, 4, 1])
    methods = ["gradient", "input", "activity_with_input", *(f"activity_{l}" for l in (1, 3, 4))]
    summaries = write_summaries(tmp_path / "s.csv", [*methods, "activity_from_1", "activity_from_3"])
    chosen = {"measures": ["e_minus"], "reverse": [], "fullgrad": [], "maps": "saliency", "columns": 3}
    plot_aggregates.main([summaries], shards=[shard], comparisons=[], **chosen, **flags)
    assert [list(line.get_xdata()) for line in panels[0].lines if line.get_marker() == "x"] == [[2]]


def test_sizes_change_where_the_layers_do_measured_or_not(world, tmp_path, flags, panels):
    """Layers 1, 4 and 6 are measured; of 0 to 6 the sizes change above 2 and above 4, and 5 has no map."""
    shard = write_shard(tmp_path / "s.h5", world.manifest, [8, 8, 8, 4, 4, 1, 2])
    methods = ["gradient", "input", "activity_with_input", *(f"activity_{l}" for l in (1, 4, 6))]
    summaries = write_summaries(tmp_path / "s.csv", [*methods, "activity_from_1", "activity_from_4"])
    chosen = {"measures": ["e_minus", "delta_e_minus"], "reverse": [], "fullgrad": [], "maps": "saliency", "columns": 3}
    plot_aggregates.main([summaries], shards=[shard], comparisons=[], **chosen, **flags)
    for ax in panels:
        lines = [
            line.get_xdata()[0] for line in ax.lines if line.get_marker() == "None" and len(set(line.get_xdata())) == 1
        ]
        assert lines == [2.5, 5.0]
        assert boxes(ax) == [-0.2, 0.2, 0.8, 1.2, 3.8, 4.2, 5.8, 6.2]
    named = [(text.get_text(), text.xy[0]) for text in panels[0].texts]
    assert named == [("8", 1), ("4", 3.5), ("2", 6)]


@pytest.mark.parametrize("name", ["gaps", "forty"])
def test_figures_are_drawn(tmp_path, flags, name):
    plot_activity_and_bias.main(**activity_and_bias(tmp_path, name, "four"), measures=["e_minus"], **flags)
    plot_variants.main(**variants(tmp_path, name, "four"), measure="e_minus", maps="signed", **flags)
    files = aggregates(tmp_path, name, "four", "gaps" if name == "forty" else "forty")
    plot_aggregates.main(
        columns=3, **files, measures=["e_minus"], reverse=[], fullgrad=[name], maps="saliency", shards=[], **flags
    )
    assert flags["png"].read_bytes().startswith(b"\x89PNG") and flags["pdf"].read_bytes().startswith(b"%PDF")


def test_tests_of_other_variants_or_networks_are_refused(tmp_path, flags):
    files, others = variants(tmp_path, "four"), variants(tmp_path, "gaps")
    message = refused(plot_variants.main, files["statistics"], others["comparisons"], "e_minus", "saliency", **flags)
    assert message == "four: the summaries are of original and decayed; the tests compare no variants"
    message = refused(plot_variants.main, files["statistics"][:1], files["comparisons"], "e_minus", "saliency", **flags)
    assert message == "four: the summaries are of original; the tests compare original and decayed"


def test_what_the_tables_lack_is_said(tmp_path, flags):
    files = activity_and_bias(tmp_path, "four")
    unbiased = write_summaries(tmp_path / "unbiased.csv", ["gradient", "input", "activity_1"], "four")
    message = refused(plot_activity_and_bias.main, [unbiased], files["comparisons"], ["e_minus"], **flags)
    assert message == "the tables given hold no method bias_<layer>"
    table = read_tables(files["statistics"])
    message = refused(layers.select, table, "e_minus", ["activity_7", "input", "gradcam"])
    assert message == "the tables given lack e_minus of activity_7, gradcam"
    message = refused(layers.select, read_tables(2 * files["statistics"]), "e_minus", ["input"])
    assert message == "the tables given hold e_minus of gradient twice"


def test_methods_of_layers_by_number():
    assert [layers.name_single(l) for l in (0, 3, 12)] == ["input", "activity_3", "activity_12"]
    assert [layers.name_single(l, signed=True) for l in (0, 3)] == ["signed_activity_0", "signed_activity_3"]
    assert [layers.name_aggregate(l) for l in (0, 3)] == ["activity_with_input", "activity_from_3"]
    assert layers.name_aggregate(0, signed=True) == "signed_activity_from_0"


def test_few_layers_stand_side_by_side():
    few = [0, 1, 6, 9, 17, 24]
    assert layers.find_places(few).tolist() == [0, 1, 2, 3, 4, 5]
    assert layers.find_places(few, [0, 9, 24]).tolist() == [0, 3, 5]
    assert [layers.find_edge(few, below, below + 1) for below in (-1, 0, 3, 6, 9, 20)] == [
        -0.5,
        0.5,
        1.5,
        2.5,
        3.5,
        4.5,
    ]
    assert layers.find_edge([0, 1, 2, 5, 6], 2, 5) == 3.5
    assert layers.find_places([0, 1, 2, 5, 6]).tolist() == [0, 1, 2, 5, 6]  # most have a map: places stay empty
    ax = Figure().subplots()
    layers.label_layers(ax, few)
    assert ax.get_xticks().tolist() == [0, 1, 2, 3, 4, 5]
    assert [label.get_text() for label in ax.get_xticklabels()] == [str(layer) for layer in few]


@pytest.mark.parametrize(
    ("top", "columns", "step"), [(16, 1, 1), (43, 1, 1), (44, 1, 2), (17, 2, 1), (17, 3, 2), (40, 3, 3)]
)
def test_numbers_of_layers_have_room(top, columns, step):
    ax = Figure().subplots()
    layers.label_layers(ax, range(top + 1), columns=columns)
    assert np.array_equal(ax.get_xticks(), np.arange(0, top + 1, step))


@pytest.mark.parametrize(("better", "markers"), [(1, {"^": [2], "v": [1]}), (-1, {"^": [1], "v": [2]})])
def test_marks_say_which_is_better_also_where_less_is(better, markers):
    """All layers have less of the measure than layer 1, more than layer 2, and as much as layer 3."""
    rows = [("activity_1", -0.5, -5.0), ("activity_2", 0.5, -5.0), ("activity_3", 0.9, -1.0)]
    tests = pd.DataFrame(rows, columns=["method_b", "effect_size", "log10_p_holm"])
    ax = Figure().add_subplot()
    plot_aggregates.mark_tests(ax, tests.assign(family="all_layers", measure="e_plus"), "e_plus", [0, 1, 2, 3], better)
    assert {line.get_marker(): list(line.get_xdata()) for line in ax.lines} == markers
