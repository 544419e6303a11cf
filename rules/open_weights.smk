# The weights in the package, from seeds alone: snakemake open_weights. They depend on no data set.
OPEN_WEIGHTS = "results/open_weights"
SHARDS = shard_names(cfg.open_weights.clips)
OPEN_ORIGIN = dict(dataset="generated landmark clips", split_rule="validation_shards", run="open_weights")
# Scores on real videos, measured with the packaged weights. Relative to the working folder, so that a moved folder reruns
# nothing.
FIGURES = Path(os.path.relpath(ROOT / "occlufacediff" / "weights" / "real_clips.csv"))


localrules:
    list_landmark_clips,


rule generate_landmark_clips:
    input:
        head=OPEN_HEAD,
    output:
        clips=rf"{OPEN_WEIGHTS}/shards/{{shard,shard_\d+}}.h5",
    log:
        f"{LOGS}/generate_landmark_clips/{{shard}}.log",
    benchmark:
        f"{LOGS}/generate_landmark_clips/{{shard}}.tsv"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(1000),
        runtime=scaled_by_attempt(60),
    params:
        settings=as_params(cfg.open_weights.clips),
        seed=cfg.open_weights.seed,
        code=fingerprint("occlufacediff.stages.landmark_clips"),
    message:
        "{wildcards.shard}: draw clips without pictures"
    conda:
        "../envs/synthetic.yaml"
    script:
        "../scripts/generate_landmark_clips.py"


rule list_landmark_clips:
    input:
        shards=expand(f"{OPEN_WEIGHTS}/shards/{{shard}}.h5", shard=SHARDS),
    output:
        manifest=f"{OPEN_WEIGHTS}/shards.csv",
    log:
        f"{LOGS}/list_landmark_clips.log",
    benchmark:
        f"{LOGS}/list_landmark_clips.tsv"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(500),
        runtime=10,
    params:
        settings=as_params(cfg.open_weights.clips),
        code=fingerprint("occlufacediff.stages.landmark_clips"),
    message:
        "List the clips without pictures"
    conda:
        "../envs/synthetic.yaml"
    script:
        "../scripts/list_landmark_clips.py"


use rule pack_face as pack_open_face with:
    input:
        coefficients=f"{OPEN_WEIGHTS}/shards/{{subject}}.h5",
        clips=f"{OPEN_WEIGHTS}/shards/{{subject}}.h5",
    output:
        face=f"{OPEN_WEIGHTS}/packed/face/{{subject}}.h5",
    log:
        f"{LOGS}/pack_open_face/{{subject}}.log",
    benchmark:
        f"{LOGS}/pack_open_face/{{subject}}.tsv"


use rule pack_audio as pack_open_audio with:
    input:
        face=f"{OPEN_WEIGHTS}/packed/face/{{subject}}.h5",
        audio=f"{OPEN_WEIGHTS}/shards/{{subject}}.h5",
    output:
        audio=f"{OPEN_WEIGHTS}/packed/{{kind}}/{{subject}}.h5",
    log:
        f"{LOGS}/pack_open_audio/{{kind}}/{{subject}}.log",
    benchmark:
        f"{LOGS}/pack_open_audio/{{kind}}/{{subject}}.tsv"


use rule train_motion_prior as train_open_motion_prior with:
    input:
        manifest=f"{OPEN_WEIGHTS}/shards.csv",
        face=expand(f"{OPEN_WEIGHTS}/packed/face/{{shard}}.h5", shard=SHARDS),
        head=OPEN_HEAD,
    output:
        model=f"{OPEN_WEIGHTS}/training/motion_prior/model.safetensors",
        config=f"{OPEN_WEIGHTS}/training/motion_prior/config.yaml",
        history=f"{OPEN_WEIGHTS}/training/motion_prior/history.csv",
    log:
        f"{LOGS}/train_open_motion_prior.log",
    benchmark:
        f"{LOGS}/train_open_motion_prior.tsv"
    resources:
        **training(cfg.open_weights.motion_prior, "open_weights.motion_prior"),
        mem_mb=scaled_by_attempt(4000 * cfg.open_weights.motion_prior.loop.devices),
        runtime=600,
    params:
        settings=as_params(cfg.open_weights.motion_prior),
        origin=OPEN_ORIGIN,
        seed=cfg.open_weights.seed,
        code=fingerprint("occlufacediff.stages.train"),
    message:
        "Train the motion prior of the open weights"


use rule train_denoiser as train_open_denoiser with:
    input:
        manifest=f"{OPEN_WEIGHTS}/shards.csv",
        face=expand(f"{OPEN_WEIGHTS}/packed/face/{{shard}}.h5", shard=SHARDS),
        audio=expand(f"{OPEN_WEIGHTS}/packed/speech/{{shard}}.h5", shard=SHARDS),
        head=OPEN_HEAD,
        motion_prior=network(f"{OPEN_WEIGHTS}/training", "motion_prior"),
        initial=[],
        wav2vec2=[],
    output:
        model=f"{OPEN_WEIGHTS}/training/denoiser/model.safetensors",
        config=f"{OPEN_WEIGHTS}/training/denoiser/config.yaml",
        history=f"{OPEN_WEIGHTS}/training/denoiser/history.csv",
    log:
        f"{LOGS}/train_open_denoiser.log",
    benchmark:
        f"{LOGS}/train_open_denoiser.tsv"
    resources:
        **training(cfg.open_weights.denoiser, "open_weights.denoiser"),
        mem_mb=scaled_by_attempt(8000 * cfg.open_weights.denoiser.loop.devices),
        runtime=2880,
    params:
        settings=as_params(cfg.open_weights.denoiser),
        origin=OPEN_ORIGIN,
        seed=cfg.open_weights.seed,
        code=fingerprint("occlufacediff.stages.train"),
    message:
        "Train the denoiser of the open weights"


rule pack_open_weights:
    input:
        motion_prior=network(f"{OPEN_WEIGHTS}/training", "motion_prior"),
        denoiser=network(f"{OPEN_WEIGHTS}/training", "denoiser"),
        head=OPEN_HEAD,
        held_out=f"{OPEN_WEIGHTS}/shards/{SHARDS[-1]}.h5",
        figures=[local(str(FIGURES))] if FIGURES.exists() else [],
    output:
        networks=expand(f"{OPEN_WEIGHTS}/weights/{{network}}/{{file}}", network=NETWORKS, file=NETWORK),
        card=f"{OPEN_WEIGHTS}/weights/MODEL_CARD.md",
    log:
        f"{LOGS}/pack_open_weights.log",
    benchmark:
        f"{LOGS}/pack_open_weights.tsv"
    threads: cores(2)
    resources:
        mem_mb=scaled_by_attempt(2000),
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
