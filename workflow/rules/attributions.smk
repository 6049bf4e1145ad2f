"""Attributions.

extract_attributions   models/<network>/<variant>, manifest -> attributions/<network>/<variant>/<shard>.h5
make_maps              the same, and its shards -> maps/<network>/<variant>/<method>-<shard>.h5: methods with passes of their own;
                       for one that is made of another's maps, these too
example_maps           attributions/<network>/original -> examples/<figure>-<network>.h5: the saliency maps of figures 7 and P
"""


rule extract_attributions:
    input:
        network="<results>/models/{network}/{variant}.safetensors",
        manifest="<results>/manifest.csv",
        val=generated("val"),
        code=sources_of("extract_attributions.py"),
    output:
        "<results>/attributions/{network}/{variant}/{shard}.h5",
    log:
        "<results>/logs/extract_attributions/{network}-{variant}-{shard}.log",
    benchmark:
        "<results>/benchmarks/extract_attributions/{network}-{variant}-{shard}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/torch.yaml"
    threads: THREADS
    resources:
        mem_mb=need(2000, 6000, beside_gpu=4000),
        runtime=per_attempt(60),
        gpu=int(GPUS > 0),
    params:
        builder=flag_of_builder,
        experiment=lookup("experiment", within=config),
        images=read_images("val"),
        attributions=lookup("attributions", within=config),
        device=lookup("device", within=config),
    shell:
        "python {input.code[0]:q}"
        " --network={input.network:q}"
        " {params.builder:q}"
        " --manifest={input.manifest:q}"
        " --images={params.images:q}"
        " --output={output:q}"
        " --experiment={params.experiment:q}"
        " --name={wildcards.network:q}"
        " --shard={wildcards.shard:q}"
        " --shard-size={params.attributions[shard_size]:q}"
        " --batch={params.attributions[batch]:q}"
        " --tolerance={params.attributions[tolerance]:q}"
        " --device={params.device:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"


rule make_maps:
    input:
        network="<results>/models/{network}/{variant}.safetensors",
        manifest="<results>/manifest.csv",
        val=generated("val"),
        shards=expand("<results>/attributions/{{network}}/{{variant}}/{shard}.h5", shard=SHARDS),
        own=files_of_method,
        of=maps_derived_from,
        code=sources_of("make_maps.py", code_of_maps),
    output:
        "<results>/maps/{network}/{variant}/{own}-{shard}.h5",
    log:
        "<results>/logs/make_maps/{network}-{variant}-{own}-{shard}.log",
    benchmark:
        "<results>/benchmarks/make_maps/{network}-{variant}-{own}-{shard}.tsv"
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
        settings=lambda wildcards: str(dict(PLAN.own[wildcards.own])),
        upsampling=lookup("saliency/upsampling", within=config),
        attributions=lookup("attributions", within=config),
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
        " --method={wildcards.own:q}"
        " --settings={params.settings:q}"
        " --of {input.of:q}"
        " --upsampling={params.upsampling:q}"
        " --shard={wildcards.shard:q}"
        " --shard-size={params.attributions[shard_size]:q}"
        " --batch={params.attributions[batch]:q}"
        " --seed={params.seed:q}"
        " --device={params.device:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"


rule example_maps:
    input:
        network="<results>/models/{network}/original.safetensors",
        manifest="<results>/manifest.csv",
        val=generated("val"),
        masks=masks_folder() if PLAN.localised else [],
        shards=expand("<results>/attributions/{{network}}/original/{shard}.h5", shard=SHARDS),
        code=lambda wildcards: sources(
            "make_example_maps.py", *methods_of_examples(wildcards.examples, wildcards.network)
        ),
    output:
        "<results>/examples/{examples}-{network}.h5",
    log:
        "<results>/logs/example_maps/{examples}-{network}.log",
    benchmark:
        "<results>/benchmarks/example_maps/{examples}-{network}.tsv"
    priority: URGENT  # before removal, since it finds methods of figure P that removal won't measure
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(1500),
        runtime=per_attempt(20),
    params:
        images=read_images("val"),
        chosen=lookup("figures/{examples}/images", within=config),
        methods=lookup("figures/{examples}/methods/{network}", within=config),
        upsampling=lookup("saliency/upsampling", within=config),
        masks=lambda wildcards, input: [f"--masks={input.masks}"] if input.masks else [],
        measured=measured_layers,
    shell:
        "python {input.code[0]:q}"
        " --network={input.network:q}"
        " --manifest={input.manifest:q}"
        " --images={params.images:q}"
        " --shards {input.shards:q}"
        " --output={output:q}"
        " {params.masks:q}"
        " --chosen {params.chosen:q}"
        " --methods {params.methods:q}"
        " --upsampling={params.upsampling:q}"
        " {params.measured:q}"
        " >{log:q} 2>&1"
