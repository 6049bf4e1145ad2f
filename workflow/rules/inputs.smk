"""What rules take by the plan: images to begin and to tune with, shards, results of removal and tables of a network."""


def easier_images(wildcards):
    """The easier images that a network's training begins with, and their list; nothing if it begins with the others.

    Only generated images have easier ones.
    """
    wanted = config["networks"][wildcards.network]["training"].get("start_epochs")
    return [generated("start"), list_file("start")] if wanted and DATA_SET.obtained == GENERATED else []


def flags_to_start(wildcards, input):
    """The flags of what a network's training may say: easier images to begin with, its precision."""
    training = config["networks"][wildcards.network]["training"]
    flags = [f"--precision={training.get('precision', 'float32')}"]
    if input.start:
        folder, manifest = input.start
        flags += [f"--start={folder}", f"--start-images={manifest}", f"--start-epochs={training['start_epochs']}"]
    return flags


def read_tuning(wildcards, input):
    """Where a job finds the images to tune on."""
    return str(input.get("generated") or image_folder(tuning_split()))


def recipe_of_decay(wildcards):
    """What a network and its decay are made by, if it is trained here; nothing of one with weights."""
    trained = "training" in config["networks"][wildcards.network]
    return describe_decay(config, wildcards.network) if trained else {}


def recipe_of_trial(wildcards):
    """As recipe_of_decay, of a trial that the configuration has."""
    network = config["networks"][wildcards.network]
    known = "training" in network and wildcards.trial in list_trials(network)
    return describe_decay(config, wildcards.network, wildcards.trial) if known else {}


def methods_of_examples(figure, network):
    """The modules of the methods whose maps a figure of examples shows of a network."""
    kinds = {parse_method(method).kind for method in config["figures"][figure]["methods"][network]}
    return sorted(map(method_file, kinds))


def measured_layers(wildcards):
    """The flag of the layers whose maps removal measures, for figure P; none for a figure of maps alone."""
    layers = config["networks"][wildcards.network].get("layers", "all")
    return [f"--measured={layers}"] if wildcards.examples == "figP" else []


LOCALISED = methods_of("layers", "biases", "aggregates")


def measurements(variant, *groups):
    """The results of removal by the methods of some groups, of a rule's network and upsampling."""
    return expand(
        "<results>/removal/{{network}}/{variant}-{{upsampling}}/{method}-{shard}.h5",
        variant=variant,
        method=methods_of(*groups),
        shard=REMOVAL_SHARDS,
    )


TWINS = {twins.name: twins for twins in PLAN.twins}


def measurements_by(operator, network):
    """The results of removal by all methods of a network, by the original's usual maps and an operator, if not the first."""
    run = PLAN.find_run(network, "original", PLAN.usual, operator)
    return expand(
        "<results>/removal/{network}/{folder}/{method}-{shard}.h5",
        network=network,
        folder=run.folder,
        method=run.methods,
        shard=REMOVAL_SHARDS,
    )


def measurements_ranked(wildcards):
    """Those of a rule's network and operator."""
    return measurements_by(wildcards.further.removeprefix("-"), wildcards.network)


def measurements_of_operators(wildcards):
    """Those of a rule's network by all operators."""
    return [file for name in ("", *PLAN.operators) for file in measurements_by(name, wildcards.network)]


def operator_of(wildcards):
    """A rule's removal operator."""
    return wildcards.further.removeprefix("-") or PLAN.operator


def settings_of_removal(wildcards):
    """The settings of removal that a rule's results may depend on: none of operators."""
    return {key: value for key, value in config["removal"].items() if key != "operators" and key not in OPERATORS}


def setting_of_operator(wildcards):
    """The flags of a rule's operator: its name, and its setting, if the configuration has one."""
    name = operator_of(wildcards)
    flags = [f"--operator={name}"]
    return [*flags, f"--{name}={config['removal'][name]}"] if name in config["removal"] else flags


def measurements_of_twin(kind):
    """The results of removal by single layers and aggregates of one of a rule's twins, `poolings` or `strides`."""
    return lambda wildcards: [
        f"<results>/removal/{getattr(TWINS[wildcards.pair], kind)}/original-{PLAN.usual}/{method}-{shard}.h5"
        for method in methods_of("layers", "aggregates")
        for shard in REMOVAL_SHARDS
    ]


def orders_measured(wildcards):
    """The orders in which a rule's kind of method removes pixels; both if it is none of the plan's."""
    further = wildcards.further.removeprefix("-")
    run = PLAN.find_run(wildcards.network, wildcards.variant, wildcards.upsampling, further)
    return run.orders(PLAN.kind(wildcards.method)) if run else ORDERS


def maps_measured(wildcards):
    """The files of maps of a rule's method, if it has passes of its own; others' are made where they are measured."""
    own = wildcards.method in PLAN.own
    return expand("<results>/maps/{{network}}/{{variant}}/{{method}}-{shard}.h5", shard=SHARDS) if own else []


def code_of_method(wildcards):
    """The modules that removal by a rule's method depends on, beside the step's."""
    return [] if wildcards.method in PLAN.own else [method_file(parse_kind(wildcards.method).kind)]


def files_of_method(wildcards):
    """The user's own file that a method with passes of its own is made from, which reruns it; of a folder, all in it."""
    path = Path(PLAN.own[wildcards.own].get("path", "")).expanduser()
    if "path" not in PLAN.own[wildcards.own]:
        return []
    files = sorted(filter(Path.is_file, path.rglob("*"))) if path.is_dir() else [path]
    return [local(str(file)) for file in files]  # the user's own: neither in a storage nor below a module's prefix


def check_methods():
    """Stop with one line unless the files that methods are made from exist."""
    for name, method in PLAN.own.items():
        path = method.get("path")
        if path is not None and not Path(path).expanduser().exists():
            raise WorkflowError(f"configuration: methods.{name}.path is {path}; no such file or folder")


check_methods()


def shards_of(variant):
    """All shards of a variant of a rule's network; none if it isn't explained."""

    def list_shards(wildcards):
        has = variant in PLAN.variants(wildcards.network)
        return (
            expand("<results>/attributions/{{network}}/{variant}/{shard}.h5", variant=variant, shard=SHARDS)
            if has
            else []
        )

    return list_shards


def statistics_tables(table):
    """That table of the statistics of every explained network that the plan has it of."""
    return [
        f"<results>/statistics/{network}/{table}.csv" for network in PLAN.explained if table in PLAN.tables(network)
    ]
