"""What all rules share: the checked configuration, blocks of images, trials of decay, each script's source files."""

import ast
import functools
import json
import math
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake_interface_executor_plugins.settings import DeploymentMethod

# the library's modules that need nothing but Python and what Snakemake brings along
sys.path.append(str(Path(workflow.basedir, "scripts")))
from explanations.command import CONFIGURED, InputError
from explanations.configuration import check_argument, check_config, check_folder
from explanations.fingerprints import fingerprint
from explanations.folders import holds_images
from explanations.locks import STEPS_LOCK, take_lock
from explanations.methods import parse_method
from explanations.writing import describe_size, free_space, unwritable


def check_configuration():
    """Stop with one line unless the working folder and the configuration can stand in commands, and that fits its schema."""
    # conda's commands hold it between ', Slurm's log files too, where % stands for something else
    also = (
        "'%"
        if on_cluster()
        else "'" if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method else ""
    )
    try:
        for folder in (workflow.basedir, os.getcwd()):
            check_folder(str(folder), also)
        for text in workflow.config_settings.config_args or []:
            check_argument(text)
    except InputError as error:
        raise WorkflowError(str(error)) from None
    try:
        check_config(config, yaml.safe_load(Path(workflow.basedir, "workflow/schemas/config.schema.yaml").read_text()))
    except InputError as error:
        raise WorkflowError(f"configuration: {error}") from None


@functools.cache
def imports(path):
    """The library modules that a Python file of scripts/ imports by itself."""
    nodes = ast.walk(ast.parse(Path(workflow.basedir, path).read_text()))
    modules = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    paths = [f"scripts/{module.replace('.', os.sep)}.py" for module in modules]
    return [path for path in paths if Path(workflow.basedir, path).exists()]


def sources(script):
    """A step's script and the library modules that it imports, directly or not: what its results depend on."""
    found, waiting = set(), [f"scripts/{script}"]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += imports(path)
    return sorted(found)


# Where data sets keep their test images and those to train or tune on, below images.folder.
TEST_FOLDERS = {
    "folder": "val",
    "imagenet": "val",
    "imagenette": "imagenette2-320/val",
    "imagenet_v2": "imagenetv2-matched-frequency-format-val",
}
TRAIN_FOLDERS = {"folder": "train", "imagenet": "train", "imagenette": "imagenette2-320/train"}


def expand_folders(config):
    """Bring the folders that a configuration names to paths without ~, as a shell has it."""
    for section, key in (("images", "folder"), ("images", "tuning"), ("linear", "folder")):
        if key in config[section]:
            config[section][key] = os.path.expanduser(config[section][key])


def image_folder(split):
    """The folder of a split's images, `train`, `val` or `tuning`: generated, the data set's, or one of its own."""
    source = config["images"]["source"]
    if split == "tuning":
        return config["images"]["tuning"]
    if source == "digits":
        return f"results/{EXPERIMENT}/images/{split}"
    folders = TEST_FOLDERS if split == "val" else TRAIN_FOLDERS
    return f"{config['images']['folder']}/{folders[source]}"


def generated(split):
    """The folder of a split's images if it is made here: then it is an input; of what is on disk, its list is one."""
    return image_folder(split) if config["images"]["source"] == "digits" and split != "tuning" else []


def list_file(split):
    """The list of a split's images that can be used, one for all steps."""
    return f"results/{{experiment}}/{'test' if split == 'val' else split}_images.csv"


def tuning_split():
    """The split whose images decay tunes networks on: images of their own, or those to train on."""
    return "tuning" if config["images"].get("tuning") else "train"


def note_file(split):
    """The note that a split's list leaves for plans, of what its images on disk are; [] if they are inputs."""
    return [] if generated(split) else list_file(split).format(experiment=EXPERIMENT).replace(".csv", ".note")


@functools.cache
def take_fingerprint(split):
    """What stands for a split's images on disk, and changes if they do; nothing if they are inputs."""
    note = note_file(split)
    return fingerprint(Path(image_folder(split)), Path(note)) if note else ""


def read_images(split):
    """Where a job finds a split's images: its input, which may be a copy of what is in storage, or what is on disk."""
    return lambda wildcards, input: str(input.get(split) or image_folder(split))


