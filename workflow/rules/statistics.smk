"""Statistics: tidy CSV files, and the findings made from them.

summarise_removal     removal of one family -> statistics/<network>/<variant>-<upsampling>-<family>.csv
compare_biases        layers, biases -> statistics/<network>/biases-<variant>-<upsampling>.csv
compare_aggregates    layers, aggregates -> statistics/<network>/aggregates-<variant>-<upsampling>.csv
compare_variants      decayed and original: layers, signed -> statistics/<network>/decayed-<upsampling>.csv
compare_attributions  shards of all variants -> statistics/<network>/correlations.csv, gross_sums.csv
findings              all of these -> findings.csv, findings.html
"""


rule summarise_removal:
    input:
        measurements=expand(
            "results/{{experiment}}/removal/{{network}}/{{variant}}-{{upsampling}}/{{family}}-{shard}.h5",
            shard=REMOVAL_SHARDS,
        ),
        code=sources("summarise_removal.py"),
    output:
        "results/{experiment}/statistics/{network}/{variant}-{upsampling}-{family}.csv",
    log:
        "results/{experiment}/logs/summarise_removal/{network}-{variant}-{upsampling}-{family}.log",
    benchmark:
        "results/{experiment}/benchmarks/summarise_removal/{network}-{variant}-{upsampling}-{family}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
    shell:
        "python scripts/summarise_removal.py"
        " --measurements {input.measurements:q}"
        " --output={output:q}"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " >{log:q} 2>&1"


rule compare_biases:
    input:
        measurements=expand(
            "results/{{experiment}}/removal/{{network}}/{{variant}}-{{upsampling}}/{family}-{shard}.h5",
            family=["layers", "biases"],
            shard=REMOVAL_SHARDS,
        ),
        code=sources("compare_methods.py"),
    output:
        "results/{experiment}/statistics/{network}/biases-{variant}-{upsampling}.csv",
    log:
        "results/{experiment}/logs/compare_biases/{network}-{variant}-{upsampling}.log",
    benchmark:
        "results/{experiment}/benchmarks/compare_biases/{network}-{variant}-{upsampling}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
    shell:
        "python scripts/compare_methods.py"
        " --measurements {input.measurements:q}"
        " --output={output:q}"
        " --families bias gradient noise"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " >{log:q} 2>&1"


rule compare_aggregates:
    input:
        measurements=expand(
            "results/{{experiment}}/removal/{{network}}/{{variant}}-{{upsampling}}/{family}-{shard}.h5",
            family=["layers", "aggregates"],
            shard=REMOVAL_SHARDS,
        ),
        code=sources("compare_methods.py"),
    output:
        "results/{experiment}/statistics/{network}/aggregates-{variant}-{upsampling}.csv",
    log:
        "results/{experiment}/logs/compare_aggregates/{network}-{variant}-{upsampling}.log",
    benchmark:
        "results/{experiment}/benchmarks/compare_aggregates/{network}-{variant}-{upsampling}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
    shell:
        "python scripts/compare_methods.py"
        " --measurements {input.measurements:q}"
        " --output={output:q}"
        " --families gradient noise fullgrad aggregate input single layers all_layers"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " >{log:q} 2>&1"


rule compare_variants:
    input:
        decayed=expand(
            "results/{{experiment}}/removal/{{network}}/decayed-{{upsampling}}/{family}-{shard}.h5",
            family=["layers", "signed"],
            shard=REMOVAL_SHARDS,
        ),
        original=expand(
            "results/{{experiment}}/removal/{{network}}/original-{{upsampling}}/{family}-{shard}.h5",
            family=["layers", "signed"],
            shard=REMOVAL_SHARDS,
        ),
        code=sources("compare_methods.py"),
    output:
        "results/{experiment}/statistics/{network}/decayed-{upsampling}.csv",
    log:
        "results/{experiment}/logs/compare_variants/{network}-{upsampling}.log",
    benchmark:
        "results/{experiment}/benchmarks/compare_variants/{network}-{upsampling}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
    shell:
        "python scripts/compare_methods.py"
        " --measurements {input.decayed:q}"
        " --against {input.original:q}"
        " --output={output:q}"
        " --families variant variant_signed variant_signed_from"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " >{log:q} 2>&1"


