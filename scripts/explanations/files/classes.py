"""The classes of networks of the user's own: their names, or their number if that is all that is known."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from explanations.errors import InputError
from explanations.text import is_one_line

FEWEST = 2  # with fewer outputs there is nothing to decide
CANDIDATES = 12  # names in a message


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


def find_class(text: str, classes: Sequence[str]) -> int:
    """The index of the class that is meant by its name, a part of its name that no other has, or its index.

    Case matters only between whole names that differ in nothing else, as a dog's, Cardigan, and a garment's, cardigan.
    A whole name comes before an index, and that before words, and words before parts of them. InputError, with the
    candidates, if it is none or several.
    """
    if text.strip() in classes:
        return classes.index(text.strip())
    wanted, names = text.casefold().strip(), [name.casefold() for name in classes]
    whole = [index for index, name in enumerate(names) if name == wanted]
    if len(whole) == 1:
        return whole[0]
    if whole:
        several = ", ".join(classes[index] for index in whole)
        raise InputError(f"target is {text}; classes of that name differ in small and capital letters: {several}")
    if wanted.isdecimal():
        if int(wanted) < len(names):
            return int(wanted)
        raise InputError(f"target is {text}; the network has classes 0 to {len(names) - 1}")
    holding = [index for index, name in enumerate(names) if wanted and wanted in name]
    words = [index for index in holding if f" {wanted} " in f" {names[index]} "]
    for found in (words, holding):
        if len(found) == 1:
            return found[0]
    close = difflib.get_close_matches(wanted, names, 4, 0.5)
    candidates = [classes[index] for index in holding or map(names.index, close)]
    shown = ", ".join(candidates[:CANDIDATES]) + (
        f" and {len(candidates) - CANDIDATES} others" * (len(candidates) > CANDIDATES)
    )
    if holding:
        raise InputError(f"target is {text}; it is part of the names of {len(holding)} classes: {shown}")
    near = f"; the closest are {shown}" if candidates else ""
    raise InputError(f"target is {text}; no class has that in its name{near}")
