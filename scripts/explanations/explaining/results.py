"""What is kept of explained images: numbers as JSON, maps as HDF5, and a table of all images' measures."""

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd

from explanations.errors import InputError
from explanations.explaining.explanation import SHOWN, ClassScore, ExplainedLayer, Explanation
from explanations.files.hdf5 import set_attributes, write_dataset, write_hdf5
from explanations.files.measurements import NEVER
from explanations.files.shards import numbered
from explanations.files.tables import write_table
from explanations.files.writing import whole_file

FORMAT = "explanation 1"
ENDINGS = ("json", "png", "pdf", "h5")  # of an image's results
SUMMARY = "summary.csv"
COLUMNS = ("result", "network", "variant", "image", "class", "method", *SHOWN)  # of the summary
LONGEST, LABEL = 100, 40  # bytes of an image's name, and letters of a label, that stand in the names of results


def write_numbers(path: Path, found: Explanation, network: Mapping[str, str], settings: Mapping[str, object]) -> None:
    """Write an explanation's numbers as JSON; docs/your_picture.md says what its keys are.

    `network` says which one it is: its name, file and that file's hash; `settings` are those of the removal and the
    maps, and under `target` the index of the class that was asked for, None for the decision. What is not defined, as e
    of a decision that never flips and is left out, is null.
    """
    described = found.network
    about = {
        **network,
        "source": described.source,
        "constructor": described.constructor,
        "variant": described.variant,
        "weights": {"origin": described.origin, "sha256": described.origin_hash},
    }
    worst = max(found.layers, key=lambda layer: abs(layer.relative_gap))
    numbers = {
        "format": FORMAT,
        "image": {"file": found.name, "sha256": found.content},
        "network": about,
        "target": _class(found.target),
        "decision": _class(found.decision),
        "top": [_class(each) for each in found.top],
        "completeness": {"gap": worst.gap, "relative_gap": worst.relative_gap, "layer": found.layers.index(worst)},
        "layers": [_layer(l, layer) for l, layer in enumerate(found.layers)],
        "methods": {
            each.method: {**each.measures(), "flip_minus": _step(each.flip_minus), "flip_plus": _step(each.flip_plus)}
            for each in found.maps
        },
        "best": found.best.method if found.best else None,
        "references": list(found.references),
        "settings": dict(settings),
    }
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(_defined(numbers), indent=2, ensure_ascii=False) + "\n", "utf-8")


def _class(score: ClassScore) -> dict:
    return {"index": score.index, "name": score.name, "logit": score.logit, "probability": score.probability}


def _layer(l: int, layer: ExplainedLayer) -> dict:
    sums = {"activity": layer.activity_sum, "bias": layer.bias_sum, "biases_above": layer.above}
    gaps = {"gap": layer.gap, "relative_gap": layer.relative_gap}
    return {"layer": l, "name": layer.name, "size": list(layer.activity.shape), **sums, **gaps}


def _step(step: int) -> int | None:
    return None if step == NEVER else step


