"""A conda channel made of the Python that runs this and of distributions installed in it; nothing is downloaded.

Every distribution becomes one package for this platform, under its name on conda-forge, with what its metadata require
as dependencies. conda knows no extras: those that any distribution asks for are asked for always. Console scripts are
left out, since they name the interpreter of the environment that they come from.
"""

import hashlib
import json
import os
import sys
import sysconfig
import tarfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name
from packaging.version import Version
from zstandard import ZstdCompressor

SUBDIR = "linux-64"
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY = f"lib/python{MINOR}"  # below a prefix
STDLIB = Path(sysconfig.get_path("stdlib"))
UNUSED = {"__pycache__", "site-packages", "test", "idlelib", "ensurepip"}  # of the standard library
CONDA_NAMES = {  # where they differ from PyPI's
    **{"torch": "pytorch", "matplotlib": "matplotlib-base"},
    **{"huggingface-hub": "huggingface_hub", "typing-extensions": "typing_extensions", "tzdata": "python-tzdata"},
}
PYPI_NAMES = {conda: pypi for pypi, conda in CONDA_NAMES.items()}


def make_channel(folder: Path, packages: set[str]) -> None:
    """Pack the conda packages named, Python and all that they need, into a folder."""
    (folder / SUBDIR).mkdir(parents=True)
    needed = closure({PYPI_NAMES.get(name, name) for name in packages - {"python"}})
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        packed = [pool.submit(pack_distribution, folder / SUBDIR, name, extras) for name, extras in needed.items()]
        records = pack_python(folder / SUBDIR)
        for package in packed:
            records |= package.result()
    write_repodata(folder, SUBDIR, records)
    write_repodata(folder, "noarch", {})


def closure(names: set[str]) -> dict[str, set[str]]:
    """The distributions that some need, themselves among them, each with the extras asked of it."""
    needed: dict[str, set[str]] = {}
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in needed or not requirement.extras <= needed[name]:
            needed.setdefault(name, set()).update(requirement.extras)
            waiting += requirements(distribution(name), needed[name])
    return needed


def requirements(source: Distribution, extras: set[str]) -> list[Requirement]:
    """What a distribution requires here, on this Python and platform, with these extras."""
    every = [Requirement(line) for line in source.requires or []]
    return [r for r in every if not r.marker or any(r.marker.evaluate({"extra": extra}) for extra in {"", *extras})]


def conda_dependency(requirement: Requirement) -> str:
    """A requirement as conda writes it."""

    def conda_version(specifier: Specifier) -> str:
        starred = specifier.operator == "==" and specifier.version.endswith(".*")
        return specifier.version if starred else str(specifier)

    name = canonicalize_name(requirement.name)
    versions = ",".join(sorted(conda_version(specifier) for specifier in requirement.specifier))
    return f"{CONDA_NAMES.get(name, name)} {versions}".strip()


def pack_distribution(folder: Path, name: str, extras: set[str]) -> dict[str, dict]:
    """One installed distribution as a package."""
    source = distribution(name)
    files = {}
    for file in source.files:
        path = Path(source.locate_file(file))
        if not {"..", "__pycache__"} & set(file.parts) and path.exists():
            files[f"{LIBRARY}/site-packages/{file.as_posix()}"] = path
    depends = [f"python {MINOR}.*", *sorted(map(conda_dependency, requirements(source, extras)))]
    # Without the local part, +cu130 say, which would not meet a dependency on just that version.
    return write_package(folder, CONDA_NAMES.get(name, name), Version(source.version).public, depends, files)


def pack_python(folder: Path) -> dict[str, dict]:
    """The interpreter, its library where it isn't linked statically, and the standard library."""
    library = sysconfig.get_config_var("LIBDIR")
    program = folder / f"python{MINOR}"
    # A path to the library, where the interpreter holds one, becomes relative; it is NUL-terminated text in the file.
    absolute = f"\0{library}\0".encode()
    relative = b"\0$ORIGIN/../lib".ljust(len(absolute), b"\0")
    interpreter = Path(sys.executable).resolve()
    program.write_bytes(interpreter.read_bytes().replace(absolute, relative))
    program.chmod(0o755)
    files = {f"bin/{name}": program for name in ("python", "python3", program.name)}
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        shared = sysconfig.get_config_var("INSTSONAME")
        files[f"lib/{shared}"] = Path(library, shared)
    for path in STDLIB.rglob("*"):
        parts = path.relative_to(STDLIB).parts
        if path.is_file() and not UNUSED & set(parts) and not parts[0].startswith("config-"):
            files["/".join((LIBRARY, *parts))] = path
    record = write_package(folder, "python", ".".join(map(str, sys.version_info[:3])), [], files)
    program.unlink()
    return record


def write_package(folder: Path, name: str, version: str, depends: list[str], files: dict[str, Path]) -> dict[str, dict]:
    """Files, by their paths below a prefix, as an archive in conda's format; its file's name and record."""
    index = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": depends, "subdir": SUBDIR}
    paths = [
        {"_path": target, "path_type": "hardlink", "size_in_bytes": path.stat().st_size}
        for target, path in files.items()
    ]
    stem = f"{name}-{version}-0"
    information = folder / f"{stem}.info"
    information.mkdir()
    (information / "index.json").write_text(json.dumps(index))
    (information / "paths.json").write_text(json.dumps({"paths": paths, "paths_version": 1}))
    described = {f"info/{path.name}": path for path in information.iterdir()}
    package = folder / f"{stem}.conda"
    with ZipFile(package, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
        for part, members in (("pkg", files), ("info", described)):
            with (
                archive.open(f"{part}-{stem}.tar.zst", "w") as stream,
                ZstdCompressor(level=1).stream_writer(stream, closefd=False) as compressed,
                tarfile.open(fileobj=compressed, mode="w|", dereference=True) as tar,
            ):
                for target, path in members.items():
                    tar.add(path, target)
    for path in described.values():
        path.unlink()
    information.rmdir()
    with package.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {package.name: index | {"sha256": digest, "size": package.stat().st_size}}


def write_repodata(folder: Path, subdir: str, records: dict[str, dict]) -> None:
    """The list of a channel's packages for one platform."""
    (folder / subdir).mkdir(exist_ok=True)
    content = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": records, "repodata_version": 1}
    (folder / subdir / "repodata.json").write_text(json.dumps(content))
