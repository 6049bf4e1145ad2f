"""The images.

digit_images      nothing -> images/<split>, masks/<split>: the embedded experiment's generated images
test_images       images/val, or the data set's -> test_images.csv: the test images that can be used, each checked
train_images      images/train, or the data set's -> train_images.csv: likewise, of those to train on
tuning_images     images.tuning -> tuning_images.csv: likewise, of those to tune on, if they are in a folder of their own
manifest          test_images.csv -> manifest.csv: the images that are evaluated
mnist             nothing, or a folder that holds it -> mnist.npz: scans of digits
linear_classifier mnist.npz, or nothing -> linear.h5: figure 1's classifier and its decompositions
"""


localrules:
    mnist,


rule digit_images:
    input:
        code=sources("make_digit_images.py"),
    output:
        images=directory("results/{experiment}/images/{split}"),
        masks=directory("results/{experiment}/masks/{split}"),
    log:
        "results/{experiment}/logs/digit_images/{split}.log",
    benchmark:
        "results/{experiment}/benchmarks/digit_images/{split}.tsv"
    priority: USUAL
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        number=lookup("images/{split}_count", within=config, default=0),
        size=lookup("images/size", within=config, default=0),
        scraps=lookup("images/scraps", within=config, default=0),
        seed=lookup("seed", within=config),
    shell:
        "python scripts/make_digit_images.py"
        " --split={wildcards.split:q}"
        " --images={output.images:q}"
        " --masks={output.masks:q}"
        " --count={params.number:q}"
        " --size={params.size:q}"
        " --scraps={params.scraps:q}"
        " --seed={params.seed:q}"
        " >{log:q} 2>&1"


rule test_images:
    input:
        val=generated("val"),
        code=sources("list_images.py"),
    output:
        list_file("val"),
    log:
        "results/{experiment}/logs/test_images.log",
    benchmark:
        "results/{experiment}/benchmarks/test_images.tsv"
    priority: URGENT
    conda:
        "../../envs/torch.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(2000),
        runtime=growing(240),
    params:
        source=config["images"]["source"].replace("digits", "folder"),
        images=read_images("val"),
        labels=labels(),
        unreadable=lookup("images/unreadable", within=config),
        other_modes=lookup("images/other_modes", within=config),
        orientation=lookup("images/orientation", within=config, default="ignore"),
        # an image that changes on disk makes the list anew
        note=note_file("val"),
        fingerprint=lambda wildcards: take_fingerprint("val"),
    shell:
        "python scripts/list_images.py"
        " --source={params.source:q}"
        " --images={params.images:q}"
        " --output={output:q}"
        " --labels={params.labels:q}"
        " --unreadable={params.unreadable:q}"
        " --other-modes={params.other_modes:q}"
        " --orientation={params.orientation:q}"
        " --note {params.note:q}"
        " --fingerprint={params.fingerprint:q}"
        " --threads={threads:q}"
        " >{log:q} 2>&1"


use rule test_images as train_images with:
    input:
        train=generated("train"),
        # which downloads both splits
        test_images=branch(config["images"]["source"] == "imagenette", then=list_file("val")),
        code=sources("list_images.py"),
    output:
        list_file("train"),
    log:
        "results/{experiment}/logs/train_images.log",
    benchmark:
        "results/{experiment}/benchmarks/train_images.tsv"
    params:
        source="folder",
        images=read_images("train"),
        # of a network that is trained here, classes are the folders
        labels="folders" if trained_here() else "none",
        unreadable=lookup("images/unreadable", within=config),
        other_modes=lookup("images/other_modes", within=config),
        orientation=lookup("images/orientation", within=config, default="ignore"),
        note=note_file("train"),
        fingerprint=lambda wildcards: take_fingerprint("train"),


use rule test_images as tuning_images with:
    input:
        code=sources("list_images.py"),
    output:
        list_file("tuning"),
    log:
        "results/{experiment}/logs/tuning_images.log",
    benchmark:
        "results/{experiment}/benchmarks/tuning_images.tsv"
    params:
        source="folder",
        images=read_images("tuning"),
        labels="none",
        unreadable=lookup("images/unreadable", within=config),
        other_modes=lookup("images/other_modes", within=config),
        orientation=lookup("images/orientation", within=config, default="ignore"),
        note=note_file("tuning"),
        fingerprint=lambda wildcards: take_fingerprint("tuning"),


rule manifest:
    input:
        test_images="results/{experiment}/test_images.csv",
        code=sources("make_manifest.py"),
    output:
        "results/{experiment}/manifest.csv",
    log:
        "results/{experiment}/logs/manifest.log",
    benchmark:
        "results/{experiment}/benchmarks/manifest.tsv"
    priority: USUAL
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        classes=lookup("images/classes", within=config),
        per_class=lookup("images/per_class", within=config),
        short_classes=lookup("images/short_classes", within=config),
        seed=lookup("seed", within=config),
    shell:
        "python scripts/make_manifest.py"
        " --test-images={input.test_images:q}"
        " --output={output:q}"
        " --classes={params.classes:q}"
        " --per-class={params.per_class:q}"
        " --short-classes={params.short_classes:q}"
        " --seed={params.seed:q}"
        " >{log:q} 2>&1"


rule mnist:
    input:
        code=sources("fetch_mnist.py"),
    output:
        "results/{experiment}/mnist.npz",
    log:
        "results/{experiment}/logs/mnist.log",
    benchmark:
        "results/{experiment}/benchmarks/mnist.tsv"
    priority: USUAL
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        folder=lambda wildcards: config["linear"].get("folder", ""),
    shell:
        "python scripts/fetch_mnist.py" " --folder={params.folder:q}" " --output={output:q}" " >{log:q} 2>&1"


rule linear_classifier:
    input:
        scans=branch(config["linear"]["source"] == "mnist", then="results/{experiment}/mnist.npz"),
        code=sources("fit_linear_classifier.py"),
    output:
        "results/{experiment}/linear.h5",
    log:
        "results/{experiment}/logs/linear_classifier.log",
    benchmark:
        "results/{experiment}/benchmarks/linear_classifier.tsv"
    priority: USUAL
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        digits=lookup("linear/digits", within=config),
        regularisation=lookup("linear/regularisation", within=config),
        seed=lookup("seed", within=config),
    shell:
        "python scripts/fit_linear_classifier.py"
        " --scans {input.scans:q}"
        " --output={output:q}"
        " --digits {params.digits:q}"
        " --regularisation={params.regularisation:q}"
        " --seed={params.seed:q}"
        " >{log:q} 2>&1"
