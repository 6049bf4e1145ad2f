# Measuring visual explanations: the whole study as a workflow. Configuration: config/README.md.


include: "workflow/rules/source.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/start.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/weights.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/networks.smk"
include: "workflow/rules/biases.smk"
include: "workflow/rules/survey.smk"
include: "workflow/rules/attributions.smk"
include: "workflow/rules/removal.smk"
include: "workflow/rules/statistics.smk"
include: "workflow/rules/sanity.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/targets.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/messages.smk"


report: "workflow/report/workflow.rst"


onstart:
    leave_rates_alone()
    refuse_second_writers()
    compare_space()


onsuccess:
    say_what_came_out()


onerror:
    say_how_to_go_on()


rule all:
    """all figures, as PDF and PNG, all statistics and the findings"""
    default_target: True
    input:
        rules.figures.input,
        rules.statistics.input,
