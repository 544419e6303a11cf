# Scores of all methods on the test split with simulated occlusion.
rule evaluate_methods:
    input:
        manifest=manifest_with(cfg.evaluation.split, use="evaluation"),
        clips=of_subjects(f"{RESULTS}/clips/{{subject}}.h5"),
        audio=of_subjects(f"{RESULTS}/audio/{{subject}}.h5"),
        phones=of_subjects(f"{RESULTS}/phones/{{subject}}.h5") if audio_kind(cfg) == "speech" else [],
        coefficients=of_subjects(f"{RESULTS}/coefficients/{{subject}}.h5"),
        head=HEAD,
        motion_prior=network(MODELS, "motion_prior"),
        denoiser=network(MODELS, "denoiser"),
        initial=network(INITIAL, "denoiser") if INITIAL else [],
    output:
        metrics=report(
            f"{RUN}/evaluation/metrics.csv",
            caption="../report/metrics.rst",
            category="Results",
            labels={"table": "all metrics", "dataset": cfg.dataset, "run": cfg.run.name},
        ),
        metrics_by_clip=report(
            f"{RUN}/evaluation/metrics_by_clip.csv",
            caption="../report/metrics_by_clip.rst",
            category="Results",
            labels={"table": "clip by clip", "dataset": cfg.dataset, "run": cfg.run.name},
        ),
        predictions=f"{RUN}/evaluation/predictions.h5",
        failures=f"{RUN}/evaluation/failures.csv",
        paired=report(
            f"{RUN}/evaluation/paired.csv",
            caption="../report/paired.rst",
            category="Results",
            labels={"table": "differences of methods", "dataset": cfg.dataset, "run": cfg.run.name},
        ),
        by_group=f"{RUN}/evaluation/metrics_by_group.csv",
        markdown=f"{RUN}/evaluation/main_table.md",
        latex=f"{RUN}/evaluation/main_table.tex",
    log:
        f"{LOGS}/evaluate_methods/{cfg.run.name}.log",
    benchmark:
        f"{LOGS}/evaluate_methods/{cfg.run.name}.tsv"
    threads: cores(8)
    resources:
        mem_mb=scaled_by_attempt(4000),
        runtime=scaled_by_attempt(240),
        gpu=gpus(),
    params:
        settings=as_params(cfg.evaluation),
        pictures=occluders_state(cfg.evaluation.occlusion, cfg.evaluation.occlusions),
        reconstruction=as_params(cfg.reconstruction),
        seed=RUN_SEED,
        # Runs with other seeds are scored on the same occlusions.
        occlusion_seed=cfg.seed,
        code=fingerprint("occlufacediff.stages.evaluate"),
    message:
        "Occlude the test clips and score all methods"
    conda:
        "../envs/learn.yaml"
    script:
        "../scripts/evaluate_methods.py"
