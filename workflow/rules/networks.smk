"""The networks.

train           images/train, test_images.csv -> models/<network>/original.safetensors
fetch_network   nothing, or weights of one's own -> the same, of networks with weights
"""

from urllib.parse import urlsplit
from urllib.request import url2pathname


def own_weights(wildcards):
    """The file of a network's weights if it is on disk and no hash says that it is the same as ever: an input then."""
    weights = config["networks"][wildcards.network]["weights"]
    return [] if weights.get("sha256") else file_of(weights.get("url", ""))


def named_classes(wildcards):
    """The file that a network's classes are named in, if they are."""
    classes = config["networks"][wildcards.network].get("classes")
    return file_of(classes) if isinstance(classes, str) and not classes.isdecimal() else []


def file_of(address):
    """The path that an address is of; nothing if it is a server's, or empty."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return []  # no address of anything: the step that would read it says so
    path = url2pathname(parts.path) if parts.scheme == "file" else address
    return [] if not path or parts.scheme in ("http", "https") else os.path.expanduser(path)


def flag_of_classes(wildcards):
    """What a network's classes are as a flag: a list, a path, a number, or nothing."""
    return str(config["networks"][wildcards.network].get("classes", ""))


def check_networks():
    """Stop with one line unless what the configuration says of each network's classes and weights fits together."""
    for name, network in config["networks"].items():
        where, weights, classes = f"configuration: networks.{name}", network.get("weights"), network.get("classes")
        asked = network["arguments"].get("num_classes")
        if weights is None:
            if classes is not None:
                raise WorkflowError(
                    f"{where}.classes goes with weights; of what is trained here, folders are the classes"
                )
            continue
        if classes is not None and not weights.get("url"):
            raise WorkflowError(
                f"{where}.weights.url is missing; classes are those of weights of your own, at that url"
            )
        if not weights.get("name") and classes is None:
            raise WorkflowError(f"{where}.weights.name is missing; only weights of your own, with classes, do without")
        file = file_of(weights.get("url", ""))
        if file and not Path(file).is_file():
            raise WorkflowError(f"{where}.weights.url is {weights['url']}; there is no such file")
        if classes is None:
            continue
        count = count_classes(f"{where}.classes", classes)
        if asked not in (None, count):
            raise WorkflowError(f"{where}.arguments.num_classes is {asked}; networks.{name}.classes are {count}")


def count_classes(where, classes):
    """How many classes a list, a number or a file of names means."""
    if isinstance(classes, list):
        return len(classes)
    if str(classes).isdecimal():
        return int(classes)
    try:
        names = Path(classes).expanduser().read_text("utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError):
        raise WorkflowError(
            f"{where} is {classes}; allowed is a text file that can be read, a list or a number"
        ) from None
    if len(names) < 2:
        raise WorkflowError(f"{where} is {classes}; it holds {len(names)} names; allowed are two or more")
    return len(names)


check_networks()


localrules:
    fetch_network,


rule train:
    input:
        train=generated("train"),
        val=generated("val"),
        test_images="results/{experiment}/test_images.csv",
        code=sources("train_network.py"),
    output:
        "results/{experiment}/models/{network}/original.safetensors",
    log:
        "results/{experiment}/logs/train/{network}.log",
    benchmark:
        "results/{experiment}/benchmarks/train/{network}.tsv"
    wildcard_constraints:
        network=networks_with("training"),
    # everything waits for those that are explained
    priority: training_priority
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
    params:
        source=lookup("networks/{network}/source", within=config),
        constructor=lookup("networks/{network}/constructor", within=config),
        arguments=lookup("networks/{network}/arguments", within=config),
        training=lookup("networks/{network}/training", within=config),
        size=lookup("images/size", within=config, default=0),
        seed=lookup("seed", within=config),
        train=read_images("train"),
        images=read_images("val"),
    shell:
        "python scripts/train_network.py"
        " --train {params.train:q}"
        " --test-images {input.test_images:q}"
        " --images {params.images:q}"
        " --output {output:q}"
        " --source {params.source}"
        " --constructor {params.constructor}"
        " --arguments {params.arguments:q}"
        " --size {params.size}"
        " --epochs {params.training[epochs]}"
        " --batch {params.training[batch]}"
        " --learning-rate {params.training[learning_rate]}"
        " --weight-decay {params.training[weight_decay]}"
        " --seed {params.seed}"
        " --threads {threads}"
        " >{log:q} 2>&1"


rule fetch_network:
    input:
        weights=own_weights,
        classes=named_classes,
        code=sources("fetch_network.py"),
    output:
        "results/{experiment}/models/{network}/original.safetensors",
    log:
        "results/{experiment}/logs/fetch_network/{network}.log",
    benchmark:
        "results/{experiment}/benchmarks/fetch_network/{network}.tsv"
    wildcard_constraints:
        network=networks_with("weights"),
    priority: training_priority
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(6000),
        runtime=growing(120),
    params:
        source=lookup("networks/{network}/source", within=config),
        constructor=lookup("networks/{network}/constructor", within=config),
        arguments=lookup("networks/{network}/arguments", within=config),
        classes=flag_of_classes,
        weights=lookup("networks/{network}/weights/name", within=config, default=""),
        key=lookup("networks/{network}/weights/key", within=config, default=""),
        url=lookup("networks/{network}/weights/url", within=config, default=""),
        sha256=lookup("networks/{network}/weights/sha256", within=config, default=""),
    shell:
        "python scripts/fetch_network.py"
        " --source {params.source}"
        " --constructor {params.constructor}"
        " --arguments {params.arguments:q}"
        " --classes {params.classes:q}"
        " --weights {params.weights:q}"
        " --key {params.key:q}"
        " --url {params.url:q}"
        " --sha256 {params.sha256:q}"
        " --output {output:q}"
        " >{log:q} 2>&1"
