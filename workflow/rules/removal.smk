"""Pixel removal.

measure_removal   models, manifest, all shards of a network's variant
                  -> removal/<network>/<variant>-<upsampling>/<method>-<shard>.h5
                     and of each further operator removal/<network>/<variant>-<upsampling>-<operator>/…
measure_curves    the same, to the end of each scan
                  -> curves/<network>/<variant>-<upsampling>/<method>-<shard>.h5
read_flips        curves -> the same as measure_removal's, without passes, of the networks and methods that have curves
measure_patches   models, manifest, all shards of a network: each patch of an image alone -> patches/<network>/<shard>.h5
"""


rule measure_removal:
    input:
        network="<results>/models/{network}/{variant}.safetensors",
        manifest="<results>/manifest.csv",
        val=generated("val"),
        shards=expand("<results>/attributions/{{network}}/{{variant}}/{shard}.h5", shard=SHARDS),
        maps=maps_measured,
        code=sources_of("measure_removal.py", code_of_removal),
    output:
        "<results>/removal/{network}/{variant}-{upsampling}{further}/{method}-{shard}.h5",
    log:
        "<results>/logs/measure_removal/{network}-{variant}-{upsampling}{further}-{method}-{shard}.log",
    benchmark:
        "<results>/benchmarks/measure_removal/{network}-{variant}-{upsampling}{further}-{method}-{shard}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/torch.yaml"
    threads: THREADS
    resources:
        mem_mb=need(2000, 6000, beside_gpu=4000),
        runtime=per_attempt(120),
        gpu=int(GPUS > 0),
    params:
        builder=flag_of_builder,
        images=read_images("val"),
        layers=lookup("networks/{network}/layers", within=config, default="all"),
        orders=orders_measured,
        removal=settings_of_removal,
        grid_plus=lookup("removal/grid_plus", within=config, default=[]),
        operator=setting_of_operator,
        seed=lookup("seed", within=config),
        device=lookup("device", within=config),
    shell:
        "python {input.code[0]:q}"
        " --network={input.network:q}"
        " {params.builder:q}"
        " --manifest={input.manifest:q}"
        " --images={params.images:q}"
        " --shards {input.shards:q}"
        " --maps {input.maps:q}"
        " --output={output:q}"
        " --method={wildcards.method:q}"
        " --layers={params.layers:q}"
        " --orders {params.orders:q}"
        " --upsampling={wildcards.upsampling:q}"
        " --shard={wildcards.shard:q}"
        " --shard-size={params.removal[shard_size]:q}"
        " --grid={params.removal[grid]:q}"
        " --grid-plus {params.grid_plus:q}"
        " --noise-maps={params.removal[noise_maps]:q}"
        " {params.operator:q}"
        " --ties={params.removal[ties]:q}"
        " --never-flips={params.removal[never_flips]:q}"
        " --seed={params.seed:q}"
        " --batch={params.removal[batch]:q}"
        " --precision={params.removal[precision]:q}"
        " --device={params.device:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"


rule measure_curves:
    input:
        network="<results>/models/{network}/{variant}.safetensors",
        manifest="<results>/manifest.csv",
        val=generated("val"),
        shards=expand("<results>/attributions/{{network}}/{{variant}}/{shard}.h5", shard=SHARDS),
        maps=maps_measured,
        code=sources_of("measure_curves.py", code_of_removal),
    output:
        "<results>/curves/{network}/{variant}-{upsampling}/{method}-{shard}.h5",
    log:
        "<results>/logs/measure_curves/{network}-{variant}-{upsampling}-{method}-{shard}.log",
    benchmark:
        "<results>/benchmarks/measure_curves/{network}-{variant}-{upsampling}-{method}-{shard}.tsv"
    priority: LATER
    conda:
        "../../envs/torch.yaml"
    threads: THREADS
    resources:
        mem_mb=need(2000, 6000, beside_gpu=4000),
        runtime=per_attempt(120),
        gpu=int(GPUS > 0),
    params:
        builder=flag_of_builder,
        images=read_images("val"),
        layers=lookup("networks/{network}/layers", within=config, default="all"),
        removal=settings_of_removal,
        operator=setting_of_operator,
        precision=precision_of_scores,
        seed=lookup("seed", within=config),
        device=lookup("device", within=config),
    shell:
        "python {input.code[0]:q}"
        " --network={input.network:q}"
        " {params.builder:q}"
        " --manifest={input.manifest:q}"
        " --images={params.images:q}"
        " --shards {input.shards:q}"
        " --maps {input.maps:q}"
        " --output={output:q}"
        " --method={wildcards.method:q}"
        " --layers={params.layers:q}"
        " --upsampling={wildcards.upsampling:q}"
        " --shard={wildcards.shard:q}"
        " --shard-size={params.removal[shard_size]:q}"
        " --grid={params.removal[grid]:q}"
        " --noise-maps={params.removal[noise_maps]:q}"
        " {params.operator:q}"
        " --ties={params.removal[ties]:q}"
        " --never-flips={params.removal[never_flips]:q}"
        " --seed={params.seed:q}"
        " --batch={params.removal[batch]:q}"
        " --precision={params.precision:q}"
        " --device={params.device:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"


rule read_flips:
    input:
        curves="<results>/curves/{network}/{variant}-{upsampling}/{method}-{shard}.h5",
        code=sources("read_flips.py"),
    output:
        "<results>/removal/{network}/{variant}-{upsampling}/{method}-{shard}.h5",
    log:
        "<results>/logs/read_flips/{network}-{variant}-{upsampling}-{method}-{shard}.log",
    benchmark:
        "<results>/benchmarks/read_flips/{network}-{variant}-{upsampling}-{method}-{shard}.tsv"
    wildcard_constraints:
        network="|".join(filter(PLAN.reads_flips, PLAN.explained)) or "$.",
        variant="original",
        upsampling=PLAN.usual,
        method="|".join(sorted({str(kind) for network in PLAN.explained for kind in PLAN.curve_methods(network)}))
        or "$.",
    priority: LATER
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(1000),
        runtime=per_attempt(10),
    shell:
        "python {input.code[0]:q}" " --curves={input.curves:q}" " --output={output:q}" " >{log:q} 2>&1"


ruleorder: read_flips > measure_removal


rule measure_patches:
    input:
        network="<results>/models/{network}/original.safetensors",
        manifest="<results>/manifest.csv",
        val=generated("val"),
        shards=shards_of("original"),
        code=sources_of("measure_patches.py", code_of_operator),
    output:
        "<results>/patches/{network}/{shard}.h5",
    log:
        "<results>/logs/measure_patches/{network}-{shard}.log",
    benchmark:
        "<results>/benchmarks/measure_patches/{network}-{shard}.tsv"
    priority: LATER
    conda:
        "../../envs/torch.yaml"
    threads: THREADS
    resources:
        mem_mb=need(2000, 6000, beside_gpu=4000),
        runtime=per_attempt(60),
        gpu=int(GPUS > 0),
    params:
        builder=flag_of_builder,
        images=read_images("val"),
        side=lookup("removal/patches", within=config, default=0),
        shard_size=lookup("removal/shard_size", within=config),
        operator=setting_of_operator,
        precision=precision_of_scores,
        batch=lookup("removal/batch", within=config),
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
        " --side={params.side:q}"
        " --shard={wildcards.shard:q}"
        " --shard-size={params.shard_size:q}"
        " {params.operator:q}"
        " --seed={params.seed:q}"
        " --batch={params.batch:q}"
        " --precision={params.precision:q}"
        " --device={params.device:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"
