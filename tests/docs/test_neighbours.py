"""What other people's tools read: the citation, the changelog, issue templates."""

import re

import pytest
import yaml

from write_pages import ROOT

TEMPLATES = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")


def test_the_citation_is_true_of_what_is_released():
    """By CFF 1.2.0's schema; a version that isn't released has no date."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert all({"name"} <= author.keys() or {"family-names"} <= author.keys() for author in citation["authors"])
    assert all({"type", "title", "authors"} <= reference.keys() for reference in citation["references"])
    heading = re.search(r"^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    if heading[2] == "unreleased":
        assert citation["version"] == f"{heading[1]}-unreleased" and "date-released" not in citation
    else:
        assert (citation["version"], citation["date-released"]) == heading.groups()
    readme = (ROOT / "README.md").read_text()
    assert f"title   = {{{citation['title']}}}" in readme and f"version = {{{citation['version']}}}" in readme
    assert f"title   = {{{citation['references'][0]['title']}}}" in readme


def test_the_changelog_goes_back_in_time():
    days = re.findall(r"^### (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert days == sorted(set(days), reverse=True) and days


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_an_issue_template_is_a_form(path):
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= form.keys()
    kinds = {"textarea", "input", "dropdown", "checkboxes"}
    for field in form["body"]:
        assert field["type"] in kinds and field["attributes"]["label"]
    names = [field["id"] for field in form["body"]]
    assert len(names) == len(set(names))
