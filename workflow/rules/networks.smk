"""The networks.

train           train_images.csv, test_images.csv -> models/<network>/original.safetensors
fetch_network   nothing, or weights of one's own -> the same, of networks with weights
"""


localrules:
    fetch_network,


rule train:
    input:
        train=generated("train"),
        val=generated("val"),
        train_images=list_file("train"),
        test_images=list_file("val"),
        code=sources("train_network.py"),
    output:
        "results/{experiment}/models/{network}/original.safetensors",
    log:
        "results/{experiment}/logs/train/{network}.log",
    benchmark:
        "results/{experiment}/benchmarks/train/{network}.tsv"
    wildcard_constraints:
        network=networks_with("training"),
    # everything waits for those that are explained
    priority: training_priority
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
    params:
        source=lookup("networks/{network}/source", within=config),
        constructor=lookup("networks/{network}/constructor", within=config),
        arguments=lookup("networks/{network}/arguments", within=config),
        training=lookup("networks/{network}/training", within=config),
        size=lookup("images/size", within=config, default=0),
        seed=lookup("seed", within=config),
        train=read_images("train"),
        images=read_images("val"),
    shell:
        "python scripts/train_network.py"
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
        " --seed={params.seed:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"


rule fetch_network:
    input:
        weights=own_weights,
        classes=named_classes,
        code=sources("fetch_network.py"),
    output:
        "results/{experiment}/models/{network}/original.safetensors",
    log:
        "results/{experiment}/logs/fetch_network/{network}.log",
    benchmark:
        "results/{experiment}/benchmarks/fetch_network/{network}.tsv"
    wildcard_constraints:
        network=networks_with("weights"),
    priority: training_priority
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(6000),
        runtime=growing(120),
    params:
        source=lookup("networks/{network}/source", within=config),
        constructor=lookup("networks/{network}/constructor", within=config),
        arguments=lookup("networks/{network}/arguments", within=config),
        classes=flag_of_classes,
        weights=lookup("networks/{network}/weights/name", within=config, default=""),
        key=lookup("networks/{network}/weights/key", within=config, default=""),
        url=lookup("networks/{network}/weights/url", within=config, default=""),
        sha256=lookup("networks/{network}/weights/sha256", within=config, default=""),
    shell:
        "python scripts/fetch_network.py"
        " --source={params.source:q}"
        " --constructor={params.constructor:q}"
        " --arguments={params.arguments:q}"
        " --classes={params.classes:q}"
        " --weights={params.weights:q}"
        " --key={params.key:q}"
        " --url={params.url:q}"
        " --sha256={params.sha256:q}"
        " --output={output:q}"
        " >{log:q} 2>&1"
