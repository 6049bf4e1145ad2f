"""Attributions.

extract_attributions   models/<network>/<variant>, manifest -> attributions/<network>/<variant>/<shard>.h5
example_maps           attributions/<network>/original -> examples/<network>.h5: figure 7's saliency maps
"""


rule extract_attributions:
    input:
        network="results/{experiment}/models/{network}/{variant}.safetensors",
        manifest="results/{experiment}/manifest.csv",
        val=generated("val"),
        code=sources("extract_attributions.py"),
    output:
        "results/{experiment}/attributions/{network}/{variant}/{shard}.h5",
    log:
        "results/{experiment}/logs/extract_attributions/{network}-{variant}-{shard}.log",
    benchmark:
        "results/{experiment}/benchmarks/extract_attributions/{network}-{variant}-{shard}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/torch.yaml"
    threads: THREADS
    resources:
        mem_mb=need(2000, 6000, beside_gpu=4000),
        runtime=growing(60),
        gpu=int(GPUS > 0),
    params:
        images=read_images("val"),
        attributions=lookup("attributions", within=config),
        device=lookup("device", within=config),
    shell:
        "python scripts/extract_attributions.py"
        " --network={input.network:q}"
        " --manifest={input.manifest:q}"
        " --images={params.images:q}"
        " --output={output:q}"
        " --experiment={wildcards.experiment:q}"
        " --name={wildcards.network:q}"
        " --shard={wildcards.shard:q}"
        " --shard-size={params.attributions[shard_size]:q}"
        " --batch={params.attributions[batch]:q}"
        " --tolerance={params.attributions[tolerance]:q}"
        " --device={params.device:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"


rule example_maps:
    input:
        network="results/{experiment}/models/{network}/original.safetensors",
        manifest="results/{experiment}/manifest.csv",
        val=generated("val"),
        shards=expand("results/{{experiment}}/attributions/{{network}}/original/{shard}.h5", shard=SHARDS),
        code=sources("make_example_maps.py"),
    output:
        "results/{experiment}/examples/{network}.h5",
    log:
        "results/{experiment}/logs/example_maps/{network}.log",
    benchmark:
        "results/{experiment}/benchmarks/example_maps/{network}.tsv"
    priority: USUAL
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(1500),
        runtime=growing(20),
    params:
        images=read_images("val"),
        chosen=lookup("figures/fig7/images", within=config),
        methods=lookup("figures/fig7/methods/{network}", within=config),
        upsampling=lookup("saliency/upsampling", within=config),
    shell:
        "python scripts/make_example_maps.py"
        " --network={input.network:q}"
        " --manifest={input.manifest:q}"
        " --images={params.images:q}"
        " --shards {input.shards:q}"
        " --output={output:q}"
        " --chosen {params.chosen:q}"
        " --methods {params.methods:q}"
        " --upsampling={params.upsampling:q}"
        " >{log:q} 2>&1"
