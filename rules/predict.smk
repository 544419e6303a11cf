# Motion and animation of a video, or of several: snakemake predict --config video=FILE
rule predict_video:
    input:
        video=video_to_predict,
        model=VISIBILITY_MODEL,
        head=OPEN_HEAD if cfg.prediction.weights == "open" else HEAD,
        # The exports are written again when the mapping changes.
        arkit_mapping=[local(cfg.prediction.arkit_mapping)] if cfg.prediction.arkit_mapping else [],
        motion_prior=predicting("motion_prior"),
        denoiser=predicting("denoiser"),
    output:
        **prediction_files(),
    log:
        f"{LOGS}/predict_video/{{video}}.log",
    benchmark:
        f"{LOGS}/predict_video/{{video}}.tsv"
    threads: cores(4)
    resources:
        mem_mb=scaled_by_attempt(3000),
        runtime=scaled_by_attempt(120),
        gpu=gpus(),
    params:
        settings=as_params(cfg.prediction),
        landmarks=as_params(cfg.landmarks),
        crop=as_params(cfg.crop),
        visibility=as_params(cfg.visibility),
        masks=lambda wildcards: masks_state(cfg.visibility, wildcards.video),
        pictures=occluders_state(cfg.prediction.region, [cfg.prediction.occlusion]),
        reconstruction=as_params(cfg.reconstruction),
        # Of several videos.
        listed=lambda wildcards: PREDICTED.get(wildcards.video),
        seed=cfg.seed,
        code=fingerprint("occlufacediff.stages.predict_videos"),
    message:
        "{wildcards.video}: predict and animate the facial motion"
    conda:
        "../envs/report.yaml"
    script:
        "../scripts/predict_video.py"


rule summarise_predictions:
    input:
        rows=expand(f"{RESULTS}/predictions/{{video}}/summary.csv", video=PREDICTED),
    output:
        report(
            f"{RESULTS}/predictions/summary.csv",
            caption="../report/predictions.rst",
            category="Predictions",
            labels={"video": "all", "shows": "summary"},
        ),
    log:
        f"{LOGS}/summarise_predictions.log",
    benchmark:
        f"{LOGS}/summarise_predictions.tsv"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(500),
        runtime=scaled_by_attempt(10),
    params:
        code=fingerprint("occlufacediff.stages.predict_videos"),
    message:
        "Join the rows of all predicted videos"
    conda:
        "../envs/report.yaml"
    script:
        "../scripts/summarise_predictions.py"
