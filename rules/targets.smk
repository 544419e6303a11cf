# Named targets, in the order of the data flow.
localrules:
    fetch,
    acquire,
    preprocess,
    reconstruct,
    train,
    evaluate,
    report,
    predict,
    benchmark,
    open_weights,
    reader_weights,
    occlusion_weights,


rule fetch:
    input:
        licensed,


rule acquire:
    input:
        of_subjects(f"{RESULTS}/raw/{{subject}}/index.csv"),


rule preprocess:
    input:
        of_subjects(f"{RESULTS}/clips/{{subject}}.csv"),
        of_subjects(f"{RESULTS}/audio/{{subject}}.csv"),


rule reconstruct:
    input:
        f"{RESULTS}/manifest.csv",


rule train:
    input:
        expand(
            f"{MODELS}/{{network}}/{{file}}",
            network=NETWORKS,
            file=NETWORK,
        ),


rule evaluate:
    input:
        f"{RUN}/evaluation/metrics.csv",


rule report:
    input:
        f"{RUN}/report.html",


rule predict:
    input:
        predicted,


rule benchmark:
    input:
        f"{RESULTS}/benchmark/benchmark.html",


rule open_weights:
    input:
        "results/open_weights/weights/MODEL_CARD.md",


rule reader_weights:
    input:
        f"{READERS}/MODEL_CARD.md",


rule occlusion_weights:
    input:
        "results/occlusion_weights/weights/MODEL_CARD.md",
