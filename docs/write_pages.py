"""Bring all that the README and the pages in docs/ state of a run up to it (`make pages`).

In:  a run's results, and a dry run of the workflow; the results on photographs (`make photographs`), those of other
     seeds (`make seeds`), of measures (config/measures.yaml) and on planted evidence (config/planted.yaml). What isn't
     there leaves what the pages state of it as it is.
Out: docs/facts.json, docs/photographs.json, docs/seeds.csv, docs/measures.csv, docs/planted.csv and
     docs/planted_objects.csv, what pages state; docs/gallery/, the runs' figures; in the pages, each block between
     <!-- name --> and <!-- /name --> as templates/<name>.md says it of the facts; workflow/durations.csv, how long jobs
     of each kind take.

Edit a page outside its blocks, and a block in its template. `--facts-as-they-are` renders the facts that there are.
"""

import argparse
import csv
import json
import re
import shutil
import sys
from pathlib import Path

import jinja2
import yaml

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

import estimate_cost
import words
import words_of_measures
from write_cost import replace_block

ROOT = Path(__file__).parent.parent
PHOTOGRAPHS = ROOT / "docs/photographs.json"
FACTS, TEMPLATES, GALLERY = ROOT / "docs/facts.json", ROOT / "docs/templates", ROOT / "docs/gallery"
DURATIONS = ROOT / "workflow/durations.csv"  # a run says by them how long the rest takes
# in docs/, written by `make bench`, by benchmarks/arithmetic.py, by `make applies`, and here
TABLES = {"extraction": "extraction_cost.csv", "removal": "removal_cost.csv", "arithmetic": "arithmetic.csv"}
TABLES |= {"seeds": "seeds.csv", "applies": "applies.csv", "methods": "methods_cost.csv", "measures": "measures.csv"}
WAIT = ("measures",)  # tables that are there once a run is recorded
TABLES |= {"planted": "planted.csv", "planted_objects": "planted_objects.csv"}
IN_DOCS = ("gallery", "findings", "parts", "any_network", "methods", "scale", "cluster", "photographs")
IN_DOCS += ("measures", "ground_truth")
PAGES = [ROOT / "README.md", *(ROOT / f"docs/{name}.md" for name in IN_DOCS)]
BLOCK = re.compile(r"^<!-- ([a-z_]+) -->$", re.MULTILINE)


def main(results: Path, photographs: Path, seeds: Path, measures: Path, planted: Path, facts_as_they_are: bool) -> None:
    """Gather facts and figures, and rewrite all pages."""
    for folder, gather in ((results, gather_embedded), (photographs, gather_from_photographs)):
        if facts_as_they_are:
            continue
        if (folder / "findings.csv").exists():
            gather(folder)
        else:
            print(f"{folder}: holds no finished run; what pages state of it stays as it is")
    if not facts_as_they_are:
        gather_from_seeds(seeds)
        gather_from_measures(measures)
        gather_from_planted(planted)
    facts = read_facts()
    for page in PAGES:
        page.write_text(render_page(page.read_text(), facts))


def gather_embedded(results: Path) -> None:
    """Write the facts and the gallery of the embedded experiment."""
    from gather_facts import gather_facts, read_hours
    from gather_times import gather_times, measure_durations, update_durations

    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    facts = gather_facts(results, config) | gather_times(results)
    facts["hours"] = read_hours((ROOT / "docs/cost.md").read_text())
    FACTS.write_text(write_facts(facts))
    update_durations(DURATIONS, measure_durations(results))
    for path in sorted((results / "figures").glob("*.png")):
        shutil.copyfile(path, GALLERY / path.name)


def gather_from_photographs(results: Path) -> None:
    """Write the facts and the gallery of the experiment on photographs."""
    from gather_photographs import copy_picture, gather_photographs
    from gather_times import measure_durations, update_durations

    path = ROOT / "config/photographs.yaml"
    config = yaml.safe_load(path.read_text())
    facts = gather_photographs(results, config)
    PHOTOGRAPHS.write_text(write_facts(facts))
    update_durations(DURATIONS, measure_durations(results, "--configfile", str(path)))
    shutil.rmtree(GALLERY / "photographs", ignore_errors=True)
    (GALLERY / "photographs").mkdir(parents=True)
    for name, _ in facts["figures"]:
        copy_picture(results / "figures" / f"{name}.png", GALLERY / "photographs" / f"{name}.png")


