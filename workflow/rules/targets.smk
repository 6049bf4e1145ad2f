"""What there is to ask for: figures, and each stage's files of each network. collect.smk makes targets of them."""

FIGURES = {
    "fig1": "a linear classifier's weights and decompositions",
    "fig2": "VGG-16: all attributions of one image",
    "fig3": "accuracy of the zoo before and after biases are zeroed",
    "fig4": "ResNet-50: activity attributions with and without biases",
    "fig5": "VGG-16: activities against biases, δe₋",
    "fig6": "aggregating over layers",
    "fig7": "example saliency maps",
    "figS1": "accuracy as the input is scaled",
    "figS2": "accuracy as the input is shifted",
    "figS3": "accuracy lost without biases",
    "figS4": "correlations of outputs with and without biases",
    "figS5": "outputs without biases as a function of those with",
    "figS6": "accuracy while biases decay",
    "figS7": "other numbers of decay steps, other temperatures",
    "figS8": "spatial correlations of attributions",
    "figS9": "ResNet-50, signed maps with and without biases",
    "figS10": "averaged signed maps",
    "figS11": "unsigned maps with and without biases",
    "figS12": "as figure 5, another upsampling",
    "figS13": "as figure 5, e_Δ",
    "figS14": "δe₋, δe₊, δe_Δ",
    "figS15": "e₋, e₊, e_Δ",
    "figS16": "removal by noise maps",
}
if OTHERS:
    FIGURES["figM"] = "beyond the paper: aggregating over layers of other networks"


# What removal measures of each network: variants with upsamplings, and families of methods.
MEASURED = {
    "vgg16": {
        f"original-{UPSAMPLING}": ["layers", "biases", "aggregates"],
        f"original-{OTHER_UPSAMPLING}": ["layers", "biases"],
    },
    "resnet50": {
        f"original-{UPSAMPLING}": ["layers", "aggregates", "signed"],
        f"decayed-{UPSAMPLING}": ["layers", "signed"],
    },
    **{network: {f"original-{UPSAMPLING}": ["layers", "aggregates"]} for network in OTHERS},
}


def measured(network):
    """Pairs of variant with upsampling, and family, that removal measures of a network."""
    return [(maps, family) for maps, families in MEASURED.get(network, {}).items() for family in families]


def variants(network):
    """The variants of a network that are explained."""
    return ["original", "zeroed", "decayed"] if network in PAPERS else ["original"] * (network in OTHERS)


def network_files(network):
    """A network, its variants, and decay's trials."""
    files = [f"models/{network}/{variant}.safetensors" for variant in variants(network) or ["original"]]
    trials = config["networks"][network].get("decay_trials", {})
    return files + [f"decay/{network}/{key}-{value}.csv" for key, values in trials.items() for value in values]


def survey_files(network):
    """The survey of a network."""
    return [f"survey/{network}/{table}.csv" for table in ("accuracy", "outputs", "fits", "robustness")]


def attribution_files(network):
    """All shards of a network that is explained."""
    return [f"attributions/{network}/{variant}/{shard}.h5" for variant in variants(network) for shard in SHARDS]


def removal_files(network):
    """All that removal measures of a network that is explained."""
    return [
        f"removal/{network}/{maps}/{family}-{shard}.h5"
        for maps, family in measured(network)
        for shard in REMOVAL_SHARDS
    ]


def statistics_files(network):
    """All statistics of a network that is explained."""
    names = ["correlations", "gross_sums"] if network in PAPERS else []
    for maps, family in measured(network):
        names.append(f"{maps}-{family}")
        if family in ("biases", "aggregates"):  # compared with single layers
            names.append(f"{family}-{maps}")
        if maps.startswith("decayed") and family == "signed":  # compared with the original's
            names.append(maps)
    return [f"statistics/{network}/{name}.csv" for name in names]


def figure_files(figure):
    """A figure in both formats."""
    return [f"figures/{figure}.{extension}" for extension in ("pdf", "png")]


FINDINGS = ["findings.csv", "findings.html"]
STAGES = {
    "networks": ("all networks, the paper's two without biases too", network_files),
    "survey": ("what biases do to every network's decisions and outputs", survey_files),
    "attributions": ("activity and bias attributions of the explained networks", attribution_files),
    "removal": ("removal of pixels by their saliency maps", removal_files),
    "statistics": ("what is tested, and the findings", statistics_files),
}
TARGETS = {figure: (title, figure_files(figure)) for figure, title in FIGURES.items()}
for stage, (title, files) in STAGES.items():
    TARGETS[stage] = (title, [file for network in NETWORKS for file in files(network)])
TARGETS["statistics"][1].extend(FINDINGS)
TARGETS["figures"] = ("all figures", [file for figure in FIGURES for file in figure_files(figure)])
