"""What all rules share: the checked configuration, blocks of images, the plan, each script's source files."""

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
from explanations.errors import CONFIGURED, InputError
from explanations.configuration import check_argument, check_config, check_folder
from explanations.data.fingerprints import fingerprint, sum_states
from explanations.data.folders import ImageFile, holds_images
from explanations.data.sets import DOWNLOADED, GENERATED, GIVEN, PACKAGED, configured_set
from explanations.files.grids import check_shares, count_shares
from explanations.files.locks import STEPS_LOCK, take_lock
from explanations.dependencies import find_sources
from explanations.figures.catalogue import (
    EXAMPLES,
    FIGURES,
    can_be_made,
    choose_networks,
    figure_title,
    note_stages,
    report_number,
    say_what_lacks,
)
from explanations.figures.names import network_title
from explanations.methods.names import all_kinds, parse_kind, parse_method
from explanations.methods.registry import METHODS, method_file
from explanations.methods.sources.registry import check_extra, source_module
from explanations.networks.builders import check_configured, constructor_of
from explanations.networks.sources.registry import OWN_CODE, SOURCES, source_file, takes_weights
from explanations.networks.trained import list_trials, describe_decay, describe_training, find_taken, training_seed
from explanations.plan import (
    SANITY as USUAL_SANITY,
    GROUPS,
    PAPERS_GROUPS,
    VARIANTS,
    Plan,
    check_plan,
    leave_out_networks,
    methods_of,
    suffix_of,
)
from explanations.files.orders import ORDERS
from explanations.removal.operators.registry import OPERATORS, operator_file
from explanations.provenance import CONFIGURATION, describe_making
from explanations.files.writing import describe_size, free_space, unwritable


def check_configuration():
    """Stop with one line unless the working folder and the configuration can stand in commands, and that fits its schema."""
    # conda's commands hold it between ', Slurm's log files too, where % stands for something else
    also = (
        "'%"
        if on_cluster()
        else "'" if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method else ""
    )
    try:
        for folder in (ROOT, os.getcwd()):
            check_folder(str(folder), also)
        for text in workflow.config_settings.config_args or []:
            check_argument(text)
    except InputError as error:
        raise WorkflowError(str(error)) from None
    try:
        check_config(config, yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text()))
        leave_out_networks(config)
    except InputError as error:
        raise WorkflowError(f"configuration: {error}") from None


@functools.cache
def sources(script, *named):
    """A step's script, which is the first, and the library's modules that it imports: what its results depend on.

    `named` are modules that it imports by name, as paths below scripts. Registries are left out: of each line in them
    it is the module named there that results depend on.
    """
    files = find_sources(SCRIPTS / script, *(SCRIPTS / file for file in named))
    files = [path for path in files if path.name != "registry.py"]
    files.sort(key=lambda path: path != SCRIPTS / script)
    return [local(str(path)) for path in files]  # neither in a storage nor below a module's prefix


def sources_of(script, named=lambda wildcards: []):
    """As sources, of a step that builds a job's network: what builds it is among them, and modules that `named` gives.

    A network is built by the module of its source, and by the user's own file, if it is code of the user's.
    """

    def list_sources(wildcards):
        network = config["networks"][wildcards.network]
        own = [local(os.path.expanduser(network["path"]))] if "path" in network else []
        return [*sources(script, source_file(network["source"]), *named(wildcards)), *own]

    return list_sources


def flag_of_builder(wildcards):
    """The flag of the user's own file that builds a job's network, if it is code of the user's."""
    network = config["networks"][wildcards.network]
    return [f"--builder={network['path']}"] if "path" in network else []


def expand_folders(config):
    """Bring the folders that a configuration names to paths without ~, as a shell has it."""
    for section, keys in {"images": ("folder", "tuning", "masks", "boxes"), "linear": ("folder",)}.items():
        for key in config[section].keys() & set(keys):
            config[section][key] = os.path.expanduser(config[section][key])