def gather_from_seeds(results: Path) -> None:
    """Write the verdicts of all seeds' runs below a folder, if there are some."""
    from gather_seeds import find_seeds, gather_seeds

    networks = yaml.safe_load((ROOT / "config/seeds.yaml").read_text())["only"]
    if seeds := find_seeds(results):
        gather_seeds(seeds, networks).to_csv(ROOT / "docs" / TABLES["seeds"], index=False)
    else:
        print(f"{results}: holds no seeds' runs; what pages state of them stays as it is")


def gather_from_measures(results: Path) -> None:
    """Write what a run found of measures, and its figure, if it compared some."""
    from gather_measures import gather_measures
    from gather_photographs import copy_picture

    table = gather_measures(results)
    if len(table) and (results / "figures/figL.png").exists():
        table.to_csv(ROOT / "docs" / TABLES["measures"], index=False)
        copy_picture(results / "figures/figL.png", GALLERY / "figL.png")
    else:
        print(f"{results}: holds no measures that were compared; what pages state of them stays as it is")


def gather_from_planted(results: Path) -> None:
    """Write what the experiment on planted evidence measured, if it has: its networks' accuracy comes first."""
    from gather_planted import gather_objects, gather_planted

    networks = yaml.safe_load((ROOT / "config/planted.yaml").read_text())["only"]
    if any((results / "statistics" / network / "objects.csv").exists() for network in networks):
        gather_planted(results, networks).to_csv(ROOT / "docs" / TABLES["planted"], index=False)
        gather_objects(results, networks).to_csv(ROOT / "docs" / TABLES["planted_objects"], index=False)
    else:
        print(f"{results}: holds no statistics; what pages state of it stays as it is")


def write_facts(facts: dict) -> str:
    """Facts as JSON, sorted, each list of numbers in a line."""
    text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False)
    return re.sub(r"\[\n[^][{}]*\]", lambda found: f"[{' '.join(found[0][1:-1].split())}]", text) + "\n"


def read_facts() -> dict:
    """The facts, and the tables beside them; of photographs, once a run is recorded."""
    facts = json.loads(FACTS.read_text())
    for name, table in TABLES.items():
        if name in WAIT and not (ROOT / "docs" / table).exists():
            facts[name] = []
            continue
        with open(ROOT / "docs" / table, newline="") as file:
            facts[name] = list(csv.DictReader(file))
    return facts | ({"photographs": json.loads(PHOTOGRAPHS.read_text())} if PHOTOGRAPHS.exists() else {})


def render_page(page: str, facts: dict) -> str:
    """A page with all its blocks as the facts have them; photographs' stay as they are until a run is recorded."""
    for name in BLOCK.findall(page):
        own = facts.get("photographs") if name.startswith("photographs") else facts
        if own is not None:
            page = replace_block(page, name, render_block(name, own))
    return page


def render_block(name: str, facts: dict) -> str:
    """The text of a block."""
    # what is missing is an error; a line that holds a tag alone leaves no line
    options = {"undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), **options)
    environment.filters.update(words.FILTERS)
    functions = (*words.FUNCTIONS, *words_of_measures.FUNCTIONS)
    environment.globals.update({function.__name__: function for function in functions})
    environment.globals["table"] = estimate_cost.table
    return environment.get_template(f"{name}.md").render(facts).rstrip("\n") + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "results/embedded", help="of an experiment")
    parser.add_argument(
        "--photographs", type=Path, default=ROOT / "results/photographs", help="of config/photographs.yaml"
    )
    parser.add_argument("--seeds", type=Path, default=ROOT / "results", help="folder of config/seeds.yaml's runs")
    parser.add_argument("--measures", type=Path, default=ROOT / "results/measures", help="of config/measures.yaml")
    parser.add_argument("--planted", type=Path, default=ROOT / "results/planted", help="of config/planted.yaml")
    parser.add_argument("--facts-as-they-are", action="store_true", help="render without gathering facts")
    main(**vars(parser.parse_args()))
