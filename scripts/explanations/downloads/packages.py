"""Files that Python packages ship, weights or photographs: fetched as data, from the index that pip has.

A package is a wheel, known by its name, version and SHA-256. It is unpacked, never installed and never imported: no
code in it is run.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath

from explanations.downloads.addresses import without_secrets
from explanations.downloads.fetching import fetch_once
from explanations.errors import InputError
from explanations.files.packages import Package
from explanations.files.writing import whole_file

OTHER_HASH = re.compile(r"^\s*Got\s+([0-9a-f]{64})$", re.MULTILINE)
BROKEN_LINE = re.compile(r"^WARNING: Retrying .*?'(.*)': ", re.MULTILINE)
ERROR = re.compile(r"^ERROR: (.*)$", re.MULTILINE)
LONGEST = 300  # letters of what pip says
BLOCK = 2**20  # bytes


def fetch_package(package: Package, cache: Path) -> Path:
    """A package's wheel, kept in `cache` under its name and hash; if it is there, no index is asked.

    Several processes may ask for the same. InputError, naming the package, if the index that pip is set to hasn't it,
    can't be reached, or has another file of this version.
    """
    path = cache / package.file_name
    return fetch_once(path, package.sha256, partial(_download, package, path))


def _download(package: Package, path: Path) -> None:
    """Have pip download a wheel to `path`: no other file of this version, nothing that it depends on."""
    with whole_file(path) as temporary, tempfile.TemporaryDirectory(dir=temporary.parent) as folder:
        wanted = Path(folder, "wanted.txt")
        wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
        options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, "--requirement", str(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=_plain_environment())
        found = [*Path(folder).glob("*.whl")]
        if done.returncode or len(found) != 1:
            raise InputError(_say_why(package, done.stderr))
        shutil.move(found[0], temporary)


def _plain_environment() -> dict[str, str]:
    """The environment, where pip's words are English without colours, and don't go to a log of their own."""
    return {**os.environ, "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}


def _say_why(package: Package, said: str) -> str:
    """One line of what pip says on standard error."""
    if "No module named pip" in said:
        return f"{package}: needs pip, which {sys.executable} hasn't got"
    if other := OTHER_HASH.search(said):
        return f"{package}: its SHA-256 is {other[1]} where pip finds it; expected {package.sha256}"
    broken, errors = BROKEN_LINE.search(said), ERROR.findall(said)
    text = broken[1] if broken else errors[0] if errors else said.strip() or "it says nothing"
    text = " ".join(without_secrets(text).split())
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
    return (
        f"{package}: pip can't download it from its index ({text}); PIP_INDEX_URL or pip's configuration name another"
    )


# --- what is in it -----------------------------------------------------------------------------------------------


def find_members(wheel: Path, patterns: Sequence[str], package: Package) -> list[str]:
    """The files of a wheel that fit any of some patterns (* also stands for slashes), in the order of their names.

    InputError for a pattern that none fits, and for a name that would be unpacked elsewhere.
    """
    with _opened(wheel, package) as archive:
        names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InputError(f"{package}: holds no file {pattern}")
    chosen = sorted(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))
    outside = [name for name in chosen if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    if outside:
        raise InputError(f"{package}: {outside[0]!r} is no path below a folder")
    return chosen


def unpack_file(wheel: Path, name: str, package: Package) -> Path:
    """A wheel's file, unpacked beside the wheel into a folder of its name, unless it lies there, the same, already.

    InputError, naming the package, if it has no such file; a pattern is no name.
    """
    with _opened(wheel, package) as archive:
        entry = archive.NameToInfo.get(name)
        if entry is None or entry.is_dir():
            raise InputError(f"{package}: holds no file {name}")
        path = wheel.with_suffix("") / PurePosixPath(name).name
        if not (path.is_file() and path.stat().st_size == entry.file_size and _checksum(path) == entry.CRC):
            with whole_file(path) as temporary:
                _extract(archive, name, temporary)
    return path


def unpack_below(wheel: Path, patterns: Sequence[str], package: Package, folder: Path) -> None:
    """The files of a wheel that fit some patterns, unpacked into `folder` by their paths below what holds them all.

    That is the deepest folder that the patterns name without * and the like, all of them.
    """
    names = find_members(wheel, patterns, package)
    common = os.path.commonpath([_fixed_folder(pattern) for pattern in patterns])
    with _opened(wheel, package) as archive:
        for name in names:
            path = folder / os.path.relpath(name, common or ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            _extract(archive, name, path)


def _fixed_folder(pattern: str) -> str:
    """The folders of a pattern before its first *, ? or [."""
    return os.path.dirname(re.split(r"[*?\[]", pattern, maxsplit=1)[0])


@contextmanager
def _opened(wheel: Path, package: Package) -> Iterator[zipfile.ZipFile]:
    """A wheel to read from; InputError, naming the package, if it or a file in it is damaged."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InputError(f"{package}: {wheel} can't be read as a wheel ({error})") from None


def _extract(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    """Write one file, whatever its mode in the archive: a link in it becomes no link here."""
    with archive.open(name) as packed, open(path, "wb") as file:
        shutil.copyfileobj(packed, file, BLOCK)


def _checksum(path: Path) -> int:
    """A file's CRC-32, as archives have it."""
    total = 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            total = zlib.crc32(block, total)
    return total
