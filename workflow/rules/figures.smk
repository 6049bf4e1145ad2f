"""Figures, as PDF and PNG.

draw_fig1           linear.h5 -> fig1: a linear classifier's weights and the decomposition of its scores
draw_fig2           one image's attributions -> fig2: every layer's activity and bias, and one complete decomposition
draw_fig3           survey -> fig3: accuracy of the zoo before and after biases are zeroed
draw_fig4           one image's attributions -> fig4: activities with biases, and after they decayed to zero
draw_fig5           statistics -> fig5, figS12, figS13: activities against biases, layer by layer
draw_fig6           statistics -> fig6, figS14, figS15, figS16: single layers against aggregates, two networks
draw_fig7           examples -> fig7: saliency maps of a few images
draw_figS1          survey -> figS1, figS2: accuracy of the zoo as the input is scaled and shifted
draw_figS3          survey -> figS3: the difference in accuracy when biases are zeroed
draw_figS4          survey -> figS4: correlations of outputs before and after
draw_figS5          survey -> figS5: linear fits of outputs after to those before
draw_figS6          records of decay -> figS6: accuracy while biases decay
draw_figS7          records of trials -> figS7: other numbers of decay steps and temperatures
draw_figS8          statistics -> figS8: correlations of attributions
draw_figS9          statistics -> figS9, figS11: activities of the original and of the decayed network
draw_figS10         statistics -> figS10: signed maps of single layers against aggregates
draw_figM           statistics -> figM: as figure 6, of other networks than the paper's two
"""

UPSAMPLING = config["saliency"]["upsampling"]
OTHER_UPSAMPLING = config["saliency"]["other_upsampling"]


# the blocks of images that hold the image of figure 2 and that of figure 4
FIG2_SHARD = config["figures"]["fig2"]["image"] // config["attributions"]["shard_size"]
FIG4_SHARD = config["figures"]["fig4"]["image"] // config["attributions"]["shard_size"]


rule draw_fig1:
    input:
        linear="results/{experiment}/linear.h5",
        code=sources("plot_linear_classifier.py"),
    output:
        pdf="results/{experiment}/figures/fig1.pdf",
        png=report(
            "results/{experiment}/figures/fig1.png",
            caption="../report/fig1.rst",
            category="Figures",
            labels={"figure": "1", "shows": "linear classifier"},
        ),
    log:
        "results/{experiment}/logs/draw_fig1.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_fig1.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_linear_classifier.py"
        " --linear={input.linear:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


rule draw_fig2:
    input:
        network="results/{experiment}/models/vgg16/original.safetensors",
        manifest="results/{experiment}/manifest.csv",
        val=generated("val"),
        shard=expand("results/{{experiment}}/attributions/vgg16/original/{shard}.h5", shard=FIG2_SHARD),
        code=sources("plot_decomposition.py"),
    output:
        pdf="results/{experiment}/figures/fig2.pdf",
        png=report(
            "results/{experiment}/figures/fig2.png",
            caption="../report/fig2.rst",
            category="Figures",
            labels={"figure": "2", "shows": "complete decomposition, VGG-16"},
        ),
    log:
        "results/{experiment}/logs/draw_fig2.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_fig2.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        images=read_images("val"),
        choice=lookup("figures/fig2", within=config),
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_decomposition.py"
        " --network={input.network:q}"
        " --manifest={input.manifest:q}"
        " --images={params.images:q}"
        " --shards {input.shard:q}"
        " --image={params.choice[image]:q}"
        " --layer={params.choice[layer]:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


rule draw_fig3:
    input:
        accuracy=expand("results/{{experiment}}/survey/{network}/accuracy.csv", network=NETWORKS),
        code=sources("plot_zoo_accuracy.py"),
    output:
        pdf="results/{experiment}/figures/fig3.pdf",
        png=report(
            "results/{experiment}/figures/fig3.png",
            caption="../report/fig3.rst",
            category="Figures",
            labels={"figure": "3", "shows": "accuracy of the zoo, with and without biases"},
        ),
    log:
        "results/{experiment}/logs/draw_fig3.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_fig3.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_zoo_accuracy.py"
        " --accuracy {input.accuracy:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


