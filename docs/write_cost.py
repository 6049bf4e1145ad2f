"""Bring the tables of docs/cost.md up to the code and the configurations (`make costs`).

Between <!-- name --> and <!-- /name --> stands what `snakemake cost` prints for a configuration, how many jobs of each
rule a dry run plans, how the hours of a projection change with what it assumes and what is configured, or how estimated
throughputs compare with published ones (published_throughput.csv).
"""

import csv
import json
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import timm
import torch
import torchvision
import yaml

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

import estimate_cost
from explanations.cost.projection import BACKWARD, NetworkFacts, examine, examine_all, expected_share, list_steps
from explanations.cost.throughput import GPU, GPUS, count_flop, list_operations, passes_per_second

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/cost.md"
EMBEDDED, IMAGENET = ROOT / "config/config.yaml", ROOT / "config/imagenet.yaml"
PUBLISHED = ROOT / "docs/published_throughput.csv"
MEASURED = ROOT / "docs/gpu.csv"  # by benchmarks/gpu.sh
USUAL = GPUS["H100"]
DATA_CENTRE = ("A100", "H100", "H200", "B200")
TARGET = "statistics/{}/aggregates-original-bilinear.csv"  # of one network: all that leads to figure M
PLAN = {"classes": 10_000, "per_class": 50, "networks": 100, "shard_size": 5_000, "resamples": 200}
CHANGES = {  # of config/imagenet.yaml, by what they are called
    "`removal.grid: 50`": {"removal": {"grid": 50}},
    "one setting in each list of `decay_trials`": {
        "networks": {"resnet50": {"decay_trials": {"steps": [50], "temperature": [10]}}}
    },
    "`survey.change_images: 1000`": {"survey": {"change_images": 1000}},
    "`images.per_class: 20`": {"images": {"per_class": 20}},
    "every `precision: float32`": {
        "survey": {"precision": "float32"},
        "removal": {"precision": "float32"},
        "networks": {name: {"decay": {"precision": "float32"}} for name in ("vgg16", "resnet50")},
    },
}


def read_config(path: Path) -> dict:
    """A whole configuration."""
    return yaml.safe_load(path.read_text())


def lay_over(config: dict, changes: dict) -> dict:
    """A configuration with some keys changed, as Snakemake lays one file over another."""
    laid = {key: lay_over(config.get(key, {}), value) for key, value in changes.items() if isinstance(value, dict)}
    return config | changes | laid


def plan_large(config: dict) -> dict:
    """The plan's configuration: more classes and networks, each of ResNet-50's kind; nothing of it is on disk."""
    papers = {name: {**config["networks"][name]} for name in ("vgg16", "resnet50")}
    names = [f"network{number}" for number in range(PLAN["networks"] - len(papers))]
    others = {key: papers["resnet50"][key] for key in ("source", "constructor", "arguments", "weights")}
    images = {"source": "folder", "folder": "data/large", "labels": "none", "size": 224}
    images |= {key: PLAN[key] for key in ("classes", "per_class")}
    shards = {"shard_size": PLAN["shard_size"]}
    large = {"experiment": "large", "images": images, "attributions": shards, "removal": shards}
    large |= {"statistics": {"resamples": PLAN["resamples"]}}
    explained = {**others, "explain": ["layers", "aggregates"]}
    return {**lay_over(config, large), "networks": papers | dict.fromkeys(names, explained)}


def examine_large(config: dict) -> dict[str, NetworkFacts]:
    """The facts of the plan's networks, with as many outputs as there are classes."""
    images, found = config["images"], {}
    for name in ("vgg16", "resnet50"):
        entry = {key: value for key, value in config["networks"][name].items() if key != "weights"}
        found[name] = examine(entry, images["size"], images["classes"], explained=True)
    return {name: found[entry["constructor"]] for name, entry in config["networks"].items()}


def describe_changes(config: dict, facts: dict[str, NetworkFacts]) -> str:
    """GPU hours of all steps together, as the GPU, the mean end of a scan and single keys change."""

    def hours(settings: dict, gpu: GPU = USUAL, mean_share: float | None = None) -> str:
        steps = list_steps(settings, facts, mean_share or expected_share(config, facts))
        return f"{estimate_cost.count_hours(steps, gpu):.1f}"

    rows = [(f"as above, on one {name}", hours(config, GPUS[name])) for name in DATA_CENTRE]
    rows += [(f"scans ending at {share:.0%} of the grid", hours(config, mean_share=share)) for share in (0.15, 0.4)]
    rows += [(name, hours(lay_over(config, changes))) for name, changes in CHANGES.items()]
    return estimate_cost.table([("", "GPU hours"), *rows])


