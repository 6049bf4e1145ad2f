"""Statistics: tidy CSV files, and the findings made from them.

summarise_removal     removal by a group's methods -> statistics/<network>/<variant>-<upsampling>-<group>.csv
summarise_curves      curves of a network -> statistics/<network>/curves.csv: areas by them
correlate_patches     single patches, shards, files of maps of a network
                      -> patches/<network>/correlations.h5, statistics/<network>/patches.csv
compare_biases        layers, biases -> statistics/<network>/biases-<variant>-<upsampling>.csv
compare_aggregates    layers, aggregates -> statistics/<network>/aggregates-<variant>-<upsampling>.csv
compare_variants      decayed and original: layers, signed -> statistics/<network>/decayed-<upsampling>.csv
compare_attributions  shards of the variants -> statistics/<network>/correlations.csv, gross_sums.csv
measure_localisation  shards, files of maps, masks -> statistics/<network>/localisation.csv: how well maps say where objects are
measure_objects       models, images, masks -> statistics/<network>/objects.csv: accuracy without objects, and with these alone
play_grid_game        models, manifest, shards -> statistics/<network>/grid_pointing.csv: evidence in grids of images
compare_twins         removal by layers and aggregates of two networks -> statistics/twins/<pair>.csv
rank_methods          removal by all methods of a network, files of maps -> statistics/<network>/leaderboard.csv, not_applicable.csv
                      (of each further operator leaderboard-<operator>.csv, not_applicable-<operator>.csv)
compare_operators     removal by all methods and operators -> statistics/<network>/operators.csv, operators_pairs.csv,
                      operators_survival.csv, operators_claims.csv: which conclusions survive
leaderboard           these, of all networks -> leaderboard.html
findings              all of these -> findings.csv, findings.html
"""


rule summarise_removal:
    input:
        measurements=lambda wildcards: measurements("{variant}", wildcards.group),
        code=sources("summarise_removal.py"),
    output:
        "<results>/statistics/{network}/{variant}-{upsampling}-{group}.csv",
    log:
        "<results>/logs/summarise_removal/{network}-{variant}-{upsampling}-{group}.log",
    benchmark:
        "<results>/benchmarks/summarise_removal/{network}-{variant}-{upsampling}-{group}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(10),
    params:
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
    shell:
        "python {input.code[0]:q}"
        " --measurements {input.measurements:q}"
        " --output={output:q}"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " >{log:q} 2>&1"


rule summarise_curves:
    input:
        curves=curves_measured,
        code=sources("summarise_curves.py"),
    output:
        "<results>/statistics/{network}/curves.csv",
    log:
        "<results>/logs/summarise_curves/{network}.log",
    benchmark:
        "<results>/benchmarks/summarise_curves/{network}.tsv"
    wildcard_constraints:
        network="|".join(name for name in NETWORKS if PLAN.curve_methods(name)) or "$.",
    priority: LATER
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(20),
    params:
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
    shell:
        "python {input.code[0]:q}"
        " --curves {input.curves:q}"
        " --output={output:q}"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " >{log:q} 2>&1"


rule correlate_patches:
    input:
        patches=patches_scored,
        network="<results>/models/{network}/original.safetensors",
        shards=shards_of("original"),
        maps=maps_made,
        manifest="<results>/manifest.csv",
        code=lambda wildcards: sources("correlate_patches.py", *code_of_papers(PLAN.groups(wildcards.network))),
    output:
        correlations="<results>/patches/{network}/correlations.h5",
        table="<results>/statistics/{network}/patches.csv",
    log:
        "<results>/logs/correlate_patches/{network}.log",
    benchmark:
        "<results>/benchmarks/correlate_patches/{network}.tsv"
    priority: LATER
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=need(1500, 4000),
        runtime=per_attempt(60),
    params:
        methods=lambda wildcards: list(map(str, papers_kinds(PLAN.groups(wildcards.network)))),
        layers=lookup("networks/{network}/layers", within=config, default="all"),
        upsampling=lookup("saliency/upsampling", within=config),
        noise_maps=lookup("removal/noise_maps", within=config),
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
    shell:
        "python {input.code[0]:q}"
        " --patches {input.patches:q}"
        " --network={input.network:q}"
        " --shards {input.shards:q}"
        " --maps {input.maps:q}"
        " --manifest={input.manifest:q}"
        " --correlations={output.correlations:q}"
        " --output={output.table:q}"
        " --methods {params.methods:q}"
        " --layers={params.layers:q}"
        " --upsampling={params.upsampling:q}"
        " --noise-maps={params.noise_maps:q}"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " >{log:q} 2>&1"


