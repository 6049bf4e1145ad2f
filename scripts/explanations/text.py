"""Text that a user chose, as a name of a class, of a file: whether it is one line, and how a table's cell holds it."""

import unicodedata

INVISIBLE = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories of control characters, halves of pairs, line breaks
EVALUATED = "=+-@\t\r"  # a spreadsheet takes a cell that begins so for a formula, and runs it
MARK = "'"  # a spreadsheet takes what follows for text


def is_one_line(text: str) -> bool:
    """Whether text has neither line breaks nor other control characters, nor what can't be written as UTF-8."""
    return text.isprintable() or not any(unicodedata.category(letter) in INVISIBLE for letter in text)


def one_line(text: str, longest: int) -> str:
    """Text on one line of at most `longest` letters, … in place of more, without what can't be shown."""
    shown = "".join(
        "\ufffd" if unicodedata.category(letter) in INVISIBLE else letter for letter in " ".join(text.split())
    )
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def to_cell(text: str) -> str:
    """Text as a cell of a table (CSV): with MARK before what a spreadsheet would evaluate."""
    return MARK + text if text.startswith((*EVALUATED, MARK)) else text


def from_cell(cell: str) -> str:
    """The text of a cell that to_cell made; of any other table's cell, what it holds."""
    return cell[1:] if cell[:1] == MARK and cell[1:2] in (*EVALUATED, MARK) else cell
