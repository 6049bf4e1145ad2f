"""Figures, as PDF and PNG: draw_<figure> for each that can be made. DRAWN says by which script, from what, with which
options; titles, and which networks a figure shows, stand in scripts/explanations/figures/catalogue.py.
"""

from collections.abc import Callable
from dataclasses import dataclass

UPSAMPLING = config["saliency"]["upsampling"]
OTHER_UPSAMPLING = config["saliency"]["other_upsampling"]
MADE = [figure for figure in FIGURES if can_be_made(figure, SHOWN)]


@dataclass(frozen=True)
class Drawn:
    """How a figure is drawn: `inputs(networks)` are files below the experiment's results by the script's flags, of the
    networks that it shows; `options(networks)` further flags. `sees_images`: the script reads images of the manifest.
    """

    script: str
    inputs: Callable[[list[str]], dict[str, list[str]]]
    options: Callable[[list[str]], list] = lambda networks: []
    sees_images: bool = False
    memory: int = 500


# --- what figures are made from ----------------------------------------------------------------------------------


def survey(table):
    """A table of the survey of every network."""
    return lambda networks: {table: [f"survey/{network}/{table}.csv" for network in networks]}


def one_image(section, flag, *variants):
    """The attributions of an image that a section of the configuration names, by some variants of a network."""
    shard = config["figures"][section]["image"] // config["attributions"]["shard_size"]
    return lambda networks: {
        flag: [f"models/{networks[0]}/{variant}.safetensors" for variant in variants],
        "manifest": ["manifest.csv"],
        "shards": [f"attributions/{networks[0]}/{variant}/{shard}.h5" for variant in variants],
    }


def summaries(networks, variants, upsampling, groups):
    """Summaries of removal by groups of methods."""
    return [
        f"statistics/{network}/{variant}-{upsampling}-{group}.csv"
        for network in networks
        for variant in variants
        for group in groups
    ]


def activity_and_bias(upsampling):
    """Single layers' activities and biases, and the tests of one against the other."""
    return lambda networks: {
        "statistics": summaries(networks, ["original"], upsampling, ["layers", "biases"]),
        "comparisons": [f"statistics/{network}/biases-original-{upsampling}.csv" for network in networks],
    }


def aggregates(networks):
    """Single layers and aggregates of them."""
    return {"statistics": summaries(networks, ["original"], UPSAMPLING, ["layers", "aggregates"])}


def aggregates_and_sizes(networks):
    """The same, and a shard of each network, which has its layers' sizes."""
    return aggregates(networks) | {"shards": [f"attributions/{network}/original/0.h5" for network in networks]}


def aggregates_and_tests(networks):
    """Single layers and aggregates, and the tests of the one against the other."""
    tests = [f"statistics/{network}/aggregates-original-{UPSAMPLING}.csv" for network in networks]
    return aggregates(networks) | {"comparisons": tests}


def variants(*groups):
    """Groups of methods of the original and the decayed variant, and the tests between the two."""
    return lambda networks: {
        "statistics": summaries(networks, ["original", "decayed"], UPSAMPLING, groups),
        "comparisons": [f"statistics/{network}/decayed-{UPSAMPLING}.csv" for network in networks],
    }


def decay_records(networks):
    """The record of each network's decay."""
    return {"records": [f"decay/{network}/decayed.csv" for network in networks]}


def trial_records(networks):
    """The records of a network's decay that differ in a setting: its own and the trials'."""
    trials = config["networks"][networks[0]]["decay_trials"]
    return {
        flag: [f"decay/{networks[0]}/{name}.csv" for name in ("decayed", *(f"{key}-{value}" for value in trials[key]))]
        for flag, key in (("steps", "steps"), ("temperatures", "temperature"))
    }


