"""The survey of the zoo: what biases do to each network's decisions.

survey_network   models/<network>/original, test_images.csv -> survey/<network>/accuracy, outputs, fits, robustness
"""


rule survey_network:
    input:
        network="results/{experiment}/models/{network}/original.safetensors",
        test_images="results/{experiment}/test_images.csv",
        val=generated("val"),
        code=sources("survey_network.py"),
    output:
        accuracy="results/{experiment}/survey/{network}/accuracy.csv",
        outputs="results/{experiment}/survey/{network}/outputs.csv",
        fits="results/{experiment}/survey/{network}/fits.csv",
        robustness="results/{experiment}/survey/{network}/robustness.csv",
    log:
        "results/{experiment}/logs/survey_network/{network}.log",
    benchmark:
        "results/{experiment}/benchmarks/survey_network/{network}.tsv"
    priority: LATER
    conda:
        "../../envs/torch.yaml"
    threads: THREADS
    resources:
        mem_mb=need(2000, 12000),
        runtime=growing(60),
        gpu=int(GPUS > 0),
    params:
        survey=lookup("survey", within=config),
        images=read_images("val"),
        device=lookup("device", within=config),
        seed=lookup("seed", within=config),
    shell:
        "python scripts/survey_network.py"
        " --network={input.network:q}"
        " --name={wildcards.network:q}"
        " --test-images={input.test_images:q}"
        " --images={params.images:q}"
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
