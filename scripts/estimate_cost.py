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
    count_scans,
    count_test_images,
    examine_all,
    explained_variants,
    list_steps,
    removal_runs,
)

READ_RATE = 300  # JPEG files of ImageNet's size that a core reads in a second, see benchmarks/reading.py
MEAN_SHARE = 0.4  # of the grid, at which a scan ends: the embedded experiment's, over all its scans


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
    decayed = sum(variant != "original" for _, variant in variants)
    weights = sum(fact.weights for fact in facts.values()) + decayed // 2 * sum(
        facts[name].weights for name in ("vgg16", "resnet50")
    )
    trials = sum(map(len, config["networks"]["resnet50"]["decay_trials"].values())) * facts["resnet50"].weights
    lines = [
        ("test images", f"{count_test_images(config):,}"),
        ("evaluated images", f"{evaluated:,}"),
        ("networks", f"{len(facts)}"),
        ("explained networks and variants", f"{len(variants)}"),
        ("disk: shards, before compression", gigabytes(shards)),
        ("disk: networks", gigabytes(weights + trials)),
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
    lines = [(f"{name}, {variant}", f"{maps:,}", f"{scans:,}") for (name, variant), (maps, scans) in rows.items()]
    total = [f"{sum(column):,}" for column in zip(*rows.values(), strict=True)]
    return table([("", "maps of an image", "scans"), *lines, ("all", *total)])


def describe_steps(steps: list[Step], tflops: float, tflops_float32: float) -> str:
    """Images read, passes, FLOP, hours and cores of every step, and of all together."""
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        groups.setdefault((step.name, "all" if step.name == "survey" else step.network), []).append(step)
    lines, hours = [], 0.0
    for (name, network), found in groups.items():
        seconds = sum(step.flop / (tflops_float32 if step.exact else tflops) / 1e12 for step in found)
        read, passes, flop = (sum(getattr(step, key) for step in found) for key in ("read", "passes", "flop"))
        cores = read / seconds / READ_RATE
        hours += seconds / 3600
        numbers = f"{read:,}", scientific(passes), scientific(flop), f"{seconds / 3600:.2g}", f"{cores:.1f}"
        lines.append((name, network, *numbers))
    passes, flop = (scientific(sum(getattr(step, key) for step in steps)) for key in ("passes", "flop"))
    header = ("step", "network", "images read", "passes", "FLOP", "GPU hours", "cores")
    return table([header, *lines, ("all", "", "", passes, flop, f"{hours:.2g}", "")])


def gigabytes(size: float) -> str:
    """Bytes as text."""
    return f"{size / 1e9:,.1f} GB"


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
    parser.add_argument("--tflops-float32", type=float, default=40.0, help="the same in float32, for extraction")
    parser.add_argument("--mean-share", type=float, default=MEAN_SHARE, help="of the grid, at which a scan ends")
    run_command(parser, main)
