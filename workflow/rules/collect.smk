"""The named targets, which `snakemake --list` shows: figures, stages, networks, the report. All together are `all`.

report   figures, findings, leaderboard -> report.html
"""

NAMES = {"all", "report", *TARGETS, *LACKING}
for network in NETWORKS:
    if network in NAMES or rules.has(network):
        raise WorkflowError(f"configuration: networks.{network} has the name of a rule; allowed is any other name")
    made = [file for stage, (_, files) in STAGES.items() if stage != "sanity" for file in files(network)]  # as `all`
    TARGETS[network] = (f"the network {network}, and all that is measured of it", made)


for target, (title, files) in TARGETS.items():

    rule:
        name:
            target
        input:
            expand("<results>/{file}", file=files),

    getattr(rules, target).rule.docstring = title


for target, line in LACKING.items():

    rule:
        name:
            target
        input:
            end_with(line),

    getattr(rules, target).rule.docstring = line


if workflow.modifier.is_main_snakefile():  # another workflow may have such files

    rule no_target:
        # whatever is asked for by a name that no rule has
        input:
            name_nearest,
        output:
            "{target}",
        wildcard_constraints:
            target=r"\w+",


rule report:
    # in Snakemake's own environment: it is Snakemake that makes it
    """all figures, findings and the leaderboard in one page, with how each was made"""
    input:
        rules.figures.input,
        expand("<results>/{file}", file=[*FINDINGS, *LEADERBOARD]),
        captions=sorted(map(str, (ROOT / "workflow/report").glob("*.rst"))),
    output:
        "<results>/report.html",
    log:
        "<results>/logs/report.log",
    benchmark:
        "<results>/benchmarks/report.tsv"
    localrule: True
    threads: 1
    resources:
        mem_mb=per_attempt(1000),
        runtime=per_attempt(10),
    params:
        snakefile=str(ROOT / "Snakefile"),
        config=lambda wildcards: json.dumps({**config, "whole": True, "pathvars": {"results": RESULTS}}),
    run:
        made = json.dumps({"experiment": config["experiment"], **describe_making()})
        shell(
            "snakemake --snakefile={params.snakefile:q} --report={output:q} --nolock"
            " --report-metadata <(printf %s {made:q})"
            " --configfile <(printf %s {params.config:q}) >{log:q} 2>&1"
        )
