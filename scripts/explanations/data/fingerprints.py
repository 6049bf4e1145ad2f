"""Whether a folder's images are what they were when they were listed: asked whenever the workflow is planned.

A listing leaves a note of all image files: the folder's fingerprint as the plan had it, a sum of the files' states, the
folder's path, and a line for each file with the hash of its content, its size, time and path. While the files have the
sizes and times of the note, or its contents, their fingerprint stays what it was: a file that is only touched changes
nothing. Needs the standard library alone.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from explanations.data.folders import ImageFile, list_folder, walk_images
from explanations.errors import InputError
from explanations.files.hashes import hash_content
from explanations.files.writing import whole_file


class Note(NamedTuple):
    """What a listing noted of a folder: its fingerprint, its path, its image files, the hash of each one's content."""

    fingerprint: str
    folder: str
    files: Sequence[ImageFile]
    contents: Sequence[str]


def fingerprint(folder: Path, path: Path) -> str:
    """What stands for the names and contents of a folder's images: that of the note at `path` while they are the same.

    A folder that isn't there any more can't have changed. Files of which only the time differs are read, and their new
    times noted.
    """
    known, noted, noted_folder = read_heading(path)
    if not folder.is_dir():
        return known if known and noted_folder == str(folder) else f"{folder} isn't there yet"
    try:
        state = sum_states(walk_images(folder, Counter()))
        if known and state == noted:
            return known
        note, files = read_note(path), list_folder(folder)[0]
    except InputError as error:
        return str(error)  # which the listing stops with
    if note and is_same(folder, files, note):
        with suppress(InputError):  # the note saves time alone: what is only read can be planned too
            write_note(path, note._replace(files=files, folder=str(folder)))
        return note.fingerprint
    return state


def sum_states(files: Iterable[ImageFile]) -> str:
    """How many files there are, and a hash of their paths, sizes and times, whatever their order."""
    count = total = 0
    for path, size, time in files:
        line = f"{size} {time} {path}".encode(errors="surrogateescape")
        total += int.from_bytes(hashlib.blake2b(line, digest_size=16).digest())
        count += 1
    return f"{count} files {total % 2**64:016x}"


def is_same(folder: Path, files: Sequence[ImageFile], note: Note) -> bool:
    """Whether a folder's files are those of a note, by path and size, and by time or content."""
    if [(file.path, file.size) for file in files] != [(file.path, file.size) for file in note.files]:
        return False
    return all(
        now.time == then.time or hash_content(folder / now.path) == content
        for now, then, content in zip(files, note.files, note.contents, strict=True)
    )


def write_note(path: Path, note: Note) -> None:
    """Write a note as text."""
    with whole_file(path) as temporary, open(temporary, "w") as file:
        file.write(f"{note.fingerprint}\n{sum_states(note.files)}\n{note.folder}")
        for (name, size, time), content in zip(note.files, note.contents, strict=True):
            file.write(f"\n{content} {size} {time} {name}")


def read_heading(path: Path) -> tuple[str, str, str]:
    """A note's fingerprint, what `sum_states` says of its files, and its folder; empty if none can be read."""
    try:
        with open(path) as file:
            return file.readline().rstrip("\n"), file.readline().rstrip("\n"), file.readline().rstrip("\n")
    except (OSError, UnicodeDecodeError):
        return "", "", ""


def read_note(path: Path) -> Note | None:
    """Read a note; none if there is none, or no whole one that can be read."""
    try:
        known, _, folder, *lines = path.read_text().split("\n")
        parts = [line.split(" ", 3) for line in lines]
        files = [ImageFile(name, int(size), int(time)) for _, size, time, name in parts]
    except (OSError, ValueError):
        return None
    return Note(known, folder, files, [content for content, *_ in parts])
