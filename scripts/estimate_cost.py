"""Say what an experiment will cost before anything runs: images, maps, scans, passes, FLOP, disk and GPU hours.

In:  a whole configuration, as JSON.
Out: tables on standard output. GPU hours are FLOP at stated rates, nothing measured; rates that GPUs sustain differ by
     network and card.
"""

import json
import warnings
from pathlib import Path

from explanations.command import InputError, check_range, run_command, step_parser
from explanations.cost import (
    NetworkFacts,
    Step,
    count_removal_bytes,
    count_scans,
    count_test_images,
    examine_all,
    explained_variants,
    list_steps,
    removal_runs,
)

READ_RATE = 300  # JPEG files of ImageNet's size that a core reads in a second, see benchmarks/reading.py
MEAN_SHARE = 0.4  # of the grid, at which a scan ends: the embedded experiment's, over all its scans
TOGETHER = ("training", "survey")  # steps that are one line for all networks


def main(config: str, tflops: float, tflops_float32: float, mean_share: float) -> None:
    check_range("--tflops", tflops, low=0, open_low=True)
    check_range("--tflops-float32", tflops_float32, low=0, open_low=True)
    check_range("--mean-share", mean_share, low=0, high=1, open_low=True)
    try:
        settings = json.loads(Path(config.removeprefix("@")).read_text() if config.startswith("@") else config)
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"--config: can't be read as JSON ({error})") from None
    warnings.filterwarnings("ignore")
    facts = examine_all(settings)
    print(f"experiment {settings['experiment']}\n")
    print(describe(settings, facts, tflops, tflops_float32, mean_share))


def describe(
    config: dict, facts: dict[str, NetworkFacts], tflops: float, tflops_float32: float, mean_share: float
) -> str:
    """The whole account."""
    rates = f"{tflops:g} TFLOP/s ({tflops_float32:g} in float32)"
    parts = [
        describe_images(config, facts),
        describe_maps(config, facts),
        f"GPU hours at {rates}, a scan ending at {mean_share:.0%} of the grid on average; CPU cores that read\n"
        f"JPEG files of ImageNet's size as fast as the GPU computes, at {READ_RATE} a second and core:\n",
        describe_steps(list_steps(config, facts, mean_share), tflops, tflops_float32),
    ]
    return "\n".join(parts)


def describe_images(config: dict, facts: dict[str, NetworkFacts]) -> str:
    """How many images and networks there are, and what lies on the disk in the end."""
    evaluated = config["images"]["classes"] * config["images"]["per_class"]
    variants = explained_variants(config)
    shards = sum(facts[name].shard for name, _ in variants) * evaluated
    weights = sum(fact.weights for fact in facts.values())
    weights += sum(facts[name].weights for name, variant in variants if variant != "original")
    trials = sum(map(len, config["networks"]["resnet50"]["decay_trials"].values())) * facts["resnet50"].weights
    lines = [
        ("test images", f"{count_test_images(config):,}"),
        ("evaluated images", f"{evaluated:,}"),
        ("networks", f"{len(facts)}"),
        ("explained networks and variants", f"{len(variants)}"),
        ("disk: shards, before compression", describe_size(shards)),
        ("disk: networks", describe_size(weights + trials)),
        ("disk: removal's results", describe_size(count_removal_bytes(config, facts))),
    ]
    return table([("", ""), *lines])


def describe_maps(config: dict, facts: dict[str, NetworkFacts]) -> str:
    """Maps of an image, and scans of all images, of every network and variant."""
    evaluated = config["images"]["classes"] * config["images"]["per_class"]
    rows: dict[tuple[str, str], list[int]] = {}
    for run in removal_runs(config):
        row = rows.setdefault(run[:2], [0, 0])
        row[0] += facts[run[0]].methods[run[3]]
        row[1] += count_scans(config, facts, run) * evaluated
    lines = [(name, variant, f"{maps:,}", f"{scans:,}") for (name, variant), (maps, scans) in rows.items()]
    total = [f"{sum(column):,}" for column in zip(*rows.values(), strict=True)]
    return table([("network", "variant", "maps of an image", "scans"), *collapse(lines, 0), ("all", "", *total)])


def describe_steps(steps: list[Step], tflops: float, tflops_float32: float) -> str:
    """Images read, passes, FLOP, hours and cores of every step, and of all together."""
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        groups.setdefault((step.name, "all" if step.name in TOGETHER else step.network), []).append(step)
    order = list(dict.fromkeys(name for name, _ in groups))
    lines = []
    for (name, network), found in sorted(groups.items(), key=lambda group: order.index(group[0][0])):
        read, passes, flop = (sum(getattr(step, key) for step in found) for key in ("read", "passes", "flop"))
        hours = count_hours(found, tflops, tflops_float32)
        cores = f"{read / (hours * 3600) / READ_RATE:.1f}" if read and hours else ""
        times = ("on CPU", "") if found[0].on_cpu else (f"{hours:.2g}", cores)
        lines.append((name, network, f"{read:,}", scientific(passes), scientific(flop), *times))
    passes, flop = (scientific(sum(getattr(step, key) for step in steps)) for key in ("passes", "flop"))
    header = ("step", "network", "images read", "passes", "FLOP", "GPU hours", "cores")
    hours = count_hours(steps, tflops, tflops_float32)
    return table([header, *collapse(lines, 1), ("all", "", "", passes, flop, f"{hours:.2g}", "")])


def count_hours(steps: list[Step], tflops: float, tflops_float32: float) -> float:
    """GPU hours of steps, at the rates of their precisions."""
    rates = {"float32": tflops_float32, "tf32": tflops, "bfloat16": tflops}
    return sum(step.flop / (rates[step.precision] * 1e12) for step in steps if not step.on_cpu) / 3600


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


def describe_size(size: float) -> str:
    """Bytes as text."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def scientific(value: float) -> str:
    """A large number in two digits."""
    return f"{value:.1e}".replace("e+", "e")


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows as Markdown, which reads as text too; the first is the header, all but words are set to the right."""
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [
            cell.ljust(width) if column == 0 or not any(c.isdigit() for c in rows[-1][column]) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |")
        if number == 0:
            lines.append(f"| {' | '.join('-' * width for width in widths)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--config", required=True, help="the configuration as JSON, or @ and a file that holds it")
    parser.add_argument("--tflops", type=float, default=100.0, help="what the GPU sustains in tf32, bfloat16")
    parser.add_argument("--tflops-float32", type=float, default=40.0, help="the same in float32")
    parser.add_argument("--mean-share", type=float, default=MEAN_SHARE, help="of the grid, at which a scan ends")
    run_command(parser, main)
