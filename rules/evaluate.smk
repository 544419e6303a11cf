# Occlusion, reconstruction and scores of the test clips: one job per subject each, then the tables.
EVALUATION = f"{RUN}/evaluation"
READER_FILES = reader_files(cfg.evaluation)


rule paint_occluders:
    input:
        manifest=manifest_with(cfg.evaluation.split, use="evaluation"),
        videos=f"{RESULTS}/video25/{{subject}}/index.csv",
        clips=f"{RESULTS}/clips/{{subject}}.h5",
        model=local(os.path.relpath(occlusion_weights())),
        chunks=of_chunks(f"{EVALUATION}/painted/{{subject}}.h5", f"{EVALUATION}/painted/{{subject}}.csv"),
    output:
        painted=f"{EVALUATION}/painted/{{subject}}.h5",
        index=f"{EVALUATION}/painted/{{subject}}.csv",
    log:
        f"{LOGS}/paint_occluders/{cfg.run.name}/{{subject}}.log",
    benchmark:
        f"{LOGS}/paint_occluders/{cfg.run.name}/{{subject}}.tsv"
    threads: scoring_threads()
    resources:
        mem_mb=scaled_by_attempt(700, each=700),
        runtime=240,
    params:
        settings=as_params(cfg.evaluation.of_painting()),
        pictures=occluders_state(cfg.evaluation.occlusion, cfg.evaluation.painted),
        landmarks=as_params(cfg.landmarks),
        # Runs with other seeds are scored on the same occlusions.
        seed=cfg.seed,
        crop_scale=cfg.crop.scale,
        code=fingerprint("occlufacediff.stages.paint_occluders"),
    message:
        "{wildcards.subject}: paint occluders into the videos and find them"
    conda:
        "../envs/occluders.yaml"
    script:
        "../scripts/paint_occluders.py"


rule sample_motions:
    input:
        manifest=manifest_with(cfg.evaluation.split, use="evaluation"),
        clips=f"{RESULTS}/clips/{{subject}}.h5",
        audio=f"{RESULTS}/audio/{{subject}}.h5",
        phones=f"{RESULTS}/phones/{{subject}}.h5" if evaluation_needs_phones(cfg, CHECKPOINTS) else [],
        coefficients=f"{RESULTS}/coefficients/{{subject}}.h5",
        # Clips with painted occluders, for the kinds natural and natural_true.
        painted=[f"{EVALUATION}/painted/{{subject}}.{end}" for end in ("h5", "csv") if cfg.evaluation.painted],
        head=HEAD,
        motion_prior=network(MODELS, "motion_prior"),
        denoiser=network(MODELS, "denoiser"),
        initial=network(INITIAL, "denoiser") if INITIAL else [],
        checkpoints=[local(file) for folder in CHECKPOINTS.values() for file in checkpoint_files(folder)],
        chunks=of_chunks(f"{EVALUATION}/motions/{{subject}}.h5", f"{EVALUATION}/motions/{{subject}}.csv"),
    output:
        motions=f"{EVALUATION}/motions/{{subject}}.h5",
        failures=f"{EVALUATION}/motions/{{subject}}.csv",
    log:
        f"{LOGS}/sample_motions/{cfg.run.name}/{{subject}}.log",
    benchmark:
        f"{LOGS}/sample_motions/{cfg.run.name}/{{subject}}.tsv"
    threads: cores(8)
    resources:
        mem_mb=scaled_by_attempt(3000),
        runtime=scaled_by_attempt(240),
        gpu=gpus(),
    params:
        settings=as_params(cfg.evaluation.of_sampling()),
        pictures=occluders_state(cfg.evaluation.occlusion, cfg.evaluation.occlusions),
        reconstruction=as_params(cfg.reconstruction),
        seed=RUN_SEED,
        # Runs with other seeds are scored on the same occlusions.
        occlusion_seed=cfg.seed,
        crop_scale=cfg.crop.scale,
        checkpoints=CHECKPOINTS,
        code=fingerprint("occlufacediff.stages.sample_motions"),
    message:
        "{wildcards.subject}: occlude the clips and reconstruct them by all methods"
    conda:
        "../envs/learn.yaml"
    script:
        "../scripts/sample_motions.py"


rule score_motions:
    input:
        motions=f"{EVALUATION}/motions/{{subject}}.h5",
        failures=f"{EVALUATION}/motions/{{subject}}.csv",
        clips=f"{RESULTS}/clips/{{subject}}.h5",
        audio=f"{RESULTS}/audio/{{subject}}.h5",
        coefficients=f"{RESULTS}/coefficients/{{subject}}.h5",
        head=HEAD,
        # Transcripts of the clips.
        manifest=f"{RESULTS}/manifest.csv",
        readers=READER_FILES["readers"],
        lip_reader=READER_FILES["lip_reader"],
        labels=READER_FILES["labels"],
        recogniser=READER_FILES["recogniser"],
        chunks=of_chunks(f"{EVALUATION}/scores/{{subject}}.csv", f"{EVALUATION}/failures/{{subject}}.csv"),
    output:
        scores=f"{EVALUATION}/scores/{{subject}}.csv",
        failures=f"{EVALUATION}/failures/{{subject}}.csv",
    log:
        f"{LOGS}/score_motions/{cfg.run.name}/{{subject}}.log",
    benchmark:
        f"{LOGS}/score_motions/{cfg.run.name}/{{subject}}.tsv"
    threads: scoring_threads()
    resources:
        mem_mb=scaled_by_attempt(1000, each=900),
        runtime=240,
    params:
        packaged=cfg.evaluation.readers == "open",
        # The files are inputs.
        lip_reading=as_params(cfg.evaluation.lip_reading),
        # Folders of the user, so they are no inputs: a folder of an earlier run is not made again.
        external=cfg.evaluation.external,
        external_state=external_results,
        code=fingerprint("occlufacediff.stages.score_motions"),
    message:
        "{wildcards.subject}: score the motions of all methods"
    conda:
        "../envs/learn.yaml"
    script:
        "../scripts/score_motions.py"


