# The table of all clips, from the indices of all stages.
rule build_manifest:
    input:
        raw=of_subjects(f"{RESULTS}/raw/{{subject}}/index.csv"),
        video=of_subjects(f"{RESULTS}/video25/{{subject}}/index.csv"),
        audio=of_subjects(f"{RESULTS}/audio/{{subject}}.csv"),
        landmarks=of_subjects(f"{RESULTS}/landmarks/{{subject}}.csv"),
        clips=of_subjects(f"{RESULTS}/clips/{{subject}}.csv"),
        coefficients=of_subjects(f"{RESULTS}/coefficients/{{subject}}.csv"),
        sentences=sentence_tables,
        transcripts=local([cfg.split.transcripts]) if cfg.split.transcripts else [],
    output:
        manifest=f"{RESULTS}/manifest.csv",
    log:
        f"{LOGS}/build_manifest.log",
    benchmark:
        f"{LOGS}/build_manifest.tsv"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(800),
        runtime=scaled_by_attempt(10),
    params:
        settings=as_params(split_settings(cfg)),
        code=fingerprint("occlufacediff.stages.manifest"),
    message:
        "Write the table of all clips, their splits and failures"
    conda:
        "../envs/preprocess.yaml"
    script:
        "../scripts/build_manifest.py"