def _defined(value: object) -> object:
    """A value as JSON can hold it: NaN as null."""
    if isinstance(value, Mapping):
        return {key: _defined(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def write_maps(path: Path, found: Explanation) -> None:
    """Write an explanation's maps as HDF5.

    /image (H, W, 3) uint8; /activity/00… and /bias/01… (h, w), of layers 0, 1, … as far as they have biases;
    /saliency (methods, H, W), at the image's size; /removed (H, W) uint8, 1 where a pixel is gone when the decision
    flips by the best map, all 0 if it flips by none. Attributes: image, network, target, score, layers, methods.
    """
    with write_hdf5(path) as file:
        write_dataset(file, "image", found.pixels)
        for l, layer in enumerate(found.layers):
            write_dataset(file, numbered("activity", l), layer.activity)
            if layer.bias is not None:
                write_dataset(file, numbered("bias", l), layer.bias)
        write_dataset(file, "saliency", np.stack([each.saliency for each in found.maps]))
        none = np.zeros(found.pixels.shape[:2], np.uint8)
        write_dataset(file, "removed", none if found.removed is None else found.removed.astype(np.uint8))
        names = {"image": found.name, "network": found.network.constructor, "target": found.target.name}
        lists = {"layers": [layer.name for layer in found.layers], "methods": [each.method for each in found.maps]}
        set_attributes(file, {**names, "score": found.target.logit, **lists})


def read_numbers(path: Path) -> dict | None:
    """What `write_numbers` wrote; None if the file isn't there, or if it is another one."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None


def write_summary(folder: Path) -> None:
    """Write summary.csv, the table of all results in a folder: a row for each result and method, measures of SHOWN."""
    rows = []
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stem):
        found = read_numbers(path)
        if found is None:
            continue
        about = {
            "result": path.stem,
            "network": found["network"]["name"],
            "variant": found["network"]["variant"],
            "image": found["image"]["file"],
            "class": found["target"]["name"],
        }
        for method, measures in found["methods"].items():
            values = {name: math.nan if measures[name] is None else measures[name] for name in SHOWN}
            rows.append({**about, "method": method, **values})
    write_table(folder / SUMMARY, pd.DataFrame(rows, columns=COLUMNS))


# --- names -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """What a result answers: of which image, which network explains which class. A later answer takes its place.

    Image and network are the same if they are the same file or of the same content (SHA-256; empty if there is no such
    file). `target` is the index of the class that was asked for, None for the decision, whichever that is.
    """

    image: str
    image_hash: str
    network: str
    network_hash: str
    target: int | None

    def is_answered_by(self, numbers: dict) -> bool:
        """Whether the numbers of a result answer it."""
        image, network = numbers["image"], numbers["network"]
        same_image = image["file"] == self.image or image["sha256"] == self.image_hash
        same_network = network["file"] == self.network or network["sha256"] == self.network_hash
        return same_image and same_network and numbers["settings"]["target"] == self.target


def name_results(
    folder: Path, questions: Sequence[Question], labels: Sequence[str], sources: Sequence[Path]
) -> list[str]:
    """A name for the results of each question: the image's without its ending, `labels`, and a number if need be.

    Labels that are empty are left out, and what can't stand in a file's name becomes _. A number is needed where
    another question has that name, in this call or in the folder, or where a file of it is no result. InputError if a
    result would take the place of one of `sources`, the files that results are made from; or if the folder's
    summary.csv is no table of results.
    """
    _check_summary(folder / SUMMARY)
    names: list[str] = []
    taken = {Path(SUMMARY).stem}
    for question in questions:
        stem = os.fsencode(Path(question.image).stem)[:LONGEST].decode("utf-8", "ignore")
        base = "-".join([stem, *(re.sub(r"[^\w.+-]+", "_", label)[:LABEL] for label in labels if label)])
        for number in count(1):
            name = base if number == 1 else f"{base}-{number}"
            if name.casefold() not in taken and _is_free(folder, name, question, sources):
                break
        names.append(name)
        taken.add(name.casefold())
    return names


def _is_free(folder: Path, name: str, question: Question, sources: Sequence[Path]) -> bool:
    """Whether results may have a name: there are none of it, or those that there are answer the same question."""
    there = [path for path in (folder / f"{name}.{ending}" for ending in ENDINGS) if path.exists()]
    for path in there:
        if any(source.exists() and path.samefile(source) for source in sources):
            raise InputError(f"{path}: is given, and a result would take its place; allowed is another --output")
    numbers = read_numbers(folder / f"{name}.json")
    return not there or (numbers is not None and question.is_answered_by(numbers))


def _check_summary(path: Path) -> None:
    if not path.exists():
        return
    try:
        with open(path, encoding="utf-8") as file:
            first = file.readline().strip()
    except (OSError, UnicodeDecodeError):
        first = ""
    if first != ",".join(COLUMNS):
        raise InputError(f"{path}: a table of results would take the place of this file; allowed is another --output")
