# The metrics of all runs of the data set in one table, and their differences on the same clips.
rule compare_runs:
    output:
        table=f"{RESULTS}/runs.csv",
        paired=f"{RESULTS}/runs_paired.csv",
        page=report(
            f"{RESULTS}/runs.html",
            caption="../report/runs.rst",
            category="Report",
            labels={"page": "comparison of runs", "dataset": cfg.dataset, "run": "all"},
        ),
    log:
        f"{LOGS}/compare_runs.log",
    benchmark:
        f"{LOGS}/compare_runs.tsv"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(500),
        runtime=scaled_by_attempt(10),
    params:
        # Not inputs: comparing runs must not train or evaluate any of them again.
        metrics=evaluated_runs,
        code=fingerprint("occlufacediff.stages.compare_runs"),
    message:
        "Compare all runs of the data set"
    conda:
        "../envs/report.yaml"
    script:
        "../scripts/compare_runs.py"