rule draw_fig4:
    input:
        networks=expand("results/{{experiment}}/models/resnet50/{variant}.safetensors", variant=["original", "decayed"]),
        manifest="results/{experiment}/manifest.csv",
        val=generated("val"),
        shards=expand(
            "results/{{experiment}}/attributions/resnet50/{variant}/{shard}.h5",
            variant=["original", "decayed"],
            shard=FIG4_SHARD,
        ),
        code=sources("plot_variants_attributions.py"),
    output:
        pdf="results/{experiment}/figures/fig4.pdf",
        png=report(
            "results/{experiment}/figures/fig4.png",
            caption="../report/fig4.rst",
            category="Figures",
            labels={"figure": "4", "shows": "activity attributions, ResNet-50"},
        ),
    log:
        "results/{experiment}/logs/draw_fig4.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_fig4.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        images=read_images("val"),
        choice=lookup("figures/fig4", within=config),
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_variants_attributions.py"
        " --networks {input.networks:q}"
        " --manifest={input.manifest:q}"
        " --images={params.images:q}"
        " --shards {input.shards:q}"
        " --image={params.choice[image]:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


rule draw_fig5:
    input:
        statistics=expand(
            "results/{{experiment}}/statistics/vgg16/original-{upsampling}-{family}.csv",
            upsampling=UPSAMPLING,
            family=["layers", "biases"],
        ),
        comparisons=expand(
            "results/{{experiment}}/statistics/vgg16/biases-original-{upsampling}.csv", upsampling=UPSAMPLING
        ),
        code=sources("plot_activity_and_bias.py"),
    output:
        pdf="results/{experiment}/figures/fig5.pdf",
        png=report(
            "results/{experiment}/figures/fig5.png",
            caption="../report/fig5.rst",
            category="Figures",
            labels={"figure": "5", "shows": "activities against biases, VGG-16"},
        ),
    log:
        "results/{experiment}/logs/draw_fig5.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_fig5.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        measures=["delta_e_minus"],
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_activity_and_bias.py"
        " --statistics {input.statistics:q}"
        " --comparisons {input.comparisons:q}"
        " --measures {params.measures:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


rule draw_fig6:
    input:
        statistics=expand(
            "results/{{experiment}}/statistics/{network}/original-{upsampling}-{family}.csv",
            network=["vgg16", "resnet50"],
            upsampling=UPSAMPLING,
            family=["layers", "aggregates"],
        ),
        shards=[],
        comparisons=[],
        code=sources("plot_aggregates.py"),
    output:
        pdf="results/{experiment}/figures/fig6.pdf",
        png=report(
            "results/{experiment}/figures/fig6.png",
            caption="../report/fig6.rst",
            category="Figures",
            labels={"figure": "6", "shows": "aggregating layers: δe₋, e₋"},
        ),
    log:
        "results/{experiment}/logs/draw_fig6.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_fig6.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        measures=["delta_e_minus", "e_minus"],
        reversed_measures=[],
        fullgrad=["vgg16"],
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_aggregates.py"
        " --statistics {input.statistics:q}"
        " --measures {params.measures:q}"
        " --reverse {params.reversed_measures:q}"
        " --fullgrad {params.fullgrad:q}"
        " --shards {input.shards:q}"
        " --comparisons {input.comparisons:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


rule draw_fig7:
    input:
        examples=expand("results/{{experiment}}/examples/{network}.h5", network=["vgg16", "resnet50"]),
        code=sources("plot_example_maps.py"),
    output:
        pdf="results/{experiment}/figures/fig7.pdf",
        png=report(
            "results/{experiment}/figures/fig7.png",
            caption="../report/fig7.rst",
            category="Figures",
            labels={"figure": "7", "shows": "example saliency maps"},
        ),
    log:
        "results/{experiment}/logs/draw_fig7.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_fig7.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_example_maps.py"
        " --examples {input.examples:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


rule draw_figS1:
    input:
        robustness=expand("results/{{experiment}}/survey/{network}/robustness.csv", network=NETWORKS),
        code=sources("plot_robustness.py"),
    output:
        pdf="results/{experiment}/figures/figS1.pdf",
        png=report(
            "results/{experiment}/figures/figS1.png",
            caption="../report/figS1.rst",
            category="Supplementary figures",
            labels={"figure": "S01", "shows": "accuracy over scales of the input"},
        ),
    log:
        "results/{experiment}/logs/draw_figS1.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS1.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        change="scale",
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_robustness.py"
        " --robustness {input.robustness:q}"
        " --change={params.change:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


