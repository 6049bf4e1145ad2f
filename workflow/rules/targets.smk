"""What there is to ask for: figures, and each stage's files of each network. collect.smk makes targets of them."""

import difflib


def network_files(network):
    """A network, its variants, and decay's trials."""
    files = [f"models/{network}/{variant}.safetensors" for variant in PLAN.variants(network) or ["original"]]
    trials = config["networks"][network].get("decay_trials", {})
    return files + [f"decay/{network}/{key}-{value}.csv" for key, values in trials.items() for value in values]


def survey_files(network):
    """The survey of a network."""
    return [f"survey/{network}/{table}.csv" for table in ("accuracy", "outputs", "fits", "robustness")]


def attribution_files(network):
    """All shards of a network that is explained."""
    return [f"attributions/{network}/{variant}/{shard}.h5" for variant in PLAN.variants(network) for shard in SHARDS]


def removal_files(network):
    """All that removal measures of a network that is explained."""
    return [
        f"removal/{network}/{run.folder}/{method}-{shard}.h5"
        for run in PLAN.runs(network)
        for method in run.methods
        for shard in REMOVAL_SHARDS
    ]


def curve_files(network):
    """The class's score along whole removals of a network's images, and what is measured by it; none if not asked for."""
    methods = PLAN.curve_methods(network)
    files = [
        f"curves/{network}/{PLAN.curves_run(network).folder}/{method}-{shard}.h5"
        for method in methods
        for shard in REMOVAL_SHARDS
    ]
    return [*files, f"statistics/{network}/curves.csv"] if methods else []


def patch_files(network):
    """What single patches of a network's images are to it, and how that goes with maps; none if not asked for."""
    files = [*(f"patches/{network}/{shard}.h5" for shard in REMOVAL_SHARDS), f"patches/{network}/correlations.h5"]
    return [*files, f"statistics/{network}/patches.csv"] if PLAN.measures_patches(network) else []


def statistics_files(network):
    """All statistics of a network that is explained."""
    tables = [*PLAN.tables(network), *PLAN.leaderboards(network)]
    return [f"statistics/{network}/{table}.csv" for table in tables]


def sanity_files(network):
    """What maps of a network that is explained depend on."""
    return [f"statistics/{network}/sanity.csv"] if PLAN.groups(network) else []


def grid_files(network):
    """The grid pointing game of a network; none if not asked for."""
    return [f"statistics/{network}/grid_pointing.csv"] if PLAN.grid_groups(network) else []


def figure_files(figure):
    """A figure in both formats."""
    return [f"figures/{figure}.{extension}" for extension in ("pdf", "png")]


def end_with(line):
    """An input function that ends the run with one line: why a target can't be made."""

    def say(wildcards):
        sys.exit(line)

    return say


def say_no_curves():
    """Why no network has curves."""
    if not PLAN.curves:
        return "curves can't be made: removal.curves is false; with config/curves.yaml it is true"
    return "curves can't be made: removal.curves is true, and no network is explained with both orders of removal"


def say_no_patches():
    """Why there are no single patches."""
    if not PLAN.patches:
        return "patches can't be made: removal.patches is 0; with config/measures.yaml it is 4"
    return f"patches can't be made: removal.patches is {PLAN.patches}, and no network is explained"


def say_no_grids():
    """Why no network plays the grid pointing game."""
    if not PLAN.grids:
        return "grid_pointing can't be made: grid_pointing.grids is 0; config/measures.yaml has some"
    return "grid_pointing can't be made: no network is explained by a method of grid_pointing.methods"


def name_nearest(wildcards):
    """An input function that ends the run with one line: there is no such target, but others like it."""
    near = difflib.get_close_matches(wildcards.target, list(dict.fromkeys(["all", "report", *TARGETS, *FIGURES])))
    said = f"nearest {'is' if len(near) == 1 else 'are'} {', '.join(near)}; " if near else ""
    sys.exit(f"there is no target {wildcards.target}; {said}`snakemake --list` names all")


def operator_files(network):
    """What compares removal operators, of a network that is explained, if there are several."""
    tables = PLAN.operator_tables(network)
    tables += PLAN.leaderboards(network) if tables else []
    return [f"statistics/{network}/{table}.csv" for table in tables]


def measure_files(network):
    """What compares measures of a network's maps, and what maps depend on; figure L is beside them."""
    tables = ("agreement", "blurring", "measure_claims", "sanity", *PLAN.operator_tables(network))
    files = [f"statistics/{network}/{table}.csv" for table in tables]
    return [*files, *grid_files(network)] if PLAN.compares_measures(network) else []


FINDINGS = ["findings.csv", "findings.html"]
LEADERBOARD = ["leaderboard.html"] if PLAN.explained else []
STAGES = {
    "networks": ("all networks, and their variants without biases", network_files),
    "survey": ("what biases do to every network's decisions and outputs", survey_files),
    "attributions": ("activity and bias attributions of the explained networks", attribution_files),
    "removal": ("removal of pixels by their saliency maps", removal_files),
    "curves": ("the class's score along whole removals, and the areas by it (removal.curves)", curve_files),
    "patches": ("removal of single patches, and maps' correlation with it (removal.patches)", patch_files),
    "statistics": ("what is tested, and the findings", statistics_files),
    "operators": ("which conclusions survive the choice of a removal operator", operator_files),
    "grid_pointing": ("whether evidence lies where its class is, in grids of images (grid_pointing)", grid_files),
    "measures": ("whether measures agree, with ground truth and with each other", measure_files),
    "sanity": ("whether maps change with the network, and not with a shift of its images", sanity_files),
}
TARGETS = {figure: (figure_title(figure, SHOWN[figure]), figure_files(figure)) for figure in MADE}
for stage, (title, files) in STAGES.items():
    TARGETS[stage] = (title, [file for network in NETWORKS for file in files(network)])
TARGETS["statistics"][1].extend([*(f"statistics/twins/{pair}.csv" for pair in TWINS), *FINDINGS, *LEADERBOARD])
LACKING = {figure: say_what_lacks(figure, config["figures"]) for figure in FIGURES if figure not in MADE}
LACKING |= {  # targets that may have nothing to make: they say so
    "curves": say_no_curves(),
    "patches": say_no_patches(),
    "grid_pointing": say_no_grids(),
    "operators": f"operators can't be made: removal.operators is {PLAN.operator} alone; to compare several, see config/operators.yaml",
    "measures": "measures can't be made: removal has one operator, no curves, no patches; config/measures.yaml has all",
}
for target in ("curves", "patches", "operators", "grid_pointing", "measures"):
    if TARGETS[target][1]:
        del LACKING[target]
    else:
        del TARGETS[target]
if "measures" in TARGETS:
    TARGETS["measures"][1].extend([*figure_files("figL"), *FINDINGS])
TARGETS["figures"] = ("all figures", [file for figure in MADE for file in figure_files(figure)])
