"""A small results folder: real images, shards and classifier of `world`, made-up tables and removal results."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

import fit_linear_classifier
import measure_localisation
from explanations.files.manifests import read_manifest
from explanations.files.measurements import write_measurements
from explanations.files.tables import write_table
from explanations.plan import GROUPS, methods_of

CONFIG = {
    "images": {"source": "digits", "classes": 5, "per_class": 2},
    "networks": {
        "vgg16": {"explain": True, "decay": {}, "decay_trials": {"steps": [5]}},
        "resnet50": {"explain": True, "decay": {}, "decay_trials": {"steps": [5]}},
        "vit": {},
    },
    "attributions": {"shard_size": 100},
    "saliency": {"upsampling": "bilinear", "other_upsampling": "nearest"},
    "removal": {"grid": 50, "shard_size": 100},
    "figures": {"fig2": {"image": 3, "layer": 6}},
}
BOTH = "VGG-16, ResNet-50"
NORMALISATION = {"vgg16": "none", "resnet50": "batch", "vit": "layer"}
TOP = {"vgg16": 13, "resnet50": 17}
COMPARED = {  # of each table: families with their measures and pairs
    ("vgg16", "biases"): {
        "bias": (("delta_e_minus", "e_delta", "delta_e_delta"), [("input", "gradient"), ("activity_2", "bias_2")])
    },
    ("vgg16", "aggregates"): {
        "gradient": (("e_minus",), [("activity_2", "gradient")]),
        "noise": (("delta_e_minus",), [("activity_2", "zero")]),
        "aggregate": (("delta_e_minus", "e_minus"), [("activity_from_1", "activity_from_11")]),
        "all_layers": (("delta_e_minus", "e_minus"), [("activity_from_1", "activity_13")]),
    },
    ("resnet50", "aggregates"): {
        "all_layers": (("delta_e_minus", "e_minus"), [("activity_from_1", "activity_17")]),
    },
    ("resnet50", "decayed"): {
        "variant": (("delta_e_minus",), [("gradient", "gradient"), ("activity_3", "activity_3")]),
        "variant_signed": (("delta_e_minus",), [("signed_activity_0", "signed_activity_0")]),
        "variant_signed_from": (("delta_e_minus", "e_minus"), [("signed_activity_from_1", "signed_activity_from_1")]),
    },
}
FINDINGS = [  # of claims that sentences quote: claim, the paper's networks, the row's, verdict
    *((claim, BOTH, network, "undecided") for claim in ("14a", "14b", "15") for network in BOTH.split(", ")),
    ("14a", BOTH, "ViT", "not supported"),
    ("17", "VGG-16", "VGG-16", "undecided"),
    ("18b", "zoo", "zoo", "undecided"),
]


def make_results(world: SimpleNamespace, folder: Path) -> Path:
    """Write the folder."""
    for part in ("manifest.csv", "test_images.csv"):
        shutil.copy(world.root / part, folder / part)
    shutil.copy(world.test_images, folder / "train_images.csv")
    shutil.copytree(world.masks, folder / "masks/val")
    fit_linear_classifier.main(folder / "linear.h5", [3, 6], 1.0, 0)
    for network, path in world.shards.items():
        shards = folder / "attributions" / network / "original"
        shards.mkdir(parents=True)
        shutil.copy(path, shards / "0.h5")
        write_statistics(folder / "statistics" / network, network)
        table = folder / "statistics" / network / "localisation.csv"
        maps = ["activity", "activity_from"]
        places = ([path], [], world.manifest, world.masks, table)
        measure_localisation.main(world.networks[network], *places, maps, "bilinear", 100, 0)
        write_removal(folder / "removal" / network / "original-bilinear", network)
        write_decays(folder / "decay" / network)
    leave_behind(folder)
    for network in NORMALISATION:
        write_survey(folder / "survey" / network, network)
        models = folder / "models" / network
        models.mkdir(parents=True)
        shutil.copy(world.networks.get(network, world.networks["vgg16"]), models / "original.safetensors")
    rows = [
        {"claim": claim, "paper_network": papers, "network": network, "statement": "a | b", "paper": "p < 1e-5"}
        | {"ours": f"ours {claim}", "test": "Wilcoxon", "verdict": verdict, "quantity": "ratio", "estimate": 0.5}
        | {"needed": "about 340 images: supported" if verdict == "undecided" else ""}
        for claim, papers, network, verdict in FINDINGS
    ]
    pd.DataFrame(rows).to_csv(folder / "findings.csv", index=False)
    assert len(read_manifest(folder / "manifest.csv")) == 10
    return folder


def write_statistics(folder: Path, network: str) -> None:
    """Summaries, comparisons, correlations and gross sums; of every comparison b is better, significantly, in e₋."""
    top = TOP[network]
    methods = [f"activity_{top}", "activity_from_1", f"activity_from_{top - 1}", "gradient"]
    summaries = [
        {"network": network, "variant": "original", "upsampling": "bilinear", "method": method, "measure": measure}
        | {"never_flipped": 0, "n": 10, "q25": 0.0, "median": 0.1 + 0.01 * place, "q75": 0.5, "ci_low": 0.0}
        for measure in ("delta_e_minus", "e_plus", "e_minus")
        for place, method in enumerate(methods)
    ]
    write_table(folder / "original-bilinear-layers.csv", pd.DataFrame(summaries))
    for (owner, name), families in COMPARED.items():
        if owner != network:
            continue
        for upsampling in ("bilinear", "nearest") if name == "biases" else ("bilinear",):
            rows = [
                {"network": network, "upsampling": upsampling, "family": family, "measure": measure}
                | {"method_a": a, "method_b": b, "median_difference": sign * 0.1, "effect_size": sign * 0.5}
                | {"log10_p_holm": -4.0}
                for family, (measures, pairs) in families.items()
                for measure in measures
                for sign in ([-1] if measure == "e_minus" else [1])
                for a, b in pairs
            ]
            table = f"decayed-{upsampling}" if name == "decayed" else f"{name}-original-{upsampling}"
            write_table(folder / f"{table}.csv", pd.DataFrame(rows))
    layers = range(top + 1)
    rows = [
        {"network": network, "comparison": comparison, "layer": layer, "n": 10, "median": layer / top}
        for comparison in ("zeroed", "decayed")
        for layer in layers
    ]
    write_table(folder / "correlations.csv", pd.DataFrame(rows))
    rows = [
        {"network": network, "variant": variant, "layer": layer, "negative_share": 0.5 if layer == 0 else 0.0}
        | {"median_relative_gap": gap, "largest_relative_gap": 2 * gap}
        for variant, gap in (("original", 0.25), ("decayed", 1e-7))
        for layer in (0, 1, 2)
    ]
    write_table(folder / "gross_sums.csv", pd.DataFrame(rows))


def write_survey(folder: Path, network: str) -> None:
    """A network of 90% top-1 that loses a point without normalisation, half of it with."""
    about = {"network": network, "biases": 10, "normalisation": NORMALISATION[network], "classes": 10}
    zeroed = 0.89 if NORMALISATION[network] == "none" else 0.4
    first = {"k": 1, "n": 20, "original": 0.9, "zeroed": zeroed, "difference": zeroed - 0.9, "standard_error": 0.01}
    write_table(folder / "accuracy.csv", pd.DataFrame([first, {**first, "k": 2}]), about)
    outputs = {"image": ["a", "b"], "rank": [0, 1], "zeroed_rank": [0, 1], "correlation": [0.5, 0.7]}
    write_table(folder / "outputs.csv", pd.DataFrame(outputs), about)
    fits = {"image": ["a", "b", "c"], "alpha": [0.5, 0.9, 0.8], "beta": [-1.0, 1, 2], "largest_output": [10.0, 10, 10]}
    write_table(folder / "fits.csv", pd.DataFrame(fits), about)
    changes = [("scale", 0.1, -0.8), ("scale", 1, 0), ("scale", 10, -0.05), ("scale", 100, -0.06), ("shift", 1, -0.5)]
    robustness = pd.DataFrame(changes, columns=["change", "value", "relative_change"])
    write_table(folder / "robustness.csv", robustness, about)


def write_removal(folder: Path, network: str) -> None:
    """Ten images whose decisions flip at step 4 by the gradient and at step 10 by the input; the first's never do.

    By no other kind of method there is a map.
    """
    folder.mkdir(parents=True)
    settings = {"experiment": "tests", "network": network, "variant": "original", "weights": "", "fill": 0.0}
    settings |= {"upsampling": "bilinear", "grid": 50, "noise_maps": 1, "ties": "random", "never_flips": "one"}
    settings["orders"] = ["minus", "plus"]
    for kind in methods_of(*GROUPS):
        step = {"gradient": 4, "input": 10}.get(str(kind))
        flips = np.full((10, 0 if step is None else 1), step or 0)
        flips[0] = -1
        e = np.where(flips < 0, 1.0, 0.5)
        arrays = {"image": np.arange(10), "label": np.zeros(10, int)}
        for order in ("minus", "plus"):
            arrays |= {f"flip_{order}": flips, f"flip_{order}_noise": flips[..., None]}
            arrays |= {f"e_{order}": e, f"e_{order}_noise": e}
        write_measurements(folder / f"{kind}-0.h5", [] if step is None else [str(kind)], arrays, settings)


def leave_behind(folder: Path) -> None:
    """Files of an earlier configuration, which nothing can read: of other blocks, methods, tables and networks."""
    left = ("attributions/vgg16/original/7.h5", "removal/vgg16/original-bilinear/layers-0.h5", "attributions/gone/a.h5")
    left += ("removal/vgg16/original-bilinear/gradient-1.h5", "statistics/vgg16/old.csv", "statistics/gone/a.csv")
    left += ("survey/gone/accuracy.csv", "decay/gone/decayed.csv", "decay/vgg16/steps-9.csv")
    for name in left:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("of an earlier configuration")


def write_decays(folder: Path) -> None:
    """The usual decay, and one in other steps."""
    table = pd.DataFrame({"n": [20, 20], "accuracy": [0.8, 0.6], "brute_force_accuracy": [0.8, 0.2]})
    for name in ("decayed", "steps-5"):
        write_table(folder / f"{name}.csv", table)
