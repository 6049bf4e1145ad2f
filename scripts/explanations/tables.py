"""CSV files of statistics: written with what they are about, read back. Text stays text, whatever it looks like."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from explanations.command import InputError, whole_file

TEXT_COLUMNS = (  # a network may be called NA, 101 or 1e5
    *("experiment", "network", "variant", "upsampling", "method", "measure", "family", "comparison", "change"),
    *("variant_a", "variant_b", "method_a", "method_b", "normalisation", "profile", "image", "class", "name"),
)
MISSING = ("", "nan", "NaN")  # in columns of numbers
SUMMARY_COLUMNS = ("network", "variant", "upsampling", "method", "measure", "n", "q25", "median", "q75", "ci_low")
COMPARISON_COLUMNS = ("network", "family", "measure", "method_a", "method_b", "effect_size", "log10_p_holm")
RECORD_COLUMNS = (
    *("network", "profile", "steps", "temperature", "n"),
    *("phase", "training_steps", "factor", "accuracy", "brute_force_accuracy"),
)


def write_table(path: Path, table: pd.DataFrame, about: dict) -> None:
    """Write a table as CSV; the first columns, equal in all rows, say what it is about."""
    with whole_file(path) as temporary:
        pd.concat([pd.DataFrame(about, table.index), table], axis=1).to_csv(temporary, index=False)


def read_tables(paths: Sequence[Path], columns: Sequence[str] = SUMMARY_COLUMNS) -> pd.DataFrame:
    """Read CSV files as one table; InputError, naming the file, if one is missing or lacks a column."""
    tables = []
    for path in paths:
        try:
            tables.append(_read_csv(path))
        except FileNotFoundError:
            raise InputError(f"{path}: no such table") from None
        except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: can't be read as CSV ({error})") from None
        missing = set(columns) - set(tables[-1].columns)
        if missing:
            raise InputError(f"{path}: lacks the columns {', '.join(sorted(missing))}")
    return pd.concat(tables, ignore_index=True)


def _read_csv(path: Path) -> pd.DataFrame:
    """A CSV file; pandas would take a text NA, null or nan for a missing value, and 101 or 1e5 for a number."""
    columns = pd.read_csv(path, nrows=0).columns
    numbers = [column for column in columns if column not in TEXT_COLUMNS]
    text = {column: str for column in columns if column in TEXT_COLUMNS}
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=dict.fromkeys(numbers, MISSING))


def drop_missing(table: pd.DataFrame, columns: Sequence[str], paths: Sequence[Path]) -> pd.DataFrame:
    """The rows in which no number of some columns is missing; InputError, naming the files, if there is none."""
    kept = table.dropna(subset=columns)
    if kept.empty:
        raise InputError(f"{' '.join(map(str, paths))}: no image has a defined {' or '.join(columns)}; nothing to draw")
    return kept
