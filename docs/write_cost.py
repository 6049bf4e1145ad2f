"""Bring the tables of docs/cost.md up to the code and the configurations (`make costs`).

Between <!-- name --> and <!-- /name --> stands what `snakemake cost` prints for a configuration, or how many jobs of
each rule a dry run plans.
"""

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

import estimate_cost
from explanations.cost import NetworkFacts, examine_all

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/cost.md"
EMBEDDED, IMAGENET = ROOT / "config/config.yaml", ROOT / "config/imagenet.yaml"
RATES = {"tflops": 100.0, "tflops_float32": 40.0}
IN_THE_PAPER = 0.15  # of the grid, at which a scan ends, from the paper's figures
PLAN = {"classes": 10_000, "per_class": 50, "networks": 100}


def read_config(path: Path) -> dict:
    """A whole configuration."""
    return yaml.safe_load(path.read_text())


def plan_large(config: dict, facts: dict[str, NetworkFacts]) -> tuple[dict, dict[str, NetworkFacts]]:
    """The plan's configuration: more classes and networks, each as costly as ResNet-50; and its facts."""
    config = json.loads(json.dumps(config))
    config["images"] |= {"classes": PLAN["classes"], "per_class": PLAN["per_class"]}
    names = [f"network{number}" for number in range(PLAN["networks"] - 2)]
    papers = {name: config["networks"][name] for name in ("vgg16", "resnet50")}
    others = {"source": "torchvision", "constructor": "resnet50", "arguments": {}, "explain": True}
    config["networks"] = papers | dict.fromkeys(names, others)
    return config, {name: facts[name] for name in papers} | dict.fromkeys(names, facts["resnet50"])


def count_jobs(path: Path) -> str:
    """How many jobs of each rule everything takes, as a table."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--forceall", "--quiet", "rules"]
    said = subprocess.run([*command, "--configfile", path], cwd=ROOT, text=True, capture_output=True, check=True).stdout
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE)}
    total = jobs.pop("total")
    figures = sum(jobs.pop(name) for name in list(jobs) if name.startswith("draw_"))
    jobs.pop("all")
    rows = [(name, str(count)) for name, count in sorted(jobs.items())]
    return estimate_cost.table([("rule", "jobs"), *rows, ("draw_*", str(figures)), ("with `all`", str(total))])


def make_blocks() -> dict[str, str]:
    """The text of every block, by name."""
    warnings.filterwarnings("ignore")
    embedded, imagenet = read_config(EMBEDDED), read_config(IMAGENET)
    facts = examine_all(imagenet)
    measured = {**RATES, "mean_share": estimate_cost.MEAN_SHARE}
    paper = {**RATES, "mean_share": IN_THE_PAPER}
    return {
        "embedded": estimate_cost.describe(embedded, examine_all(embedded), **measured),
        "imagenet": estimate_cost.describe(imagenet, facts, **paper),
        "plan": estimate_cost.describe(*plan_large(imagenet, facts), **paper),
        "jobs of embedded": count_jobs(EMBEDDED),
        "jobs of imagenet": count_jobs(IMAGENET),
    }


def replace_block(page: str, name: str, text: str) -> str:
    """The page with a block's text."""
    pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    return re.sub(pattern, lambda found: f"{found[1]}\n{text}\n{found[2]}", page, flags=re.DOTALL)


def main() -> None:
    """Rewrite the page."""
    page = PAGE.read_text()
    for name, text in make_blocks().items():
        page = replace_block(page, name, text)
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
