# Hide, sample, compare on the test split.
rule evaluate_methods:
    input:
        manifest=f"{RESULTS}/manifest.csv",
        clips=of_subjects(f"{RESULTS}/clips/{{subject}}.h5"),
        audio=of_subjects(f"{RESULTS}/audio/{{subject}}.h5"),
        coefficients=of_subjects(f"{RESULTS}/coefficients/{{subject}}.h5"),
        head=HEAD,
        motion_prior=expand(f"{MODELS}/motion_prior/{{file}}", file=NETWORK),
        denoiser=expand(f"{MODELS}/denoiser/{{file}}", file=NETWORK),
    output:
        metrics=report(
            f"{RESULTS}/evaluation/metrics.csv",
            caption="../report/metrics.rst",
            category="Results",
            labels={"table": "all metrics", "dataset": cfg.dataset},
        ),
        metrics_by_clip=report(
            f"{RESULTS}/evaluation/metrics_by_clip.csv",
            caption="../report/metrics_by_clip.rst",
            category="Results",
            labels={"table": "clip by clip", "dataset": cfg.dataset},
        ),
        predictions=f"{RESULTS}/evaluation/predictions.h5",
    log:
        f"{LOGS}/evaluate_methods.log",
    benchmark:
        f"{LOGS}/evaluate_methods.tsv"
    threads: cores(8)
    resources:
        mem_mb=scaled_by_attempt(4000),
        runtime=scaled_by_attempt(240),
        gpu=gpus(),
    params:
        settings=as_params(cfg.evaluation),
        pictures=occluders_state(cfg.evaluation.occlusion, cfg.evaluation.occlusions),
        reconstruction=as_params(cfg.reconstruction),
        seed=cfg.seed,
        code=fingerprint("occlufacediff.stages.evaluate"),
    message:
        "Hide parts of the test clips and compare what is recovered"
    conda:
        "../envs/learn.yaml"
    script:
        "../scripts/evaluate_methods.py"
