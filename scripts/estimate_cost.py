"""Say what an experiment will cost before anything runs: images, maps, scans, passes, FLOP, disk and GPU hours.

In:  a whole configuration, as JSON.
Out: tables on standard output. GPU hours are estimated from a GPU's data sheet and what is published of such GPUs
     (explanations/cost/throughput.py), nothing is measured.
"""

import argparse
import json
import math
import warnings
from operator import attrgetter
from pathlib import Path

from explanations.command import run_command, step_parser
from explanations.cost.additions import Addition, list_additions
from explanations.cost.projection import (
    NetworkFacts,
    Step,
    count_curve_bytes,
    count_methods,
    count_patch_bytes,
    count_planned_bytes,
    count_removal_bytes,
    count_scans,
    examine_all,
    expected_share,
    explained_variants,
    list_steps,
)
from explanations.cost.throughput import ARITHMETIC, GPU, GPUS, MEMORY, TRAINING
from explanations.data.sets import count_test_images
from explanations.errors import InputError, check_range
from explanations.files.writing import describe_size
from explanations.networks.trained import find_taken
from explanations.plan import Plan

ROOT = Path(__file__).parent.parent
READ_RATE = 300  # JPEG files of ImageNet's size that a core reads in a second, see benchmarks/reading.py
TOGETHER = ("training", "survey")  # steps that are one line for all networks


def main(config: str, gpu: GPU, mean_share: float | None, planned: list | None = None) -> None:
    if mean_share is not None:
        check_range("--mean-share", mean_share, low=0, high=1, open_low=True)
    try:
        settings = json.loads(Path(config.removeprefix("@")).read_text() if config.startswith("@") else config)
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"--config: can't be read as JSON ({error})") from None
    warnings.filterwarnings("ignore")
    if planned is not None:
        print(count_planned_bytes(settings, planned))
        return
    facts = examine_all(settings)
    print(f"experiment {settings['experiment']}\n")
    print(describe(settings, facts, gpu, mean_share or expected_share(settings, facts)))


def describe(config: dict, facts: dict[str, NetworkFacts], gpu: GPU, mean_share: float) -> str:
    """The whole account."""
    parts = [
        describe_images(config, facts),
        describe_maps(config, facts),
        f"{describe_gpu(gpu)}\nA scan ends at {mean_share:.0%} of the grid on average. Cores are those that read JPEG "
        f"files of ImageNet's size as\nfast as the GPU computes, at {READ_RATE} a second and core.\n",
        describe_steps(list_steps(config, facts, mean_share, find_taken(ROOT, config)), gpu),
        describe_additions(list_additions(config, facts, mean_share), gpu),
    ]
    return "\n".join(parts)


def describe_gpu(gpu: GPU) -> str:
    """What is assumed of a GPU."""
    arithmetic = f"{gpu.float32:g} TFLOP/s in float32, {gpu.tf32:g} in tf32, {gpu.bfloat16:g} in bfloat16"
    return (
        f"GPU hours of one {gpu.name}: {arithmetic}, {gpu.bandwidth:g} TB/s of memory by its data\nsheet, of which "
        f"{ARITHMETIC:.0%} and {MEMORY:.0%} are reached; decays at {TRAINING:.0%} of the rate that follows."
    )


def describe_images(config: dict, facts: dict[str, NetworkFacts]) -> str:
    """How many images and networks there are, and what lies on the disk in the end."""
    evaluated = config["images"]["classes"] * config["images"]["per_class"]
    variants = explained_variants(config)
    shards = sum(facts[name].shard for name, _ in variants) * evaluated
    weights = sum(fact.weights for fact in facts.values())
    weights += sum(facts[name].weights for name, variant in variants if variant != "original")
    weights += sum(
        sum(map(len, entry.get("decay_trials", {}).values())) * facts[name].weights
        for name, entry in config["networks"].items()
    )
    lines = [
        ("test images", f"{count_test_images(config):,}"),
        ("evaluated images", f"{evaluated:,}"),
        ("networks", f"{len(facts)}"),
        ("explained networks and variants", f"{len(variants)}"),
        ("disk: shards, before compression", describe_size(shards)),
        ("disk: networks", describe_size(weights)),
        ("disk: removal's results", describe_size(count_removal_bytes(config, facts))),
    ]
    if curves := count_curve_bytes(config, facts):
        lines.append(("disk: curves", describe_size(curves)))
    if patches := count_patch_bytes(config, facts):
        lines.append(("disk: single patches", describe_size(patches)))
    return table([("", ""), *lines])


def describe_maps(config: dict, facts: dict[str, NetworkFacts]) -> str:
    """Maps of an image, and scans of all images, of every network and variant."""
    evaluated = config["images"]["classes"] * config["images"]["per_class"]
    rows: dict[tuple[str, str], list[int]] = {}
    for run in Plan(config).all_runs():
        variant = f"{run.variant}, by {run.operator}" if run.operator else run.variant
        row = rows.setdefault((run.network, variant), [0, 0])
        row[0] += count_methods(facts[run.network], run)
        row[1] += count_scans(config, facts[run.network], run) * evaluated
    lines = [(name, variant, f"{maps:,}", f"{scans:,}") for (name, variant), (maps, scans) in rows.items()]
    total = [f"{sum(column):,}" for column in zip(*rows.values(), strict=True)] or ["0", "0"]
    return table([("network", "variant", "maps of an image", "scans"), *collapse(lines, 0), ("all", "", *total)])


