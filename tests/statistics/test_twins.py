"""Twins, which halve their maps by poolings or by strides: what is compared of them, and the verdicts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import refused
from made import write_shard
from scipy import stats

import compare_twins
from explanations.files.manifests import ManifestRow, write_manifest
from explanations.files.measurements import SETTINGS, STORED, read_measurements, write_measurements
from explanations.statistics.claims import CLAIMS
from explanations.statistics.twins import find_halvings, measure_dips
from explanations.statistics.verdicts import NOT_SUPPORTED, SUPPORTED, UNDECIDED
from report_findings import judge

COUNT = 30
SIZES = (16, 8, 8, 8, 4, 4, 2)  # of the input and six layers: layers 3 and 5 are the last before a halving
METHODS = [f"{kind}_{layer}" for kind in ("activity", "activity_from") for layer in range(1, len(SIZES))][:-1]
DIP, GAIN = (claim for claim in CLAIMS if claim.number in ("19a", "19b"))


def write_network(folder: Path, name: str, seed: int, images: int = COUNT, sizes=SIZES) -> dict[str, Path]:
    """Removal results and a shard of a network, made up."""
    rng = np.random.default_rng(seed)
    arrays = {measure: rng.random((images, len(METHODS))) for measure in STORED}
    arrays |= {"image": np.arange(images), "label": np.arange(images) % 3}
    settings = {**dict.fromkeys(SETTINGS, "x"), "network": name, "orders": ["minus", "plus"]}
    write_measurements(folder / f"{name}.h5", METHODS, arrays, settings)
    manifest = folder / f"{name}.csv"
    write_manifest(manifest, [ManifestRow(k, f"{k}.png", "a", 0) for k in range(10)])
    return {
        "results": folder / f"{name}.h5",
        "shard": write_shard(folder / f"{name}-0.h5", manifest, sizes, network=name),
    }


@pytest.fixture
def twins(tmp_path) -> dict:
    pools, strides = write_network(tmp_path, "pools", 0), write_network(tmp_path, "strides", 1)
    return {
        **{"poolings": [pools["results"]], "strides": [strides["results"]], "output": tmp_path / "twins.csv"},
        **{"poolings_shard": pools["shard"], "strides_shard": strides["shard"], "resamples": 200, "seed": 0},
    }


def literal(path: Path) -> dict[str, np.ndarray]:
    """Dip and gain, image by image, of the stored values."""
    results = read_measurements([path])
    column = {method: place for place, method in enumerate(results.methods)}
    noise, own = results.values["e_minus_noise"], results.values["e_minus"]
    dips, gains = [], []
    for i in range(len(results.image)):
        at = [noise[i, column[f"activity_{layer}"]] for layer in range(1, 7)]
        dips.append(((at[1] + at[3]) / 2 - at[2] + (at[3] + at[5]) / 2 - at[4]) / 2)
        first, second = column["activity_from_1"], column["activity_from_5"]
        gains.append((own[i, first] - noise[i, first]) - (own[i, second] - noise[i, second]))
    return {"dip": np.array(dips), "gain": np.array(gains)}


def test_what_is_compared_is_what_the_formulas_say(twins):
    compare_twins.main(**twins)
    table = pd.read_csv(twins["output"]).set_index("family")
    pools, strides = literal(twins["poolings"][0]), literal(twins["strides"][0])
    assert list(table.index) == ["dip", "gain"]
    assert (table.network_a == "pools").all() and (table.network_b == "strides").all()
    for family, row in table.iterrows():
        assert row.median_a == pytest.approx(np.median(pools[family]))
        assert row.median_b == pytest.approx(np.median(strides[family]))
        difference = pools[family] - strides[family]
        assert row.median_difference == pytest.approx(np.median(difference))
        assert row.p == pytest.approx(stats.wilcoxon(difference, method="asymptotic").pvalue)
        assert row.n == COUNT and row.ci_low <= row.median_difference <= row.ci_high


@pytest.mark.parametrize(
    ("sizes", "halvings"),
    [
        ({0: 9, 1: 9, 2: 9, 3: 4, 4: 4, 5: 2}, [2, 4]),
        ({0: 9, 1: 9, 2: 4, 3: 4}, []),  # below layer 1 is the input
        ({0: 9, 1: 9, 3: 9, 4: 4}, [3]),  # layer 2 has no map
        ({0: 9, 1: 9, 2: 9, 3: 9}, []),
        ({0: 9, 1: 4, 2: 8, 3: 8}, []),  # maps that grow aren't halved
        ({0: 9, 1: 4, 2: 4}, []),
    ],
)
def test_halvings_have_a_layer_on_either_side(sizes, halvings):
    assert find_halvings(sizes) == halvings


def test_a_network_without_halvings_is_refused(tmp_path):
    results = read_measurements([write_network(tmp_path, "flat", 0)["results"]])
    said = refused(measure_dips, results, dict.fromkeys(range(7), 8))
    assert said == "flat has no layer between two others before its maps get smaller"


def test_other_images_and_other_networks_shards_are_refused(twins, tmp_path):
    fewer = write_network(tmp_path, "fewer", 2, images=20)
    changed = {**twins, "strides": [fewer["results"]], "strides_shard": fewer["shard"]}
    assert (
        refused(compare_twins.main, **changed) == f"{fewer['results']}: holds other images than {twins['poolings'][0]}"
    )
    swapped = {**twins, "strides_shard": twins["poolings_shard"]}
    assert refused(compare_twins.main, **swapped).endswith(f"is of pools; {twins['strides'][0]} is of strides")
    assert not twins["output"].exists()


def pairs(family: str, *outcomes: tuple[float, float]) -> pd.DataFrame:
    """The rows of two pairs: (effect size, p)."""
    rows = [
        {"family": family, "network_a": f"pools{k}", "network_b": f"strides{k}", "effect_size": effect}
        | {"median_difference": effect / 10, "log10_p": np.log10(p), "n": COUNT}
        for k, (effect, p) in enumerate(outcomes)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ((0.5, 1e-3), (0.4, 0.03), SUPPORTED),
        ((0.5, 0.03), (0.4, 0.03), UNDECIDED),  # by Holm both are 0.06
        ((0.5, 1e-3), (0.4, 0.2), UNDECIDED),
        ((0.5, 1e-3), (-0.4, 0.03), NOT_SUPPORTED),
    ],
)
def test_both_pairs_must_differ_as_suspected(first, second, verdict):
    found = judge(GAIN, "twins", pairs("gain", first, second))
    assert found.verdict == verdict
    assert found.ours.endswith("; poolings / strides: pools0 / strides0; pools1 / strides1")
    mirrored = [(-effect, p) for effect, p in (first, second)]
    assert judge(DIP, "twins", pairs("dip", *mirrored)).verdict == verdict
