"""The images.

digit_images      nothing -> images/<split>, masks/<split>: the embedded experiment's generated images, of each split
test_images       images/val, or the data set's -> test_images.csv: the test images that can be used, each checked
train_images      images/train, or the data set's -> train_images.csv: likewise, of those to train on
tuning_images     images.tuning -> tuning_images.csv: likewise, of those to tune on, if they are in a folder of their own
manifest          test_images.csv -> manifest.csv: the images that are evaluated
make_masks        manifest.csv, images.masks or images.boxes -> masks/evaluated: where their objects are, if that is known
mnist             nothing, or a folder that holds it -> mnist.npz: scans of digits
linear_classifier mnist.npz, or nothing -> linear.h5: figure 1's classifier and its decompositions
"""


rule digit_images:
    input:
        code=sources("make_digit_images.py"),
    output:
        images=directory("<results>/images/{split}"),
        masks=directory("<results>/masks/{split}"),
    log:
        "<results>/logs/digit_images/{split}.log",
    benchmark:
        "<results>/benchmarks/digit_images/{split}.tsv"
    priority: USUAL
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(1000),
        runtime=per_attempt(10),
    params:
        number=lookup("images/{split}_count", within=config, default=0),
        size=lookup("images/size", within=config, default=0),
        scraps=lookup("images/scraps", within=config, default=0),
        planted=["--planted"] if config["images"].get("planted") else [],
        seed=lookup("seed", within=config),
    shell:
        "python {input.code[0]:q}"
        " --split={wildcards.split:q}"
        " --images={output.images:q}"
        " --masks={output.masks:q}"
        " --count={params.number:q}"
        " --size={params.size:q}"
        " --scraps={params.scraps:q}"
        " {params.planted:q}"
        " --seed={params.seed:q}"
        " >{log:q} 2>&1"


rule test_images:
    input:
        val=generated("val"),
        code=sources("list_images.py"),
    output:
        list_file("val"),
    log:
        "<results>/logs/test_images.log",
    benchmark:
        "<results>/benchmarks/test_images.tsv"
    priority: URGENT
    conda:
        "../../envs/torch.yaml"
    threads: THREADS
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(240),
    params:
        source=lookup("images/source", within=config),
        package=packaged_images(),
        images=read_images("val"),
        labels=labels(),
        unreadable=lookup("images/unreadable", within=config),
        other_modes=lookup("images/other_modes", within=config),
        orientation=lookup("images/orientation", within=config, default="ignore"),
        # an image that changes on disk makes the list anew
        note=note_file("val"),
        fingerprint=lambda wildcards: take_fingerprint("val"),
    shell:
        "python {input.code[0]:q}"
        " --source={params.source:q}"
        " --package={params.package:q}"
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
        # which obtains both splits
        test_images=branch(DATA_SET.obtained in (DOWNLOADED, PACKAGED), then=list_file("val")),
        code=sources("list_images.py"),
    output:
        list_file("train"),
    log:
        "<results>/logs/train_images.log",
    benchmark:
        "<results>/benchmarks/train_images.tsv"
    params:
        source="folder",
        package={},
        images=read_images("train"),
        # of a network that is trained here, classes are the folders
        labels="folders" if trained_here() else "none",
        unreadable=lookup("images/unreadable", within=config),
        other_modes=lookup("images/other_modes", within=config),
        orientation=lookup("images/orientation", within=config, default="ignore"),
        note=note_file("train"),
        fingerprint=lambda wildcards: take_fingerprint("train"),


use rule train_images as start_images with:
    input:
        start=generated("start"),
        code=sources("list_images.py"),
    output:
        list_file("start"),
    log:
        "<results>/logs/start_images.log",
    benchmark:
        "<results>/benchmarks/start_images.tsv"
    params:
        source="folder",
        package={},
        images=read_images("start"),
        labels="folders",
        unreadable=lookup("images/unreadable", within=config),
        other_modes=lookup("images/other_modes", within=config),
        orientation=lookup("images/orientation", within=config, default="ignore"),
        note=note_file("start"),
        fingerprint=lambda wildcards: take_fingerprint("start"),


