"""Facts of the run of config/photographs.yaml: what docs/photographs.md and the README state of it."""

from pathlib import Path

import numpy as np
from PIL import Image

from explanations.figures.catalogue import EXAMPLES, FIGURES, choose_networks, figure_title
from explanations.figures.examples import read_examples
from explanations.figures.names import title_method
from explanations.files.manifests import read_manifest
from explanations.files.measurements import NEVER, read_measurements
from explanations.files.tables import RECORD_COLUMNS, read_tables
from explanations.methods.names import parse_method
from explanations.plan import Plan
from gather_facts import (
    count_maps,
    describe_comparisons,
    describe_findings,
    describe_medians,
    describe_network,
    describe_ranks,
    map_sizes,
    name_removal,
    plain,
    read_statistics,
)
from gather_times import sum_jobs

FACTORS = (0.75, 0.5, 0.25, 0.1, 0.05, 0.0)  # of biases, at which a decay is described
MEASURES = ("e_minus", "delta_e_minus")
RANKED = ("delta_e_minus", "delta_e_plus")
COLOURS = 256  # of a plot: a third of the bytes, and no difference is seen
WITH_IMAGES = ("fig2", "fig4", *EXAMPLES)  # figures that keep their colours, as photographs need
WIDTH = 830  # pixels of these, as wide as GitHub shows a page


def gather_photographs(results: Path, config: dict) -> dict:
    """All facts of the run's results and configuration."""
    usual, plan = config["saliency"]["upsampling"], Plan(config)
    explained = sorted(plan.explained)
    tables = {name: read_statistics(results / "statistics" / name, plan.tables(name)) for name in explained}
    images = {name: len(read_manifest(results / f"{name}.csv")) for name in ("manifest", "train_images")}
    facts = {
        "images": {"evaluated": images["manifest"], "other": images["train_images"]},
        "networks": {
            network: describe_network(results / "survey" / network, results / "models" / network)
            for network in sorted(plan.networks)
        },
        "sizes": {network: map_sizes(results / "attributions" / network / "original") for network in explained},
        "maps": {network: count_maps(tables[network]) for network in explained},
        "medians": {network: describe_medians(tables[network], usual, MEASURES) for network in explained},
        "leaderboard": {
            network: {
                measure: describe_ranks(results / "statistics" / network / "leaderboard.csv", measure)
                for measure in RANKED
            }
            for network in explained
            if plan.own_methods(network)
        },
        "comparisons": {network: describe_comparisons(tables[network]) for network in explained},
        "upsampling": {"usual": usual, "other": config["saliency"]["other_upsampling"]},
        "grid": config["removal"]["grid"],
        "findings": describe_findings(results / "findings.csv"),
        "decays": {
            network: describe_decay(results / "decay" / network / "decayed.csv", settings["decay"])
            for network, settings in sorted(plan.networks.items())
            if "decay" in settings
        },
        "figures": name_figures(results / "figures", config),
        "examples": describe_examples(results, config),
        "whole": sum_jobs(results / "benchmarks"),
    }
    return facts


def describe_decay(record: Path, settings: dict) -> dict:
    """How far a decay gets: agreement with the network as it came at some FACTORS of its biases, and at the end."""
    table = read_tables([record], RECORD_COLUMNS)
    chosen = [table.iloc[(table.factor - factor).abs().argmin()] for factor in FACTORS]
    rows = [
        {"factor": plain(row.factor), "tuned": plain(row.accuracy), "brute_force": plain(row.brute_force_accuracy)}
        for row in chosen
    ]
    zero, last = table[table.factor == 0].iloc[0], table.iloc[-1]
    return {
        "rows": rows,
        "n": int(last.n),
        "steps": int(last.training_steps),
        "after": int(last.training_steps - zero.training_steps),
        "end": plain(last.accuracy),
        "brute_force": plain(last.brute_force_accuracy),
        **{key: settings[key] for key in ("batch", "learning_rate")},
    }


def name_figures(folder: Path, config: dict) -> list[list[str]]:
    """The figures that were made, in the catalogue's order, with their titles."""
    shown = choose_networks(Plan(config), config["figures"])
    return [[name, figure_title(name, shown[name])] for name in FIGURES if (folder / f"{name}.png").exists()]


def describe_examples(results: Path, config: dict) -> dict:
    """What figure P shows: each image's decision and what removal measured of it, by method; and of all images."""
    section = config["figures"]["figP"]
    network = next(name for name, methods in section["methods"].items() if methods)
    shown = read_examples(results / "examples" / f"figP-{network}.h5")
    kinds = dict.fromkeys(parse_method(method).all_layers for method in shown.methods)
    measured = [read_measurements([path]) for path in name_removal(results, config, network, kinds)]
    by_method = {method: [block for block in measured if method in block.methods] for method in shown.methods}
    images = []
    for place, index in enumerate(shown.image.tolist()):
        maps = {}
        for method, blocks in by_method.items():
            block = next(block for block in blocks if index in block.image)
            row, column = block.image.tolist().index(index), block.methods.index(method)
            maps[method] = {name: plain(block.measure(name, method)[row]) for name in MEASURES}
            maps[method]["flips"] = bool(block.values["flip_minus"][row, column] != NEVER)
        decided = {"decision": shown.targets[place], "runner_up": shown.runners_up[place]}
        likely = {"probabilities": [plain(value) for value in shown.probabilities[place].tolist()]}
        images.append({"image": index, **decided, **likely, "maps": maps})
    own = {
        method: np.concatenate([block.measure("delta_e_minus", method) for block in blocks])
        for method, blocks in by_method.items()
    }
    helps = {method: plain(np.mean(values[~np.isnan(values)] > 0)) for method, values in own.items()}
    titles = {method: " ".join(title_method(method).split()) for method in shown.methods}
    return {"network": network, "images": images, "helps": helps, "titles": titles}


def copy_picture(source: Path, target: Path) -> None:
    """Write a figure as a page shows it, small: plots in COLOURS colours, those with images at most WIDTH wide."""
    with Image.open(source) as picture:
        whole = picture.convert("RGB")
    if source.stem not in WITH_IMAGES:
        whole.quantize(COLOURS).save(target, optimize=True)
        return
    share = min(1, WIDTH / whole.width)
    size = (round(whole.width * share), round(whole.height * share))
    whole.resize(size, Image.Resampling.LANCZOS).save(target, optimize=True)
