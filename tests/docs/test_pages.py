"""Pages state what the facts say, and link what there is."""

import re

import pytest

import write_pages
from write_pages import PAGES, ROOT, TEMPLATES

LINKED = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "config/README.md", ROOT / "results/README.md"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_up_to_date(page):
    said = write_pages.render_page(page.read_text(), write_pages.read_facts())
    assert said == page.read_text(), "`python docs/write_pages.py --facts-as-they-are` brings it up to the facts"


def test_every_template_is_a_block_of_one_page():
    blocks = [block for page in PAGES for block in write_pages.BLOCK.findall(page.read_text())]
    assert sorted(blocks) == sorted(template.stem for template in TEMPLATES.glob("*.md"))


def test_facts_are_sorted_and_of_no_machine():
    text = write_pages.FACTS.read_text()
    assert write_pages.write_facts(write_pages.json.loads(text)) == text
    assert not re.search(r"/(home|tmp|root|work|usr)/", text)


def headings(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in headings(target.read_text()), link


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 190
