# The report of a run, one HTML file.
rule make_report:
    input:
        manifest=f"{RESULTS}/manifest.csv",
        metrics=f"{RUN}/evaluation/metrics.csv",
        metrics_by_clip=f"{RUN}/evaluation/metrics_by_clip.csv",
        motions=expand(f"{EVALUATION}/motions/{{subject}}.h5", subject=SCORED),
        failures=f"{RUN}/evaluation/failures.csv",
        paired=f"{RUN}/evaluation/paired.csv",
        by_group=f"{RUN}/evaluation/metrics_by_group.csv",
        published=f"{RUN}/evaluation/published_metrics.csv" if cfg.evaluation.protocol == "published" else [],
        visibility=f"{RUN}/evaluation/visibility.csv" if cfg.evaluation.painted else [],
        clips=of_subjects(f"{RESULTS}/clips/{{subject}}.h5"),
        audio=of_subjects(f"{RESULTS}/audio/{{subject}}.h5"),
        coefficients=of_subjects(f"{RESULTS}/coefficients/{{subject}}.h5"),
        head=HEAD,
        # Their descriptions: what the networks were trained on.
        networks=[network(MODELS, name)[1] for name in NETWORKS],
        histories=histories(),
    output:
        report=report(
            f"{RUN}/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"page": "report", "dataset": cfg.dataset, "run": cfg.run.name},
        ),
    log:
        f"{LOGS}/make_report/{cfg.run.name}.log",
    benchmark:
        f"{LOGS}/make_report/{cfg.run.name}.tsv"
    threads: cores(2)
    resources:
        mem_mb=scaled_by_attempt(3000),
        runtime=scaled_by_attempt(30),
    params:
        settings=as_params(cfg.report),
        seed=cfg.seed,
        # Not inputs: a comparison must not train or evaluate another run again.
        compared=COMPARED,
        code=fingerprint("occlufacediff.stages.report"),
    message:
        "Write the report"
    conda:
        "../envs/report.yaml"
    script:
        "../scripts/make_report.py"