rule compare_biases:
    input:
        measurements=measurements("{variant}", "layers", "biases"),
        shard="<results>/attributions/{network}/{variant}/0.h5",
        code=sources("compare_methods.py"),
    output:
        "<results>/statistics/{network}/biases-{variant}-{upsampling}.csv",
    log:
        "<results>/logs/compare_biases/{network}-{variant}-{upsampling}.log",
    benchmark:
        "<results>/benchmarks/compare_biases/{network}-{variant}-{upsampling}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(10),
    params:
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
        zeros=lookup("statistics/zeros", within=config, default="wilcox"),
    shell:
        "python {input.code[0]:q}"
        " --measurements {input.measurements:q}"
        " --shard={input.shard:q}"
        " --output={output:q}"
        " --families bias gradient noise"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " --zeros={params.zeros:q}"
        " >{log:q} 2>&1"


rule compare_aggregates:
    input:
        measurements=measurements("{variant}", "layers", "aggregates"),
        shard="<results>/attributions/{network}/{variant}/0.h5",
        code=sources("compare_methods.py"),
    output:
        "<results>/statistics/{network}/aggregates-{variant}-{upsampling}.csv",
    log:
        "<results>/logs/compare_aggregates/{network}-{variant}-{upsampling}.log",
    benchmark:
        "<results>/benchmarks/compare_aggregates/{network}-{variant}-{upsampling}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(10),
    params:
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
        zeros=lookup("statistics/zeros", within=config, default="wilcox"),
    shell:
        "python {input.code[0]:q}"
        " --measurements {input.measurements:q}"
        " --shard={input.shard:q}"
        " --output={output:q}"
        " --families gradient noise fullgrad aggregate input single layers all_layers"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " --zeros={params.zeros:q}"
        " >{log:q} 2>&1"


rule compare_variants:
    input:
        decayed=measurements("decayed", "layers", "signed"),
        original=measurements("original", "layers", "signed"),
        shard="<results>/attributions/{network}/original/0.h5",
        code=sources("compare_methods.py"),
    output:
        "<results>/statistics/{network}/decayed-{upsampling}.csv",
    log:
        "<results>/logs/compare_variants/{network}-{upsampling}.log",
    benchmark:
        "<results>/benchmarks/compare_variants/{network}-{upsampling}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(10),
    params:
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
        zeros=lookup("statistics/zeros", within=config, default="wilcox"),
    shell:
        "python {input.code[0]:q}"
        " --measurements {input.decayed:q}"
        " --against {input.original:q}"
        " --shard={input.shard:q}"
        " --output={output:q}"
        " --families variant variant_signed variant_signed_from"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " --zeros={params.zeros:q}"
        " >{log:q} 2>&1"


rule compare_attributions:
    input:
        original=shards_of("original"),
        zeroed=shards_of("zeroed"),
        decayed=shards_of("decayed"),
        code=sources("compare_attributions.py"),
    output:
        correlations="<results>/statistics/{network}/correlations.csv",
        gross_sums="<results>/statistics/{network}/gross_sums.csv",
    log:
        "<results>/logs/compare_attributions/{network}.log",
    benchmark:
        "<results>/benchmarks/compare_attributions/{network}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(1500),
        runtime=per_attempt(20),
    shell:
        "python {input.code[0]:q}"
        " --original {input.original:q}"
        " --zeroed {input.zeroed:q}"
        " --decayed {input.decayed:q}"
        " --correlations={output.correlations:q}"
        " --gross-sums={output.gross_sums:q}"
        " >{log:q} 2>&1"


