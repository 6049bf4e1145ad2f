"""What the experiment will cost: `snakemake --cores 1 cost`, before anything runs.

cost   the configuration -> tables on the terminal
"""


localrules:
    cost,


rule cost:
    """what the experiment will cost, before anything runs"""
    input:
        code=sources("estimate_cost.py"),
    log:
        f"results/{EXPERIMENT}/logs/cost.log",
    benchmark:
        f"results/{EXPERIMENT}/benchmarks/cost.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(6000),
        runtime=growing(20),
    params:
        config=lambda wildcards: json.dumps(config),
    shell:
        "python scripts/estimate_cost.py" " --config={params.config:q}" " | tee {log:q}"
