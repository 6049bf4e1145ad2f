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


def statistics_files(network):
    """All statistics of a network that is explained."""
    tables = [*PLAN.tables(network), *(["leaderboard"] if PLAN.groups(network) else [])]
    return [f"statistics/{network}/{table}.csv" for table in tables]


def sanity_files(network):
    """What maps of a network that is explained depend on."""
    return [f"statistics/{network}/sanity.csv"] if PLAN.groups(network) else []


def figure_files(figure):
    """A figure in both formats."""
    return [f"figures/{figure}.{extension}" for extension in ("pdf", "png")]


def refuse(figure):
    """An input function that ends the run with one line: the figure lacks what it shows."""

    def say(wildcards):
        sys.exit(say_what_lacks(figure, config["figures"]))

    return say


def say_no_curves(wildcards):
    """An input function that ends the run with one line: no network has curves."""
    if not PLAN.curves:
        sys.exit("there are no curves: removal.curves is false; with config/curves.yaml it is true")
    sys.exit("there are no curves: removal.curves is true, and no network is explained with both orders of removal")


def name_nearest(wildcards):
    """An input function that ends the run with one line: there is no such target, but others like it."""
    near = difflib.get_close_matches(wildcards.target, list(dict.fromkeys(["all", "report", *TARGETS, *FIGURES])))
    said = f"nearest {'is' if len(near) == 1 else 'are'} {', '.join(near)}; " if near else ""
    sys.exit(f"there is no target {wildcards.target}; {said}`snakemake --list` names all")


FINDINGS = ["findings.csv", "findings.html"]
LEADERBOARD = ["leaderboard.html"] if PLAN.explained else []
STAGES = {
    "networks": ("all networks, and their variants without biases", network_files),
    "survey": ("what biases do to every network's decisions and outputs", survey_files),
    "attributions": ("activity and bias attributions of the explained networks", attribution_files),
    "removal": ("removal of pixels by their saliency maps", removal_files),
    "curves": ("the class's score along whole removals, and the areas by it (removal.curves)", curve_files),
    "statistics": ("what is tested, and the findings", statistics_files),
    "sanity": ("whether maps change with the network, and not with a shift of its images", sanity_files),
}
TARGETS = {figure: (figure_title(figure, SHOWN[figure]), figure_files(figure)) for figure in MADE}
for stage, (title, files) in STAGES.items():
    TARGETS[stage] = (title, [file for network in NETWORKS for file in files(network)])
if not TARGETS["curves"][1]:  # a target that says so, in place of one that makes nothing
    del TARGETS["curves"]
TARGETS["statistics"][1].extend([*(f"statistics/twins/{pair}.csv" for pair in TWINS), *FINDINGS, *LEADERBOARD])
TARGETS["figures"] = ("all figures", [file for figure in MADE for file in figure_files(figure)])
