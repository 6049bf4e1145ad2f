"""Variants of a network without biases.

zero_biases    models/<network>/original -> zeroed: all biases set to 0
decay_biases   models/<network>/original, train_images.csv or tuning_images.csv, test_images.csv
               -> decayed: biases decayed to 0 while the network is fine-tuned, and
               decay/<network>/decayed.csv: the record
decay_trial    the same with another number of steps or temperature -> decay/<network>/<key>-<value>: network, record
"""


rule zero_biases:
    input:
        network="<results>/models/{network}/original.safetensors",
        code=sources_of("zero_biases.py"),
    output:
        "<results>/models/{network}/zeroed.safetensors",
    log:
        "<results>/logs/zero_biases/{network}.log",
    benchmark:
        "<results>/benchmarks/zero_biases/{network}.tsv"
    priority: USUAL
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=need(1000, 4000),
        runtime=per_attempt(20),
    params:
        builder=flag_of_builder,
    shell:
        "python {input.code[0]:q}"
        " --network={input.network:q}"
        " {params.builder:q}"
        " --output={output:q}"
        " >{log:q} 2>&1"


rule decay_biases:
    input:
        network="<results>/models/{network}/original.safetensors",
        tuning_images=list_file(tuning_split()),
        test_images=list_file("val"),
        generated=generated(tuning_split()),
        val=generated("val"),
        code=sources_of("decay_biases.py"),
    output:
        network="<results>/models/{network}/decayed.safetensors",
        record="<results>/decay/{network}/decayed.csv",
    log:
        "<results>/logs/decay_biases/{network}.log",
    benchmark:
        "<results>/benchmarks/decay_biases/{network}.tsv"
    wildcard_constraints:
        network=networks_to("decay", "decayed"),
    # half of the attributions wait for it
    priority: URGENT
    conda:
        "../../envs/torch.yaml"
    threads: THREADS
    resources:
        mem_mb=need(2000, 7000, beside_gpu=4000),
        runtime=need(60, 1440),
        gpu=int(GPUS > 0),
    params:
        builder=flag_of_builder,
        decay=lookup("networks/{network}/decay", within=config),
        recipe=recipe_of_decay,
        tuning=read_tuning,
        images=read_images("val"),
        seed=training_seed(config),
        device=lookup("device", within=config),
    shell:
        "python {input.code[0]:q}"
        " --network={input.network:q}"
        " {params.builder:q}"
        " --name={wildcards.network:q}"
        " --tuning-images={input.tuning_images:q}"
        " --tuning={params.tuning:q}"
        " --test-images={input.test_images:q}"
        " --images={params.images:q}"
        " --output={output.network:q}"
        " --record={output.record:q}"
        " --profile={params.decay[profile]:q}"
        " --steps={params.decay[steps]:q}"
        " --floor={params.decay[floor]:q}"
        " --training-steps={params.decay[training_steps]:q}"
        " --extra-steps={params.decay[extra_steps]:q}"
        " --temperature={params.decay[temperature]:q}"
        " --learning-rate={params.decay[learning_rate]:q}"
        " --batch={params.decay[batch]:q}"
        " --record-images={params.decay[record_images]:q}"
        " --recipe={params.recipe:q}"
        " --precision={params.decay[precision]:q}"
        " --seed={params.seed:q}"
        " --device={params.device:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"


use rule decay_biases as decay_trial with:
    output:
        network="<results>/decay/{network}/{trial}.safetensors",
        record="<results>/decay/{network}/{trial}.csv",
    log:
        "<results>/logs/decay_trial/{network}-{trial}.log",
    benchmark:
        "<results>/benchmarks/decay_trial/{network}-{trial}.tsv"
    wildcard_constraints:
        network=networks_with("decay"),
    priority: LATER
    params:
        builder=flag_of_builder,
        decay=trial_settings,
        recipe=recipe_of_trial,
        tuning=read_tuning,
        images=read_images("val"),
        seed=training_seed(config),
        device=lookup("device", within=config),
