# One page on what was run and what came out.
rule make_report:
    input:
        manifest=f"{D}/manifest.csv",
        metrics=f"{D}/evaluation/metrics.csv",
        metrics_by_clip=f"{D}/evaluation/metrics_by_clip.csv",
        predictions=f"{D}/evaluation/predictions.h5",
        clips=of_subjects(f"{D}/clips/{{subject}}.h5"),
        audio=of_subjects(f"{D}/audio/{{subject}}.h5"),
        coefficients=of_subjects(f"{D}/coefficients/{{subject}}.h5"),
        head=HEAD,
        histories=histories(),
    output:
        report=report(
            f"{D}/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"page": "report", "dataset": cfg.dataset},
        ),
    log:
        f"{LOGS}/make_report.log",
    benchmark:
        f"{BENCHMARKS}/make_report.tsv"
    threads: cores(2)
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
    params:
        settings=as_params(cfg.report),
        seed=cfg.seed,
        code=fingerprint("occlufacediff.stages.report"),
    message:
        "Write the report"
    conda:
        "../envs/report.yaml"
    script:
        "../scripts/make_report.py"
