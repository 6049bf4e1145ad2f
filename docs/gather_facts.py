"""Facts of a run: the numbers of its results that the pages state, as plain values that JSON can hold.

Which files are read, its configuration's plan says: a folder of results may hold those of an earlier configuration too.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from PIL import Image
from safetensors.numpy import load_file

from explanations.errors import InputError
from explanations.files.grids import count_steps
from explanations.files.hdf5 import read_attributes
from explanations.files.manifests import read_manifest
from explanations.files.measurements import NEVER, read_measurements
from explanations.files.shards import ShardReader, numbered
from explanations.files.tables import read_tables
from explanations.methods.names import MethodName
from explanations.plan import Plan

DIGITS = 5  # that count of a number
COMPARED = {  # what the pages state of comparisons: families with their measures
    "bias": ("delta_e_minus", "e_delta", "delta_e_delta"),
    "gradient": ("e_minus",),
    "aggregate": ("delta_e_minus", "e_minus"),
    "all_layers": ("delta_e_minus", "e_minus"),
    "variant": ("delta_e_minus",),
    "variant_signed": ("delta_e_minus",),
    "variant_signed_from": ("delta_e_minus", "e_minus"),
}
SUMMARISED = ("delta_e_minus", "e_plus")
SCALE, SHIFT = 10, 1  # of pixel values, in figures S1 and S2


def gather_facts(results: Path, config: dict) -> dict:
    """All facts of a run's results and configuration, but for times."""
    usual, plan = config["saliency"]["upsampling"], Plan(config)
    explained = sorted(plan.explained)
    tables = {name: read_statistics(results / "statistics" / name, plan.tables(name)) for name in explained}
    runs = {network: plan.find_run(network, "original", usual) for network in explained}
    facts = {
        "images": count_images(results, config),
        "masks": measure_masks(results),
        "linear": describe_linear(results / "linear.h5"),
        "networks": {
            network: describe_network(results / "survey" / network, results / "models" / network)
            for network in sorted(plan.networks)
        },
        "decays": {
            network: describe_decays(results / "decay" / network, settings.get("decay_trials", {}))
            for network, settings in sorted(plan.networks.items())
            if "decay" in settings
        },
        "decomposition": describe_decomposition(results, "vgg16", config),
        "zeros": {
            network: count_zeros(results / "attributions" / network / "original") for network in ("vgg16", "resnet50")
        },
        "sizes": {network: map_sizes(results / "attributions" / network / "original") for network in explained},
        "flips": {
            network: describe_flips(
                name_removal(results, config, network, [kind for kind in run.methods if "plus" in run.orders(kind)])
            )
            for network, run in runs.items()
            if run.compares_orders
        },
        "upsampling": {"usual": usual, "other": config["saliency"]["other_upsampling"]},
        "grid": count_steps(config["removal"], "plus"),
        "findings": describe_findings(results / "findings.csv"),
    }
    ranked = [network for network in explained if plan.own_methods(network)]
    facts["leaderboard"] = {name: describe_ranks(results / "statistics" / name / "leaderboard.csv") for name in ranked}
    facts["medians"] = {network: describe_medians(tables[network], usual) for network in explained}
    for name, describe in DESCRIBED.items():
        facts[name] = {network: described for network in explained if (described := describe(tables[network]))}
    return facts


def plain(value: float) -> float | None:
    """A number to so many digits; None if it is missing."""
    return None if np.isnan(value) else float(f"{value:.{DIGITS}g}")


def count_images(results: Path, config: dict) -> dict:
    """Images that are evaluated and tested on, and classes."""
    counts = {"evaluated": len(read_manifest(results / "manifest.csv"))}
    counts["test"] = len(read_manifest(results / "test_images.csv"))
    return counts | {"classes": config["images"]["classes"]}


def measure_masks(results: Path) -> dict:
    """The mean share of the evaluated images that the digit covers, and its bounding box."""
    shares, boxes = [], []
    for row in read_manifest(results / "manifest.csv"):
        with Image.open(results / "masks/val" / row.path) as file:
            mask = np.asarray(file) > 0
        shares.append(mask.mean())
        boxes.append(np.prod([np.ptp(np.flatnonzero(mask.any(axis))) + 1 for axis in (0, 1)]) / mask.size)
    return {"share": plain(np.mean(shares)), "box": plain(np.mean(boxes))}


def describe_linear(path: Path) -> dict:
    """The linear classifier's accuracy, and how far its decompositions' sums are from the scores."""
    with h5py.File(path) as file:
        sums, scores = file["attributions"][:].sum((-2, -1)), file["scores"][:]
        found = read_attributes(file)
    gap = np.abs(sums - scores).max() / np.abs(scores).max()
    return {"accuracy": plain(found["accuracy"]), "test": int(found["test"]), "gap": float(f"{gap:.1g}")}