rule measure_localisation:
    input:
        network="<results>/models/{network}/original.safetensors",
        shards=shards_of("original"),
        maps=maps_made,
        manifest="<results>/manifest.csv",
        masks=masks_folder(),
        code=lambda wildcards: sources("measure_localisation.py", *code_of_localised(wildcards)),
    output:
        "<results>/statistics/{network}/localisation.csv",
    log:
        "<results>/logs/measure_localisation/{network}.log",
    benchmark:
        "<results>/benchmarks/measure_localisation/{network}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=need(1500, 4000),
        runtime=per_attempt(120),
    params:
        methods=lambda wildcards: list(map(str, PLAN.localised_methods(wildcards.network))),
        upsampling=lookup("saliency/upsampling", within=config),
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
    shell:
        "python {input.code[0]:q}"
        " --network={input.network:q}"
        " --shards {input.shards:q}"
        " --maps {input.maps:q}"
        " --manifest={input.manifest:q}"
        " --masks={input.masks:q}"
        " --output={output:q}"
        " --methods {params.methods:q}"
        " --upsampling={params.upsampling:q}"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " >{log:q} 2>&1"


rule measure_objects:
    input:
        network="<results>/models/{network}/original.safetensors",
        test_images=masked_images(),
        val=generated("val"),
        masks=masks_folder(),
        code=sources_of("measure_objects.py"),
    output:
        "<results>/statistics/{network}/objects.csv",
    log:
        "<results>/logs/measure_objects/{network}.log",
    benchmark:
        "<results>/benchmarks/measure_objects/{network}.tsv"
    priority: measuring_priority
    conda:
        "../../envs/torch.yaml"
    threads: THREADS
    resources:
        mem_mb=need(1500, 6000, beside_gpu=4000),
        runtime=per_attempt(60),
        gpu=int(GPUS > 0),
    params:
        builder=flag_of_builder,
        images=read_images("val"),
        fill=lookup("removal/fill", within=config),
        device=lookup("device", within=config),
    shell:
        "python {input.code[0]:q}"
        " --network={input.network:q}"
        " {params.builder:q}"
        " --name={wildcards.network:q}"
        " --test-images={input.test_images:q}"
        " --images={params.images:q}"
        " --masks={input.masks:q}"
        " --output={output:q}"
        " --fill={params.fill:q}"
        " --device={params.device:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"


rule play_grid_game:
    input:
        network="<results>/models/{network}/original.safetensors",
        manifest="<results>/manifest.csv",
        val=generated("val"),
        shards=shards_of("original"),
        own=lambda wildcards: files_of_methods(PLAN.grid_groups(wildcards.network)),
        code=sources_of("play_grid_game.py", lambda wildcards: code_of_groups(PLAN.grid_groups(wildcards.network))),
    output:
        "<results>/statistics/{network}/grid_pointing.csv",
    log:
        "<results>/logs/play_grid_game/{network}.log",
    benchmark:
        "<results>/benchmarks/play_grid_game/{network}.tsv"
    wildcard_constraints:
        network="|".join(name for name in NETWORKS if PLAN.grid_groups(name)) or "$.",
    priority: LATER
    conda:
        "../../envs/methods.yaml"
    threads: THREADS
    resources:
        mem_mb=need(2000, 8000, beside_gpu=4000),
        runtime=per_attempt(240),
        gpu=int(GPUS > 0),
    params:
        builder=flag_of_builder,
        images=read_images("val"),
        methods=lambda wildcards: list(map(str, papers_kinds(PLAN.grid_groups(wildcards.network)))),
        own=lambda wildcards: str(settings_of_own(PLAN.grid_groups(wildcards.network))),
        layers=lookup("networks/{network}/layers", within=config, default="all"),
        upsampling=lookup("saliency/upsampling", within=config),
        grids=PLAN.grids,
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
        " --grids={params.grids:q}"
        " --batch={params.batch:q}"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " --device={params.device:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"


rule compare_twins:
    input:
        poolings=measurements_of_twin("poolings"),
        strides=measurements_of_twin("strides"),
        poolings_shard=lambda wildcards: f"<results>/attributions/{TWINS[wildcards.pair].poolings}/original/0.h5",
        strides_shard=lambda wildcards: f"<results>/attributions/{TWINS[wildcards.pair].strides}/original/0.h5",
        code=sources("compare_twins.py"),
    output:
        "<results>/statistics/twins/{pair}.csv",
    log:
        "<results>/logs/compare_twins/{pair}.log",
    benchmark:
        "<results>/benchmarks/compare_twins/{pair}.tsv"
    wildcard_constraints:
        pair="|".join(TWINS) or "$.",
    priority: LATER
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(10),
    params:
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
        zeros=lookup("statistics/zeros", within=config, default="wilcox"),
    shell:
        "python {input.code[0]:q}"
        " --poolings {input.poolings:q}"
        " --strides {input.strides:q}"
        " --poolings-shard={input.poolings_shard:q}"
        " --strides-shard={input.strides_shard:q}"
        " --output={output:q}"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " --zeros={params.zeros:q}"
        " >{log:q} 2>&1"


