"""The named targets, which `snakemake --list` shows: figures, stages, networks, the report. All together are `all`.

report   figures, findings -> report.html
"""

NAMES = {"all", "report", *TARGETS, *(step.name for step in workflow.rules)}
for network in NETWORKS:
    if network in NAMES:
        raise WorkflowError(f"configuration: networks.{network} has the name of a rule; allowed is any other name")
    made = [file for _, files in STAGES.values() for file in files(network)]
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
    # in Snakemake's own environment: it is Snakemake that makes it
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
        config=lambda wildcards: json.dumps({**config, "whole": True}),
    run:
        shell("snakemake --report={output:q} --nolock --configfile <(printf %s {params.config:q}) >{log:q} 2>&1")
