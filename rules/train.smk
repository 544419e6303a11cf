# The motion prior, then the denoiser, which works in its latents.
if KEPT_PRIOR:

    ruleorder: keep_motion_prior > train_motion_prior

    rule keep_motion_prior:
        input:
            motion_prior=local(KEPT_PRIOR),
            initial=network(INITIAL, "denoiser") if INITIAL else [],
            head=HEAD,
        output:
            model=f"{RUN}/motion_prior/model.safetensors",
            config=f"{RUN}/motion_prior/config.yaml",
        log:
            f"{LOGS}/keep_motion_prior/{cfg.run.name}.log",
        benchmark:
            f"{LOGS}/keep_motion_prior/{cfg.run.name}.tsv"
        threads: 1
        resources:
            mem_mb=scaled_by_attempt(2000),
            runtime=10,
        params:
            settings=as_params(cfg.denoiser),
            code=fingerprint("occlufacediff.stages.keep_prior"),
        message:
            "Keep the trained motion prior that the configuration names"
        conda:
            "../envs/learn.yaml"
        script:
            "../scripts/keep_motion_prior.py"


rule train_motion_prior:
    input:
        manifest=manifest_with("train", "validation"),
        face=of_subjects(f"{PACKED}/face/{{subject}}.h5"),
        head=HEAD,
    output:
        model=f"{RUN}/motion_prior/model.safetensors",
        config=f"{RUN}/motion_prior/config.yaml",
        history=f"{RUN}/motion_prior/history.csv",
    log:
        f"{LOGS}/train_motion_prior/{cfg.run.name}.log",
    benchmark:
        f"{LOGS}/train_motion_prior/{cfg.run.name}.tsv"
    threads: cores(8)
    resources:
        **training(cfg.motion_prior, "motion_prior"),
        mem_mb=scaled_by_attempt(4000 * cfg.motion_prior.loop.devices),
        runtime=600,
    params:
        settings=as_params(cfg.motion_prior),
        origin=dict(dataset=cfg.dataset, split_rule=cfg.split.rule, run=cfg.run.name),
        seed=RUN_SEED,
        code=fingerprint("occlufacediff.stages.train"),
    message:
        "Train the motion prior"
    conda:
        "../envs/learn.yaml"
    script:
        "../scripts/train_motion_prior.py"


rule train_denoiser:
    input:
        manifest=manifest_with("train", "validation"),
        face=of_subjects(f"{PACKED}/face/{{subject}}.h5"),
        audio=of_subjects(f"{PACKED}/{AUDIO_OF_PRESET[cfg.denoiser.preset]}/{{subject}}.h5"),
        head=HEAD,
        motion_prior=network(RUN, "motion_prior"),
        initial=network(INITIAL, "denoiser") if INITIAL else [],
        wav2vec2=wav2vec2_weights,
    output:
        model=f"{RUN}/denoiser/model.safetensors",
        config=f"{RUN}/denoiser/config.yaml",
        history=f"{RUN}/denoiser/history.csv",
    log:
        f"{LOGS}/train_denoiser/{cfg.run.name}.log",
    benchmark:
        f"{LOGS}/train_denoiser/{cfg.run.name}.tsv"
    threads: cores(8)
    resources:
        **training(cfg.denoiser, "denoiser"),
        mem_mb=scaled_by_attempt(6000 * cfg.denoiser.loop.devices),
        runtime=2880,
    params:
        settings=as_params(cfg.denoiser),
        origin=dict(dataset=cfg.dataset, split_rule=cfg.split.rule, run=cfg.run.name),
        seed=RUN_SEED,
        code=fingerprint("occlufacediff.stages.train"),
    message:
        "Train the denoiser"
    conda:
        "../envs/learn.yaml"
    script:
        "../scripts/train_denoiser.py"
