"""CSV files of statistics: written with what they are about, read back. Text stays text, whatever it looks like."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from explanations.errors import InputError, make_again
from explanations.files.writing import whole_file
from explanations.text import from_cell, to_cell

TEXT_COLUMNS = (  # a network may be called NA, 101 or 1e5
    *("experiment", "network", "variant", "upsampling", "method", "measure", "family", "comparison", "change"),
    *("network_a", "network_b", "variant_a", "variant_b", "method_a", "method_b"),
    *("normalisation", "profile", "image", "class", "name", "result"),
    *("title", "source", "ties", "best", "reason", "test", "lowest", "zeros"),
    *("operator", "other_operator", "survives", "operator_a", "operator_b", "measure_a", "measure_b", "blurred"),
    *("claim", "statement", "ours", "verdict", "quantity", "needed"),
)
MISSING = ("", "nan", "NaN")  # in columns of numbers
MAY_BE_MISSING = (  # a measure of no image, what a test does not have, deviation of one image, what is constant, x / 0
    *("mean", "q25", "median", "q75", "ci_low", "ci_high", "median_a", "median_b"),
    *("q25_difference", "median_difference", "q75_difference", "effect_size"),
    *("p10", "p90", "correlation", "alpha", "beta", "r_squared", "standard_error", "relative_change"),
    *("median_relative_gap", "largest_relative_gap"),
    *("e_minus", "e_plus", "delta_e_minus", "delta_e_plus"),
    *("best_effect_size", "best_log10_p_holm", "best_class_p", "best_difference", "best_ci_low", "best_ci_high"),
    *("best_equivalent", "gradient_effect_size", "gradient_log10_p_holm", "gradient_class_p"),
    *("stable_images", "class_p", "completeness", "estimate", "rho"),
)
ROUNDING = 1e-9
SHOWN = 40  # characters of a value in a message
RANGES = {  # of columns of numbers; others may hold any that is finite
    **dict.fromkeys(("n", "k", "biases", "classes", "phase", "training_steps", "never_flipped", "rank"), (0, math.inf)),
    **dict.fromkeys(
        ("p", "r_squared", "negative_share", "factor", "class_p", "best_class_p", "gradient_class_p"), (0, 1)
    ),
    **dict.fromkeys(("accuracy", "brute_force_accuracy", "original", "zeroed"), (0, 1)),
    **dict.fromkeys(("effect_size", "other_effect_size", "correlation", "rho", "difference"), (-1, 1)),
    **dict.fromkeys(("best_effect_size", "gradient_effect_size"), (-1, 1)),
    **dict.fromkeys(("log10_p", "log10_p_holm", "other_log10_p_holm", "friedman_log10_p"), (-math.inf, 0)),
    **dict.fromkeys(("best_log10_p_holm", "gradient_log10_p_holm"), (-math.inf, 0)),
}
SUMMARY_COLUMNS = ("network", "variant", "upsampling", "method", "measure", "n", "q25", "median", "q75", "ci_low")
COMPARISON_COLUMNS = (
    "network",
    "variant_a",
    "family",
    "measure",
    "method_a",
    "method_b",
    "effect_size",
    "log10_p_holm",
)
RECORD_COLUMNS = (
    *("network", "profile", "steps", "temperature", "n"),
    *("phase", "training_steps", "factor", "accuracy", "brute_force_accuracy"),
)


def write_table(path: Path, table: pd.DataFrame, about: Mapping[str, object] | None = None) -> None:
    """Write a table as CSV; the first columns, equal in all rows, say what it is about.

    A missing number is an empty field. InputError, naming the file, for a number that can't be.
    """
    table = pd.concat([pd.DataFrame(about or {}, table.index), table], axis=1)
    problem = find_problem(table)
    if problem:
        raise InputError(f"{path}: {problem}")
    for column in table.columns.intersection(TEXT_COLUMNS):
        table[column] = [to_cell(text) if isinstance(text, str) else text for text in table[column]]
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False)


def find_problem(table: pd.DataFrame) -> str:
    """What is wrong with the numbers of a table: text, infinite, missing where none can be, out of range; or empty."""
    for column in table.columns.difference(TEXT_COLUMNS, sort=False):
        values = pd.to_numeric(table[column], errors="coerce").to_numpy(float, na_value=np.nan)
        low, high = RANGES.get(column, (-math.inf, math.inf))
        outside = np.isinf(values) | (values < low - ROUNDING) | (values > high + ROUNDING)
        text = np.isnan(values) & table[column].notna().to_numpy()
        missing = np.isnan(values) & (column not in MAY_BE_MISSING)
        bad = np.flatnonzero(outside | text | missing)
        if len(bad):
            bounds = [f">= {low:g}"] * math.isfinite(low) + [f"<= {high:g}"] * math.isfinite(high)
            found = " ".join(str(table[column].iloc[bad[0]]).split())[:SHOWN]
            allowed = f"a number {' and '.join(bounds) or 'that is finite'}"
            return f"{column} is {found} in row {bad[0] + 1}; allowed is {allowed}"
    return ""


def read_tables(paths: Sequence[Path], columns: Sequence[str] = SUMMARY_COLUMNS) -> pd.DataFrame:
    """Read CSV files as one table; InputError, naming the file, if one is missing or lacks a column.

    Nor may one hold a number that can't be, or text in its place.
    """
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
        problem = find_problem(tables[-1])
        if problem:
            raise InputError(f"{path}: {problem}; {make_again(path)}")
    return pd.concat(tables, ignore_index=True)


def _read_csv(path: Path) -> pd.DataFrame:
    """A CSV file; pandas would take a text NA, null or nan for a missing value, and 101 or 1e5 for a number."""
    columns = pd.read_csv(path, nrows=0).columns
    numbers = [column for column in columns if column not in TEXT_COLUMNS]
    text = {column: str for column in columns if column in TEXT_COLUMNS}
    table = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=dict.fromkeys(numbers, MISSING))
    for column in text:
        table[column] = table[column].map(from_cell)
    return table


def drop_missing(table: pd.DataFrame, columns: Sequence[str], paths: Sequence[Path]) -> pd.DataFrame:
    """The rows in which no number of some columns is missing; InputError, naming the files, if there is none."""
    kept = table.dropna(subset=columns)
    if kept.empty:
        raise InputError(f"{' '.join(map(str, paths))}: no image has a defined {' or '.join(columns)}; nothing to draw")
    return kept
