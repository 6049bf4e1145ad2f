"""What maps must depend on, and what they must not.

measure_sanity   models, manifest, all shards of a network -> statistics/<network>/sanity.csv
"""


rule measure_sanity:
    input:
        network="<results>/models/{network}/original.safetensors",
        manifest="<results>/manifest.csv",
        val=generated("val"),
        shards=shards_of("original"),
        own=lambda wildcards: files_of_methods(PLAN.groups(wildcards.network)),
        code=sources_of("measure_sanity.py", lambda wildcards: code_of_groups(PLAN.groups(wildcards.network))),
    output:
        "<results>/statistics/{network}/sanity.csv",
    log:
        "<results>/logs/measure_sanity/{network}.log",
    benchmark:
        "<results>/benchmarks/measure_sanity/{network}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/methods.yaml"
    threads: THREADS
    resources:
        mem_mb=need(2000, 6000, beside_gpu=4000),
        runtime=per_attempt(120),
        gpu=int(GPUS > 0),
    params:
        builder=flag_of_builder,
        images=read_images("val"),
        methods=lambda wildcards: list(map(str, papers_kinds(PLAN.groups(wildcards.network)))),
        own=lambda wildcards: str(settings_of_own(PLAN.groups(wildcards.network))),
        layers=lookup("networks/{network}/layers", within=config, default="all"),
        upsampling=lookup("saliency/upsampling", within=config),
        sanity=SANITY,
        batch=lookup("attributions/batch", within=config),
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
        device=lookup("device", within=config),
    shell:
        "python {input.code[0]:q}"
        " --network={input.network:q}"
        " {params.builder:q}"
        " --manifest={input.manifest:q}"
        " --images={params.images:q}"
        " --shards {input.shards:q}"
        " --output={output:q}"
        " --methods {params.methods:q}"
        " --own={params.own:q}"
        " --layers={params.layers:q}"
        " --upsampling={params.upsampling:q}"
        " --count={params.sanity[images]:q}"
        " --steps={params.sanity[steps]:q}"
        " --shift={params.sanity[shift]:q}"
        " --batch={params.batch:q}"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " --device={params.device:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"
