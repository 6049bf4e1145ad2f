"""What pages say of how they were made."""

import subprocess

import pytest

from explanations import provenance


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of one commit, where the workflow would be."""
    git = ("git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "a").write_text("1")
    subprocess.run([*git, "add", "a"], check=True)
    subprocess.run([*git, "commit", "-qm", "a"], check=True)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    return tmp_path


def test_the_commit_and_whether_files_changed_since(repository):
    head = subprocess.check_output(["git", "-C", str(repository), "rev-parse", "HEAD"], text=True)
    said = provenance.find_commit()
    assert head.startswith(said.removeprefix("commit ")) and len(said) > 10
    (repository / "a").write_text("2")
    assert provenance.find_commit() == f"{said}, with changes"


def test_without_a_repository_or_git_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert provenance.find_commit() == "" and "workflow" not in provenance.describe_making()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.find_commit() == ""


def test_configuration_machine_and_libraries(monkeypatch):
    monkeypatch.setenv(provenance.CONFIGURATION, "config/config.yaml --configfile mine.yaml")
    said = provenance.describe_making()
    assert said["configuration"] == "config/config.yaml --configfile mine.yaml"
    assert "torch 2." in said["software"] and said["software"].startswith("Python 3.")
    assert " cores, " in said["machine"]
    monkeypatch.delenv(provenance.CONFIGURATION)
    assert "configuration" not in provenance.describe_making()
