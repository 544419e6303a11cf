# The viseme reader and the emotion reader of the evaluation, from seeds alone: snakemake reader_weights.


rule train_readers:
    input:
        head=HEAD,
        coefficients=reader_clips("train"),
        held_out=reader_clips("validation"),
    output:
        model=f"{READERS}/model.safetensors",
        card=f"{READERS}/MODEL_CARD.md",
    log:
        f"{LOGS}/train_readers.log",
    benchmark:
        f"{LOGS}/train_readers.tsv"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(2000),
        runtime=60,
    params:
        settings=as_params(cfg.readers),
        synthetic=as_params(cfg.synthetic),
        seed=cfg.seed,
        code=fingerprint("occlufacediff.stages.reader_weights"),
    message:
        "Train the viseme reader and the emotion reader"
    conda:
        "../envs/learn.yaml"
    script:
        "../scripts/train_readers.py"