def describe_network(survey: Path, models: Path) -> dict:
    """A network's survey, one number for each thing asked, and the standard deviation of its biases."""
    accuracy, outputs, fits, robustness = (
        read_tables([survey / f"{name}.csv"], ()) for name in ("accuracy", "outputs", "fits", "robustness")
    )
    first = accuracy[accuracy.k == 1].iloc[0]
    changes = robustness.set_index(["change", "value"]).relative_change
    weights = load_file(models / "original.safetensors")
    biases = [tensor.ravel() for name, tensor in weights.items() if name.endswith("bias")]
    numbers = {
        **{"top1": first.original, "zeroed": first.zeroed, "standard_error": first.standard_error},
        **{"lost": first.original - first.zeroed, "correlation": outputs.correlation.mean()},
        **{"alpha": fits.alpha.median(), "beta": (fits.beta.abs() / fits.largest_output).median()},
        **{"scaled": changes["scale", SCALE], "shifted": changes["shift", SHIFT]},
        **{"scaled_up": changes["scale"].loc[1:].min(), "biases_sd": np.concatenate(biases).std()},
    }
    about = {"normalisation": first.normalisation, "tested": int(first.n)}
    return about | {name: plain(value) for name, value in numbers.items()}


def describe_decays(folder: Path, trials: Mapping[str, Sequence[float]]) -> dict:
    """The accuracy of each of a network's decays: at the start, at the end, and by brute force."""
    found = {}
    for name in sorted(["decayed", *(f"{key}-{value}" for key, values in trials.items() for value in values)]):
        table = read_tables([folder / f"{name}.csv"], ("accuracy", "brute_force_accuracy", "n"))
        ends = {"start": table.accuracy.iloc[0], "end": table.accuracy.iloc[-1]}
        ends["brute_force"] = table.brute_force_accuracy.iloc[-1]
        found[name] = {end: plain(value) for end, value in ends.items()}
    return found


def describe_decomposition(results: Path, network: str, config: dict) -> dict:
    """Figure 2's image's score, and its parts at a layer (Eq. 13): the layer's activity, and all biases above."""
    image, layer = (config["figures"]["fig2"][key] for key in ("image", "layer"))
    shard = image // config["attributions"]["shard_size"]
    with ShardReader([results / "attributions" / network / "original" / f"{shard}.h5"]) as reader:
        activity = reader.gross_sum(layer, [image])[0]
        biases = 0.0
        for index, operation in enumerate(reader.operations):
            if operation.layer > layer:
                biases += reader.read(numbered("bias", index + 1), [image]).sum(dtype=float)
                biases += reader.read("bias_elsewhere", [image])[0, index]
        score = reader.read("score", [image])[0]
    gap = float(f"{abs(activity + biases - score) / abs(score):.1g}")
    parts = {"score": plain(score), "activity": plain(activity), "biases": plain(biases), "gap": gap}
    return {"network": network, "image": image, "layer": layer} | parts


def count_zeros(folder: Path) -> dict[str, float]:
    """The share of each layer's positions that have an attribution of exactly 0, in the first shard, where some do."""
    with ShardReader([folder / "0.h5"]) as shards:
        shares = {
            str(layer): plain((shards.read(numbered("activity", layer), shards.images) == 0).mean())
            for layer in shards.layers
        }
    return {layer: share for layer, share in shares.items() if share}


def map_sizes(folder: Path) -> dict[str, int]:
    """The height of each layer's maps, in positions, of the layers that have one."""
    with ShardReader([folder / "0.h5"]) as reader:
        return {str(layer): int(height) for layer, (height, _) in reader.map_sizes().items()}


def name_removal(results: Path, config: dict, network: str, kinds: Iterable[MethodName]) -> list[Path]:
    """The results of removal by some kinds of methods, of the original and the usual upsampling, of all images."""
    folder = results / "removal" / network / f"original-{config['saliency']['upsampling']}"
    images = config["images"]["classes"] * config["images"]["per_class"]
    shards = range(math.ceil(images / config["removal"]["shard_size"]))
    return [folder / f"{kind}-{shard}.h5" for kind in kinds for shard in shards]


def describe_flips(files: list[Path]) -> float | None:
    """The median grid step at which decisions flip, over images and methods, when salient pixels go first."""
    steps = []
    for path in files:
        flips = read_measurements([path]).values["flip_plus"]
        steps.append(np.where(flips == NEVER, np.inf, flips).ravel())
    return plain(np.median(np.concatenate(steps)))