use rule test_images as tuning_images with:
    input:
        tuning=generated("tuning") if tuning_split() == "tuning" else [],
        code=sources("list_images.py"),
    output:
        list_file("tuning"),
    log:
        "<results>/logs/tuning_images.log",
    benchmark:
        "<results>/benchmarks/tuning_images.tsv"
    params:
        source="folder",
        package={},
        images=read_images("tuning"),
        labels="none",
        unreadable=lookup("images/unreadable", within=config),
        other_modes=lookup("images/other_modes", within=config),
        orientation=lookup("images/orientation", within=config, default="ignore"),
        note=note_file("tuning"),
        fingerprint=lambda wildcards: take_fingerprint("tuning"),


rule manifest:
    input:
        test_images="<results>/test_images.csv",
        code=sources("make_manifest.py"),
    output:
        "<results>/manifest.csv",
    log:
        "<results>/logs/manifest.log",
    benchmark:
        "<results>/benchmarks/manifest.tsv"
    priority: USUAL
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(500),
        runtime=per_attempt(10),
    params:
        classes=lookup("images/classes", within=config),
        per_class=lookup("images/per_class", within=config),
        short_classes=lookup("images/short_classes", within=config),
        seed=lookup("seed", within=config),
    shell:
        "python {input.code[0]:q}"
        " --test-images={input.test_images:q}"
        " --output={output:q}"
        " --classes={params.classes:q}"
        " --per-class={params.per_class:q}"
        " --short-classes={params.short_classes:q}"
        " --seed={params.seed:q}"
        " >{log:q} 2>&1"


rule make_masks:
    input:
        manifest="<results>/manifest.csv",
        val=generated("val"),
        code=sources("make_masks.py"),
    output:
        directory("<results>/masks/evaluated"),
    log:
        "<results>/logs/make_masks.log",
    benchmark:
        "<results>/benchmarks/make_masks.tsv"
    priority: URGENT  # it finds masks that are missing
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(1500),
        runtime=per_attempt(60),
    params:
        images=read_images("val"),
        masks=lookup("images/masks", within=config, default=""),
        boxes=lookup("images/boxes", within=config, default=""),
        # a mask that changes on disk makes them anew
        state_of_masks=state_of_masks("masks"),
        state_of_boxes=state_of_masks("boxes"),
    shell:
        "python {input.code[0]:q}"
        " --manifest={input.manifest:q}"
        " --images={params.images:q}"
        " --masks={params.masks:q}"
        " --boxes={params.boxes:q}"
        " --output={output:q}"
        " >{log:q} 2>&1"


rule mnist:
    input:
        code=sources("fetch_mnist.py"),
    output:
        "<results>/mnist.npz",
    log:
        "<results>/logs/mnist.log",
    benchmark:
        "<results>/benchmarks/mnist.tsv"
    priority: USUAL
    localrule: True
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(1500),
        runtime=per_attempt(30),
    params:
        folder=lambda wildcards: config["linear"].get("folder", ""),
    shell:
        "python {input.code[0]:q}" " --folder={params.folder:q}" " --output={output:q}" " >{log:q} 2>&1"


rule linear_classifier:
    input:
        scans=branch(config["linear"]["source"] == "mnist", then="<results>/mnist.npz"),
        code=sources("fit_linear_classifier.py"),
    output:
        "<results>/linear.h5",
    log:
        "<results>/logs/linear_classifier.log",
    benchmark:
        "<results>/benchmarks/linear_classifier.tsv"
    priority: USUAL
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(60),
    params:
        digits=lookup("linear/digits", within=config),
        regularisation=lookup("linear/regularisation", within=config),
        seed=lookup("seed", within=config),
    shell:
        "python {input.code[0]:q}"
        " --scans {input.scans:q}"
        " --output={output:q}"
        " --digits {params.digits:q}"
        " --regularisation={params.regularisation:q}"
        " --seed={params.seed:q}"
        " >{log:q} 2>&1"
