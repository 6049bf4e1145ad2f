"""What rules take by the plan: images to begin and to tune with, masks, shards, results of removal and tables of a network."""


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


ENDINGS_OF_MASKS = {"masks": ".png", "boxes": ".xml"}


def masks_folder():
    """The folder of the masks of the images that are evaluated: the generated images', or one that is made of the user's."""
    return f"<results>/masks/{DATA_SET.test if DATA_SET.masks else 'evaluated'}"


def masked_images():
    """The list of the images that have masks: all test images that are generated with theirs, else those evaluated."""
    return list_file("val") if DATA_SET.masks else "<results>/manifest.csv"


def state_of_masks(key):
    """What stands for the user's masks or boxes on disk, and changes if they do; nothing if there are none."""
    folder = config["images"].get(key)
    return lambda wildcards: sum_states(find_files(Path(folder), ENDINGS_OF_MASKS[key])) if folder else ""


def find_files(folder, ending):
    """The files of an ending in a folder and in all folders in it, in no order; none of a folder that isn't there."""
    for path in filter(Path.is_file, folder.rglob(f"*{ending}")):
        yield ImageFile(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns)


def check_masks():
    """Stop with one line unless one folder at most says where objects are, and holds masks, or ImageNet's boxes."""
    images = config["images"]
    given = {key: images[key] for key in ("masks", "boxes") if images.get(key)}
    for key, folder in given.items():
        said = f"configuration: images.{key} is {folder}"
        if len(given) > 1:
            raise WorkflowError(f"{said}, and images.boxes {given['boxes']}; allowed is one of both")
        if DATA_SET.masks:
            raise WorkflowError(f"{said}; images.source is {images['source']}, whose images have masks of their own")
        if key == "boxes" and labels() != "imagenet":
            raise WorkflowError(f"{said}; images' labels are {labels()}, and boxes are of ImageNet's classes")
        ending = ENDINGS_OF_MASKS[key]
        if next(find_files(Path(folder), ending), None) is None:
            raise WorkflowError(f"{said}; allowed is a folder that holds {ending} files")


check_masks()


def maps_made(wildcards):
    """The files of maps of all methods with passes of their own of a rule's network, as trained."""
    return expand(
        "<results>/maps/{{network}}/original/{own}-{shard}.h5",
        own=PLAN.own_methods(wildcards.network),
        shard=SHARDS,
    )


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
    """A rule's removal operator: the first, unless its results are those of a further one."""
    return wildcards.get("further", "").removeprefix("-") or PLAN.operator


def settings_of_removal(wildcards):
    """The settings of removal that a rule's results may depend on: none of operators, nor of curves and patches."""
    others = ("operators", "curves", "patches", *OPERATORS)
    return {key: value for key, value in config["removal"].items() if key not in others}


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


def curves_measured(wildcards):
    """The files of curves of a rule's network."""
    run = PLAN.curves_run(wildcards.network)
    return expand(
        "<results>/curves/{{network}}/{folder}/{method}-{shard}.h5",
        folder=run.folder if run else [],
        method=PLAN.curve_methods(wildcards.network),
        shard=REMOVAL_SHARDS,
    )


def patches_scored(wildcards):
    """The files of patches of a rule's network."""
    return expand("<results>/patches/{{network}}/{shard}.h5", shard=REMOVAL_SHARDS)


def patches_correlated(wildcards):
    """The file of patch correlations of a rule's network, if single patches are measured."""
    return ["<results>/patches/{network}/correlations.h5"] if PLAN.measures_patches(wildcards.network) else []


def code_of_operator(wildcards):
    """The module of a rule's removal operator."""
    return [operator_file(operator_of(wildcards))]


def precision_of_scores(wildcards):
    """The precision of passes whose scores are kept: removal's, or float32 where that is what is fastest on each machine."""
    precision = config["removal"]["precision"]
    return "float32" if precision == "auto" else precision


def maps_measured(wildcards):
    """The files of maps of a rule's method, if it has passes of its own; others' are made where they are measured."""
    own = wildcards.method in PLAN.own
    return expand("<results>/maps/{{network}}/{{variant}}/{{method}}-{shard}.h5", shard=SHARDS) if own else []


def code_of_removal(wildcards):
    """As code_of_method, and the module of a rule's removal operator."""
    return [*code_of_operator(wildcards), *code_of_method(wildcards)]


def code_of_method(wildcards):
    """The modules that removal by a rule's method depends on, beside the step's."""
    return [] if wildcards.method in PLAN.own else [method_file(parse_kind(wildcards.method).kind)]


def files_of_method(wildcards):
    """As list_method_files, of a rule's method."""
    return list_method_files(wildcards.own)


def papers_kinds(groups):
    """The kinds of the paper's methods in some groups of methods."""
    return [kind for kind in methods_of(*groups) if str(kind) not in PLAN.own]


def settings_of_own(groups):
    """What the configuration says of the methods with passes of their own among some groups, by name."""
    return {name: dict(PLAN.own[name]) for name in groups if name in PLAN.own}


def code_of_localised(wildcards):
    """The modules of the methods whose maps of a rule's network are held against masks."""
    return [method_file(kind.kind) for kind in PLAN.localised_methods(wildcards.network)]


def code_of_papers(groups):
    """The modules of the paper's methods in some groups."""
    return [method_file(kind.kind) for kind in papers_kinds(groups)]


def code_of_groups(groups):
    """The modules of all methods of some groups."""
    own = [source_module(settings["source"]) for settings in settings_of_own(groups).values()]
    return [*code_of_papers(groups), *own]


def files_of_methods(groups):
    """As list_method_files, of all methods of some groups."""
    return [file for name in settings_of_own(groups) for file in list_method_files(name)]


# how a network is changed to see what maps depend on: images, steps of layers that are shuffled, the images' shift
SANITY = USUAL_SANITY | config.get("sanity", {})


def list_method_files(own):
    """The user's own file that a method with passes of its own is made from, which reruns it; of a folder, all in it."""
    path = Path(PLAN.own[own].get("path", "")).expanduser()
    if "path" not in PLAN.own[own]:
        return []
    files = sorted(filter(Path.is_file, path.rglob("*"))) if path.is_dir() else [path]
    return [local(str(file)) for file in files]  # the user's own: neither in a storage nor below a module's prefix


def maps_derived_from(wildcards):
    """The files of maps that a rule's method is made of; none if they are of the paper's methods, or if it makes its own."""
    of = PLAN.derived_from(wildcards.own)
    files = "<results>/maps/{{network}}/{{variant}}/{of}-{shard}.h5"
    return expand(files, of=of, shard=SHARDS) if of in PLAN.own else []


def code_of_maps(wildcards):
    """The modules that the maps of a method with passes of its own depend on, beside the step's."""
    of = PLAN.derived_from(wildcards.own)
    papers = [method_file(parse_method(of).kind)] if of and of not in PLAN.own else []
    return [source_module(PLAN.own[wildcards.own]["source"]), *papers]


def check_methods():
    """Stop with one line unless the files that methods are made from exist, and, without conda, their libraries."""
    asked_for = {name for network in PLAN.networks for name in PLAN.own_methods(network)}
    for name, method in PLAN.own.items():
        try:
            if name in asked_for and DeploymentMethod.CONDA not in workflow.deployment_settings.deployment_method:
                check_extra(method["source"])
        except InputError as error:
            raise WorkflowError(f"configuration: methods.{name}.{error}") from None
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