def image_folder(split):
    """The folder of a split's images, `train`, `val` or `tuning`: generated, the data set's, or one of its own.

    Generated ones have a split `start` too, of easier images to begin a training with.
    """
    if split == "tuning" and config["images"].get("tuning"):
        return config["images"]["tuning"]
    root = "<results>/images" if DATA_SET.obtained == GENERATED else config["images"]["folder"]
    return f"{root}/{ {'val': DATA_SET.test, 'train': DATA_SET.train}.get(split, split)}"


def generated(split):
    """The folder of a split's images if it is made here: then it is an input; of what is on disk, its list is one."""
    own = split == "tuning" and config["images"].get("tuning")
    return image_folder(split) if DATA_SET.obtained == GENERATED and not own else []


def list_file(split):
    """The list of a split's images that can be used, one for all steps."""
    return f"<results>/{'test' if split == 'val' else split}_images.csv"


def tuning_split():
    """The split whose images decay tunes networks on: images of their own, or those to train on."""
    images = config["images"]
    own = images.get("tuning") or (DATA_SET.obtained == GENERATED and "tuning_count" in images)
    return "tuning" if own else "train"


def note_file(split):
    """The note that a split's list leaves for plans, of what its images on disk are; [] if they are inputs."""
    return [] if generated(split) else list_file(split).replace("<results>", RESULTS).replace(".csv", ".note")


@functools.cache
def take_fingerprint(split):
    """What stands for a split's images on disk, and changes if they do; nothing if they are inputs."""
    note = note_file(split)
    return fingerprint(Path(image_folder(split)), Path(note)) if note else ""


def surveyed_splits():
    """The splits whose images the survey takes: those to test, and those to tune on if it takes all."""
    return ["val", tuning_split()] if config["survey"].get("images") == "all" else ["val"]


def read_images(split):
    """Where a job finds a split's images: its input, which may be a copy of what is in storage, or what is on disk."""
    return lambda wildcards, input: str(input.get(split) or image_folder(split))


def trained_here():
    """The networks that are trained here, not pretrained."""
    return [name for name, network in config["networks"].items() if "training" in network]


def list_taken():
    """The networks that are taken as they were trained before, by name and variant; see networks.trained."""
    folder = config.get("trained", "")
    if not {"{", "}"}.isdisjoint(folder):
        raise WorkflowError(f"configuration: trained is {folder}; allowed is a path without {{ and }}")
    try:
        return find_taken(ROOT, config)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def networks_to(key, variant):
    """As networks_with, without those of which a variant is taken."""
    names = [name for name in NETWORKS if key in config["networks"][name] and (name, variant) not in TAKEN]
    return "|".join(names) or "$."


def labels():
    """What the names of test images' class folders mean: their own order, ImageNet's classes, or nothing."""
    return DATA_SET.labels or config["images"].get("labels", "folders")


def packaged_images():
    """What the configuration says of images of a package; nothing of others."""
    keys = ("package", "version", "sha256", "test", "train")
    return {key: config["images"][key] for key in keys if key in config["images"] and DATA_SET.packaged}


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


def per_attempt(amount):
    """What a job asks for, memory or time: `amount` at first, and as much again each time it is tried again."""
    return lambda wildcards, attempt: amount * attempt


def networks_with(key):
    """The networks whose configuration has a key, as a wildcard's pattern; one that nothing fits if there are none."""
    return "|".join(name for name in NETWORKS if key in config["networks"][name]) or "$."


def need(trained, pretrained, beside_gpu=0):
    """As per_attempt, by the network: one trained here, small, or a whole one; and what a GPU's libraries take."""

    def amount(wildcards, attempt):
        small = "training" in config["networks"][wildcards.network]
        return ((trained if small else pretrained) + beside_gpu * bool(GPUS)) * attempt

    return amount


def training_priority(wildcards):
    """Networks that are explained in several variants come first, the others when there is nothing else to do."""
    return URGENT if PLAN.is_compared(wildcards.network) else LATER


def measuring_priority(wildcards):
    """As training_priority, of what comes between training and figures."""
    return USUAL if PLAN.is_compared(wildcards.network) else LATER