def describe_steps(steps: list[Step], gpu: GPU) -> str:
    """Images read, passes, FLOP, rate, hours and cores of every step, and of all together."""
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        groups.setdefault((step.name, "all" if step.name in TOGETHER else step.network), []).append(step)
    order = list(dict.fromkeys(name for name, _ in groups))
    lines = []
    for (name, network), found in sorted(groups.items(), key=lambda group: order.index(group[0][0])):
        read, passes, flop = (sum(getattr(step, key) for step in found) for key in ("read", "passes", "flop"))
        seconds = 3600 * count_hours(found, gpu)
        rates = ("on CPU", "", "")
        if not found[0].on_cpu:
            cores = f"{read / seconds / READ_RATE:.1f}" if read else ""
            rates = (f"{passes / seconds:,.0f}", f"{seconds / 3600:.2g}", cores)
        lines.append((name, network, f"{read:,}", scientific(passes), scientific(flop), *rates))
    passes, flop = (scientific(sum(getattr(step, key) for step in steps)) for key in ("passes", "flop"))
    header = ("step", "network", "images read", "passes", "FLOP", "passes/s", "GPU hours", "cores")
    return table([header, *collapse(lines, 1), ("all", "", "", passes, flop, "", f"{count_hours(steps, gpu):.2g}", "")])


def describe_additions(additions: list[Addition], gpu: GPU) -> str:
    """What each further operator and measure takes by itself, whether or not the configuration has it."""
    lines = []
    for addition in additions:
        passes, flop = (addition.count(attrgetter(key)) for key in ("passes", "flop"))
        numbers = (scientific(passes), scientific(flop), f"{addition.hours(gpu):.2g}") if addition.steps else ("",) * 3
        cores = f"{addition.seconds / 3600:.2g}" if addition.seconds else ""
        lines.append((addition.title, addition.key, *numbers, cores))
    header = ("what each adds, alone", "by", "passes", "FLOP", "GPU hours", "core hours")
    return table([header, *lines])


def count_hours(steps: list[Step], gpu: GPU) -> float:
    """GPU hours of steps."""
    return sum(step.hours(gpu) for step in steps)


def collapse(rows: list[tuple[str, ...]], column: int) -> list[tuple[str, ...]]:
    """Rows that follow each other and differ only by the network in `column`, as one."""
    runs: list[list[tuple[str, ...]]] = []
    for row in rows:
        if runs and row[:column] + row[column + 1 :] == runs[-1][0][:column] + runs[-1][0][column + 1 :]:
            runs[-1].append(row)
        else:
            runs.append([row])
    names = [run[0][column] if len(run) == 1 else f"each of {len(run)} others" for run in runs]
    return [(*run[0][:column], name, *run[0][column + 1 :]) for run, name in zip(runs, names, strict=True)]


def scientific(value: float) -> str:
    """A large number in two digits."""
    return f"{value:.1e}".replace("e+", "e")


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows as Markdown, which reads as text too; the first is the header, all but words are set to the right."""
    columns = range(len(rows[0]))
    widths = [max(3, *(len(row[column]) for row in rows)) for column in columns]
    numbers = [column > 0 and any(row[column][:1].isdigit() for row in rows[1:]) for column in columns]
    lines = []
    for index, row in enumerate(rows):
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numbers, strict=True)
        ]
        lines.append(f"| {' | '.join(cells)} |")
        if index == 0:
            lines.append(f"| {' | '.join('-' * width for width in widths)} |")
    return "\n".join(lines) + "\n"


def read_gpu(text: str) -> GPU:
    """A GPU by its name, or by four numbers of its data sheet."""
    if text in GPUS:
        return GPUS[text]
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(0 < number < math.inf for number in numbers):
        raise argparse.ArgumentTypeError(
            f"is {text}; allowed are {', '.join(GPUS)}, or four numbers > 0 with commas between them: TFLOP/s in "
            "float32, tf32 and bfloat16, and memory's TB/s"
        )
    return GPU("GPU", *numbers)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--config", required=True, help="the configuration as JSON, or @ and a file that holds it")
    parser.add_argument(
        "--gpu",
        type=read_gpu,
        default="H100",
        help=f"{', '.join(GPUS)}; or a data sheet's TFLOP/s in float32, tf32, bfloat16 and TB/s: 67,494,989,3.35",
    )
    parser.add_argument("--mean-share", type=float, help="of the grid, at which a scan ends; left out: as expected")
    parser.add_argument("--planned", type=json.loads, help="say the bytes that these jobs will write, and nothing else")
    run_command(parser, main, writes=False)