use rule draw_figS1 as draw_figS2 with:
    output:
        pdf="results/{experiment}/figures/figS2.pdf",
        png=report(
            "results/{experiment}/figures/figS2.png",
            caption="../report/figS2.rst",
            category="Supplementary figures",
            labels={"figure": "S02", "shows": "accuracy over shifts of the input"},
        ),
    log:
        "results/{experiment}/logs/draw_figS2.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS2.tsv"
    params:
        change="shift",
        dpi=lookup("figures/dpi", within=config),


rule draw_figS3:
    input:
        accuracy=expand("results/{{experiment}}/survey/{network}/accuracy.csv", network=NETWORKS),
        code=sources("plot_accuracy_difference.py"),
    output:
        pdf="results/{experiment}/figures/figS3.pdf",
        png=report(
            "results/{experiment}/figures/figS3.png",
            caption="../report/figS3.rst",
            category="Supplementary figures",
            labels={"figure": "S03", "shows": "accuracy lost without biases"},
        ),
    log:
        "results/{experiment}/logs/draw_figS3.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS3.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_accuracy_difference.py"
        " --accuracy {input.accuracy:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


rule draw_figS4:
    input:
        outputs=expand("results/{{experiment}}/survey/{network}/outputs.csv", network=NETWORKS),
        code=sources("plot_output_correlations.py"),
    output:
        pdf="results/{experiment}/figures/figS4.pdf",
        png=report(
            "results/{experiment}/figures/figS4.png",
            caption="../report/figS4.rst",
            category="Supplementary figures",
            labels={"figure": "S04", "shows": "correlation of outputs with and without biases"},
        ),
    log:
        "results/{experiment}/logs/draw_figS4.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS4.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_output_correlations.py"
        " --outputs {input.outputs:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


rule draw_figS5:
    input:
        fits=expand("results/{{experiment}}/survey/{network}/fits.csv", network=NETWORKS),
        code=sources("plot_output_fits.py"),
    output:
        pdf="results/{experiment}/figures/figS5.pdf",
        png=report(
            "results/{experiment}/figures/figS5.png",
            caption="../report/figS5.rst",
            category="Supplementary figures",
            labels={"figure": "S05", "shows": "outputs without biases as a function of those with"},
        ),
    log:
        "results/{experiment}/logs/draw_figS5.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS5.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_output_fits.py"
        " --fits {input.fits:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


rule draw_figS6:
    input:
        records=expand("results/{{experiment}}/decay/{network}/decayed.csv", network=PAPERS),
        code=sources("plot_decay.py"),
    output:
        pdf="results/{experiment}/figures/figS6.pdf",
        png=report(
            "results/{experiment}/figures/figS6.png",
            caption="../report/figS6.rst",
            category="Supplementary figures",
            labels={"figure": "S06", "shows": "accuracy while biases decay"},
        ),
    log:
        "results/{experiment}/logs/draw_figS6.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS6.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_decay.py"
        " --records {input.records:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


rule draw_figS7:
    input:
        steps=trial_records("steps"),
        temperatures=trial_records("temperature"),
        code=sources("plot_decay_trials.py"),
    output:
        pdf="results/{experiment}/figures/figS7.pdf",
        png=report(
            "results/{experiment}/figures/figS7.png",
            caption="../report/figS7.rst",
            category="Supplementary figures",
            labels={"figure": "S07", "shows": "other numbers of decay steps and temperatures"},
        ),
    log:
        "results/{experiment}/logs/draw_figS7.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS7.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_decay_trials.py"
        " --steps {input.steps:q}"
        " --temperatures {input.temperatures:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


rule draw_figS8:
    input:
        correlations=expand(
            "results/{{experiment}}/statistics/{network}/correlations.csv", network=["vgg16", "resnet50"]
        ),
        code=sources("plot_correlations.py"),
    output:
        pdf="results/{experiment}/figures/figS8.pdf",
        png=report(
            "results/{experiment}/figures/figS8.png",
            caption="../report/figS8.rst",
            category="Supplementary figures",
            labels={"figure": "S08", "shows": "correlations of attributions"},
        ),
    log:
        "results/{experiment}/logs/draw_figS8.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS8.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_correlations.py"
        " --correlations {input.correlations:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