def trial_settings(wildcards):
    """The settings of a trial of decay: those of the network's own, but for the one that the trial is named after."""
    network = config["networks"][wildcards.network]
    if wildcards.trial in (known := list_trials(network)):
        return known[wildcards.trial]
    key, value = wildcards.trial.split("-", 1)  # one that is asked for by its file
    return {**network["decay"], key: value}


def check_images():
    """Stop with one line unless a folder of the user's own holds images, and a data set has images to tune on."""
    images = config["images"]
    trained = trained_here()
    if trained and "size" not in images:
        raise WorkflowError(f"configuration: images.size is missing; networks.{trained[0]} is trained here")
    starting = [name for name in trained if config["networks"][name]["training"].get("start_epochs")]
    if starting and DATA_SET.obtained == GENERATED and "start_count" not in images:
        said = f"networks.{starting[0]}.training.start_epochs are of images of large digits"
        raise WorkflowError(f"configuration: images.start_count is missing; {said}")
    wanted = ["tuning"] if images.get("tuning") else []
    if DATA_SET.obtained == GIVEN:
        wanted += ["val"] if wanted and not trained else ["val", "train"]
    for split in wanted:
        key, folder = "tuning" if split == "tuning" else "folder", image_folder(split)
        try:
            found = holds_images(Path(folder))
        except InputError as error:
            raise WorkflowError(f"configuration: {error}") from None
        if not found:
            raise WorkflowError(f"configuration: images.{key} is {images[key]}; {folder} must hold images")
    tuning = [
        f"networks.{name}.decay tunes on images" for name, network in config["networks"].items() if "decay" in network
    ]
    tuning += ["survey.images is all, those to tune on too"] if len(SURVEYED) > 1 else []
    if tuning and not DATA_SET.train and not images.get("tuning"):
        what = "images.tuning, or images.train," if DATA_SET.packaged else "images.tuning"
        raise WorkflowError(f"configuration: {what} is missing; {tuning[0]}, and {images['source']} has none for that")
    if trained and not DATA_SET.train:
        what = "images.train is missing" if DATA_SET.packaged else f"images.source is {images['source']}"
        said = f"networks.{trained[0]} is trained here, on images to train on"
        raise WorkflowError(f"configuration: {what}; {said}")
    if len(SURVEYED) > 1 and (trained or labels() != "none"):
        reason = f"networks.{trained[0]} is trained on the others" if trained else f"images' labels are {labels()}"
        said = "allowed is test, unless images have no labels and no network is trained here"
        raise WorkflowError(f"configuration: survey.images is all, and {reason}; {said}")


def check_choices():
    """Stop with one line unless the manifest holds what is chosen of it and trials of decay differ."""
    figures, held = config["figures"], config["images"]["classes"] * config["images"]["per_class"]
    product = f"images.classes × images.per_class, {held}"
    chosen = [("fig2.image", figures["fig2"]["image"]), ("fig4.image", figures["fig4"]["image"])]
    for name in EXAMPLES:
        images = figures.get(name, {}).get("images", [])
        chosen += [(f"{name}.images.{place}", image) for place, image in enumerate(images)]
    for key, image in chosen:
        if image >= held:
            raise WorkflowError(f"configuration: figures.{key} is {image}; allowed is a whole number below {product}")
    noise_maps = config["removal"]["noise_maps"]
    if noise_maps >= held:
        others = "since noise maps are other images'"
        raise WorkflowError(f"configuration: removal.noise_maps is {noise_maps}; it must be below {product}, {others}")
    for name, network in config["networks"].items():
        check_trials(name, network.get("decay"), network.get("decay_trials", {}))


def check_grids():
    """Stop with one line unless every step of removal's grids removes a pixel, as far as images' size is known."""
    grid, shares = config["removal"]["grid"], config["removal"].get("grid_plus", [])
    # that of networks trained here; of others, the step itself knows it
    size = config["images"].get("size") if set(PLAN.explained) & set(trained_here()) else None
    if size and grid > size**2:
        each = f"images have {size**2} pixels, images.size², and each step removes at least one"
        raise WorkflowError(f"configuration: removal.grid is {grid}; {each}")
    try:
        check_shares(shares)
        if size:
            count_shares(size**2, shares)
    except InputError as error:
        raise WorkflowError(f"configuration: {error}") from None