def trained_here():
    """The networks that are trained here, not pretrained."""
    return [name for name, network in config["networks"].items() if "training" in network]


def labels():
    """What the names of test images' class folders mean: their own order, ImageNet's classes, or nothing."""
    if config["images"]["source"].startswith("imagenet"):
        return "imagenet"
    return config["images"].get("labels", "folders")


def blocks(size):
    """The numbers of the blocks of `size` images that cover the manifest."""
    images = config["images"]["classes"] * config["images"]["per_class"]
    return range(math.ceil(images / size))


def on_cluster():
    """Whether jobs are handed to a cluster's scheduler, or to another service, rather than run by this process."""
    return workflow.global_resources["_nodes"].value is not None


def count_gpus():
    """How many GPUs jobs can have on this machine; on a cluster, how many a job asks for."""
    device = config["device"]
    if on_cluster() or device == "cpu" or device.startswith("cuda:"):
        return int(device != "cpu")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        hidden = [k for k, name in enumerate(names) if not name or name.startswith("-")]
        found = min([*hidden, len(names)])  # what comes after an invalid one, such as -1, is hidden too
    elif shutil.which("nvidia-smi"):
        listed = subprocess.run(["nvidia-smi", "-L"], text=True, capture_output=True).stdout
        found = sum(line.startswith("GPU ") for line in listed.splitlines())
    else:
        found = 0
    return max(found, int(device == "cuda"))


def share_gpus():
    """Run as many GPU jobs at a time as this machine has GPUs, unless the command says how many.

    On a cluster its scheduler knows; nothing is limited here.
    """
    if GPUS and not on_cluster() and "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", GPUS)


def growing(amount):
    """What a job asks for, memory or time: `amount` at first, and as much again each time it is tried again."""
    return lambda wildcards, attempt: amount * attempt


def networks_with(key):
    """The networks whose configuration has a key, as a wildcard's pattern; one that nothing fits if there are none."""
    return "|".join(name for name in NETWORKS if key in config["networks"][name]) or "$."


def need(trained, pretrained, beside_gpu=0):
    """As growing, by the network: one trained here, small, or a whole one; and what a GPU's libraries take."""

    def amount(wildcards, attempt):
        small = "training" in config["networks"][wildcards.network]
        return ((trained if small else pretrained) + beside_gpu * bool(GPUS)) * attempt

    return amount


def training_priority(wildcards):
    """The paper's two networks come first, the others when there is nothing else to do."""
    return URGENT if wildcards.network in PAPERS else LATER


def measuring_priority(wildcards):
    """As training_priority, of what comes between training and figures."""
    return USUAL if wildcards.network in PAPERS else LATER


def trial_settings(wildcards):
    """The settings of a trial of decay: those of the network's own, but for the one that the trial is named after."""
    key, value = wildcards.trial.split("-", 1)  # a small number is written 1e-05
    return {**config["networks"][wildcards.network]["decay"], key: value}


def trial_records(setting):
    """The records of ResNet-50's decay that differ in a setting, `steps` or `temperature`: its own and the trials'."""
    values = config["networks"]["resnet50"]["decay_trials"][setting]
    names = ["decayed", *(f"{setting}-{value}" for value in values)]
    return [f"results/{{experiment}}/decay/resnet50/{name}.csv" for name in names]


def check_images():
    """Stop with one line unless a folder of the user's own holds images, and a data set has images to tune on."""
    images = config["images"]
    trained = trained_here()
    if trained and "size" not in images:
        raise WorkflowError(f"configuration: images.size is missing; networks.{trained[0]} is trained here")
    wanted = ["tuning"] if images.get("tuning") else []
    if images["source"] == "folder":
        wanted += ["val"] if wanted and not trained else ["val", "train"]
    for split in wanted:
        key, folder = "tuning" if split == "tuning" else "folder", image_folder(split)
        try:
            found = holds_images(Path(folder))
        except InputError as error:
            raise WorkflowError(f"configuration: {error}") from None
        if not found:
            raise WorkflowError(f"configuration: images.{key} is {images[key]}; {folder} must hold images")
    if images["source"] not in ("digits", *TRAIN_FOLDERS) and not images.get("tuning"):
        raise WorkflowError(f"configuration: images.tuning is missing; {images['source']} has no images to tune on")


