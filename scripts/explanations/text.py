"""Text that a user chose, as the name of a class or a file: in a line, in a figure, in a table's cell."""

import re
import unicodedata

INVISIBLE = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories of control characters, halves of pairs, line breaks
LONGEST = 60  # letters of a name that a figure has place for
EVALUATED = "=+-@\t\r"  # a spreadsheet takes a cell that begins so for a formula, and runs it
MARK = "'"  # a spreadsheet takes what follows for text


def is_one_line(text: str) -> bool:
    """Whether text has neither line breaks nor other control characters, nor what can't be written as UTF-8."""
    return text.isprintable() or not any(unicodedata.category(letter) in INVISIBLE for letter in text)


def plain(name: str) -> str:
    """A name as a figure's text: one line, and no formula, for which matplotlib takes what stands between two $."""
    words = " ".join(name.split())
    line = "".join("\ufffd" if unicodedata.category(letter) in INVISIBLE else letter for letter in words)
    short = line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
    return re.sub(r"(?<!\\)\$", r"\$", short)


def to_cell(text: str) -> str:
    """Text as a cell of a table (CSV): with MARK before what a spreadsheet would evaluate."""
    return MARK + text if text.startswith((*EVALUATED, MARK)) else text


def from_cell(cell: str) -> str:
    """The text of a cell that to_cell made; of any other table's cell, what it holds."""
    return cell[1:] if cell[:1] == MARK and cell[1:2] in (*EVALUATED, MARK) else cell