def check_trials(name, decay, trials):
    """Stop with one line unless the trials of a network's decay differ from it and from each other."""
    if trials and decay is None:
        raise WorkflowError(f"configuration: networks.{name}.decay is missing; networks.{name}.decay_trials change it")
    for setting, values in trials.items():
        for place, value in enumerate(values):
            if value in (decay[setting], *values[:place]):
                key = f"networks.{name}.decay_trials.{setting}.{place}"
                raise WorkflowError(
                    f"configuration: {key} is {value}, as decay's own or another trial's; all must differ"
                )


def make_plan():
    """What the configuration asks for, and the networks that each figure shows; one line if that can't be."""
    try:
        check_plan(config)
        plan = Plan(config)
        return plan, choose_networks(plan, config["figures"])
    except InputError as error:
        raise WorkflowError(f"configuration: {error}") from None


check_configuration()
expand_folders(config)


pathvars:
    results=f"results/{config['experiment']}",


# what <results> is, for what is no path of a rule, as locks and notes; with the prefix of a module statement
RESULTS = workflow.modifier.path_modifier.replace_prefix(workflow.pathvars.apply("<results>"))
DATA_SET = configured_set(config["images"])
SURVEYED = surveyed_splits()
GPUS = count_gpus()
THREADS = config["threads"]  # of jobs that run networks
NETWORKS = list(config["networks"])  # what is surveyed
TAKEN = list_taken()
TAKEN_RECORDS = {
    f"{network}/{name}": path.with_suffix(".csv") for (network, name), path in TAKEN.items() if name != "original"
}
TAKEN_NETWORKS = {f"{network}/{name}": path for (network, name), path in TAKEN.items() if name in VARIANTS}
PLAN, SHOWN = make_plan()
check_images()
check_choices()
check_grids()
share_gpus()
URGENT, USUAL, LATER = 20, 10, 0  # priorities: networks that are surveyed, or explained in one variant, delay nothing
SHARDS = blocks(config["attributions"]["shard_size"])
REMOVAL_SHARDS = blocks(config["removal"]["shard_size"])


def configured():
    """The options that gave this run its configuration, as they are typed behind a target; nothing if there were none."""
    files = [
        os.path.relpath(file) if file.is_relative_to(Path.cwd()) else file for file in workflow.overwrite_configfiles
    ]
    settings = list(workflow.config_settings.config_args or [])
    options = [*(["--configfile", *files] if files else []), *(["--config", *settings] if settings else [])]
    return shlex.join(map(str, options))


# How rules write commands: whatever they fill in is quoted for the shell, {…:q}. Snakemake writes nothing for an empty
# text or list, and a text may begin with a dash: --flag={…:q} of one value, --flag {…:q} of a list, which may be empty.
#
# glibc gives large blocks back to the system at once and asks for them again: for batches of activities that is a fifth
# of the time. Other C libraries ignore these.
os.environ |= {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "2147483648",
    STEPS_LOCK: f"{RESULTS}/.steps",
    CONFIGURED: configured(),
    CONFIGURATION: " ".join(filter(None, ["" if config["whole"] else "config/config.yaml", configured()])),
}


wildcard_constraints:
    network="|".join(NETWORKS),
    variant="|".join(VARIANTS),
    split="train|val|start|tuning",
    upsampling="bilinear|nearest|bicubic",
    method="|".join([*map(str, all_kinds()), *PLAN.own]),
    own="|".join(PLAN.own) or "$.",
    group="|".join([*GROUPS, *PLAN.own]),
    shard=r"\d+",
    further="({})".format("|".join(map(suffix_of, ["", *PLAN.operators]))),
    trial=r"(steps|temperature)-[0-9.e+-]+",
    examples="|".join(EXAMPLES),