rule rank_methods:
    input:
        measurements=measurements_ranked,
        maps=maps_made,
        code=sources("rank_methods.py"),
    output:
        ranks="<results>/statistics/{network}/leaderboard{further}.csv",
        reasons="<results>/statistics/{network}/not_applicable{further}.csv",
    log:
        "<results>/logs/rank_methods/{network}{further}.log",
    benchmark:
        "<results>/benchmarks/rank_methods/{network}{further}.tsv"
    priority: LATER
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(20),
    params:
        titles={name: method["title"] for name, method in PLAN.own.items() if "title" in method},
        resamples=lookup("statistics/resamples", within=config),
        region=lookup("statistics/equivalent", within=config, default=0.02),
        seed=lookup("seed", within=config),
        zeros=lookup("statistics/zeros", within=config, default="wilcox"),
    shell:
        "python {input.code[0]:q}"
        " --measurements {input.measurements:q}"
        " --maps {input.maps:q}"
        " --titles={params.titles:q}"
        " --output={output.ranks:q}"
        " --reasons={output.reasons:q}"
        " --resamples={params.resamples:q}"
        " --region={params.region:q}"
        " --seed={params.seed:q}"
        " --zeros={params.zeros:q}"
        " >{log:q} 2>&1"


rule compare_operators:
    input:
        measurements=measurements_of_operators,
        shard="<results>/attributions/{network}/original/0.h5",
        code=sources("compare_operators.py"),
    output:
        operators="<results>/statistics/{network}/operators.csv",
        pairs="<results>/statistics/{network}/operators_pairs.csv",
        survival="<results>/statistics/{network}/operators_survival.csv",
        claims="<results>/statistics/{network}/operators_claims.csv",
    log:
        "<results>/logs/compare_operators/{network}.log",
    benchmark:
        "<results>/benchmarks/compare_operators/{network}.tsv"
    priority: LATER
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(20),
    params:
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
        zeros=lookup("statistics/zeros", within=config, default="wilcox"),
    shell:
        "python {input.code[0]:q}"
        " --measurements {input.measurements:q}"
        " --shard={input.shard:q}"
        " --operators={output.operators:q}"
        " --pairs={output.pairs:q}"
        " --survival={output.survival:q}"
        " --claims={output.claims:q}"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " --zeros={params.zeros:q}"
        " >{log:q} 2>&1"


rule compare_measures:
    input:
        measurements=measurements_of_operators,
        curves=curves_measured,
        patches=patches_correlated,
        network="<results>/models/{network}/original.safetensors",
        shards=shards_of("original"),
        maps=maps_made,
        manifest="<results>/manifest.csv",
        masks=masks_folder() if PLAN.localised else [],
        code=lambda wildcards: sources("compare_measures.py", *code_of_localised(wildcards)),
    output:
        agreement="<results>/statistics/{network}/agreement.csv",
        blurring="<results>/statistics/{network}/blurring.csv",
        claims="<results>/statistics/{network}/measure_claims.csv",
    log:
        "<results>/logs/compare_measures/{network}.log",
    benchmark:
        "<results>/benchmarks/compare_measures/{network}.tsv"
    priority: LATER
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=need(1500, 4000),
        runtime=per_attempt(120),
    params:
        methods=lambda wildcards: list(map(str, PLAN.localised_methods(wildcards.network))),
        derived=str(PLAN.derived()),
        blurred=str(PLAN.derived("blurred")),
        upsampling=lookup("saliency/upsampling", within=config),
        resamples=lookup("statistics/resamples", within=config),
        seed=lookup("seed", within=config),
        zeros=lookup("statistics/zeros", within=config, default="wilcox"),
    shell:
        "python {input.code[0]:q}"
        " --measurements {input.measurements:q}"
        " --curves {input.curves:q}"
        " --patches {input.patches:q}"
        " --network={input.network:q}"
        " --shards {input.shards:q}"
        " --maps {input.maps:q}"
        " --manifest={input.manifest:q}"
        " --masks {input.masks:q}"
        " --methods {params.methods:q}"
        " --derived={params.derived:q}"
        " --blurred={params.blurred:q}"
        " --upsampling={params.upsampling:q}"
        " --agreement={output.agreement:q}"
        " --blurring={output.blurring:q}"
        " --claims={output.claims:q}"
        " --resamples={params.resamples:q}"
        " --seed={params.seed:q}"
        " --zeros={params.zeros:q}"
        " >{log:q} 2>&1"


