"""The survey of the zoo: what biases do to each network's decisions.

survey_network   models/<network>/original, lists of images -> survey/<network>/accuracy, outputs, fits, robustness
"""


rule survey_network:
    input:
        network="<results>/models/{network}/original.safetensors",
        lists=[list_file(split) for split in SURVEYED],
        val=generated("val"),
        train=generated("train") if "train" in SURVEYED else [],
        code=sources_of("survey_network.py"),
    output:
        accuracy="<results>/survey/{network}/accuracy.csv",
        outputs="<results>/survey/{network}/outputs.csv",
        fits="<results>/survey/{network}/fits.csv",
        robustness="<results>/survey/{network}/robustness.csv",
    log:
        "<results>/logs/survey_network/{network}.log",
    benchmark:
        "<results>/benchmarks/survey_network/{network}.tsv"
    priority: LATER
    conda:
        "../../envs/torch.yaml"
    threads: THREADS
    resources:
        mem_mb=need(2000, 12000),
        runtime=per_attempt(60),
        gpu=int(GPUS > 0),
    params:
        builder=flag_of_builder,
        survey=lookup("survey", within=config),
        images=lambda wildcards, input: [f"--images={read_images(split)(wildcards, input)}" for split in SURVEYED],
        device=lookup("device", within=config),
        seed=lookup("seed", within=config),
    shell:
        "python {input.code[0]:q}"
        " --network={input.network:q}"
        " {params.builder:q}"
        " --name={wildcards.network:q}"
        " --test-images {input.lists:q}"
        " {params.images:q}"
        " --accuracy={output.accuracy:q}"
        " --outputs={output.outputs:q}"
        " --fits-table={output.fits:q}"
        " --robustness={output.robustness:q}"
        " --scales {params.survey[scales]:q}"
        " --shifts {params.survey[shifts]:q}"
        " --change-images={params.survey[change_images]:q}"
        " --fits={params.survey[fits]:q}"
        " --precision={params.survey[precision]:q}"
        " --device={params.device:q}"
        " --seed={params.seed:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"