def compare_throughput() -> list[tuple[dict[str, str], float]]:
    """The rows of published throughputs, and what is estimated for each, in images per second."""
    with open(PUBLISHED, newline="") as file:
        rows = list(csv.DictReader(file))
    operations = {}
    for name in {row["network"] for row in rows}:
        with torch.device("meta"):
            network = timm.create_model(name).eval()
        operations[name] = list_operations(network, network.default_cfg["input_size"][1])
    found = []
    for row in rows:
        training = row["pass"] == "training"
        rate = passes_per_second(operations[row["network"]], GPUS[row["gpu"]], row["precision"], training=training)
        found.append((row, rate / (1 + BACKWARD) if training else rate))
    return found


def describe_published() -> str:
    """Published throughputs beside those that are estimated, as a table."""
    header = ("GPU", "network", "", "published", "estimated", "estimated / published")
    rows = []
    for row, rate in compare_throughput():
        published = float(row["images_per_second"])
        what = row["pass"] + (", tf32" if row["precision"] == "tf32" else "")
        numbers = (f"{published:,.0f}", f"{rate:,.0f}", f"{rate / published:.2f}")
        rows.append((row["gpu"], row["network"], what, *numbers))
    return estimate_cost.table([header, *rows])


def describe_measured() -> str:
    """What benchmarks/gpu.sh measured of plain passes, beside what is estimated for that GPU, as a table."""
    with open(MEASURED, newline="") as file:
        rows = list(csv.DictReader(file))
    gpu = next(known for title, known in GPUS.items() if title in rows[0]["gpu"])
    products = {row["precision"]: float(row["rate"]) for row in rows if row["part"] == "product"}
    header = ("network", "precision", "channels", "run", "passes/s", "of matrix products", "estimated / measured")
    table, operations = [header], {}
    for row in rows:
        if row["part"] != "plain":
            continue
        name, precision, rate = row["network"], row["precision"], float(row["rate"])
        if name not in operations:
            with torch.device("meta"):
                operations[name] = list_operations(torchvision.models.get_model(name).eval(), 224)
        share = count_flop(operations[name]) * rate / (products[precision] * 1e12)
        ratio = passes_per_second(operations[name], gpu, precision) / rate
        table.append((name, precision, row["channels"], row["run"], f"{rate:,.0f}", f"{share:.0%}", f"{ratio:.2f}"))
    said = ", ".join(f"{rate:,.0f} in {precision}" for precision, rate in products.items())
    return f"{gpu.name}; matrix products of 8192 rows, in TFLOP/s: {said}.\n\n{estimate_cost.table(table)}"


def dry_run(*arguments: str) -> str:
    """What Snakemake says of the jobs that it would run from nothing."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--dry-run", "--forceall"]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True).stdout


def plan_jobs(path: Path, *targets: str) -> dict[str, int]:
    """How many jobs of each rule a dry run of targets plans, and their `total`."""
    said = dry_run(*targets, "--quiet", "rules", "--configfile", str(path))
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE)}


def count_jobs(path: Path) -> str:
    """How many jobs of each rule everything takes, as a table."""
    jobs = plan_jobs(path)
    total = jobs.pop("total")
    figures = sum(jobs.pop(name) for name in list(jobs) if name.startswith("draw_"))
    jobs.pop("all")
    rows = [(name, str(count)) for name, count in sorted(jobs.items())]
    return estimate_cost.table([("rule", "jobs"), *rows, ("draw_*", str(figures)), ("with `all`", str(total))])


def count_jobs_of_network(config: dict, name: str) -> str:
    """How many jobs of each rule one network of the plan takes: its statistics and all before them, as a table."""
    with tempfile.TemporaryDirectory() as folder:
        # Snakemake wants images to be there, though it only plans
        for split in ("train", "val"):
            Path(folder, split).mkdir()
            Path(folder, split, "image.jpg").touch()
        path = Path(folder, "config.yaml")
        path.write_text(json.dumps(lay_over(config, {"images": {"folder": folder}})))
        jobs = plan_jobs(path, f"results/{config['experiment']}/{TARGET.format(name)}")
    return estimate_cost.table([("rule", "jobs"), *((rule, f"{count:,}") for rule, count in jobs.items())])


def make_blocks() -> dict[str, str]:
    """The text of every block, by name."""
    warnings.filterwarnings("ignore")
    embedded, imagenet = read_config(EMBEDDED), read_config(IMAGENET)
    facts, large = examine_all(imagenet), plan_large(imagenet)

    def describe(config: dict, found: dict[str, NetworkFacts]) -> str:
        return estimate_cost.describe(config, found, USUAL, expected_share(config, found))

    return {
        "embedded": describe(embedded, examine_all(embedded)),
        "imagenet": describe(imagenet, facts),
        "changes": describe_changes(imagenet, facts),
        "measured": describe_measured(),
        "published": describe_published(),
        "plan": describe(large, examine_large(large)),
        "jobs of embedded": count_jobs(EMBEDDED),
        "jobs of imagenet": count_jobs(IMAGENET),
        "jobs of a network": count_jobs_of_network(large, "network0"),
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
