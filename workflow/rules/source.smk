"""Where this workflow's own files are, run by itself or as another's module, and its configuration over the embedded one.

A module works in the working folder of the workflow that uses it: results go there. Scripts, environments and the
embedded configuration stay where they are.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import yaml
from snakemake.utils import update_config


def find_root():
    """The folder of this workflow's files: as a path below the working folder if it is there."""
    here = workflow.current_basedir.join("../..")
    if hasattr(here, "ref"):  # in a repository
        return unpack(here)
    folder = Path(here.get_path_or_uri(secret_free=True)).resolve()
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def unpack(source):
    """The files of a repository, from which steps can be started: in .snakemake/<module>/, new with another commit.

    The folder is the same for all commits: what another one leaves as it was reruns nothing.
    """
    import git  # takes longer than all other imports here, and is seldom needed

    repository = source.hosted_repo.repo if hasattr(source, "hosted_repo") else git.Repo(source.repo_path)
    commit = repository.commit(source.ref).hexsha
    folder = Path(".snakemake", workflow.modifier.namespace or "workflow")
    if folder.is_dir() and (folder / ".commit").read_text() == commit:
        return folder
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        archive, files = Path(made, "archive.tar"), Path(made, "files")
        with archive.open("wb") as file:
            repository.archive(file, commit)
        shutil.unpack_archive(archive, files, filter="data")
        (files / ".commit").write_text(commit)
        shutil.rmtree(folder, ignore_errors=True)
        files.rename(folder)
    return folder


def lay_over(file, changes):
    """A configuration's file with the values that a configuration laid over it changes, whose keys come first."""
    laid = unshare(changes)
    update_config(laid, yaml.safe_load(file.read_text()))
    update_config(laid, changes)
    return laid


def unshare(value):
    """A copy in which no two keys hold the same mapping, as YAML's aliases do: a change of one would change the other."""
    if isinstance(value, dict):
        return {key: unshare(inner) for key, inner in value.items()}
    return [unshare(inner) for inner in value] if isinstance(value, list) else value


ROOT = find_root()
SCRIPTS = ROOT / "scripts"
sys.path.append(str(SCRIPTS.resolve()))

# A configuration that is whole by itself, as config/imagenet.yaml is, says so; others are laid over the embedded one.
if not config.get("whole"):

    configfile: str(ROOT / "config/config.yaml")

    # where a module statement gives the configuration, configfile: does nothing
    config = lay_over(ROOT / "config/config.yaml", config)
