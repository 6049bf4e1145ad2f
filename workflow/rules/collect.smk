"""The named targets, which `snakemake --list` shows: figures, stages, networks, the report. All together are `all`.

report   figures, findings -> report.html
"""

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


def measured(network):
    """What removal measures of a network: variants with upsamplings, and families of methods."""
    found = {"vgg16": {f"original-{UPSAMPLING}": ["layers", "biases", "aggregates"]}}
    found["vgg16"] |= {f"original-{OTHER_UPSAMPLING}": ["layers", "biases"]}
    found["resnet50"] = {f"original-{UPSAMPLING}": ["layers", "aggregates", "signed"]}
    found["resnet50"] |= {f"decayed-{UPSAMPLING}": ["layers", "signed"]}
    found |= {name: {f"original-{UPSAMPLING}": ["layers", "aggregates"]} for name in OTHERS}
    return [(maps, family) for maps, families in found.get(network, {}).items() for family in families]


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
    names = [f"{maps}-{family}" for maps, family in measured(network)]
    names += [maps.replace("original", "biases-original") for maps, family in measured(network) if family == "biases"]
    names += [f"aggregates-{maps}" for maps, family in measured(network) if family == "aggregates"]
    names += [maps for maps, family in measured(network) if maps.startswith("decayed") and family == "signed"]
    names += ["correlations", "gross_sums"] if network in PAPERS else []
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
for network in NETWORKS:
    made = [file for _, files in STAGES.values() for file in files(network)]
    if network in TARGETS or network in (step.name for step in workflow.rules):
        raise WorkflowError(f"configuration: networks.{network} has the name of a rule; allowed is any other name")
    TARGETS[network] = (f"the network {network}, and all that is measured of it", made)


for target, (title, files) in TARGETS.items():

    rule:
        name:
            target
        input:
            expand("results/{experiment}/{file}", experiment=EXPERIMENT, file=files),

    workflow.get_rule(target).docstring = title


localrules:
    report,


rule report:
    """all figures and findings in one page, with how each was made"""
    input:
        rules.figures.input,
        expand("results/{experiment}/{file}", experiment=EXPERIMENT, file=FINDINGS),
        captions=sorted(map(str, Path("workflow/report").glob("*.rst"))),
    output:
        f"results/{EXPERIMENT}/report.html",
    log:
        f"results/{EXPERIMENT}/logs/report.log",
    benchmark:
        f"results/{EXPERIMENT}/benchmarks/report.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        config=json.dumps({**config, "whole": True}),
    shell:
        "snakemake --report {output:q} --nolock --configfile <(echo {params.config:q}) >{log:q} 2>&1"