def check_choices():
    """Stop with one line unless the manifest holds what is chosen of it, methods are known, trials of decay differ."""
    figures, held = config["figures"], config["images"]["classes"] * config["images"]["per_class"]
    product = f"images.classes × images.per_class, {held}"
    chosen = [("fig2.image", figures["fig2"]["image"]), ("fig4.image", figures["fig4"]["image"])]
    chosen += [(f"fig7.images.{place}", image) for place, image in enumerate(figures["fig7"]["images"])]
    for key, image in chosen:
        if image >= held:
            raise WorkflowError(f"configuration: figures.{key} is {image}; allowed is a whole number below {product}")
    for network, methods in figures["fig7"]["methods"].items():
        if network not in config["networks"]:
            known = ", ".join(config["networks"])
            raise WorkflowError(f"configuration: figures.fig7.methods.{network}: no such network; there are {known}")
        for place, method in enumerate(methods):
            try:
                parse_method(method)
            except ValueError as error:
                raise WorkflowError(f"configuration: figures.fig7.methods.{network}.{place}: {error}") from None
    noise_maps = config["removal"]["noise_maps"]
    if noise_maps >= held:
        others = "since noise maps are other images'"
        raise WorkflowError(f"configuration: removal.noise_maps is {noise_maps}; it must be below {product}, {others}")
    # the pixels of networks trained here; of others, the step itself knows how many
    grid, pixels = config["removal"]["grid"], config["images"].get("size", math.inf) ** 2
    if grid > pixels and any(name in PAPERS or config["networks"][name].get("explain") for name in trained_here()):
        each = f"images have {pixels} pixels, images.size², and each step removes at least one"
        raise WorkflowError(f"configuration: removal.grid is {grid}; {each}")
    resnet = config["networks"]["resnet50"]
    for setting, values in resnet["decay_trials"].items():
        for place, value in enumerate(values):
            if value in (resnet["decay"][setting], *values[:place]):
                key = f"networks.resnet50.decay_trials.{setting}.{place}"
                raise WorkflowError(
                    f"configuration: {key} is {value}, as decay's own or another trial's; all must differ"
                )


check_configuration()
expand_folders(config)
EXPERIMENT = config["experiment"]
GPUS = count_gpus()
THREADS = config["threads"]  # of jobs that run networks
NETWORKS = list(config["networks"])  # what is surveyed
PAPERS = ["vgg16", "resnet50"]  # what the paper explains, and we do
check_images()
check_choices()
share_gpus()
OTHERS = [name for name in NETWORKS if name not in PAPERS and config["networks"][name].get("explain")]  # figure M
URGENT, USUAL, LATER = 20, 10, 0  # priorities: other networks than the paper's two delay nothing
SHARDS = blocks(config["attributions"]["shard_size"])
REMOVAL_SHARDS = blocks(config["removal"]["shard_size"])


def configured():
    """The options that gave this run its configuration, as they are typed behind a target; nothing if there were none."""
    files = [
        os.path.relpath(file) if file.is_relative_to(Path.cwd()) else file for file in workflow.overwrite_configfiles
    ]
    settings = list(workflow.config_settings.config_args or [])
    options = [*(["--configfile", *files] if files else []), *(["--config", *settings] if settings else [])]
    return shlex.join(map(str, options)).replace("{", "{{").replace("}", "}}")  # Snakemake fills in the prefix's braces


# How rules write commands: whatever they fill in is quoted for the shell, {…:q}. Snakemake writes nothing for an empty
# text or list, and a text may begin with a dash: --flag={…:q} of one value, --flag {…:q} of a list, which may be empty.
#
# glibc gives large blocks back to the system at once and asks for them again: for batches of activities that is a fifth
# of the time. Other C libraries ignore these.
shell.prefix(
    "export MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=2147483648"
    f" {STEPS_LOCK}=results/{EXPERIMENT}/.steps {CONFIGURED}={shlex.quote(configured())}; "
)


wildcard_constraints:
    experiment=EXPERIMENT,
    network="|".join(NETWORKS),
    variant="original|zeroed|decayed",
    split="train|val",
    upsampling="bilinear|nearest|bicubic",
    family="layers|biases|aggregates|signed",
    shard=r"\d+",
    trial=r"(steps|temperature)-[0-9.e+-]+",
