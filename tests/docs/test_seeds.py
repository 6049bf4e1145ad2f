"""The verdicts with networks of other seeds."""

import pandas as pd

from gather_seeds import find_seeds, gather_seeds


def write_findings(folder, rows):
    folder.mkdir()
    columns = ["claim", "network", "test", "verdict", "quantity", "estimate"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "findings.csv", index=False)


def test_single_networks_of_all_seeds_are_gathered(tmp_path):
    rows = [("1", "VGG-16", "p", "supported", "median", 0.1234567), ("8a", "without BN", "p", "undecided", "loss", 0.5)]
    write_findings(tmp_path / "seed10", rows)
    write_findings(tmp_path / "seed2", [("2", "ResNet-50", "p", "undecided", "ratio", None)])
    write_findings(tmp_path / "seeds", rows)
    (tmp_path / "seed3").mkdir()
    seeds = find_seeds(tmp_path)
    assert list(seeds) == [2, 10]
    table = gather_seeds(seeds, ["vgg16", "resnet50"])
    assert table.astype(object).where(table.notna(), None).to_numpy().tolist() == [
        [2, "2", "ResNet-50", "undecided", "ratio", None],
        [10, "1", "VGG-16", "supported", "median", 0.12346],
    ]


def test_no_seeds(tmp_path):
    assert find_seeds(tmp_path) == {}
