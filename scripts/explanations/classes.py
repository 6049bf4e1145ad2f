"""The classes of networks of the user's own: their names, or their number if that is all that is known."""

from collections.abc import Sequence
from pathlib import Path

from explanations.command import InputError
from explanations.text import is_one_line

FEWEST = 2  # with fewer outputs there is nothing to decide


def number_classes(count: int) -> tuple[str, ...]:
    """What classes are called whose names aren't known."""
    return tuple(f"class {index}" for index in range(count))


def read_classes(classes: int | str | Sequence) -> tuple[str, ...]:
    """The names that are meant by a list of them, by a text file with a name on each line, or by their number.

    InputError, naming the key, unless there are two or more that differ.
    """
    if str(classes).isdecimal():
        if int(classes) < FEWEST:
            raise InputError(f"classes is {classes}; a network needs at least two")
        return number_classes(int(classes))
    if not isinstance(classes, str):
        return check_names([str(name) for name in classes], "classes")
    path = Path(classes).expanduser()
    try:
        lines = path.read_text("utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        text = getattr(error, "strerror", None) or "it must be text in UTF-8"
        raise InputError(f"classes is {classes}; it can't be read as a file of names ({text})") from None
    return check_names([line.strip() for line in lines], str(path))


def check_names(names: Sequence[str], where: str) -> tuple[str, ...]:
    """The names, if there are two or more, none is empty and all differ."""
    if "" in names:
        raise InputError(f"{where}: name {names.index('') + 1} is empty; there must be one for each class")
    bad = next((name for name in names if not is_one_line(name)), None)
    if bad is not None:
        raise InputError(f"{where}: {bad!r} is no name; allowed is text without control characters")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{where}: {twice} is there twice; the names of classes must differ")
    if len(names) < FEWEST:
        raise InputError(f"{where}: a network needs at least two classes, not {len(names)}")
    return tuple(names)
