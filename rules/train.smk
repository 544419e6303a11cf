# The motion prior, then the denoiser that works in its latents.
rule train_motion_prior:
    input:
        manifest=f"{D}/manifest.csv",
        coefficients=of_subjects(f"{D}/coefficients/{{subject}}.h5"),
        head=HEAD,
    output:
        model=f"{D}/models/motion_prior/model.safetensors",
        config=f"{D}/models/motion_prior/config.yaml",
        history=f"{D}/models/motion_prior/history.csv",
    log:
        f"{LOGS}/train_motion_prior.log",
    benchmark:
        f"{BENCHMARKS}/train_motion_prior.tsv"
    threads: cores(8)
    resources:
        mem_mb=growing(4000),
        runtime=600,
        gpu=gpus(),
    params:
        settings=as_params(cfg.motion_prior),
        seed=cfg.seed,
        code=fingerprint("occlufacediff.stages.train"),
    message:
        "Train the motion prior"
    conda:
        "../envs/learn.yaml"
    script:
        "../scripts/train_motion_prior.py"


rule train_denoiser:
    input:
        manifest=f"{D}/manifest.csv",
        clips=of_subjects(f"{D}/clips/{{subject}}.h5"),
        audio=of_subjects(f"{D}/audio/{{subject}}.h5"),
        coefficients=of_subjects(f"{D}/coefficients/{{subject}}.h5"),
        head=HEAD,
        motion_prior=expand(f"{D}/models/motion_prior/{{file}}", file=NETWORK),
    output:
        model=f"{D}/models/denoiser/model.safetensors",
        config=f"{D}/models/denoiser/config.yaml",
        history=f"{D}/models/denoiser/history.csv",
    log:
        f"{LOGS}/train_denoiser.log",
    benchmark:
        f"{BENCHMARKS}/train_denoiser.tsv"
    threads: cores(8)
    resources:
        mem_mb=growing(6000),
        runtime=2880,
        gpu=gpus(),
    params:
        settings=as_params(cfg.denoiser),
        seed=cfg.seed,
        code=fingerprint("occlufacediff.stages.train"),
    message:
        "Train the denoiser"
    conda:
        "../envs/learn.yaml"
    script:
        "../scripts/train_denoiser.py"
