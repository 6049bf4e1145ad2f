"""What all rules share: the checked configuration, blocks of images, trials of decay, each script's source files."""

import ast
import math
import os
import shutil
from pathlib import Path

import jsonschema
import yaml
from snakemake.exceptions import WorkflowError


def check_config(config, schema_file):
    """Stop with one line that names the key, its value and what is allowed, unless the configuration fits."""
    schema = yaml.safe_load(Path(workflow.basedir, schema_file).read_text())
    errors = jsonschema.Draft202012Validator(schema).iter_errors(config)
    error = min(errors, key=lambda found: [str(part) for part in found.absolute_path], default=None)
    if error is None:
        return
    key = ".".join(str(part) for part in error.absolute_path)
    known = ", ".join(error.schema.get("properties", {}))
    if error.validator == "additionalProperties":
        unknown = ", ".join(sorted(set(error.instance) - set(error.schema.get("properties", {}))))
        place = f"{key}.{unknown}" if key else unknown
        raise WorkflowError(f"configuration: {place} is not a known key; allowed are {known}")
    if error.validator == "required":
        takes = f"; it takes {known}" if known else ""
        raise WorkflowError(f"configuration: {key or 'the top level'}: {error.message}{takes}")
    allowed = error.schema.get("description", error.message)
    raise WorkflowError(f"configuration: {key} is {error.instance!r}; allowed is {allowed}")


def sources(script):
    """A step's script and the library modules that it imports, directly or not: what its results depend on."""
    found, waiting = [], [f"scripts/{script}"]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.append(path)
        for node in ast.walk(ast.parse(Path(workflow.basedir, path).read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported = f"scripts/{node.module.replace('.', os.sep)}.py"
                if Path(workflow.basedir, imported).exists():
                    waiting.append(imported)
    return sorted(found)


def image_folder(split):
    """The folder of a split's images: generated, or the configured one."""
    if config["images"]["source"] == "folder":
        return f"{config['images']['folder']}/{split}"
    return f"results/{{experiment}}/images/{split}"


def blocks(size):
    """The numbers of the blocks of `size` images that cover the manifest."""
    images = config["images"]["classes"] * config["images"]["per_class"]
    return range(math.ceil(images / size))


def gpus():
    """How many GPUs a job of extraction or removal takes: none where there is none."""
    device = config["device"]
    return int(device.startswith("cuda") or (device == "auto" and shutil.which("nvidia-smi") is not None))


def training_priority(wildcards):
    """The paper's two networks come first, the others when there is nothing else to do."""
    return URGENT if wildcards.network in PAPERS else LATER


def measuring_priority(wildcards):
    """As training_priority, of what comes between training and figures."""
    return USUAL if wildcards.network in PAPERS else LATER


def trial_settings(wildcards):
    """The settings of a trial of decay: those of the network's own, but for the one that the trial is named after."""
    key, value = wildcards.trial.split("-")
    return {**config["networks"][wildcards.network]["decay"], key: value}


def trial_records(setting):
    """The records of ResNet-50's decay that differ in a setting, `steps` or `temperature`: its own and the trials'."""
    values = config["networks"]["resnet50"]["decay_trials"][setting]
    names = ["decayed", *(f"{setting}-{value}" for value in values)]
    return [f"results/{{experiment}}/decay/resnet50/{name}.csv" for name in names]


def check_image_folder():
    """Stop with one line unless the configured folder of images, if there is one, holds images of both splits."""
    folder = config["images"]["folder"]
    for split in ("train", "val") if config["images"]["source"] == "folder" else ():
        if not any(Path(folder, split).glob("*/*.*")):
            message = f"images.folder is {folder}; {folder}/{split} must hold images, as <class>/<file>"
            raise WorkflowError(f"configuration: {message}")


check_config(config, "workflow/schemas/config.schema.yaml")
check_image_folder()
EXPERIMENT = config["experiment"]
NETWORKS = list(config["networks"])  # what is surveyed
PAPERS = ["vgg16", "resnet50"]  # what the paper explains, and we do
OTHERS = [name for name in NETWORKS if name not in PAPERS and config["networks"][name].get("explain")]  # figure M
URGENT, USUAL, LATER = 20, 10, 0  # priorities: other networks than the paper's two delay nothing
SHARDS = blocks(config["attributions"]["shard_size"])
REMOVAL_SHARDS = blocks(config["removal"]["shard_size"])
# glibc gives large blocks back to the system at once and asks for them again: for batches of activities that is a fifth
# of the time. Other C libraries ignore these.
shell.prefix("export MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=2147483648; ")


wildcard_constraints:
    experiment=EXPERIMENT,
    network="|".join(NETWORKS),
    variant="original|zeroed|decayed",
    split="train|val",
    upsampling="bilinear|nearest|bicubic",
    family="layers|biases|aggregates|signed",
    shard=r"\d+",
    trial=r"(steps|temperature)-[0-9.]+",