rule draw_figS9:
    input:
        statistics=expand(
            "results/{{experiment}}/statistics/resnet50/{variant}-{upsampling}-{family}.csv",
            variant=["original", "decayed"],
            upsampling=UPSAMPLING,
            family=["layers", "signed"],
        ),
        comparisons=expand("results/{{experiment}}/statistics/resnet50/decayed-{upsampling}.csv", upsampling=UPSAMPLING),
        code=sources("plot_variants.py"),
    output:
        pdf="results/{experiment}/figures/figS9.pdf",
        png=report(
            "results/{experiment}/figures/figS9.png",
            caption="../report/figS9.rst",
            category="Supplementary figures",
            labels={"figure": "S09", "shows": "signed maps with and without biases, ResNet-50"},
        ),
    log:
        "results/{experiment}/logs/draw_figS9.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS9.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        maps="signed",
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_variants.py"
        " --statistics {input.statistics:q}"
        " --comparisons {input.comparisons:q}"
        " --measure delta_e_minus"
        " --maps={params.maps:q}"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


rule draw_figS10:
    input:
        statistics=expand(
            "results/{{experiment}}/statistics/resnet50/{variant}-{upsampling}-{family}.csv",
            variant=["original", "decayed"],
            upsampling=UPSAMPLING,
            family=["layers", "signed"],
        ),
        code=sources("plot_aggregates.py"),
    output:
        pdf="results/{experiment}/figures/figS10.pdf",
        png=report(
            "results/{experiment}/figures/figS10.png",
            caption="../report/figS10.rst",
            category="Supplementary figures",
            labels={"figure": "S10", "shows": "aggregating signed maps, ResNet-50"},
        ),
    log:
        "results/{experiment}/logs/draw_figS10.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS10.tsv"
    priority: USUAL
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        dpi=lookup("figures/dpi", within=config),
    shell:
        "python scripts/plot_aggregates.py"
        " --statistics {input.statistics:q}"
        " --measures delta_e_minus e_minus"
        " --maps signed"
        " --pdf={output.pdf:q}"
        " --png={output.png:q}"
        " --dpi={params.dpi:q}"
        " >{log:q} 2>&1"


use rule draw_figS9 as draw_figS11 with:
    input:
        statistics=expand(
            "results/{{experiment}}/statistics/resnet50/{variant}-{upsampling}-{family}.csv",
            variant=["original", "decayed"],
            upsampling=UPSAMPLING,
            family=["layers"],
        ),
        comparisons=expand("results/{{experiment}}/statistics/resnet50/decayed-{upsampling}.csv", upsampling=UPSAMPLING),
        code=sources("plot_variants.py"),
    output:
        pdf="results/{experiment}/figures/figS11.pdf",
        png=report(
            "results/{experiment}/figures/figS11.png",
            caption="../report/figS11.rst",
            category="Supplementary figures",
            labels={"figure": "S11", "shows": "saliency maps with and without biases, ResNet-50"},
        ),
    log:
        "results/{experiment}/logs/draw_figS11.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS11.tsv"
    params:
        maps="saliency",
        dpi=lookup("figures/dpi", within=config),


use rule draw_fig5 as draw_figS12 with:
    input:
        statistics=expand(
            "results/{{experiment}}/statistics/vgg16/original-{upsampling}-{family}.csv",
            upsampling=OTHER_UPSAMPLING,
            family=["layers", "biases"],
        ),
        comparisons=expand(
            "results/{{experiment}}/statistics/vgg16/biases-original-{upsampling}.csv", upsampling=OTHER_UPSAMPLING
        ),
        code=sources("plot_activity_and_bias.py"),
    output:
        pdf="results/{experiment}/figures/figS12.pdf",
        png=report(
            "results/{experiment}/figures/figS12.png",
            caption="../report/figS12.rst",
            category="Supplementary figures",
            labels={"figure": "S12", "shows": "activities against biases, other upsampling"},
        ),
    log:
        "results/{experiment}/logs/draw_figS12.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS12.tsv"


