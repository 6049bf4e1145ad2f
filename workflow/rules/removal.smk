"""Pixel removal.

measure_removal   models, manifest, all shards of a network's variant
                  -> removal/<network>/<variant>-<upsampling>/<family>-<shard>.h5
"""


rule measure_removal:
    input:
        network="results/{experiment}/models/{network}/{variant}.safetensors",
        manifest="results/{experiment}/manifest.csv",
        val=generated("val"),
        shards=expand("results/{{experiment}}/attributions/{{network}}/{{variant}}/{shard}.h5", shard=SHARDS),
        code=sources("measure_removal.py"),
    output:
        "results/{experiment}/removal/{network}/{variant}-{upsampling}/{family}-{shard}.h5",
    log:
        "results/{experiment}/logs/measure_removal/{network}-{variant}-{upsampling}-{family}-{shard}.log",
    benchmark:
        "results/{experiment}/benchmarks/measure_removal/{network}-{variant}-{upsampling}-{family}-{shard}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/torch.yaml"
    threads: THREADS
    resources:
        mem_mb=need(2000, 6000, beside_gpu=4000),
        runtime=growing(120),
        gpu=int(GPUS > 0),
    params:
        images=read_images("val"),
        removal=lookup("removal", within=config),
        seed=lookup("seed", within=config),
        device=lookup("device", within=config),
    shell:
        "python scripts/measure_removal.py"
        " --network={input.network:q}"
        " --manifest={input.manifest:q}"
        " --images={params.images:q}"
        " --shards {input.shards:q}"
        " --output={output:q}"
        " --family={wildcards.family:q}"
        " --upsampling={wildcards.upsampling:q}"
        " --shard={wildcards.shard:q}"
        " --shard-size={params.removal[shard_size]:q}"
        " --grid={params.removal[grid]:q}"
        " --noise-maps={params.removal[noise_maps]:q}"
        " --fill={params.removal[fill]:q}"
        " --ties={params.removal[ties]:q}"
        " --never-flips={params.removal[never_flips]:q}"
        " --seed={params.seed:q}"
        " --batch={params.removal[batch]:q}"
        " --precision={params.removal[precision]:q}"
        " --device={params.device:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"
