"""Figure B and the leaderboard's page: what they show of ranks."""

import re

import pandas as pd
import pytest
from conftest import refused
from made import write_shard

import plot_leaderboard
import report_leaderboard
from explanations.files.made_maps import write_maps
from explanations.files.tables import write_table
from rank_methods import COLUMNS

METHODS = {  # in the order of their ranks, with the ties that they are in
    **{"mine": "1", "activity_13": "1 2", "gradient": "2", "activity_2": "2", "bias_3": "", "activity_from_1": "3"},
    **{"signed_activity_13": "3", "activity_12": "", "sobel": "", "activity_from_12": ""},
}
LAYERS = list(range(1, 14))
SHOWN = ["mine", "activity_13", "gradient", "activity_from_1", "activity_12", "sobel", "activity_from_12"]


def write_ranks(folder, network="vgg16"):
    rows = []
    for measure in ("delta_e_minus", "e_plus"):
        for rank, (method, ties) in enumerate(METHODS.items(), start=1):
            source = {"mine": "file", "sobel": "controls"}.get(method, "decomposition")
            row = {
                "measure": measure,
                "method": method,
                "title": f"<{method}>",
                "source": source,
                "rank": rank,
                "n": 90,
            }
            middle = 0.5 - 0.05 * rank
            row |= {"q25": middle, "median": middle, "q75": middle, "ci_low": middle - 0.02, "ci_high": middle + 0.02}
            row |= {"ties": ties, "best": "mine", "friedman_log10_p": -12.5, "stable_images": 340.0}
            if rank > 1:
                row |= {"best_log10_p_holm": -0.5 * rank, "best_class_p": 0.5, "best_equivalent": float(rank == 2)}
            rows.append(row)
    about = {"experiment": "tests", "network": network, "variant": "original", "upsampling": "bilinear"}
    ranks, reasons = folder / f"{network}.csv", folder / f"{network}-reasons.csv"
    write_table(ranks, pd.DataFrame(rows, columns=COLUMNS), about)
    lacking = pd.DataFrame([{"method": "lrp", "title": "LRP", "source": "captum", "reason": "it has <no> rule"}])
    write_table(reasons, lacking, about)
    return ranks, reasons


def test_methods_of_single_layers_are_the_top_two(tmp_path):
    table = pd.read_csv(write_ranks(tmp_path)[0])
    rows = plot_leaderboard.choose_rows(table[table.measure == "delta_e_minus"].sample(frac=1, random_state=0), LAYERS)
    assert rows.method.tolist() == SHOWN


def test_figure(world, tmp_path, texts):
    files = [write_ranks(tmp_path, network) for network in ("vgg16", "resnet50", "vit")]
    ranks, reasons = map(list, zip(*files, strict=True))
    shards = [
        write_shard(tmp_path / f"{network}.h5", world.manifest, [8] * 14, network=network)
        for network in ("vgg16", "resnet50", "vit")
    ]
    flags = {"ranks": ranks, "reasons": reasons, "shards": shards, "dpi": 60}
    flags |= {"pdf": tmp_path / "a.pdf", "png": tmp_path / "a.png"}
    plot_leaderboard.main(**flags, measure="delta_e_minus")
    assert (tmp_path / "a.png").exists()
    assert "no method has ranks of e_minus" in refused(plot_leaderboard.main, **flags, measure="e_minus")


def test_ties_are_drawn_of_the_methods_that_are_shown(tmp_path):
    """Tie 1 is of places 0 and 1, tie 2 of 1 and 2; of tie 3 one method alone is shown."""
    table = pd.read_csv(write_ranks(tmp_path)[0], dtype={"ties": str}, keep_default_na=False)
    rows = plot_leaderboard.choose_rows(table[table.measure == "delta_e_minus"], LAYERS)
    assert plot_leaderboard.find_bars(rows.ties) == [(0, 1), (1, 2)]
    assert plot_leaderboard.find_bars(["1", "1 2", "1 2", ""]) == [(0, 2)]


def test_page(tmp_path):
    ranks, reasons = write_ranks(tmp_path)
    maps = tmp_path / "maps.h5"
    about = {"experiment": "tests", "network": "vgg16", "variant": "original", "weights": "0", "method": "mine"}
    write_maps(maps, [], [], [], [], {**about, "settings": "{}", "seconds_per_image": 0.25, "not_applicable": ""})
    report_leaderboard.main([ranks], [reasons], [maps], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    rows = re.findall(r"<tr>(.*?)</tr>", page)[1:]
    assert len(rows) == len(METHODS)
    assert "&lt;mine&gt;" in rows[0] and "<mine>" not in page and 'data-key="0.25">0.25</td>' in rows[0]
    assert 'data-key="-1">0.1 ≈</td>' in rows[1] and 'data-key="-1.5">0.032</td>' in rows[2]
    assert "LRP: not applicable, because it has &lt;no&gt; rule" in page
    assert "Friedman, p = 10⁻¹²·⁵; an order that agrees with another sample's (ρ = 0.9) takes about 340 images" in page


@pytest.mark.parametrize("file", ["ranks", "reasons"])
def test_tables_that_are_none_are_refused(file, tmp_path):
    ranks, reasons = write_ranks(tmp_path)
    wrong = {"ranks": ranks, "reasons": reasons}[file]
    wrong.write_text("a,b\n1,2\n")
    assert "lacks the columns" in refused(report_leaderboard.main, [ranks], [reasons], [], tmp_path / "page.html")