def measured_examples(networks):
    """Figure P's maps, and the results of removal by them: of their kinds, of the blocks that its images are in."""
    network, section = networks[0], config["figures"]["figP"]
    kinds = dict.fromkeys(parse_method(method).all_layers for method in section["methods"][network])
    shards = sorted({image // config["removal"]["shard_size"] for image in section["images"]})
    return {
        "examples": [f"examples/figP-{network}.h5"],
        "measurements": [
            f"removal/{network}/original-{UPSAMPLING}/{kind}-{shard}.h5" for kind in kinds for shard in shards
        ],
    }


def measures(*names, reverse=(), fullgrad=False):
    """Flags: a row of panels for each measure; some with the axis reversed; lines of FullGrad, where it is drawn."""
    without = config["figures"].get("no_fullgrad", [])
    return lambda networks: [
        *("--measures", *names),
        *(("--reverse", *reverse) if reverse else ()),
        *(("--fullgrad", *(network for network in networks if network not in without)) if fullgrad else ()),
    ]


def settings(section):
    """Flags: the keys of the figure's section of the configuration."""
    return lambda networks: [f"--{key}={value}" for key, value in config["figures"][section].items()]


def flags(*given):
    """Flags that don't depend on the networks."""
    return lambda networks: list(given)


def name_inputs(figure):
    """The flags of a figure's inputs, each by its name, which Snakemake fills in; options stand apart: they rerun it."""

    def make(wildcards, input):
        files = [part for name in NAMED[figure] for part in (f"--{name}", *as_list(input[name]))]
        images = [f"--images={read_images('val')(wildcards, input)}"] if DRAWN[figure].sees_images else []
        return files + images

    return make


def as_list(files):
    """A job's input of one name, which is a text if it is one file."""
    return [files] if isinstance(files, str) else list(files)


# --- the table ---------------------------------------------------------------------------------------------------

AGGREGATES, BIASES, VARIANTS_SCRIPT = "plot_aggregates.py", "plot_activity_and_bias.py", "plot_variants.py"
BOTH_SIDES = ("e_minus", "e_plus", "e_delta")
DRAWN = {
    "fig1": Drawn("plot_linear_classifier.py", lambda networks: {"linear": ["linear.h5"]}),
    "fig2": Drawn("plot_decomposition.py", one_image("fig2", "network", "original"), settings("fig2"), True),
    "fig3": Drawn("plot_zoo_accuracy.py", survey("accuracy")),
    "fig4": Drawn(
        "plot_variants_attributions.py", one_image("fig4", "networks", "original", "decayed"), settings("fig4"), True
    ),
    "fig5": Drawn(BIASES, activity_and_bias(UPSAMPLING), measures("delta_e_minus")),
    "fig6": Drawn(AGGREGATES, aggregates_and_tests, measures("delta_e_minus", "e_minus", fullgrad=True)),
    "fig7": Drawn(
        "plot_example_maps.py", lambda networks: {"examples": [f"examples/fig7-{network}.h5" for network in networks]}
    ),
    "figS1": Drawn("plot_robustness.py", survey("robustness"), flags("--change=scale")),
    "figS2": Drawn("plot_robustness.py", survey("robustness"), flags("--change=shift")),
    "figS3": Drawn("plot_accuracy_difference.py", survey("accuracy")),
    "figS4": Drawn("plot_output_correlations.py", survey("outputs"), memory=2000),
    "figS5": Drawn("plot_output_fits.py", survey("fits")),
    "figS6": Drawn("plot_decay.py", decay_records),
    "figS7": Drawn("plot_decay_trials.py", trial_records),
    "figS8": Drawn(
        "plot_correlations.py",
        lambda networks: {"correlations": [f"statistics/{network}/correlations.csv" for network in networks]},
    ),
    "figS9": Drawn(VARIANTS_SCRIPT, variants("layers", "signed"), flags("--measure=delta_e_minus", "--maps=signed")),
    "figS10": Drawn(
        AGGREGATES, variants("layers", "signed"), flags("--measures", "delta_e_minus", "e_minus", "--maps=signed")
    ),
    "figS11": Drawn(VARIANTS_SCRIPT, variants("layers"), flags("--measure=delta_e_minus", "--maps=saliency")),
    "figS12": Drawn(BIASES, activity_and_bias(OTHER_UPSAMPLING), measures("delta_e_minus")),
    "figS13": Drawn(BIASES, activity_and_bias(UPSAMPLING), measures("e_delta", "delta_e_delta")),
    "figS14": Drawn(
        AGGREGATES,
        aggregates_and_tests,
        measures(*(f"delta_{name}" for name in BOTH_SIDES), reverse=["delta_e_plus"], fullgrad=True),
    ),
    "figS15": Drawn(AGGREGATES, aggregates_and_tests, measures(*BOTH_SIDES, reverse=["e_plus"], fullgrad=True)),
    "figS16": Drawn(
        AGGREGATES, aggregates_and_sizes, measures(*(f"{name}_noise" for name in BOTH_SIDES), fullgrad=True)
    ),
    "figM": Drawn(
        AGGREGATES,
        lambda networks: aggregates_and_sizes(networks) | aggregates_and_tests(networks),
        measures("delta_e_minus", "e_minus", fullgrad=True),
    ),
    "figT": Drawn(
        AGGREGATES,
        lambda networks: aggregates_and_sizes(networks) | aggregates_and_tests(networks),
        lambda networks: [*measures("delta_e_minus", "e_minus_noise")(networks), "--columns=2"],
    ),
    "figB": Drawn(
        "plot_leaderboard.py",
        lambda networks: {
            "ranks": [f"statistics/{network}/leaderboard.csv" for network in networks],
            "reasons": [f"statistics/{network}/not_applicable.csv" for network in networks],
            "shards": [f"attributions/{network}/original/0.h5" for network in networks],
        },
    ),
    "figL": Drawn(
        "plot_measures.py",
        lambda networks: {"agreement": [f"statistics/{network}/agreement.csv" for network in networks]},
    ),
    "figP": Drawn("plot_measured_maps.py", measured_examples),
}
NAMED = {figure: DRAWN[figure].inputs(SHOWN[figure]) for figure in MADE}


for figure, inputs in NAMED.items():

    rule:
        name:
            f"draw_{figure}"
        input:
            **{name: [f"<results>/{file}" for file in files] for name, files in inputs.items()},
            **({"val": generated("val")} if DRAWN[figure].sees_images else {}),
            code=sources(DRAWN[figure].script),
        output:
            pdf=f"<results>/figures/{figure}.pdf",
            png=report(
                f"<results>/figures/{figure}.png",
                caption=f"../report/{figure}.rst",
                category=FIGURES[figure].category,
                labels={"figure": report_number(figure), "shows": figure_title(figure, SHOWN[figure])},
            ),
        log:
            f"<results>/logs/draw_{figure}.log",
        benchmark:
            f"<results>/benchmarks/draw_{figure}.tsv"
        priority: USUAL
        conda:
            "../../envs/figures.yaml"
        threads: 1
        resources:
            mem_mb=per_attempt(DRAWN[figure].memory),
            runtime=per_attempt(10),
        params:
            files=name_inputs(figure),
            options=list(map(str, DRAWN[figure].options(SHOWN[figure]))),
            networks=", ".join(map(network_title, SHOWN[figure])),
            stages=note_stages(SHOWN[figure], PLAN),
            labels=labels(),
            dpi=lookup("figures/dpi", within=config),
        shell:
            "python {input.code[0]:q} {params.files:q} {params.options:q}"
            " --pdf={output.pdf:q}"
            " --png={output.png:q}"
            " --dpi={params.dpi:q}"
            " >{log:q} 2>&1"
