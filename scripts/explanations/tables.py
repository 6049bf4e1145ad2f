"""CSV files of statistics, read back."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from explanations.command import InputError

SUMMARY_COLUMNS = ("network", "variant", "upsampling", "method", "measure", "n", "q25", "median", "q75", "ci_low")


def read_tables(paths: Sequence[Path], columns: Sequence[str] = SUMMARY_COLUMNS) -> pd.DataFrame:
    """Read CSV files as one table; InputError, naming the file, if one is missing or lacks a column."""
    tables = []
    for path in paths:
        try:
            tables.append(pd.read_csv(path))
        except FileNotFoundError:
            raise InputError(f"{path}: no such table") from None
        except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: can't be read as CSV ({error})") from None
        missing = set(columns) - set(tables[-1].columns)
        if missing:
            raise InputError(f"{path}: lacks the columns {', '.join(sorted(missing))}")
    return pd.concat(tables, ignore_index=True)
