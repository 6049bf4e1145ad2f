# Measuring visual explanations: the whole study as a workflow. Configuration: config/README.md.
# A configuration that is whole by itself, as config/imagenet.yaml is, says so; others are laid over the embedded one.
if not config.get("whole"):

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/start.smk"
include: "workflow/rules/weights.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/networks.smk"
include: "workflow/rules/biases.smk"
include: "workflow/rules/survey.smk"
include: "workflow/rules/attributions.smk"
include: "workflow/rules/removal.smk"
include: "workflow/rules/statistics.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/targets.smk"
include: "workflow/rules/collect.smk"


report: "workflow/report/workflow.rst"


onstart:
    refuse_second_writers()
    compare_space()


rule all:
    """all figures, as PDF and PNG, and the findings"""
    default_target: True
    input:
        rules.figures.input,
        expand("results/{experiment}/{file}", experiment=EXPERIMENT, file=FINDINGS),