use rule draw_fig5 as draw_figS13 with:
    output:
        pdf="results/{experiment}/figures/figS13.pdf",
        png=report(
            "results/{experiment}/figures/figS13.png",
            caption="../report/figS13.rst",
            category="Supplementary figures",
            labels={"figure": "S13", "shows": "activities against biases: e_Δ, δe_Δ"},
        ),
    log:
        "results/{experiment}/logs/draw_figS13.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS13.tsv"
    params:
        measures=["e_delta", "delta_e_delta"],
        dpi=lookup("figures/dpi", within=config),


use rule draw_fig6 as draw_figS14 with:
    output:
        pdf="results/{experiment}/figures/figS14.pdf",
        png=report(
            "results/{experiment}/figures/figS14.png",
            caption="../report/figS14.rst",
            category="Supplementary figures",
            labels={"figure": "S14", "shows": "aggregating layers: δe₋, δe₊, δe_Δ"},
        ),
    log:
        "results/{experiment}/logs/draw_figS14.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS14.tsv"
    params:
        measures=["delta_e_minus", "delta_e_plus", "delta_e_delta"],
        reversed_measures=["delta_e_plus"],
        fullgrad=["vgg16"],
        dpi=lookup("figures/dpi", within=config),


use rule draw_fig6 as draw_figS15 with:
    output:
        pdf="results/{experiment}/figures/figS15.pdf",
        png=report(
            "results/{experiment}/figures/figS15.png",
            caption="../report/figS15.rst",
            category="Supplementary figures",
            labels={"figure": "S15", "shows": "aggregating layers: e₋, e₊, e_Δ"},
        ),
    log:
        "results/{experiment}/logs/draw_figS15.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS15.tsv"
    params:
        measures=["e_minus", "e_plus", "e_delta"],
        reversed_measures=["e_plus"],
        fullgrad=["vgg16"],
        dpi=lookup("figures/dpi", within=config),


use rule draw_fig6 as draw_figS16 with:
    input:
        statistics=expand(
            "results/{{experiment}}/statistics/{network}/original-{upsampling}-{family}.csv",
            network=["vgg16", "resnet50"],
            upsampling=UPSAMPLING,
            family=["layers", "aggregates"],
        ),
        shards=expand("results/{{experiment}}/attributions/{network}/original/0.h5", network=["vgg16", "resnet50"]),
        comparisons=[],
        code=sources("plot_aggregates.py"),
    output:
        pdf="results/{experiment}/figures/figS16.pdf",
        png=report(
            "results/{experiment}/figures/figS16.png",
            caption="../report/figS16.rst",
            category="Supplementary figures",
            labels={"figure": "S16", "shows": "aggregating layers: removal by noise maps"},
        ),
    log:
        "results/{experiment}/logs/draw_figS16.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_figS16.tsv"
    params:
        measures=["e_minus_noise", "e_plus_noise", "e_delta_noise"],
        reversed_measures=[],
        fullgrad=["vgg16"],
        dpi=lookup("figures/dpi", within=config),


if OTHERS:

    use rule draw_fig6 as draw_figM with:
        input:
            statistics=expand(
                "results/{{experiment}}/statistics/{network}/original-{upsampling}-{family}.csv",
                network=OTHERS,
                upsampling=UPSAMPLING,
                family=["layers", "aggregates"],
            ),
            shards=expand("results/{{experiment}}/attributions/{network}/original/0.h5", network=OTHERS),
            comparisons=expand(
                "results/{{experiment}}/statistics/{network}/aggregates-original-{upsampling}.csv",
                network=OTHERS,
                upsampling=UPSAMPLING,
            ),
            code=sources("plot_aggregates.py"),
        output:
            pdf="results/{experiment}/figures/figM.pdf",
            png=report(
                "results/{experiment}/figures/figM.png",
                caption="../report/figM.rst",
                category="Beyond the paper",
                labels={"figure": "M", "shows": "aggregating layers of other networks: δe₋, e₋"},
            ),
        log:
            "results/{experiment}/logs/draw_figM.log",
        benchmark:
            "results/{experiment}/benchmarks/draw_figM.tsv"
        params:
            measures=["delta_e_minus", "e_minus"],
            reversed_measures=[],
            fullgrad=OTHERS,
            dpi=lookup("figures/dpi", within=config),