rule write_evaluation_tables:
    input:
        manifest=manifest_with(cfg.evaluation.split, use="evaluation"),
        scores=expand(f"{EVALUATION}/scores/{{subject}}.csv", subject=SCORED),
        failures=expand(f"{EVALUATION}/failures/{{subject}}.csv", subject=SCORED),
        painted=expand(f"{EVALUATION}/painted/{{subject}}.csv", subject=SCORED) if cfg.evaluation.painted else [],
        head=HEAD,
        # Their descriptions: what the networks were trained on.
        networks=[network(MODELS, name)[1] for name in NETWORKS],
        checkpoints=[local(file) for folder in CHECKPOINTS.values() for file in checkpoint_files(folder)],
    output:
        **(
            {
                "published": report(
                    f"{EVALUATION}/published_metrics.csv",
                    caption="../report/published_metrics.rst",
                    category="Results",
                    labels={"table": "published figures", "dataset": cfg.dataset, "run": cfg.run.name},
                )
            }
            if cfg.evaluation.protocol == "published"
            else {}
        ),
        **(
            {
                "visibility": report(
                    f"{EVALUATION}/visibility.csv",
                    caption="../report/visibility.rst",
                    category="Results",
                    labels={"table": "visibility found", "dataset": cfg.dataset, "run": cfg.run.name},
                )
            }
            if cfg.evaluation.painted
            else {}
        ),
        metrics=report(
            f"{EVALUATION}/metrics.csv",
            caption="../report/metrics.rst",
            category="Results",
            labels={"table": "all metrics", "dataset": cfg.dataset, "run": cfg.run.name},
        ),
        by_clip=report(
            f"{EVALUATION}/metrics_by_clip.csv",
            caption="../report/metrics_by_clip.rst",
            category="Results",
            labels={"table": "clip by clip", "dataset": cfg.dataset, "run": cfg.run.name},
        ),
        failures=f"{EVALUATION}/failures.csv",
        paired=report(
            f"{EVALUATION}/paired.csv",
            caption="../report/paired.rst",
            category="Results",
            labels={"table": "differences of methods", "dataset": cfg.dataset, "run": cfg.run.name},
        ),
        by_group=report(
            f"{EVALUATION}/metrics_by_group.csv",
            caption="../report/metrics_by_group.rst",
            category="Results",
            labels={"table": "by emotion, level, subject", "dataset": cfg.dataset, "run": cfg.run.name},
        ),
        markdown=report(
            f"{EVALUATION}/main_table.md",
            caption="../report/main_table.rst",
            category="Results",
            labels={"table": "main result", "dataset": cfg.dataset, "run": cfg.run.name},
        ),
        latex=f"{EVALUATION}/main_table.tex",
    log:
        f"{LOGS}/write_evaluation_tables/{cfg.run.name}.log",
    benchmark:
        f"{LOGS}/write_evaluation_tables/{cfg.run.name}.tsv"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(2000),
        runtime=scaled_by_attempt(60),
    params:
        settings=as_params(cfg.evaluation),
        pictures=occluders_state(cfg.evaluation.occlusion, cfg.evaluation.occlusions),
        occlusion_seed=cfg.seed,
        checkpoints=CHECKPOINTS,
        external_state=external_results,
        code=fingerprint("occlufacediff.stages.evaluation_tables"),
    message:
        "Write the tables of the evaluation"
    conda:
        "../envs/learn.yaml"
    script:
        "../scripts/write_evaluation_tables.py"


if cfg.chunks > 1:

    use rule paint_occluders as paint_occluders_chunk with:
        output:
            **chunk_markers(
                painted=f"{EVALUATION}/painted/{{subject}}.h5", index=f"{EVALUATION}/painted/{{subject}}.csv"
            ),
        log:
            f"{LOGS}/paint_occluders_chunk/{cfg.run.name}/{{subject}}/{{chunk}}.log",
        benchmark:
            f"{LOGS}/paint_occluders_chunk/{cfg.run.name}/{{subject}}/{{chunk}}.tsv"

    use rule sample_motions as sample_motions_chunk with:
        output:
            **chunk_markers(
                motions=f"{EVALUATION}/motions/{{subject}}.h5", failures=f"{EVALUATION}/motions/{{subject}}.csv"
            ),
        log:
            f"{LOGS}/sample_motions_chunk/{cfg.run.name}/{{subject}}/{{chunk}}.log",
        benchmark:
            f"{LOGS}/sample_motions_chunk/{cfg.run.name}/{{subject}}/{{chunk}}.tsv"

    use rule score_motions as score_motions_chunk with:
        output:
            **chunk_markers(
                scores=f"{EVALUATION}/scores/{{subject}}.csv", failures=f"{EVALUATION}/failures/{{subject}}.csv"
            ),
        log:
            f"{LOGS}/score_motions_chunk/{cfg.run.name}/{{subject}}/{{chunk}}.log",
        benchmark:
            f"{LOGS}/score_motions_chunk/{cfg.run.name}/{{subject}}/{{chunk}}.tsv"
