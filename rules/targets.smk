# Named targets beside `all`, in the order of the data flow.
localrules:
    fetch,
    acquire,
    preprocess,
    reconstruct,
    train,
    evaluate,
    report,
    predict,
    real_benchmark,
    open_weights,


rule fetch:
    input:
        licensed,


rule acquire:
    input:
        of_subjects(f"{D}/raw/{{subject}}/index.csv"),


rule preprocess:
    input:
        of_subjects(f"{D}/clips/{{subject}}.csv"),
        of_subjects(f"{D}/audio/{{subject}}.csv"),


rule reconstruct:
    input:
        f"{D}/manifest.csv",


rule train:
    input:
        expand(
            f"{MODELS}/{{network}}/{{file}}",
            network=NETWORKS,
            file=NETWORK,
        ),


rule evaluate:
    input:
        f"{D}/evaluation/metrics.csv",


rule report:
    input:
        f"{D}/report.html",


rule predict:
    input:
        predicted,


rule real_benchmark:
    input:
        f"{D}/recordings/benchmark.html",


rule open_weights:
    input:
        "results/open_weights/weights/MODEL_CARD.md",