rule compare_attributions:
    input:
        original=expand("results/{{experiment}}/attributions/{{network}}/original/{shard}.h5", shard=SHARDS),
        zeroed=expand("results/{{experiment}}/attributions/{{network}}/zeroed/{shard}.h5", shard=SHARDS),
        decayed=expand("results/{{experiment}}/attributions/{{network}}/decayed/{shard}.h5", shard=SHARDS),
        code=sources("compare_attributions.py"),
    output:
        correlations="results/{experiment}/statistics/{network}/correlations.csv",
        gross_sums="results/{experiment}/statistics/{network}/gross_sums.csv",
    log:
        "results/{experiment}/logs/compare_attributions/{network}.log",
    benchmark:
        "results/{experiment}/benchmarks/compare_attributions/{network}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(1500),
        runtime=growing(20),
    shell:
        "python scripts/compare_attributions.py"
        " --original {input.original:q}"
        " --zeroed {input.zeroed:q}"
        " --decayed {input.decayed:q}"
        " --correlations={output.correlations:q}"
        " --gross-sums={output.gross_sums:q}"
        " >{log:q} 2>&1"


rule findings:
    input:
        decayed=expand("results/{{experiment}}/models/{network}/decayed.safetensors", network=["vgg16", "resnet50"]),
        biases=f"results/{{experiment}}/statistics/vgg16/biases-original-{config['saliency']['upsampling']}.csv",
        biases_other=f"results/{{experiment}}/statistics/vgg16/biases-original-{config['saliency']['other_upsampling']}.csv",
        aggregates=expand(
            "results/{{experiment}}/statistics/{network}/aggregates-original-{upsampling}.csv",
            network=["vgg16", "resnet50"],
            upsampling=config["saliency"]["upsampling"],
        ),
        variants=f"results/{{experiment}}/statistics/resnet50/decayed-{config['saliency']['upsampling']}.csv",
        correlations=expand(
            "results/{{experiment}}/statistics/{network}/correlations.csv", network=["vgg16", "resnet50"]
        ),
        gross_sums="results/{experiment}/statistics/resnet50/gross_sums.csv",
        accuracy=expand("results/{{experiment}}/survey/{network}/accuracy.csv", network=NETWORKS),
        outputs=expand("results/{{experiment}}/survey/{network}/outputs.csv", network=NETWORKS),
        fits=expand("results/{{experiment}}/survey/{network}/fits.csv", network=NETWORKS),
        robustness=expand("results/{{experiment}}/survey/{network}/robustness.csv", network=NETWORKS),
        code=sources("report_findings.py"),
    output:
        table="results/{experiment}/findings.csv",
        page=report(
            "results/{experiment}/findings.html",
            caption="../report/findings.rst",
            category="Findings",
        ),
    log:
        "results/{experiment}/logs/findings.log",
    benchmark:
        "results/{experiment}/benchmarks/findings.tsv"
    priority: USUAL
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    shell:
        "python scripts/report_findings.py"
        " --experiment={wildcards.experiment:q}"
        " --decayed {input.decayed:q}"
        " --biases={input.biases:q}"
        " --biases-other={input.biases_other:q}"
        " --aggregates {input.aggregates:q}"
        " --variants={input.variants:q}"
        " --correlations {input.correlations:q}"
        " --gross-sums={input.gross_sums:q}"
        " --survey-accuracy {input.accuracy:q}"
        " --survey-outputs {input.outputs:q}"
        " --survey-fits {input.fits:q}"
        " --survey-robustness {input.robustness:q}"
        " --output={output.table:q}"
        " --page={output.page:q}"
        " >{log:q} 2>&1"
