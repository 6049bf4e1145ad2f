"""Tables hold numbers that can be: none that is infinite, none missing where it must be there, no text."""

import numpy as np
import pandas as pd
import pytest
from conftest import refused

from explanations.files.tables import read_tables, write_table

TABLE = pd.DataFrame({"method": ["a", "nan"], "n": [5, 0], "median": [0.25, np.nan], "p": [0.5, 1.0]})
ANY = "a number that is finite"


def test_a_missing_number_is_an_empty_field(tmp_path):
    write_table(tmp_path / "t.csv", TABLE, {"network": "NA"})
    assert (tmp_path / "t.csv").read_text() == "network,method,n,median,p\nNA,a,5,0.25,0.5\nNA,nan,0,,1.0\n"
    found = read_tables([tmp_path / "t.csv"], ())
    pd.testing.assert_frame_equal(found, TABLE.assign(network="NA")[found.columns], check_dtype=False)


@pytest.mark.parametrize(
    ("column", "value", "allowed"),
    [
        ("median", np.inf, ANY),
        ("median", -np.inf, ANY),
        ("p", 1.5, "a number >= 0 and <= 1"),
        ("p", -0.1, "a number >= 0 and <= 1"),
        ("p", np.nan, "a number >= 0 and <= 1"),
        ("n", -1, "a number >= 0"),
        ("n", np.nan, "a number >= 0"),
        ("log10_p", 0.1, "a number <= 0"),
        ("log10_p", -np.inf, "a number <= 0"),
        ("effect_size", -1.1, "a number >= -1 and <= 1"),
        ("median_gross_sum", np.nan, ANY),
    ],
)
def test_a_number_that_can_not_be_is_neither_written_nor_read(tmp_path, column, value, allowed):
    path = tmp_path / "results" / "t.csv"
    table = TABLE.assign(**{column: [0, value]})
    said = f"{path}: {column} is {value:g} in row 2; allowed is {allowed}"
    assert refused(write_table, path, table).replace(".0 in", " in") == said
    assert not path.parent.exists()
    path.parent.mkdir()
    table.to_csv(path, index=False)
    found = refused(read_tables, [path], ()).replace(".0 in", " in")
    assert found == f"{said}; make it again: snakemake --cores all --force {path}"


@pytest.mark.parametrize("value", ["O.5", "NA", "x\ny", "0.5 0.5", "9" * 5000])
def test_text_in_a_column_of_numbers(tmp_path, value):
    path = tmp_path / "t.csv"
    TABLE.assign(p=["0.5", value]).to_csv(path, index=False)
    message = refused(read_tables, [path], ())
    assert message.startswith(f"{path}: p is {' '.join(value.split())[:40]}") or "p is inf" in message
    assert "in row 2; allowed is a number >= 0 and <= 1; make it again: " in message


def test_what_rounds_beyond_a_range_is_kept(tmp_path):
    write_table(tmp_path / "t.csv", TABLE.assign(correlation=[1 + 1e-12, -1 - 1e-12]))
    assert read_tables([tmp_path / "t.csv"], ()).correlation.iloc[0] == 1 + 1e-12
