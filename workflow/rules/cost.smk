"""What the experiment will cost: `snakemake --cores 1 cost`, before anything runs.

cost   the configuration -> tables on the terminal
"""


rule cost:
    """what the experiment will cost, before anything runs"""
    input:
        code=sources("estimate_cost.py", *map(method_file, METHODS), *map(source_file, SOURCES)),
    log:
        "<results>/logs/cost.log",
    benchmark:
        "<results>/benchmarks/cost.tsv"
    localrule: True
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(6000),
        runtime=per_attempt(20),
    params:
        config=lambda wildcards: json.dumps(config),
    shell:
        "python {input.code[0]:q}" " --config={params.config:q}" " | tee {log:q}"
