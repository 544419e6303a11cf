# The viseme reader and the emotion reader of the evaluation, from seeds alone: snakemake reader_weights.


def reader_clips(split):
    """Input function: fitted coefficients of a split's subjects in the synthetic data set, whose truth is known."""

    @one_line_errors
    def coefficients(wildcards):
        if cfg.source != "synthetic":
            raise ConfigError(
                f"source: got {cfg.source!r}, the target reader_weights needs 'synthetic': readers are trained on clips "
                "whose visemes and emotions are known"
            )
        known = [name for name in split_subjects(cfg.synthetic)[split] if name in SUBJECTS]
        if not known:
            raise ConfigError(f"subjects: got none of the synthetic split {split}, which reader_weights needs")
        return expand(f"{RESULTS}/coefficients/{{subject}}.h5", subject=known)

    return coefficients


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