rule leaderboard:
    input:
        ranks=expand("<results>/statistics/{network}/leaderboard.csv", network=PLAN.explained),
        reasons=expand("<results>/statistics/{network}/not_applicable.csv", network=PLAN.explained),
        maps=[
            f"<results>/maps/{network}/original/{own}-{shard}.h5"
            for network in PLAN.explained
            for own in PLAN.own_methods(network)
            for shard in SHARDS
        ],
        code=sources("report_leaderboard.py"),
    output:
        report(
            "<results>/leaderboard.html",
            caption="../report/leaderboard.rst",
            category="1. Findings",
        ),
    log:
        "<results>/logs/leaderboard.log",
    benchmark:
        "<results>/benchmarks/leaderboard.tsv"
    priority: USUAL
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(1000),
        runtime=per_attempt(10),
    shell:
        "python {input.code[0]:q}"
        " --ranks {input.ranks:q}"
        " --reasons {input.reasons:q}"
        " --maps {input.maps:q}"
        " --output={output:q}"
        " >{log:q} 2>&1"


rule findings:
    input:
        shards=expand("<results>/attributions/{network}/original/0.h5", network=PLAN.explained),
        decayed=[
            f"<results>/models/{network}/decayed.safetensors"
            for network in PLAN.explained
            if "decayed" in PLAN.variants(network)
        ],
        biases=statistics_tables(f"biases-original-{PLAN.usual}"),
        biases_other=statistics_tables(f"biases-original-{PLAN.other}"),
        aggregates=statistics_tables(f"aggregates-original-{PLAN.usual}"),
        variants=statistics_tables(f"decayed-{PLAN.usual}"),
        correlations=statistics_tables("correlations"),
        gross_sums=statistics_tables("gross_sums"),
        measure_claims=statistics_tables("measure_claims"),
        twins=expand("<results>/statistics/twins/{pair}.csv", pair=TWINS),
        accuracy=expand("<results>/survey/{network}/accuracy.csv", network=NETWORKS),
        outputs=expand("<results>/survey/{network}/outputs.csv", network=NETWORKS),
        fits=expand("<results>/survey/{network}/fits.csv", network=NETWORKS),
        robustness=expand("<results>/survey/{network}/robustness.csv", network=NETWORKS),
        test_images=list_file("val"),
        code=sources("report_findings.py"),
    output:
        table="<results>/findings.csv",
        page=report(
            "<results>/findings.html",
            caption="../report/findings.rst",
            category="1. Findings",
        ),
    log:
        "<results>/logs/findings.log",
    benchmark:
        "<results>/benchmarks/findings.tsv"
    priority: USUAL
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(10),
    params:
        experiment=lookup("experiment", within=config),
        zeros=lookup("statistics/zeros", within=config, default="wilcox"),
    shell:
        "python {input.code[0]:q}"
        " --experiment={params.experiment:q}"
        " --shards {input.shards:q}"
        " --decayed {input.decayed:q}"
        " --biases {input.biases:q}"
        " --biases-other {input.biases_other:q}"
        " --aggregates {input.aggregates:q}"
        " --variants {input.variants:q}"
        " --correlations {input.correlations:q}"
        " --gross-sums {input.gross_sums:q}"
        " --measure-claims {input.measure_claims:q}"
        " --twins {input.twins:q}"
        " --survey-accuracy {input.accuracy:q}"
        " --survey-outputs {input.outputs:q}"
        " --survey-fits {input.fits:q}"
        " --survey-robustness {input.robustness:q}"
        " --test-images={input.test_images:q}"
        " --zeros={params.zeros:q}"
        " --output={output.table:q}"
        " --page={output.page:q}"
        " >{log:q} 2>&1"
