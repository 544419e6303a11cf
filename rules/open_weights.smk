# The weights that come with the program, from seeds alone: snakemake open_weights. They depend on no data set.
W = "results/open_weights"
SHARDS = shard_names(cfg.open_weights.clips)
# Figures on real recordings stand beside the packaged weights, where someone measured them. From here, not from the root:
# a folder that was moved has nothing to do again.
FIGURES = Path(os.path.relpath(Path(workflow.basedir, "occlufacediff/weights/real_clips.csv")))


localrules:
    list_unrendered,


rule draw_unrendered:
    input:
        head=HEAD,
    output:
        clips=rf"{W}/shards/{{shard,shard_\d+}}.h5",
    log:
        f"{LOGS}/draw_unrendered/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/draw_unrendered/{{shard}}.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(60),
    params:
        settings=as_params(cfg.open_weights.clips),
        seed=cfg.open_weights.seed,
        code=fingerprint("occlufacediff.stages.unrendered"),
    message:
        "{wildcards.shard}: draw clips without pictures"
    conda:
        "../envs/synthetic.yaml"
    script:
        "../scripts/draw_unrendered.py"


rule list_unrendered:
    input:
        shards=expand(f"{W}/shards/{{shard}}.h5", shard=SHARDS),
    output:
        manifest=f"{W}/shards.csv",
    log:
        f"{LOGS}/list_unrendered.log",
    benchmark:
        f"{BENCHMARKS}/list_unrendered.tsv"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=10,
    params:
        settings=as_params(cfg.open_weights.clips),
        code=fingerprint("occlufacediff.stages.unrendered"),
    message:
        "List the clips without pictures"
    conda:
        "../envs/synthetic.yaml"
    script:
        "../scripts/list_unrendered.py"


use rule train_motion_prior as train_open_motion_prior with:
    input:
        manifest=f"{W}/shards.csv",
        coefficients=expand(f"{W}/shards/{{shard}}.h5", shard=SHARDS),
        head=HEAD,
    output:
        model=f"{W}/training/motion_prior/model.safetensors",
        config=f"{W}/training/motion_prior/config.yaml",
        history=f"{W}/training/motion_prior/history.csv",
    log:
        f"{LOGS}/train_open_motion_prior.log",
    benchmark:
        f"{BENCHMARKS}/train_open_motion_prior.tsv"
    params:
        settings=as_params(cfg.open_weights.motion_prior),
        seed=cfg.open_weights.seed,
        code=fingerprint("occlufacediff.stages.train"),
    message:
        "Train the motion prior of the open weights"


use rule train_denoiser as train_open_denoiser with:
    input:
        manifest=f"{W}/shards.csv",
        clips=expand(f"{W}/shards/{{shard}}.h5", shard=SHARDS),
        audio=expand(f"{W}/shards/{{shard}}.h5", shard=SHARDS),
        coefficients=expand(f"{W}/shards/{{shard}}.h5", shard=SHARDS),
        head=HEAD,
        motion_prior=expand(f"{W}/training/motion_prior/{{file}}", file=NETWORK),
    output:
        model=f"{W}/training/denoiser/model.safetensors",
        config=f"{W}/training/denoiser/config.yaml",
        history=f"{W}/training/denoiser/history.csv",
    log:
        f"{LOGS}/train_open_denoiser.log",
    benchmark:
        f"{BENCHMARKS}/train_open_denoiser.tsv"
    resources:
        mem_mb=growing(8000),
        runtime=2880,
        gpu=gpus(),
    params:
        settings=as_params(cfg.open_weights.denoiser),
        seed=cfg.open_weights.seed,
        code=fingerprint("occlufacediff.stages.train"),
    message:
        "Train the denoiser of the open weights"


rule pack_open_weights:
    input:
        motion_prior=expand(f"{W}/training/motion_prior/{{file}}", file=NETWORK),
        denoiser=expand(f"{W}/training/denoiser/{{file}}", file=NETWORK),
        head=HEAD,
        held_out=f"{W}/shards/{SHARDS[-1]}.h5",
        figures=[str(FIGURES)] if FIGURES.exists() else [],
    output:
        networks=expand(f"{W}/weights/{{network}}/{{file}}", network=NETWORKS, file=NETWORK),
        card=f"{W}/weights/MODEL_CARD.md",
    log:
        f"{LOGS}/pack_open_weights.log",
    benchmark:
        f"{BENCHMARKS}/pack_open_weights.tsv"
    threads: cores(2)
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        settings=as_params(cfg.open_weights),
        seed=cfg.open_weights.seed,
        code=fingerprint("occlufacediff.stages.open_weights"),
    message:
        "Pack the open weights and write their card"
    conda:
        "../envs/report.yaml"
    script:
        "../scripts/pack_open_weights.py"