def describe_findings(path: Path) -> list[dict]:
    """The findings' rows, all as text but for the estimate."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False).drop(columns="test")
    return [row | {"estimate": plain(float(row["estimate"] or "nan"))} for row in table.to_dict("records")]


# --- statistics: facts of one network's tables, whatever they are called -----------------------------------------


def read_statistics(folder: Path, names: Collection[str]) -> dict[str, pd.DataFrame]:
    """A network's tables by their names, those of `names`; InputError if there is none."""
    tables = {path.stem: read_tables([path], ()) for path in sorted(folder.glob("*.csv")) if path.stem in names}
    if not tables:
        raise InputError(f"{folder}: holds no table; make the statistics first")
    return tables


def with_columns(tables: dict[str, pd.DataFrame], *columns: str) -> list[pd.DataFrame]:
    """The tables that have some columns."""
    return [table for table in tables.values() if set(columns) <= set(table.columns)]


def count_maps(tables: dict[str, pd.DataFrame]) -> int:
    """How many maps of an image removal measures: methods × variants × upsamplings."""
    summaries = pd.concat(with_columns(tables, "method", "never_flipped"))
    return len(summaries[["variant", "upsampling", "method"]].drop_duplicates())


def describe_medians(tables: dict[str, pd.DataFrame], upsampling: str, measures: Sequence[str] = SUMMARISED) -> dict:
    """Medians of measures by method, of the network as trained, with one upsampling."""
    summaries = pd.concat(with_columns(tables, "method", "never_flipped"))
    rows = summaries[(summaries.variant == "original") & (summaries.upsampling == upsampling)]
    found: dict[str, dict] = {measure: {} for measure in measures}
    for row in rows[rows.measure.isin(measures)].itertuples():
        found[row.measure][row.method] = plain(row.median)
    return found


def describe_comparisons(tables: dict[str, pd.DataFrame]) -> dict:
    """Of each upsampling, family and measure: [a, b, median difference, effect size, log10 of Holm's p]."""
    found: dict[str, dict] = {}
    for table in with_columns(tables, "method_a", "log10_p_holm"):
        aggregates = "all_layers" in set(table.family)
        for row in table.itertuples():
            if row.measure in COMPARED.get(row.family, ()) and (row.family != "gradient" or aggregates):
                numbers = (plain(value) for value in (row.median_difference, row.effect_size, row.log10_p_holm))
                rows = found.setdefault(row.upsampling, {}).setdefault(f"{row.family} {row.measure}", [])
                rows.append([row.method_a, row.method_b, *numbers])
    return found


def describe_correlations(tables: dict[str, pd.DataFrame]) -> dict:
    """Median correlations of maps by comparison and layer."""
    found: dict[str, dict] = {}
    for table in with_columns(tables, "comparison", "layer", "median"):
        for row in table.itertuples():
            found.setdefault(row.comparison, {})[str(row.layer)] = plain(row.median)
    return found


def describe_gross_sums(tables: dict[str, pd.DataFrame]) -> dict:
    """How far the layers' sums are from the score, by variant; the output's is the score itself and left out."""
    found = {}
    for table in with_columns(tables, "variant", "median_relative_gap"):
        for variant, rows in table.groupby("variant"):
            below = rows[rows.layer < rows.layer.max()]
            numbers = {"median": below.median_relative_gap.median(), "largest": rows.largest_relative_gap.max()}
            found[variant] = {name: plain(value) for name, value in numbers.items()}
            found[variant]["negative"] = plain(below.negative_share.mean())
    return found


def describe_localisation(tables: dict[str, pd.DataFrame]) -> dict:
    """Means over images of what lies inside the masks, by measure and method."""
    found: dict[str, dict] = {}
    for table in with_columns(tables, "method", "chance"):
        for row in table.itertuples():
            found.setdefault(row.measure, {})[row.method] = plain(row.mean)
    return found


DESCRIBED = {
    "maps": count_maps,
    "comparisons": describe_comparisons,
    "correlations": describe_correlations,
    "gross_sums": describe_gross_sums,
    "localisation": describe_localisation,
}


def describe_ranks(path: Path, measure: str = "delta_e_minus") -> list[dict]:
    """The methods of a leaderboard by a measure, the best first: title, source, median, the ties that each is in."""
    table = read_tables([path], ("measure", "title", "source", "rank", "median", "ties"))
    rows = table[table.measure == measure].sort_values("rank")
    return [
        {"title": row.title, "source": row.source, "median": plain(row.median), "ties": row.ties.split()}
        for row in rows.itertuples()
    ]


# --- facts of other pages ----------------------------------------------------------------------------------------


def read_hours(page: str) -> dict[str, float]:
    """GPU hours of the paper's scale on one GPU of each kind, as docs/cost.md projects them."""
    return {
        gpu: float(hours) for gpu, hours in re.findall(r"^\| as above, on one (\w+) +\| +([0-9.]+) \|$", page, re.M)
    }
